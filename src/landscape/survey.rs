//! The evaluation of a surface over two positions, coarse first and then where it matters, as a machine that does one
//! batch a step.

use super::grid::Grid;
use super::refinement;
use super::sweep::{Memory, Slice, Sweep, SweepRequest};
use crate::error::{Error, Result};
use crate::objective::{BatchNormPolicy, Evaluation, Objective};

/// Nodes of a grid at most: as many as a picture of 4 megapixels.
pub const MOST_NODES: usize = 1 << 22;

/// Error of a loss allowed where nothing is evaluated, as a share of the range of its heights, that no picture of it
/// shows: a colour step of 256.
pub const TOLERANCE: f64 = 0.004;

/// What is evaluated.
#[derive(Clone, Debug)]
pub struct SurveyRequest<S> {
    /// From two positions to a point.
    pub slice: S,
    /// Its nodes, and what is known of them already.
    pub grid: Grid,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Images used of each split, from its start.
    pub samples: usize,
    /// Error allowed where nothing is evaluated, as a share of the range of each loss's heights; 0 evaluates every node.
    /// Accuracies and differences may be further off there.
    pub tolerance: f64,
}

/// A surface being evaluated.
#[derive(Debug)]
pub struct Survey<S: Slice<Position = [f64; 2]>> {
    sweep: Sweep<S>,
    axes: [Vec<f64>; 2],
    tolerance: f64,
    has_shape: bool,
    finished: bool,
}

/// Checks a grid's size before memory is taken.
///
/// # Errors
/// When it has more than [`MOST_NODES`], with the largest of the same proportions that would fit; when it has none.
pub fn check_size(columns: usize, rows: usize) -> Result<()> {
    let nodes = columns.saturating_mul(rows);
    if nodes > MOST_NODES {
        let proportion = columns as f64 / rows as f64;
        let fit = |side: f64, count: usize| (side as usize).clamp(1, count.min(MOST_NODES));
        let width = fit((MOST_NODES as f64 * proportion).sqrt(), columns);
        let height = fit(MOST_NODES as f64 / width as f64, rows);
        return Err(Error::Request(format!(
            "a grid of {columns}x{rows} points does not fit into memory (at most {MOST_NODES}); {width}x{height} would"
        )));
    }
    match nodes {
        0 => Err(Error::Request(
            "a grid needs one point along each axis at least".to_owned(),
        )),
        _ => Ok(()),
    }
}

impl<S: Slice<Position = [f64; 2]>> Survey<S> {
    /// Prepares a survey; nothing is evaluated yet.
    ///
    /// # Errors
    /// As [`check_size`].
    pub fn new(objective: &Objective, request: SurveyRequest<S>) -> Result<Self> {
        let SurveyRequest {
            slice,
            grid,
            policy,
            samples,
            tolerance,
        } = request;
        check_size(grid.first.len(), grid.second.len())?;
        let positions = (0..grid.values.len()).map(|index| grid.position(index)).collect();
        let mut sweep = Sweep::idle(
            objective,
            SweepRequest {
                slice,
                positions,
                policy,
                samples,
            },
        );
        sweep.know(
            grid.values
                .iter()
                .enumerate()
                .filter_map(|(i, value)| Some((i, (*value)?))),
        );
        Ok(Self {
            sweep,
            axes: [grid.first, grid.second],
            tolerance,
            has_shape: false,
            finished: false,
        })
    }

    /// What is known so far.
    pub fn grid(&self) -> Grid {
        let [first, second] = self.axes.clone();
        Grid {
            first,
            second,
            values: self.sweep.values().to_vec(),
        }
    }

    /// Whether both losses are known to the tolerance.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Images evaluated so far.
    pub fn evaluated(&self) -> usize {
        self.sweep.evaluated()
    }

    /// Whether the coarse grid is complete, so that every node has a value or one between its neighbours.
    pub fn has_shape(&self) -> bool {
        self.has_shape
    }

    /// Nodes measured, and asked for so far: finer ones are asked for where the coarser ones say so.
    pub fn measured(&self) -> (usize, usize) {
        let measured = self.sweep.measured();
        (measured, measured + self.sweep.pending())
    }

    /// Images evaluated, and in all as far as is known: finer nodes are asked for where the coarser ones say so.
    pub fn progress(&self) -> (usize, usize) {
        self.sweep.progress()
    }

    /// Images that one node takes.
    pub fn images_per_node(&self, objective: &Objective) -> usize {
        let request = self.sweep.request();
        Evaluation::images(objective, request.policy, request.samples)
    }

    /// Does one batch, or finds out where to look next. True when there are new values.
    ///
    /// # Errors
    /// As [`Sweep::step`].
    pub fn step(&mut self, objective: &Objective, memory: &mut Memory) -> Result<bool> {
        if self.sweep.is_finished() {
            let grid = self.grid();
            let next = refinement::next(&grid, self.tolerance);
            let had_shape = std::mem::replace(&mut self.has_shape, refinement::has_shape(&grid));
            self.finished = next.is_empty();
            self.sweep.ask(next);
            return Ok(self.finished || self.has_shape != had_shape);
        }
        self.sweep.step(objective, memory)
    }

    /// Runs to the end, telling `progress` what is known after every batch; it stops the survey by saying no, and what
    /// was measured is kept.
    ///
    /// # Errors
    /// As [`Sweep::step`].
    pub fn run(&mut self, objective: &Objective, mut progress: impl FnMut(&Self) -> bool) -> Result<bool> {
        let mut memory = Memory::default();
        while !self.finished {
            self.step(objective, &mut memory)?;
            if !progress(self) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_too_large_is_refused_with_the_size_that_fits() {
        assert!(check_size(2048, 2048).is_ok());
        let message = check_size(10_000, 5_000).unwrap_err().to_string();
        assert!(message.contains("2896x1448 would"), "{message}");
        let message = check_size(usize::MAX, 2).unwrap_err().to_string();
        assert!(message.contains("would"), "{message}");
        assert!(check_size(0, 5).is_err());
    }
}
