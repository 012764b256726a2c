//! What became of the minima that one method has found, and how much of the claim that bears out.

use crate::curvature::{NonUniformity, Sgd, Sharpness};
use crate::error::Result;
use crate::experiment::descent::{self, Descended, Record};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::Answer;
use crate::objective::Objective;

/// What is measured at a point.
#[derive(Clone, Copy)]
pub(super) struct Measured {
    pub sharpness: Sharpness,
    pub non_uniformity: NonUniformity,
    pub accuracy: f64,
}

impl Measured {
    pub fn of(laboratory: &mut Laboratory, objective: &Objective, descended: &Descended, what: &str) -> Result<Self> {
        let solution = &descended.solution;
        Ok(Self {
            sharpness: laboratory.sharpness(objective, solution, what)?,
            non_uniformity: laboratory.non_uniformity(objective, solution, what)?,
            accuracy: descent::test_accuracy(objective, solution)?,
        })
    }

    /// Whether both are within the bounds, exceeded by a share at most.
    pub fn is_within(&self, bounds: Sgd, tolerance: f64) -> bool {
        self.sharpness.value <= (1.0 + tolerance) * bounds.sharpness_bound()
            && self.non_uniformity.value <= (1.0 + tolerance) * bounds.non_uniformity_bound()
    }
}

/// What a method came to from one minimum.
pub(super) struct Switched {
    pub bounds: Sgd,
    /// Whether the minimum is beyond a bound.
    pub leaves: bool,
    /// Whether it was left.
    pub left: bool,
    pub record: Record,
    /// Where it ended, unless it diverged.
    pub end: Option<Measured>,
}

impl Switched {
    /// Whether it left for a flatter place that is within its bounds.
    fn has_settled(&self, start: &Measured, tolerance: f64) -> bool {
        self.left
            && self
                .end
                .is_some_and(|end| end.sharpness.value < start.sharpness.value && end.is_within(self.bounds, tolerance))
    }
}

/// The minimum of one seed, and what became of it.
pub(super) struct Minimum {
    pub seed: u64,
    pub steps: usize,
    pub loss: f64,
    pub measured: Measured,
    pub switched: Vec<Switched>,
}

/// How much of the claim is borne out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Starts that found no minimum, so that nothing of the claim could be looked at.
    lost_starts: usize,
    /// Switches, and those that went as the bounds say.
    pub switches: usize,
    pub predicted: usize,
    /// Those of them that left, and those that settled at a flatter place within their bounds.
    pub left: usize,
    pub settled: usize,
}

impl Count {
    pub fn of(minima: &[Minimum], lost_starts: usize, tolerance: f64) -> Self {
        let mut count = Self {
            lost_starts,
            ..Self::default()
        };
        for minimum in minima {
            for switched in &minimum.switched {
                count.switches += 1;
                count.predicted += usize::from(switched.leaves == switched.left);
                count.left += usize::from(switched.left);
                count.settled += usize::from(switched.has_settled(&minimum.measured, tolerance));
            }
        }
        count
    }

    /// Where nothing has left, no escape was seen, however well that was foretold.
    pub fn answer(&self) -> Answer {
        match self.left {
            0 => Answer::NotShown,
            left => Answer::of(self.predicted + self.settled, self.switches + left + self.lost_starts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{measured, minimum, switched};
    use super::*;

    #[test]
    fn what_leaves_is_to_be_predicted_and_to_settle_where_it_is_flatter() {
        let stays = switched(0.2, (false, false), Some(measured(8.1, 30.0)));
        let settles = switched(0.5, (true, true), Some(measured(4.1, 15.0)));
        let good = minimum(1, vec![stays, settles]);
        assert!(!good.switched[0].has_settled(&good.measured, 0.05));
        assert!(good.switched[1].has_settled(&good.measured, 0.05));
        assert!(!good.switched[1].has_settled(&good.measured, 0.0));
        let goes = switched(0.2, (false, true), Some(measured(9.0, 30.0)));
        let diverges = switched(0.5, (true, true), None);
        let bad = minimum(2, vec![goes, diverges]);
        let count = Count::of(&[good, bad], 0, 0.05);
        let expected = Count {
            lost_starts: 0,
            switches: 4,
            predicted: 3,
            left: 3,
            settled: 1,
        };
        assert_eq!((&count, count.answer()), (&expected, Answer::PartlyShown));
        assert_eq!(Count::of(&[], 1, 0.05).answer(), Answer::NotShown);
    }

    #[test]
    fn the_claim_is_shown_where_something_left_and_every_start_found_a_minimum() {
        let stays = || switched(0.2, (false, false), Some(measured(8.1, 30.0)));
        let settles = || switched(0.5, (true, true), Some(measured(3.9, 15.0)));
        let both = [minimum(1, vec![stays(), settles()])];
        assert_eq!(Count::of(&both, 0, 0.05).answer(), Answer::Shown);
        assert_eq!(Count::of(&both, 1, 0.05).answer(), Answer::PartlyShown);
        let count = Count::of(&[minimum(1, vec![stays()])], 0, 0.05);
        assert_eq!((count.predicted, count.answer()), (1, Answer::NotShown));
    }

    #[test]
    fn bounds_are_of_both_numbers() {
        let point = measured(8.0, 30.0);
        let bounds = |learning_rate, batch_size| Sgd::new(learning_rate, batch_size, 100).unwrap();
        // 2/η = 10, and for s √(B·99/(100 − B))/0.2: 10.2 for 4, 49.7 for 50.
        assert!(point.is_within(bounds(0.2, 100), 0.0) && point.is_within(bounds(0.2, 50), 0.0));
        assert!(!point.is_within(bounds(0.2, 4), 0.0) && !point.is_within(bounds(0.5, 100), 0.0));
        assert!(point.is_within(bounds(0.2, 4), 2.0));
    }
}
