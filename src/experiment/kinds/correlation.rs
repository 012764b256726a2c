//! What pairs of numbers have to do with each other: correlation, of values and of ranks, and the line through them,
//! each with its interval of 95 %. The intervals take the pairs as independent of each other.

use std::fmt;

use crate::dynamics::proportion::QUANTILE;
use crate::random::{Purpose, Random};

/// Fewer pairs have no intervals here. The line through five has three degrees of freedom, from which on [`student`]
/// holds.
pub(super) const FEWEST: usize = 5;
/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;
/// The share of them beyond each end of an interval.
const TAIL: f64 = 0.025;

/// A number with its interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    /// Whether all of it is from `low` to `high`.
    pub(super) fn is_within(self, low: f64, high: f64) -> bool {
        low <= self.low && self.high <= high
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{:.2} ({:.2} to {:.2})", self.value, self.low, self.high)
    }
}

/// The line y = intercept + slope·x of least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) intercept: f64,
    pub(super) slope: Interval,
}

impl Line {
    /// Through pairs of as many x as y, with Student's interval of its slope. Nothing of fewer than [`FEWEST`], and
    /// where all x are equal or a value is not finite.
    pub(super) fn through(x: &[f64], y: &[f64]) -> Option<Self> {
        if x.len() < FEWEST {
            return None;
        }
        let ((x_mean, x), (y_mean, y)) = (centred(x), centred(y));
        let squares = product(&x, &x);
        let slope = product(&x, &y) / squares;
        if !slope.is_finite() {
            return None;
        }
        let residuals = x.iter().zip(&y).map(|(x, y)| (y - slope * x).powi(2));
        let freedom = x.len() - 2;
        let error = (residuals.sum::<f64>() / (freedom as f64 * squares)).sqrt();
        let reach = student(freedom) * error;
        Some(Self {
            intercept: y_mean - slope * x_mean,
            slope: Interval {
                value: slope,
                low: slope - reach,
                high: slope + reach,
            },
        })
    }
}

/// Pearson's r of as many x as y. NaN where all of either are equal, or a value is not finite.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let ((_, x), (_, y)) = (centred(x), centred(y));
    // Rounding must not take it past its ends, where nothing has a hyperbolic angle.
    (product(&x, &y) / (product(&x, &x) * product(&y, &y)).sqrt()).clamp(-1.0, 1.0)
}

/// Pearson's r with Fisher's interval tanh(artanh r ± z/√(n − 3)) (Fisher, 1921, *On the "probable error" of a
/// coefficient of correlation deduced from a small sample*). Nothing of fewer than [`FEWEST`] pairs, and where there is
/// no r.
pub(super) fn correlation_interval(x: &[f64], y: &[f64]) -> Option<Interval> {
    let value = correlation(x, y);
    if x.len() < FEWEST || value.is_nan() {
        return None;
    }
    let reach = QUANTILE / (x.len() as f64 - 3.0).sqrt();
    Some(Interval {
        value,
        low: (value.atanh() - reach).tanh(),
        high: (value.atanh() + reach).tanh(),
    })
}

/// Spearman's ρ: the correlation of ranks, equal values having the mean of theirs. NaN where one value is NaN or all of
/// either are equal.
pub(super) fn rank_correlation(x: &[f64], y: &[f64]) -> f64 {
    match x.iter().chain(y).any(|value| value.is_nan()) {
        true => f64::NAN,
        false => correlation(&ranks(x), &ranks(y)),
    }
}

/// Spearman's ρ with the percentiles of a bootstrap: of pairs drawn anew from these, with replacement. Nothing of fewer
/// than [`FEWEST`] pairs, and where there is no ρ.
pub(super) fn rank_correlation_interval(x: &[f64], y: &[f64], seed: u64) -> Option<Interval> {
    let value = rank_correlation(x, y);
    if x.len() < FEWEST || value.is_nan() {
        return None;
    }
    let mut random = Random::new(seed, Purpose::Resampling, 0);
    let mut found = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let drawn: Vec<usize> = x.iter().map(|_| random.below(x.len())).collect();
        let [x, y] = [x, y].map(|values| drawn.iter().map(|&index| values[index]).collect::<Vec<f64>>());
        let again = rank_correlation(&x, &y);
        // One that draws equal values alone tells nothing.
        if !again.is_nan() {
            found.push(again);
        }
    }
    found.sort_by(f64::total_cmp);
    let beyond = (TAIL * found.len() as f64) as usize;
    Some(Interval {
        value,
        low: *found.get(beyond)?,
        high: *found.iter().nth_back(beyond)?,
    })
}

/// The mean, and all values less it. Equal values have exactly nothing left.
fn centred(values: &[f64]) -> (f64, Vec<f64>) {
    let first = values.first().copied().unwrap_or(f64::NAN);
    let shift = values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64;
    let left = values.iter().map(|value| value - first - shift);
    (first + shift, left.collect())
}

fn product(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Ranks from 1 on, equal values having the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &index in equal {
            ranks[index] = below as f64 + 0.5 * (equal.len() as f64 + 1.0);
        }
        below += equal.len();
    }
    ranks
}

/// Student's 97.5 % quantile for three degrees of freedom or more, to 1.3·10⁻³ of it: Fisher and Cornish's expansion in
/// their inverse (Abramowitz and Stegun, 1964, 26.7.5).
fn student(freedom: usize) -> f64 {
    let z = QUANTILE;
    let terms = [
        z,
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
        (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z) / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| sum / freedom as f64 + term)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];

    fn assert_near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} instead of {expected}");
    }

    #[test]
    fn quantiles_are_students() {
        for (freedom, quantile) in [
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (5, 2.570_581_836),
            (10, 2.228_138_852),
            (24, 2.063_898_562),
            (100, 1.983_971_519),
        ] {
            // What the expansion leaves out is of the fifth order, with a factor of 0.37 at 100 degrees.
            let left_out = 0.4 * (freedom as f64).powi(-5);
            assert_near(student(freedom) / quantile, 1.0, left_out + 1e-9);
        }
    }

    #[test]
    fn the_line_and_the_correlation_of_five_pairs_are_those_by_hand() {
        // Σx′² = 10, Σx′y′ = 6, Σy′² = 6, and Σ(y′ − 0.6x′)² = 2.4: an error of √(2.4/3/10) = √0.08.
        let y = [2.0, 4.0, 5.0, 4.0, 5.0];
        let line = Line::through(&FIVE, &y).unwrap();
        assert_near(line.intercept, 2.2, 1e-12);
        assert_near(line.slope.value, 0.6, 1e-12);
        let reach = 3.182_446_305 * 0.08_f64.sqrt();
        assert_near(line.slope.high - 0.6, reach, 1.3e-3 * reach);
        assert_near(line.slope.low + line.slope.high, 1.2, 1e-12);
        // r = 6/√60, whose artanh is 1.0317 with an error of 1/√2.
        let found = correlation_interval(&FIVE, &y).unwrap();
        assert_near(found.value, 0.6_f64.sqrt(), 1e-12);
        assert_near(found.low, -0.340_082_04, 1e-8);
        assert_near(found.high, 0.984_235_76, 1e-8);
        assert_eq!(found.to_string(), "0.77 (-0.34 to 0.98)");
        assert!(found.is_within(-0.35, 0.99) && !found.is_within(-0.3, 0.99) && !found.is_within(-0.35, 0.98));
    }

    #[test]
    fn pairs_on_a_line_leave_no_doubt_and_few_or_equal_ones_all() {
        let y = FIVE.map(|x| 3.0 - 2.0 * x);
        let slope = Line::through(&FIVE, &y).unwrap().slope;
        assert_eq!((slope.value, slope.low, slope.high), (-2.0, -2.0, -2.0));
        let found = correlation_interval(&FIVE, &y).unwrap();
        assert_eq!((found.value, found.low, found.high), (-1.0, -1.0, -1.0));
        let ranks = rank_correlation_interval(&FIVE, &y, 1).unwrap();
        assert_near(ranks.low, -1.0, 1e-12);
        assert_near(ranks.high, -1.0, 1e-12);
        let wanting: [(&[f64], &[f64]); 4] = [
            (&FIVE[..4], &y[..4]),
            // Nothing changes with what does not change; a tenth is no binary fraction.
            (&[0.1; 5], &y),
            (&FIVE, &[f64::NAN; 5]),
            (&[], &[]),
        ];
        for (x, y) in wanting {
            assert_eq!(Line::through(x, y), None);
            assert_eq!(correlation_interval(x, y), None);
            assert_eq!(rank_correlation_interval(x, y, 1), None);
        }
        assert!(correlation(&FIVE, &[0.1; 5]).is_nan());
    }

    #[test]
    fn ranks_are_correlated_by_order_alone() {
        assert!((rank_correlation(&FIVE, &[1.0, 10.0, 11.0, 400.0, 1e9]) - 1.0).abs() < 1e-12);
        assert!((rank_correlation(&FIVE, &[5.0, 4.0, 0.0, -1.0, -9.0]) + 1.0).abs() < 1e-12);
        // ρ = 1 − 6·Σd²/(n·(n² − 1)), with d = 1 at two places.
        assert!((rank_correlation(&FIVE, &[1.0, 2.0, 4.0, 3.0, 5.0]) - 0.9).abs() < 1e-12);
        // Ranks 1, 2½, 2½ against 1, 2, 3: 1.5/√(1.5·2).
        let tied = rank_correlation(&[0.0, 7.0, 7.0], &[1.0, 2.0, 3.0]);
        assert!((tied - 0.75_f64.sqrt()).abs() < 1e-12);
        assert!(rank_correlation(&[1.0; 3], &[1.0, 2.0, 3.0]).is_nan());
        assert!(rank_correlation(&[1.0, 2.0], &[f64::NAN, 1.0]).is_nan());
        assert_eq!(rank_correlation(&[1.0, 2.0], &[1.0, f64::INFINITY]), 1.0);
    }

    #[test]
    fn the_interval_of_ranks_is_as_wide_as_chance_makes_it_and_of_its_seed() {
        // Without correlation ρ has an error of 1/√n: 95 % lie within 0.098 of it for 401 pairs.
        let x: Vec<f64> = (0..401).map(f64::from).collect();
        let y: Vec<f64> = (0..401).map(|index| f64::from(index * 173 % 401)).collect();
        let found = rank_correlation_interval(&x, &y, 1).unwrap();
        assert_near(found.value, 0.028_805_970, 1e-9);
        // The ends of 2000 resamples have errors of some hundredths of that.
        let half = QUANTILE / 401.0_f64.sqrt();
        assert_near(0.5 * (found.high - found.low), half, 0.15 * half);
        assert!(found.low < 0.0 && 0.0 < found.high, "{found}");
        assert_eq!(rank_correlation_interval(&x, &y, 1), Some(found));
        assert_ne!(rank_correlation_interval(&x, &y, 2), Some(found));
    }
}
