//! The snapshots w_t of a training run as a slice, and the surface L(w_t + l·u) of the whole run along one direction.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::plane::Plane;
use super::surface::Projected;
use super::sweep::Slice;
use crate::error::{Error, Result};
use crate::network::Graph;
use crate::objective::{Solution, move_along};
use crate::training::RunFolder;

/// Memory for snapshots read last, in bytes: one at least is kept.
const KEPT_BYTES: usize = 64 << 20;

/// The snapshots of a run, read when they are needed.
#[derive(Debug)]
pub struct Trajectory {
    graph: Arc<Graph>,
    folder: RunFolder,
    count: usize,
    kept: Mutex<VecDeque<(usize, Arc<Solution>)>>,
}

impl Trajectory {
    /// The first `count` snapshots of a run; the initial weights are step 0.
    pub fn new(graph: Arc<Graph>, folder: RunFolder, count: usize) -> Self {
        Self {
            graph,
            folder,
            count,
            kept: Mutex::default(),
        }
    }

    /// Number of snapshots.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The snapshot after `step` epochs.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn snapshot(&self, step: usize) -> Result<Arc<Solution>> {
        if step >= self.count {
            return Err(Error::Request(format!(
                "the trajectory has snapshots 0 to {}, and {step} was asked for",
                self.count.saturating_sub(1)
            )));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, solution)) = kept.iter().find(|(known, _)| *known == step) {
            return Ok(solution.clone());
        }
        let solution = Arc::new(self.folder.snapshot(&self.graph, step)?);
        let most = KEPT_BYTES / (4 * solution.parameters.len()).max(1);
        while kept.len() >= most.max(1) {
            kept.pop_front();
        }
        kept.push_back((step, solution.clone()));
        Ok(solution)
    }
}

/// w_t + l·u over positions (l, t): how the valley along one direction forms while the run trains (*Asymmetric Valleys*,
/// Fig. 7 of the arXiv version, Fig. 6 of NeurIPS).
#[derive(Clone, Debug)]
pub struct Through {
    /// w_t.
    pub trajectory: Arc<Trajectory>,
    /// u, `[d]`.
    pub direction: Arc<Vec<f32>>,
}

impl Slice for Through {
    type Position = [f64; 2];

    fn point(&self, [l, t]: [f64; 2]) -> Result<Vec<f32>> {
        Ok(move_along(&self.statistics([l, t])?.parameters, &self.direction, l))
    }

    fn statistics(&self, [_, t]: [f64; 2]) -> Result<Arc<Solution>> {
        self.trajectory.snapshot(t as usize)
    }
}

/// Points of parameter space that are shown in a plane beside its grid: the steps of a trajectory, then solutions.
#[derive(Clone, Debug)]
pub struct Landmarks {
    /// The trajectory, where there is one.
    pub trajectory: Option<Arc<Trajectory>>,
    /// Solutions by name.
    pub solutions: Vec<(String, Arc<Solution>)>,
}

impl Landmarks {
    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.trajectory.as_ref().map_or(0, |trajectory| trajectory.count())
    }

    /// Number of steps and solutions.
    pub fn count(&self) -> usize {
        self.steps() + self.solutions.len()
    }

    /// Where one lies as seen from `plane`; its own loss is not known yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn projected(&self, index: usize, plane: &Plane) -> Result<Projected> {
        let foot = plane.foot(&self.statistics(index)?.parameters);
        Ok(Projected {
            name: match index.checked_sub(self.steps()) {
                Some(solution) => self.solutions[solution].0.clone(),
                None => index.to_string(),
            },
            position: foot.position,
            distance: foot.distance,
            own: None,
        })
    }
}

impl Slice for Landmarks {
    type Position = usize;

    fn point(&self, index: usize) -> Result<Vec<f32>> {
        Ok(self.statistics(index)?.parameters.clone())
    }

    fn statistics(&self, index: usize) -> Result<Arc<Solution>> {
        match (index.checked_sub(self.steps()), &self.trajectory) {
            (None, Some(trajectory)) => trajectory.snapshot(index),
            (solution, _) => solution
                .and_then(|index| self.solutions.get(index))
                .map(|(_, solution)| solution.clone())
                .ok_or_else(|| Error::Request(format!("there are {} landmarks, and no number {index}", self.count()))),
        }
    }
}
