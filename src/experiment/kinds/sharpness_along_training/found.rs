//! What gradient descent and SGD came to along their ways, and how much of the claim that bears out.

use crate::curvature::{NonUniformity, Sgd, Sharpness};
use crate::experiment::descent::{Method, Record};
use crate::experiment::outcome::Answer;

/// A sharpness of no more than this share below 2/η is near it.
pub(super) const CLOSE: f64 = 0.1;

/// What one method came to from one seed's weights.
pub(super) struct Found {
    pub method: Method,
    pub bounds: Sgd,
    pub record: Record,
    /// Where it has arrived.
    pub end: Option<Ended>,
}

/// Where a descent has arrived.
pub(super) struct Ended {
    pub sharpness: Sharpness,
    /// Of SGD.
    pub non_uniformity: Option<NonUniformity>,
}

impl Found {
    fn is_sgd(&self) -> bool {
        matches!(self.method, Method::Sgd { .. })
    }

    /// a·η/2 on the way, by step.
    pub fn shares(&self) -> Vec<(f64, f64)> {
        let bound = self.bounds.sharpness_bound();
        let points = self.record.sharpness.iter();
        points.map(|&(step, value)| (step, value / bound)).collect()
    }

    /// a·η/2 at the initial weights.
    pub fn first_share(&self) -> Option<f64> {
        self.shares().first().map(|(_, share)| *share)
    }

    /// The largest a·η/2 on the way.
    pub fn highest_share(&self) -> Option<f64> {
        let finite = self.shares().into_iter().map(|(_, share)| share);
        finite.filter(|share| share.is_finite()).reduce(f64::max)
    }

    /// a·η/2 where it has arrived.
    pub fn last_share(&self) -> Option<f64> {
        let end = self.end.as_ref()?;
        Some(end.sharpness.value / self.bounds.sharpness_bound())
    }

    /// Whether a is near 2/η where it has arrived, and above it by no more than a share.
    pub fn ends_near(&self, tolerance: f64) -> bool {
        let share = self.last_share();
        share.is_some_and(|share| (1.0 - CLOSE..=1.0 + tolerance).contains(&share))
    }

    /// Whether a is higher where it has arrived than at the start, and close to 2/η or beyond.
    pub fn has_climbed(&self) -> bool {
        match (self.first_share(), self.last_share()) {
            (Some(first), Some(last)) => last > first && last >= 1.0 - CLOSE,
            _ => false,
        }
    }

    /// s where it has arrived. A search that was cut off knows no more than that s is larger than what it found: nothing.
    pub fn non_uniformity(&self) -> Option<f64> {
        let found = self.end.as_ref()?.non_uniformity?;
        found.converged.then_some(found.value)
    }

    /// s as a share of its bound where it has arrived.
    pub fn non_uniformity_share(&self) -> Option<f64> {
        Some(self.non_uniformity()? / self.bounds.non_uniformity_bound())
    }

    /// s by step, its end among it.
    pub fn non_uniformities(&self) -> Vec<(f64, f64)> {
        let mut points = self.record.non_uniformity.clone();
        points.extend(self.non_uniformity().map(|value| (self.record.steps as f64, value)));
        points
    }
}

/// What all methods came to from one seed's weights: gradient descent by rising rate, then SGD by rising batch size.
pub(super) struct Family {
    pub seed: u64,
    pub found: Vec<Found>,
}

impl Family {
    pub fn gradient_descents(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| !found.is_sgd())
    }

    pub fn sgd(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.is_sgd())
    }
}

/// How much of the claim is borne out. A descent that does not arrive bears out nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Descents by gradient descent.
    pub descents: usize,
    pub arrived: usize,
    /// Those that end near 2/η, and above it by no more than the tolerance.
    pub near: usize,
    /// Those that have climbed there on their way, which is no part of the claim.
    pub climbed: usize,
    /// Those by SGD, whose non-uniformity has a bound.
    pub bounded: usize,
    pub bounded_arrived: usize,
    /// Those of them whose non-uniformity is known.
    pub known: usize,
    pub within_non_uniformity: usize,
    /// Neighbouring batch sizes of one seed, and those of which the smaller one has the smaller non-uniformity.
    pub pairs: usize,
    pub ordered: usize,
}

impl Count {
    pub fn of(families: &[Family], tolerance: f64) -> Self {
        let mut count = Self::default();
        let is_kept = |share: Option<f64>| share.is_some_and(|share| share <= 1.0 + tolerance);
        for family in families {
            for found in family.gradient_descents() {
                count.descents += 1;
                count.arrived += usize::from(found.end.is_some());
                count.near += usize::from(found.ends_near(tolerance));
                count.climbed += usize::from(found.has_climbed());
            }
            let spreads: Vec<Option<f64>> = family.sgd().map(Found::non_uniformity).collect();
            for found in family.sgd() {
                count.bounded += 1;
                count.bounded_arrived += usize::from(found.end.is_some());
                count.known += usize::from(found.non_uniformity().is_some());
                count.within_non_uniformity += usize::from(is_kept(found.non_uniformity_share()));
            }
            for pair in spreads.windows(2) {
                count.pairs += 1;
                count.ordered += match (pair[0], pair[1]) {
                    (Some(smaller), Some(larger)) => usize::from(smaller < larger),
                    _ => 0,
                };
            }
        }
        count
    }

    /// Where no gradient descent has arrived, or no non-uniformity is known, nothing of a part of the claim has been
    /// looked at.
    pub fn answer(&self) -> Answer {
        if self.arrived == 0 || self.known == 0 {
            return Answer::NotShown;
        }
        let shown = self.near + self.within_non_uniformity + self.ordered;
        Answer::of(shown, self.descents + self.bounded + self.pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{descent, family, found, sgd};
    use super::*;

    #[test]
    fn descents_count_where_they_end_near_their_bounds() {
        let climbs = descent(0.5, [0.5, 5.0, 4.1]);
        assert!(climbs.has_climbed() && climbs.ends_near(0.05));
        let [first, highest, last] = [climbs.first_share(), climbs.highest_share(), climbs.last_share()];
        assert_eq!((first, highest), (Some(0.125), Some(1.25)));
        assert!((last.unwrap() - 1.025).abs() < 1e-12);
        // Not close, from above, and not at all.
        assert!(!descent(0.5, [0.5, 2.0, 3.5]).has_climbed());
        let falls = descent(0.5, [4.5, 4.2, 4.1]);
        assert!(!falls.has_climbed() && falls.ends_near(0.05));
        // Near is what is not far below, nor far above.
        let ends = [3.5, 3.7, 4.19, 4.3].map(|last| descent(0.5, [0.5, 2.0, last]).ends_near(0.05));
        assert_eq!(ends, [false, true, true, false]);
        let lost = Method::GradientDescent { learning_rate: 0.5 };
        assert!(!found(lost, [0.5, 5.0, 4.1], None).has_climbed());
        let good = family(vec![
            falls,
            descent(1.0, [0.5, 1.5, 1.9]),
            sgd(1, Some(1.8)),
            sgd(25, Some(12.0)),
        ]);
        let count = Count::of(&[good], 0.05);
        let expected = Count {
            descents: 2,
            arrived: 2,
            near: 2,
            climbed: 1,
            bounded: 2,
            bounded_arrived: 2,
            known: 2,
            within_non_uniformity: 2,
            pairs: 1,
            ordered: 1,
        };
        assert_eq!((&count, count.answer()), (&expected, Answer::Shown));
    }

    #[test]
    fn what_is_beyond_or_does_not_arrive_bears_out_nothing() {
        let mixed = || {
            family(vec![
                descent(0.5, [0.5, 5.0, 4.4]),
                descent(1.0, [0.5, 1.0, 1.2]),
                sgd(1, None),
                sgd(25, Some(13.0)),
            ])
        };
        let count = Count::of(&[mixed()], 0.05);
        assert_eq!((count.arrived, count.climbed, count.near), (2, 1, 0));
        assert_eq!((count.bounded, count.bounded_arrived), (2, 1));
        assert_eq!((count.within_non_uniformity, count.pairs, count.ordered), (0, 1, 0));
        assert_eq!(count.answer(), Answer::NotShown);
        let mut partly = mixed();
        partly.found[0] = descent(0.5, [0.5, 5.0, 4.1]);
        assert_eq!(Count::of(&[partly], 0.05).answer(), Answer::PartlyShown);
        // With one of the two parts alone, nothing of the other has been looked at.
        let lost = Method::GradientDescent { learning_rate: 0.5 };
        let lost = found(lost, [0.5, 5.0, 4.0], None);
        let without = family(vec![lost, sgd(1, Some(1.0)), sgd(25, Some(2.0))]);
        assert_eq!(Count::of(&[without], 0.05).answer(), Answer::NotShown);
        let alone = descent(0.5, [0.5, 5.0, 4.0]);
        let without = family(vec![alone, sgd(1, None), sgd(25, None)]);
        assert_eq!(Count::of(&[without], 0.05).answer(), Answer::NotShown);
        assert_eq!(Count::of(&[], 0.05).answer(), Answer::NotShown);
    }
    #[test]
    fn a_non_uniformity_whose_search_was_cut_off_keeps_no_bound() {
        let all = |is_known: [bool; 2]| {
            let mut all = vec![descent(0.5, [0.5, 5.0, 4.0]), sgd(1, Some(1.0)), sgd(25, Some(2.0))];
            for (found, is_known) in all[1..].iter_mut().zip(is_known) {
                let spread = found.end.as_mut().and_then(|end| end.non_uniformity.as_mut());
                spread.unwrap().converged = is_known;
            }
            family(all)
        };
        assert_eq!(Count::of(&[all([true, true])], 0.05).answer(), Answer::Shown);
        let one = all([true, false]);
        let count = Count::of(&[one], 0.05);
        assert_eq!((count.bounded, count.bounded_arrived, count.known), (2, 2, 1));
        assert_eq!((count.within_non_uniformity, count.pairs, count.ordered), (1, 1, 0));
        assert_eq!(count.answer(), Answer::PartlyShown);
        let none = all([false, false]);
        assert_eq!(none.found[1].non_uniformity_share(), None);
        // Only what is known of the way is drawn.
        assert_eq!(none.found[1].non_uniformities(), none.found[1].record.non_uniformity);
        assert_eq!(Count::of(&[none], 0.05).answer(), Answer::NotShown);
    }
}
