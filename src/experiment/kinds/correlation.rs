//! What pairs of numbers have to do with each other: correlation, of values and of ranks, and the line through them; and
//! the interval of 95 % of any of these. Only clusters of pairs are taken as independent of each other.

use std::fmt;

use crate::random::{Purpose, Random};

/// Fewer clusters have no intervals here. The percentiles of a bootstrap of few are too narrow: for five independent
/// pairs that of ρ lies below 0 in 6 % of all cases instead of 2.5 %, and for three clusters of pairs in some 10 %.
pub(super) const FEWEST: usize = 8;
/// Resamples of a bootstrap.
pub(super) const RESAMPLES: usize = 2000;
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
    /// Of a number that pairs have, with the percentiles of a bootstrap: of clusters drawn anew from these, with
    /// replacement. Empty ones are none. Nothing of fewer than [`FEWEST`] clusters, and where the number is NaN.
    pub(super) fn of(clusters: &[Vec<(f64, f64)>], number: fn(x: &[f64], y: &[f64]) -> f64, seed: u64) -> Option<Self> {
        let clusters: Vec<&Vec<(f64, f64)>> = clusters.iter().filter(|cluster| !cluster.is_empty()).collect();
        let of = |drawn: &[usize]| {
            let pairs = drawn.iter().flat_map(|&index| clusters[index]);
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.copied().unzip();
            number(&x, &y)
        };
        let all: Vec<usize> = (0..clusters.len()).collect();
        let value = of(&all);
        if clusters.len() < FEWEST || value.is_nan() {
            return None;
        }
        let mut random = Random::new(seed, Purpose::Resampling, 0);
        let mut found = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            let drawn: Vec<usize> = all.iter().map(|_| random.below(all.len())).collect();
            let again = of(&drawn);
            // One that draws equal values alone tells nothing.
            if !again.is_nan() {
                found.push(again);
            }
        }
        found.sort_by(f64::total_cmp);
        let beyond = (TAIL * found.len() as f64) as usize;
        Some(Self {
            value,
            low: *found.get(beyond)?,
            high: *found.iter().nth_back(beyond)?,
        })
    }

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
    pub(super) slope: f64,
}

impl Line {
    /// Through pairs of as many x as y. Its numbers are NaN where all x are equal or a value is not finite.
    pub(super) fn through(x: &[f64], y: &[f64]) -> Self {
        let ((x_mean, x), (y_mean, y)) = (centred(x), centred(y));
        let slope = product(&x, &y) / product(&x, &x);
        Self {
            intercept: y_mean - slope * x_mean,
            slope,
        }
    }
}

/// Pearson's r of as many x as y. NaN where all of either are equal, or a value is not finite.
pub(super) fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let ((_, x), (_, y)) = (centred(x), centred(y));
    // Rounding must not take it past its ends.
    (product(&x, &y) / (product(&x, &x) * product(&y, &y)).sqrt()).clamp(-1.0, 1.0)
}

/// Spearman's ρ: the correlation of ranks, equal values having the mean of theirs. NaN where one value is NaN or all of
/// either are equal.
pub(super) fn rank_correlation(x: &[f64], y: &[f64]) -> f64 {
    match x.iter().chain(y).any(|value| value.is_nan()) {
        true => f64::NAN,
        false => correlation(&ranks(x), &ranks(y)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::proportion::QUANTILE;

    const FIVE: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];
    /// A number of pairs.
    type Number = fn(&[f64], &[f64]) -> f64;
    const NUMBERS: [Number; 3] = [|x, y| Line::through(x, y).slope, correlation, rank_correlation];

    fn assert_near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} instead of {expected}");
    }

    /// So many clusters of a pair each.
    fn alone(count: u32, y: fn(u32) -> f64) -> Vec<Vec<(f64, f64)>> {
        (0..count).map(|index| vec![(f64::from(index), y(index))]).collect()
    }

    #[test]
    fn the_line_and_the_correlation_of_five_pairs_are_those_by_hand() {
        // Σx′² = 10, Σx′y′ = 6 and Σy′² = 6.
        let y = [2.0, 4.0, 5.0, 4.0, 5.0];
        let line = Line::through(&FIVE, &y);
        assert_near(line.intercept, 2.2, 1e-12);
        assert_near(line.slope, 0.6, 1e-12);
        assert_near(correlation(&FIVE, &y), 0.6_f64.sqrt(), 1e-12);
        // Nothing changes with what does not change; a tenth is no binary fraction.
        assert!(correlation(&FIVE, &[0.1; 5]).is_nan() && Line::through(&[0.1; 5], &y).slope.is_nan());
        assert!(correlation(&[], &[]).is_nan() && correlation(&FIVE, &[f64::NAN; 5]).is_nan());
        let found = Interval {
            value: 0.774,
            low: -0.34,
            high: 0.98,
        };
        assert_eq!(found.to_string(), "0.77 (-0.34 to 0.98)");
        assert!(found.is_within(-0.35, 0.99) && !found.is_within(-0.3, 0.99) && !found.is_within(-0.35, 0.97));
    }

    #[test]
    fn pairs_on_a_line_leave_no_doubt_and_few_or_equal_ones_all() {
        let falling = |index: u32| 3.0 - 2.0 * f64::from(index);
        for (number, expected) in NUMBERS.into_iter().zip([-2.0, -1.0, -1.0]) {
            let found = Interval::of(&alone(8, falling), number, 1).unwrap();
            for end in [found.value, found.low, found.high] {
                assert_near(end, expected, 1e-12);
            }
            // Seven are few, with however many pairs, and an empty one is none.
            let mut few: Vec<Vec<(f64, f64)>> = alone(7, falling).into_iter().map(|pair| pair.repeat(9)).collect();
            few.push(Vec::new());
            assert_eq!(Interval::of(&few, number, 1), None);
            assert_eq!(Interval::of(&alone(8, |_| f64::NAN), number, 1), None);
            assert_eq!(Interval::of(&[], number, 1), None);
        }
        assert_eq!(Interval::of(&alone(8, |_| 0.1), correlation, 1), None);
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
    fn an_interval_is_as_wide_as_chance_makes_it_and_of_its_seed() {
        // Without correlation ρ has an error of 1/√n: 95 % lie within 0.098 of it for 401 pairs.
        let pairs = alone(401, |index| f64::from(index * 173 % 401));
        let found = Interval::of(&pairs, rank_correlation, 1).unwrap();
        assert_near(found.value, 0.028_805_970, 1e-9);
        // The ends of 2000 resamples have errors of some hundredths of that.
        let half = QUANTILE / 401.0_f64.sqrt();
        assert_near(0.5 * (found.high - found.low), half, 0.15 * half);
        assert!(found.low < 0.0 && 0.0 < found.high, "{found}");
        assert_eq!(Interval::of(&pairs, rank_correlation, 1), Some(found));
        assert_ne!(Interval::of(&pairs, rank_correlation, 2), Some(found));
    }

    #[test]
    fn copies_within_a_cluster_say_nothing_more() {
        let pairs = alone(100, |index| f64::from(index * 37 % 101));
        let copied: Vec<Vec<(f64, f64)>> = pairs.iter().map(|pair| pair.repeat(4)).collect();
        let width = |clusters: &[Vec<(f64, f64)>], number: fn(&[f64], &[f64]) -> f64| {
            let found = Interval::of(clusters, number, 1).unwrap();
            found.high - found.low
        };
        for number in NUMBERS {
            let expected = width(&pairs, number);
            assert_near(width(&copied, number), expected, 1e-9);
            // As pairs of their own they would halve it.
            let apart: Vec<Vec<(f64, f64)>> = copied.iter().flatten().map(|&pair| vec![pair]).collect();
            assert_near(width(&apart, number), 0.5 * expected, 0.1 * expected);
        }
    }
}
