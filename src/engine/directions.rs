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
use crate::landscape::{Axis, Plane, direction_file};
use crate::objective::Solution;

/// Directions kept; another draw of one costs a millisecond for a small network.
const DIRECTIONS_KEPT: usize = 8;

impl Session {
    /// A unit direction of the pad.
    pub fn basis(&mut self, basis: Basis) -> Result<Arc<Vec<f32>>> {
        if let Some(known) = self.directions.get(&basis) {
            return Ok(known.clone());
        }
        let direction = match basis {
            Basis::Random(kind, seed) => direction::random(self.objective.graph(), kind, seed)?,
            Basis::SwaToSgdAndRandom(seed) => {
                let (swa, sgd) = (self.named("swa")?, self.named("sgd")?);
                let (graph, from, to) = (self.objective.graph(), &swa.parameters, &sgd.parameters);
                let sum = direction::interpolation_and_random(graph, from, to, seed)?;
                direction::normalised(sum)
                    .ok_or_else(|| Error::Request("the two directions cancel; choose another seed".to_owned()))?
            }
            Basis::File(index) => {
                let file = self.files.get(index);
                return file.map(|(_, direction)| direction.clone()).ok_or_else(|| {
                    Error::Request("this direction was read for another network; read it again".to_owned())
                });
            }
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
        };
        let direction = Arc::new(direction);
        if self.directions.len() >= DIRECTIONS_KEPT {
            self.directions.clear();
        }
        self.directions.insert(basis, direction.clone());
        Ok(direction)
    }

    /// Reads a direction and keeps it, scaled to unit length; gives its number.
    pub fn add_direction(&mut self, reference: &Reference) -> Result<usize> {
        let values = direction_file::read(reference, self.objective.graph())?;
        let unit = direction::normalised(values).ok_or_else(|| {
            Error::file_reason(&reference.path, "this direction has length 0: there is no way along it")
        })?;
        let entry = (reference.to_string(), Arc::new(unit));
        // A file that is read again may have changed.
        match self.files.iter().position(|(known, _)| *known == entry.0) {
            Some(index) => {
                self.files[index] = entry;
                Ok(index)
            }
            None => {
                self.files.push(entry);
                Ok(self.files.len() - 1)
            }
        }
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
        let unit = self.basis(basis)?;
        if normalisation == Normalisation::Unit {
            return Ok(unit);
        }
        let graph = self.objective.graph();
        let drawn = match basis {
            Basis::Random(kind, seed) => direction::draw(graph, kind, seed)?,
            _ => unit.to_vec(),
        };
        let scaled = normalisation.apply(graph, &at.parameters, drawn);
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
}
