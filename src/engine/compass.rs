//! The map behind the direction pad: the training loss on a polar grid in the plane of its two directions.

use std::sync::Arc;

use super::request::{CompassView, SliceRequest};
use super::session::Session;
use crate::data::Part;
use crate::error::Result;
use crate::landscape::{Basis, direction};
use crate::objective::{BatchNormPolicy, Evaluation, Objective, Solution};

/// Angles (over the half circle), radii and training images of the pad's map: about two seconds of evaluation.
const COMPASS: (usize, usize, usize) = (12, 7, 64);
/// Images that the map takes over all its points.
pub const MAP_EVALUATIONS: usize = (2 * COMPASS.0 * COMPASS.1 + 1) * COMPASS.2;

/// The training loss on a polar grid in the plane of the pad.
pub struct Compass {
    view: CompassView,
    origin: Arc<Solution>,
    axes: (Arc<Vec<f32>>, Arc<Vec<f32>>),
    policy: BatchNormPolicy,
    next: usize,
    current: Option<Evaluation>,
}

impl Compass {
    /// Prepares the map; nothing is evaluated yet.
    pub fn new(
        session: &mut Session,
        axes: (Basis, Basis),
        origin: &Arc<Solution>,
        request: &SliceRequest,
    ) -> Result<Self> {
        let (half, radii, images) = COMPASS;
        let reach = request.range.1;
        Ok(Self {
            view: CompassView {
                axes,
                angles: 2 * half,
                radii,
                reach,
                centre: None,
                losses: vec![None; 2 * half * radii],
                images,
            },
            origin: origin.clone(),
            axes: (session.basis(axes.0)?, session.basis(axes.1)?),
            policy: request.policy,
            next: 0,
            current: None,
        })
    }

    /// The map as far as it is known.
    pub fn view(&self) -> &CompassView {
        &self.view
    }

    /// Whether it is the map that `request` from `origin` asks for.
    pub fn is_of(&self, origin: &Solution, request: &SliceRequest) -> bool {
        request.compass == Some(self.view.axes)
            && request.policy == self.policy
            && request.range.1 == self.view.reach
            && *origin == *self.origin
    }

    /// Whether the whole grid is measured.
    pub fn is_finished(&self) -> bool {
        self.next > self.view.losses.len()
    }

    /// Grid points in order of radius, so the map grows outwards; number 0 is the centre. True when a ring is whole.
    pub fn step(&mut self, objective: &Objective) -> Result<bool> {
        let (angles, radii) = (self.view.angles, self.view.radii);
        let (angle, ring) = match self.next.checked_sub(1) {
            None => (0, None),
            Some(index) => (index % angles, Some(index / angles)),
        };
        if self.current.is_none() {
            let radius = ring.map_or(0.0, |ring| self.view.reach * (ring + 1) as f64 / radii as f64);
            let phi = std::f64::consts::TAU * angle as f64 / angles as f64;
            let u = direction::turned(&self.axes.0, &self.axes.1, phi)?;
            let point = self.origin.moved(&u, radius);
            self.current = Some(Evaluation::of_parts(
                objective,
                &point.parameters,
                &point.statistics,
                self.policy,
                self.view.images,
                &[Part::Train],
            )?);
        }
        let Some(evaluation) = &mut self.current else {
            return Ok(false);
        };
        if let Some(measured) = evaluation.step(objective)? {
            let loss = measured[0].train.loss as f32;
            match ring {
                None => self.view.centre = Some(loss),
                Some(ring) => self.view.losses[angle * radii + ring] = Some(loss),
            }
            self.current = None;
            self.next += 1;
            return Ok((self.next - 1).is_multiple_of(angles));
        }
        Ok(false)
    }
}
