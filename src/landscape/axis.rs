//! An axis through parameter space: a direction, or the way to another solution.

use std::sync::Arc;

use crate::objective::Solution;

/// A vector of which multiples are added to an origin w.
#[derive(Clone, Debug)]
pub enum Axis {
    /// u, `[d]`.
    Along(Arc<Vec<f32>>),
    /// w′ − w, so that position 1 is the solution w′ exactly.
    Towards(Arc<Solution>),
}

impl Axis {
    /// Its entries in double precision, for an origin w `[d]`.
    pub fn entries<'a>(&'a self, origin: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let (entries, from) = match self {
            Self::Along(direction) => (direction.as_slice(), None),
            Self::Towards(solution) => (solution.parameters.as_slice(), Some(origin)),
        };
        entries
            .iter()
            .enumerate()
            .map(move |(index, &entry)| f64::from(entry) - from.map_or(0.0, |from| f64::from(from[index])))
    }

    /// Adds a multiple of it to a point `[d]` in double precision.
    pub fn add(&self, point: &mut [f64], origin: &[f32], multiple: f64) {
        // A multiple of zero leaves the point alone, even along a vector that is not finite.
        if multiple != 0.0 {
            for (value, entry) in point.iter_mut().zip(self.entries(origin)) {
                *value += multiple * entry;
            }
        }
    }
}
