//! Directions and planes of the open run or checkpoint: drawn, read or found once, and kept.

use std::sync::Arc;

use super::request::{PlaneChoice, SliceRequest, SurfaceChoice, Turn, View};
use super::session::Session;
use crate::checkpoint::Reference;
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::landscape::direction::{self, Basis};
use crate::landscape::normalisation::Normalisation;
use crate::landscape::projection::principal_components;
use crate::landscape::{Axis, Plane, Trajectory, direction_file};
use crate::objective::Solution;

/// Directions kept; another draw of one costs a millisecond for a small network.
const DIRECTIONS_KEPT: usize = 8;
/// Memory for eigenvectors of earlier points, in bytes; those found last are always kept.
const EIGENVECTOR_BYTES: usize = 1 << 30;

/// Eigenvectors of the Hessian at one point.
pub struct Eigenvectors {
    /// Counts the points since the session began.
    pub number: usize,
    /// What each is called.
    pub names: Vec<String>,
    /// Unit vectors `[d]`.
    vectors: Vec<Arc<Vec<f32>>>,
}

impl Session {
    /// A unit direction of the pad.
    pub fn basis(&mut self, basis: Basis) -> Result<Arc<Vec<f32>>> {
        if let Some(known) = self.directions.get(&basis) {
            return Ok(known.clone());
        }
        let direction = match basis {
            Basis::Random(kind, seed) => direction::random(self.objective.graph(), kind, seed)?,
            Basis::SwaToSgdAndRandom(_) => unit(self.drawn(basis)?.to_vec())?,
            Basis::File(_) => unit(self.drawn(basis)?.to_vec())?,
            Basis::SwaToSgd => {
                let (swa, sgd) = (self.named("swa")?, self.named("sgd")?);
                direction::between(&swa.parameters, &sgd.parameters)?
            }
            Basis::SwaToEpoch(epoch) => {
                let (swa, then) = (self.named("swa")?, self.epoch(epoch)?);
                direction::between(&swa.parameters, &then.parameters)?
            }
            Basis::Principal { component, snapshots } => {
                // Found before, with progress; see `prepare`.
                let known = self.principal.as_ref().filter(|(count, _)| *count == snapshots);
                let found = known.and_then(|(_, principal)| principal.components.get(component));
                return found.cloned().ok_or_else(|| {
                    Error::Request("the trajectory has grown; choose its principal components again".to_owned())
                });
            }
            Basis::Eigenvector { set, index } => {
                let known = self.eigenvectors.iter().find(|known| known.number == set);
                let found = known.and_then(|known| known.vectors.get(index));
                return found.cloned().ok_or_else(|| {
                    Error::Request(
                        "this eigenvector made room for newer ones; open the Curvature page at its point again"
                            .to_owned(),
                    )
                });
            }
        };
        let direction = Arc::new(direction);
        if self.directions.len() >= DIRECTIONS_KEPT {
            self.directions.clear();
        }
        self.directions.insert(basis, direction.clone());
        Ok(direction)
    }

    /// A direction with the length that it was drawn or read with.
    fn drawn(&mut self, basis: Basis) -> Result<Arc<Vec<f32>>> {
        match basis {
            Basis::Random(kind, seed) => Ok(Arc::new(direction::draw(self.objective.graph(), kind, seed)?)),
            Basis::SwaToSgdAndRandom(seed) => {
                let (swa, sgd) = (self.named("swa")?, self.named("sgd")?);
                let (graph, from, to) = (self.objective.graph(), &swa.parameters, &sgd.parameters);
                Ok(Arc::new(direction::interpolation_and_random(graph, from, to, seed)?))
            }
            Basis::File(index) => self
                .files
                .get(index)
                .map(|(_, direction)| direction.clone())
                .ok_or_else(|| Error::Request("this direction was read for another network; read it again".to_owned())),
            _ => self.basis(basis),
        }
    }

    /// Reads a direction and keeps it; gives its number.
    pub fn add_direction(&mut self, reference: &Reference) -> Result<usize> {
        let values = direction_file::read(reference, self.objective.graph())?;
        if direction::normalised(values.clone()).is_none() {
            let reason = "this direction has length 0: there is no way along it";
            return Err(Error::file_reason(&reference.path, reason));
        }
        let entry = (reference.to_string(), Arc::new(values));
        // A file that is read again may have changed.
        match self.files.iter().position(|(known, _)| *known == entry.0) {
            Some(index) => {
                self.directions.remove(&Basis::File(index));
                self.files[index] = entry;
                Ok(index)
            }
            None => {
                self.files.push(entry);
                Ok(self.files.len() - 1)
            }
        }
    }

    /// Keeps eigenvectors `[d]` of unit length with their names, and gives the number of this set. Those of earlier
    /// points make room for them.
    pub fn add_eigenvectors(&mut self, found: Vec<(String, Vec<f32>)>) -> usize {
        let number = self.eigenvectors.last().map_or(0, |last| last.number + 1);
        let named = found.into_iter().map(|(name, vector)| (name, Arc::new(vector)));
        let (names, vectors) = named.unzip();
        self.eigenvectors.push(Eigenvectors { number, names, vectors });
        let bytes = |set: &Eigenvectors| {
            let vectors = set.vectors.iter();
            vectors.map(|vector| size_of_val(vector.as_slice())).sum::<usize>()
        };
        while self.eigenvectors.len() > 1 && self.eigenvectors.iter().map(bytes).sum::<usize>() > EIGENVECTOR_BYTES {
            self.eigenvectors.remove(0);
        }
        number
    }

    /// Finds what a request needs and what can take long: the principal components of the trajectory.
    ///
    /// # Errors
    /// When there are none, a snapshot cannot be read, or `progress` says stop.
    pub fn prepare(&mut self, request: &SliceRequest, progress: Progress) -> Result<()> {
        let mut bases = Vec::new();
        match request.view {
            View::Direction(turn) => bases.extend([turn.first, turn.second]),
            View::Comparison(first, second, _) => bases.extend([first, second]),
            View::Marginals(marginals) => bases.extend([marginals.plane.first, marginals.plane.second]),
            View::Interpolation => {}
        }
        match request.surface.map(|surface| surface.choice) {
            Some(SurfaceChoice::Through(turn)) => bases.extend([turn.first, turn.second]),
            Some(SurfaceChoice::Plane(plane)) => bases.extend([plane.first, plane.second]),
            None => {}
        }
        bases.extend(request.walk.iter().flat_map(|step| [step.turn.first, step.turn.second]));
        for basis in bases {
            let Basis::Principal { snapshots, .. } = basis else {
                continue;
            };
            if self.principal.as_ref().is_some_and(|(count, _)| *count == snapshots) {
                continue;
            }
            let trajectory = self.trajectory(snapshots)?;
            let found = principal_components(snapshots, 2, |step| trajectory.snapshot(step), progress)?;
            self.principal = Some((snapshots, found));
        }
        Ok(())
    }

    /// Share of the trajectory's variance along a direction, where it is one of its principal components.
    pub fn explained(&self, basis: Basis) -> Option<f64> {
        let Basis::Principal { component, snapshots } = basis else {
            return None;
        };
        let (_, principal) = self.principal.as_ref().filter(|(count, _)| *count == snapshots)?;
        principal.explained.get(component).copied()
    }

    /// The plane of a choice through `origin`.
    ///
    /// # Errors
    /// When a direction is not to be had, or the two span no plane.
    pub fn plane(&mut self, choice: PlaneChoice, origin: &Arc<Solution>) -> Result<Plane> {
        let [first, second] =
            [choice.first, choice.second].map(|basis| self.direction(basis, choice.normalisation, origin));
        Plane::new(
            origin.clone(),
            [Axis::Along(first?), Axis::Along(second?)],
            choice.frame,
        )
    }

    /// A direction of the pad with the length asked for, at a point.
    pub fn direction(&mut self, basis: Basis, normalisation: Normalisation, at: &Solution) -> Result<Arc<Vec<f32>>> {
        if normalisation == Normalisation::Unit {
            return self.basis(basis);
        }
        let drawn = self.drawn(basis)?.to_vec();
        let scaled = normalisation.apply(self.objective.graph(), &at.parameters, drawn);
        scaled.map(Arc::new).ok_or_else(|| {
            Error::Request(format!(
                "{} has length 0 after normalisation `{normalisation}`; choose another direction",
                self.basis_name(basis)
            ))
        })
    }

    /// The direction of a turn at a point.
    pub fn turned(&mut self, turn: Turn, at: &Solution) -> Result<Arc<Vec<f32>>> {
        let first = self.direction(turn.first, turn.normalisation, at)?;
        let second = self.direction(turn.second, turn.normalisation, at)?;
        let direction = match turn.normalisation {
            Normalisation::Unit => direction::turned(&first, &second, turn.angle)?,
            _ => direction::combined(&first, &second, turn.angle)?,
        };
        Ok(Arc::new(direction))
    }

    /// The first `snapshots` of the trajectory and one direction for all of them, as long as the last weights say.
    ///
    /// # Errors
    /// When a checkpoint is open, or a snapshot cannot be read.
    pub fn through(&mut self, turn: Turn, snapshots: usize) -> Result<(Arc<Trajectory>, Arc<Vec<f32>>)> {
        let trajectory = self.trajectory(snapshots)?;
        let last = trajectory.snapshot(snapshots.saturating_sub(1))?;
        let direction = self.turned(turn, &last)?;
        Ok((trajectory, direction))
    }
}

fn unit(direction: Vec<f32>) -> Result<Vec<f32>> {
    direction::normalised(direction)
        .ok_or_else(|| Error::Request("the two directions cancel; choose another seed".to_owned()))
}
