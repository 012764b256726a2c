//! The map behind the direction pad: the training loss on a polar grid in the plane of its two directions.

use std::ops::Range;
use std::sync::Arc;

use super::request::{CompassView, SliceRequest};
use super::session::Session;
use crate::data::Part;
use crate::error::Result;
use crate::landscape::{Basis, Normalisation, direction};
use crate::objective::{BatchNormPolicy, Evaluation, Objective, Solution, move_along};

/// Angles (over the half circle), radii and training images of the pad's map: about half a second of evaluation.
const COMPASS: (usize, usize, usize) = (18, 10, 128);
/// Images that the map takes over all its points.
pub const MAP_EVALUATIONS: usize = (2 * COMPASS.0 * COMPASS.1 + 1) * COMPASS.2;

/// The training loss on a polar grid in the plane of the pad.
pub struct Compass {
    view: CompassView,
    origin: Arc<Solution>,
    axes: (Arc<Vec<f32>>, Arc<Vec<f32>>),
    normalisation: Normalisation,
    policy: BatchNormPolicy,
    next: usize,
    current: Option<(Range<usize>, Evaluation)>,
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
        let normalisation = request.view.normalisation();
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
            axes: (
                session.direction(axes.0, normalisation, origin)?,
                session.direction(axes.1, normalisation, origin)?,
            ),
            normalisation,
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
            && request.view.normalisation() == self.normalisation
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
        let angles = self.view.angles;
        if self.current.is_none() {
            let ring_end = match self.next {
                0 => 1,
                next => (next - 1) / angles * angles + angles + 1,
            };
            let together = self.next..ring_end.min(self.next + objective.points_at_once(self.view.images));
            let mut points = Vec::new();
            for number in together.clone() {
                points.extend(self.point(number)?);
            }
            let evaluation = Evaluation::of_parts(
                objective,
                &points,
                &self.origin.statistics,
                self.policy,
                self.view.images,
                &[Part::Train],
            )?;
            self.current = Some((together, evaluation));
        }
        let Some((together, evaluation)) = &mut self.current else {
            return Ok(false);
        };
        let Some(measured) = evaluation.step(objective)? else {
            return Ok(false);
        };
        for (number, measured) in together.clone().zip(measured) {
            let loss = measured.train.loss as f32;
            match number.checked_sub(1) {
                None => self.view.centre = Some(loss),
                Some(index) => self.view.losses[index % angles * self.view.radii + index / angles] = Some(loss),
            }
        }
        self.next = together.end;
        self.current = None;
        Ok((self.next - 1).is_multiple_of(angles))
    }

    /// The parameters at grid point `number`.
    fn point(&self, number: usize) -> Result<Vec<f32>> {
        let Some(index) = number.checked_sub(1) else {
            return Ok(self.origin.parameters.clone());
        };
        let (angle, ring) = (index % self.view.angles, index / self.view.angles);
        let radius = self.view.reach * (ring + 1) as f64 / self.view.radii as f64;
        let phi = std::f64::consts::TAU * angle as f64 / self.view.angles as f64;
        let u = match self.normalisation {
            Normalisation::Unit => direction::turned(&self.axes.0, &self.axes.1, phi)?,
            _ => direction::combined(&self.axes.0, &self.axes.1, phi)?,
        };
        Ok(move_along(&self.origin.parameters, &u, radius))
    }
}
