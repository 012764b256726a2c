//! A share of repeated runs, with the interval that its chance lies in.

use std::fmt;

/// The 97.5 % quantile of the normal distribution, for intervals of 95 %.
pub(crate) const QUANTILE: f64 = 1.959_963_984_540_054;

/// How many of all runs went a certain way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proportion {
    /// Those.
    pub count: usize,
    /// All.
    pub all: usize,
}

impl Proportion {
    /// Counts the runs that went so.
    pub fn of(outcomes: impl IntoIterator<Item = bool>) -> Self {
        outcomes.into_iter().fold(Self::default(), |sum, outcome| Self {
            count: sum.count + usize::from(outcome),
            all: sum.all + 1,
        })
    }

    /// The share, 0..1; NaN of no runs.
    pub fn share(self) -> f64 {
        self.count as f64 / self.all as f64
    }

    /// Wilson's interval of 95 % for the chance behind it (Wilson, 1927, *Probable inference, the law of succession,
    /// and statistical inference*), which holds for few runs and rare outcomes, too. From 0 to 1 of no runs.
    pub fn interval(self) -> [f64; 2] {
        if self.all == 0 {
            return [0.0, 1.0];
        }
        let (n, share) = (self.all as f64, self.share());
        let square = QUANTILE * QUANTILE / n;
        let centre = (share + 0.5 * square) / (1.0 + square);
        let half = (share * (1.0 - share) * square + 0.25 * square * square).sqrt() / (1.0 + square);
        // It holds the share; at 0 and 1, where it ends there, rounding must not say otherwise.
        [(centre - half).clamp(0.0, share), (centre + half).clamp(share, 1.0)]
    }

    /// Whether its chance is the larger one: its interval lies above the other's.
    pub fn is_above(self, other: Self) -> bool {
        self.interval()[0] > other.interval()[1]
    }
}

impl fmt::Display for Proportion {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let [low, high] = self.interval().map(|bound| 100.0 * bound);
        write!(formatter, "{} of {} ({low:.0} to {high:.0} %)", self.count, self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        // Both ends solve (p − s)² = z²·p·(1 − p)/n, which is how Wilson defines them.
        for (count, all) in [(0, 100), (3, 100), (41, 100), (50, 100), (10, 10), (1, 1)] {
            let proportion = Proportion { count, all };
            let [low, high] = proportion.interval();
            for bound in [low, high] {
                let away = (bound - proportion.share()).powi(2);
                let scale = QUANTILE * QUANTILE * bound * (1.0 - bound) / all as f64;
                assert!((away - scale).abs() < 1e-12, "{count} of {all}: {bound}");
            }
            assert!(low <= proportion.share() && proportion.share() <= high && low < high);
        }
        assert_eq!(Proportion::default().interval(), [0.0, 1.0]);
        assert_eq!(Proportion { count: 50, all: 100 }.to_string(), "50 of 100 (40 to 60 %)");
        assert_eq!(Proportion::of([true, false, true]), Proportion { count: 2, all: 3 });
    }

    #[test]
    fn what_may_be_chance_is_not_above() {
        let of = |count| Proportion { count, all: 100 };
        assert!(of(41).is_above(of(5)) && !of(5).is_above(of(41)));
        assert!(!of(41).is_above(of(33)) && !of(33).is_above(of(41)));
        assert!(!of(100).is_above(Proportion::default()));
    }
}
