//! Values that several kinds take where a recipe names none.

use crate::experiment::laboratory::Which;
use crate::landscape::DirectionKind;

/// The end of SGD from the average: nearest to a minimum of the train loss, which the paper's definitions are about.
pub(super) fn sgd() -> Which {
    Which::Sgd
}

/// The paper's random directions.
pub(super) fn uniform() -> DirectionKind {
    DirectionKind::Uniform
}

/// Directions for each seed.
pub(super) fn usual_draws() -> u64 {
    5
}

/// Rays, or points around a solution: enough for a mean.
pub(super) fn many_draws() -> u64 {
    20
}

/// Points of a line.
pub(super) fn usual_points() -> usize {
    41
}

/// Points of a line where many are drawn, or where it is short.
pub(super) fn few_points() -> usize {
    21
}

/// Train images for a gradient, where many are taken.
pub(super) fn usual_samples() -> usize {
    1000
}

/// Images used of each split.
pub(super) fn all_images() -> usize {
    usize::MAX
}
