//! What is looked at on the way of a dynamics: how its noise lies to the Hessian, and how long it is.

use serde::{Deserialize, Serialize};

use super::{FIRST_PRODUCTS, FromStart, NoiseIndicators, TOLERANCE};
use crate::curvature::Effort;
use crate::data::Progress;
use crate::dynamics::indicators::Indicators;
use crate::dynamics::minibatches::Minibatches;
use crate::dynamics::network::{derivatives, with_hessian};
use crate::dynamics::noise::Noise;
use crate::dynamics::norms::Norms;
use crate::error::Result;
use crate::experiment::descent;
use crate::experiment::kinds::noise_on_networks::{Record, Walked, looks};
use crate::experiment::laboratory::Laboratory;
use crate::objective::{Objective, Solution};

/// How long noise and gradient are after some steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// How many steps.
    pub step: usize,
    /// The lengths.
    pub norms: Norms,
}

/// What is known after some steps from a minimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// How long noise and gradient are.
    pub lengths: Lengths,
    /// How the noise lies to the Hessian.
    pub indicators: Indicators,
}

/// A dynamics with one seed.
pub struct Way<L> {
    /// The seed.
    pub seed: u64,
    /// The dynamics.
    pub noise: Noise,
    /// How it went.
    pub record: Record<L>,
}

impl<L> Way<L> {
    /// That it diverged, where it did.
    pub fn divergence(&self) -> Option<String> {
        let steps = self.record.diverged?;
        Some(format!("diverged after {steps} steps"))
    }
}

impl NoiseIndicators {
    /// A dynamics from a minimum on, or as it went before.
    pub(super) fn way(
        &self,
        objective: &Objective,
        minimum: &Solution,
        noise: Noise,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Way<Look>> {
        let what = format!("{} (seed {seed})", noise.name());
        let looks = looks(self.steps, self.every);
        let made = format!(
            "{what}: {:?}, looks {looks:?} with {} probes and norms",
            self.walk, self.probes
        );
        let minibatches = Minibatches::new(objective, self.walk.batch_size, self.walk.sigma, seed)?;
        let walked = Walked {
            objective,
            start: minimum,
            noise,
            settings: self.walk,
            seed,
            looks: &looks,
        };
        let record = walked.go(laboratory, (&what, &made), |solution, step, told| {
            let found = self.indicators(objective, &minibatches, solution, seed, told)?;
            Ok(found.map(|(indicators, norms)| Look {
                lengths: Lengths { step, norms },
                indicators,
            }))
        })?;
        Ok(Way { seed, noise, record })
    }

    /// SGD from a seed's initial weights on, or as it went before.
    pub(super) fn training(
        &self,
        objective: &Objective,
        from_start: FromStart,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Way<Lengths>> {
        let what = format!("SGD from initial weights (seed {seed})");
        let looks = looks(from_start.steps, from_start.every);
        let made = format!("{what}: {:?}, looks {looks:?} at norms", self.walk);
        let minibatches = Minibatches::new(objective, self.walk.batch_size, self.walk.sigma, seed)?;
        let (start, noise) = (descent::start(objective, seed)?, Noise::Sgd);
        let walked = Walked {
            objective,
            start: &start,
            noise,
            settings: self.walk,
            seed,
            looks: &looks,
        };
        let record = walked.go(laboratory, (&what, &made), |solution, step, told| {
            let (gradient, sigma) = minibatches.covariance(solution, told)?;
            let is_finite = gradient.iter().all(|entry| entry.is_finite());
            Ok(is_finite.then(|| Lengths {
                step,
                norms: Norms::of(&gradient, &sigma, self.walk.sigma),
            }))
        })?;
        Ok(Way { seed, noise, record })
    }

    /// None where a gradient or the Hessian is not finite.
    fn indicators(
        &self,
        objective: &Objective,
        minibatches: &Minibatches,
        solution: &Solution,
        seed: u64,
        progress: Progress,
    ) -> Result<Option<(Indicators, Norms)>> {
        let (gradient, sigma) = minibatches.covariance(solution, progress)?;
        if !gradient.iter().all(|entry| entry.is_finite()) {
            return Ok(None);
        }
        let effort = Effort {
            steps: FIRST_PRODUCTS,
            tolerance: TOLERANCE,
            seed,
        };
        let derivatives = derivatives(objective, solution, self.walk.hessian_images)?;
        let found = with_hessian(&derivatives, progress, |hessian| {
            Indicators::measure(hessian, &sigma, self.probes, effort)
        })?;
        Ok(found.map(|indicators| (indicators, Norms::of(&gradient, &sigma, self.walk.sigma))))
    }
}
