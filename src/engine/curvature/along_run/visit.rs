//! One number at one epoch, in steps of one batch: [`crate::curvature::sharpness`] finds the same at once.

use std::sync::Arc;

use super::view::{AlongRunRequest, Measured};
use crate::curvature::{Lanczos, NonUniformity, Sharpness};
use crate::engine::curvature::CurvatureStage;
use crate::engine::curvature::place::Place;
use crate::engine::curvature::product::Products;
use crate::engine::curvature::uniformity::UniformityJob;
use crate::engine::curvature::view::search;
use crate::error::Result;
use crate::objective::{Evaluation, Objective, Solution};

/// What was found, or why it does not exist.
pub enum Found {
    Sharpness(Measured<Sharpness>),
    /// From so many images.
    NonUniformity(usize, Measured<NonUniformity>),
}

/// What is being done.
enum Stage {
    Statistics(Box<Evaluation>),
    Eigenvalue {
        lanczos: Box<Lanczos>,
        /// Whether it has converged, or may go no further: one more product then tells the residual.
        is_over: bool,
    },
    NonUniformity(Box<UniformityJob>),
}

/// The search for one number.
pub struct Visit {
    place: Place,
    products: Products,
    /// Images of the non-uniformity, where that is looked for.
    uniformity: Option<usize>,
    seed: u64,
    stage: Stage,
}

impl Visit {
    /// Prepares it at a solution; nothing is evaluated yet.
    ///
    /// # Errors
    /// As [`Place::at`] and [`UniformityJob::new`].
    pub fn new(
        objective: Arc<Objective>,
        solution: Arc<Solution>,
        request: &AlongRunRequest,
        uniformity: Option<usize>,
    ) -> Result<Self> {
        let (place, pass) = Place::at(objective, solution, request.policy, request.images)?;
        let seed = request.seed;
        let stage = match pass {
            Some(pass) => Stage::Statistics(Box::new(pass)),
            None => first_stage(&place, uniformity, seed)?,
        };
        Ok(Self {
            products: Products::new(&place),
            place,
            uniformity,
            seed,
            stage,
        })
    }

    /// Does one batch. Gives the number once it is found.
    ///
    /// # Errors
    /// When a product is not finite, the number does not exist, or the device fails.
    pub fn step(&mut self) -> Result<Option<Found>> {
        if let Stage::Statistics(pass) = &mut self.stage {
            if self.place.find_statistics(pass)? {
                self.stage = first_stage(&self.place, self.uniformity, self.seed)?;
            }
            return Ok(None);
        }
        if self.products.is_awaited() && !self.products.step(&self.place)? {
            return Ok(None);
        }
        let products = &mut self.products;
        match &mut self.stage {
            Stage::Statistics(_) => Ok(None),
            Stage::Eigenvalue { lanczos, is_over: true } => {
                let spectrum = products.attempt(|products| lanczos.finish(products))?;
                let sharpness = spectrum.map(|spectrum| Sharpness::of(&spectrum)).transpose()?;
                Ok(sharpness.map(|sharpness| Found::Sharpness(Ok(sharpness))))
            }
            Stage::Eigenvalue { lanczos, is_over } => {
                *is_over = products.attempt(|products| lanczos.step(products))? == Some(false);
                Ok(None)
            }
            Stage::NonUniformity(job) => {
                let found = job.advance(products)?;
                Ok(found.map(|found| Found::NonUniformity(job.images(), Ok(found))))
            }
        }
    }

    /// What is being done.
    pub fn stage(&self) -> CurvatureStage {
        match &self.stage {
            Stage::Statistics(_) => CurvatureStage::Statistics,
            Stage::Eigenvalue { is_over: false, .. } => CurvatureStage::Spectrum,
            Stage::Eigenvalue { is_over: true, .. } => CurvatureStage::Eigenvectors,
            Stage::NonUniformity(job) => job.stage(),
        }
    }
}

/// The stage at a place whose statistics are known.
fn first_stage(place: &Place, uniformity: Option<usize>, seed: u64) -> Result<Stage> {
    Ok(match uniformity {
        None => Stage::Eigenvalue {
            lanczos: Box::new(search(place.dimension(), [1, 0], seed)?),
            is_over: false,
        },
        Some(images) => Stage::NonUniformity(Box::new(UniformityJob::new(place, images, seed)?)),
    })
}
