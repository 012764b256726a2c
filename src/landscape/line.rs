//! A line through parameter space: along a direction, or from one solution to another.

use std::sync::Arc;

use crate::objective::{Solution, move_along};

/// The points w(l) of a line. Its statistics, which the policy `running` holds fixed, are the origin's.
#[derive(Clone, Debug)]
pub enum Line {
    /// w(l) = w + l·u.
    Ray {
        /// w.
        origin: Arc<Solution>,
        /// u, `[d]`.
        direction: Arc<Vec<f32>>,
    },
    /// w(t) = w + t·(w′ − w), so t = 0 is `from` and t = 1 is `to`, exactly.
    Segment {
        /// w.
        from: Arc<Solution>,
        /// w′.
        to: Arc<Solution>,
    },
}

impl Line {
    /// The solution at position 0.
    pub fn origin(&self) -> &Arc<Solution> {
        match self {
            Self::Ray { origin, .. } => origin,
            Self::Segment { from, .. } => from,
        }
    }

    /// The parameters at `position`, computed in double precision and rounded once.
    pub fn point(&self, position: f64) -> Vec<f32> {
        match self {
            Self::Ray { origin, direction } => move_along(&origin.parameters, direction, position),
            Self::Segment { from, to } => from
                .parameters
                .iter()
                .zip(&to.parameters)
                .map(|(&a, &b)| {
                    let (a, b) = (f64::from(a), f64::from(b));
                    (a + position * (b - a)) as f32
                })
                .collect(),
        }
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

    proptest! {
        #[test]
        fn a_segment_ends_exactly_at_its_solutions(a in proptest::collection::vec(-10.0_f32..10.0, 5), b in proptest::collection::vec(-10.0_f32..10.0, 5)) {
            let solution = |parameters: &[f32]| Arc::new(Solution { parameters: parameters.to_vec(), statistics: vec![] });
            let line = Line::Segment { from: solution(&a), to: solution(&b) };
            prop_assert_eq!(line.point(0.0), a);
            prop_assert_eq!(line.point(1.0), b);
        }
    }
}
