//! A line through parameter space: along a direction, or from one solution to another.

use std::sync::Arc;

use super::axis::Axis;
use super::sweep::Slice;
use crate::error::Result;
use crate::objective::Solution;

/// The points w(l) = w + l·u of a line, or w(t) = w + t·(w′ − w). Its statistics, which the policy `running` holds
/// fixed, are the origin's.
#[derive(Clone, Debug)]
pub struct Line {
    /// w.
    pub origin: Arc<Solution>,
    /// u, or the way to w′.
    pub axis: Axis,
}

impl Line {
    /// Along a direction `[d]`.
    pub fn ray(origin: Arc<Solution>, direction: Arc<Vec<f32>>) -> Self {
        Self {
            origin,
            axis: Axis::Along(direction),
        }
    }

    /// From one solution, at position 0, to another, at position 1, exactly.
    pub fn segment(from: Arc<Solution>, to: Arc<Solution>) -> Self {
        Self {
            origin: from,
            axis: Axis::Towards(to),
        }
    }

    /// The parameters at `position`, computed in double precision and rounded once.
    pub fn point(&self, position: f64) -> Vec<f32> {
        let origin = &self.origin.parameters;
        origin
            .iter()
            .zip(self.axis.entries(origin))
            .map(|(&w, entry)| (f64::from(w) + position * entry) as f32)
            .collect()
    }
}

impl Slice for Line {
    type Position = f64;

    fn point(&self, position: f64) -> Result<Vec<f32>> {
        Ok(self.point(position))
    }

    fn statistics(&self, _position: f64) -> Result<Arc<Solution>> {
        Ok(self.origin.clone())
    }
}

/// `count` evenly spaced positions from `start` to `end`, both included; 0 is exact where the range is symmetric.
pub fn positions(start: f64, end: f64, count: usize) -> Vec<f64> {
    match count {
        0 => Vec::new(),
        1 => vec![start],
        _ => {
            let last = (count - 1) as f64;
            (0..count)
                .map(|i| (start * (last - i as f64) + end * i as f64) / last)
                .collect()
        }
    }
}

/// Whether a position lies within ±reach; one that rounding puts beside the end does.
pub fn is_within(position: f64, reach: f64) -> bool {
    position.abs() <= reach * (1.0 + 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn positions_hold_both_ends_and_the_middle() {
        assert_eq!(positions(-3.0, 3.0, 7), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(positions(0.3, 1.1, 2), [0.3, 1.1]);
        assert_eq!(positions(2.0, 5.0, 1), [2.0]);
    }

    #[test]
    fn rounding_puts_no_position_beyond_the_end() {
        assert!(is_within(3.0 * 0.1, 0.3) && is_within(-0.3, 0.3) && is_within(0.0, 0.3));
        assert!(!is_within(0.31, 0.3) && !is_within(-0.31, 0.3) && !is_within(f64::NAN, 0.3));
    }

    proptest! {
        #[test]
        fn a_segment_ends_exactly_at_its_solutions(a in proptest::collection::vec(-10.0_f32..10.0, 5), b in proptest::collection::vec(-10.0_f32..10.0, 5)) {
            let solution = |parameters: &[f32]| Arc::new(Solution { parameters: parameters.to_vec(), statistics: vec![] });
            let line = Line::segment(solution(&a), solution(&b));
            prop_assert_eq!(line.point(0.0), a);
            prop_assert_eq!(line.point(1.0), b);
        }
    }
}
