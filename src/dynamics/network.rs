//! Gradient descent with noise on a network: θ ← θ − η·(∇L(θ) + ε) with ε ~ N(0, C), for every shape of noise that Zhu
//! and others compare (*The Anisotropic Noise in Stochastic Gradient Descent*, Eq. 7, Table 1 and Supplementary D.3).

use nalgebra::DVector;
use serde::Deserialize;

use super::covariance::{Covariance, Eigenpair, doubled};
use super::minibatches::{Minibatches, Sigma};
use super::noise::{Noise, Terms};
use crate::curvature::{self, Effort, HessianOperator, LanczosOptions, SymmetricOperator, extreme_eigenpairs};
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::objective::{BatchNormPolicy, Derivatives, Objective, Solution};
use crate::random::{Purpose, Random};
use crate::training::Batches;

/// Part of the random numbers of noise that the steps of a dynamics are drawn from: this and the dynamics' own number.
const STEPS: u32 = 16;
/// A residual of an eigenpair of the Hessian that is small enough, as a share of the largest eigenvalue.
const TOLERANCE: f64 = 1e-2;

/// What the dynamics share. The default is the paper's FashionMNIST experiment.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// η.
    pub learning_rate: f64,
    /// m, images a batch: of SGD, and of the Σ that other noise is made of.
    pub batch_size: usize,
    /// What Σ is taken from.
    pub sigma: Sigma,
    /// σ of [`Noise::GldConstant`].
    pub deviation: f64,
    /// k, the leading eigenpairs of Σ of [`Noise::GldLeading`] and of the Hessian of [`Noise::GldHessian`].
    pub leading: usize,
    /// Steps from one Σ to the next.
    pub renew_sigma: usize,
    /// Steps from one Hessian to the next.
    pub renew_hessian: usize,
    /// Train images that the Hessian is of, from the first.
    pub hessian_images: usize,
    /// Products with the Hessian that its eigenpairs are sought with, at most.
    pub hessian_products: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            learning_rate: 0.07,
            batch_size: 20,
            sigma: Sigma::Batches,
            deviation: 1e-3,
            leading: 20,
            renew_sigma: 1,
            renew_hessian: 10,
            hessian_images: usize::MAX,
            hessian_products: 80,
        }
    }
}

impl Settings {
    /// Checks its numbers, as far as that needs no data.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is out of range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("learning-rate", self.learning_rate), ("deviation", self.deviation)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::option(name, value, "it must be a finite number above 0"));
            }
        }
        for (name, value) in [
            ("batch-size", self.batch_size),
            ("leading", self.leading),
            ("renew-sigma", self.renew_sigma),
            ("renew-hessian", self.renew_hessian),
            ("hessian-images", self.hessian_images),
        ] {
            if value == 0 {
                return Err(Error::option(name, value, "it must be at least 1"));
            }
        }
        if self.hessian_products < self.leading {
            let reason = format!(
                "give {} at least, one for each leading eigenpair of the Hessian",
                self.leading
            );
            return Err(Error::option("hessian-products", self.hessian_products, reason));
        }
        Ok(())
    }

    fn terms(&self) -> Terms {
        Terms {
            leading: self.leading,
            deviation: self.deviation,
        }
    }
}

/// A dynamics under way.
pub struct Walk<'a> {
    objective: &'a Objective,
    noise: Noise,
    settings: Settings,
    minibatches: Minibatches<'a>,
    /// SGD's own.
    batches: Batches,
    random: Random,
    solution: Solution,
    /// That of the noise now; none of GD, which has none, and of SGD, whose noise is what its batches make.
    covariance: Option<Covariance>,
    /// Leading eigenpairs of the Hessian, of the dynamics that have noise along it.
    hessian: Vec<Eigenpair>,
    steps: usize,
    has_diverged: bool,
}

impl<'a> Walk<'a> {
    /// From a point, on all training images as they are. The seed is of SGD's batches, of the division that Σ is taken
    /// from, which all dynamics share, and of the noise, which is each one's own.
    ///
    /// # Errors
    /// As [`Settings::check`] and [`Minibatches::new`].
    pub fn new(objective: &'a Objective, start: Solution, noise: Noise, settings: Settings, seed: u64) -> Result<Self> {
        settings.check()?;
        Ok(Self {
            objective,
            noise,
            settings,
            minibatches: Minibatches::new(objective, settings.batch_size, settings.sigma, seed)?,
            batches: Batches::new(objective.data().train.len(), settings.batch_size, seed)?,
            random: Random::new(seed, Purpose::Noise, STEPS + noise as u32),
            solution: start,
            covariance: None,
            hessian: Vec::new(),
            steps: 0,
            has_diverged: false,
        })
    }

    /// Where it is.
    pub fn solution(&self) -> &Solution {
        &self.solution
    }

    /// Takes a step, and says whether it leads anywhere: where the gradient, a product with the Hessian or a weight
    /// is not finite any more, the dynamics has diverged and stays at its last finite place. `progress` is told the
    /// share of what is being computed for the step, part by part, and says whether to go on.
    ///
    /// # Errors
    /// When the gradients would not fit in memory, or the device fails; [`Error::Cancelled`]. The step can then be
    /// tried again; SGD leaves a batch out.
    pub fn step(&mut self, progress: Progress) -> Result<bool> {
        if self.has_diverged {
            return Ok(false);
        }
        if !progress(0.0) {
            return Err(Error::Cancelled);
        }
        let gradient = match self.noise {
            Noise::Sgd => {
                let batch = self.batches.draw();
                let found = self.minibatches.gradient(&self.solution.parameters, batch)?;
                Some(doubled(&found.gradient))
            }
            _ => self.gradient(progress)?,
        };
        let Some(gradient) = gradient else {
            self.has_diverged = true;
            return Ok(false);
        };
        let step = match &self.covariance {
            Some(covariance) => gradient + covariance.draw(&mut self.random),
            None => gradient,
        };
        let moved = self.solution.parameters.iter().zip(step.iter());
        let moved: Vec<f32> = moved
            .map(|(&w, g)| (f64::from(w) - self.settings.learning_rate * g) as f32)
            .collect();
        if !moved.iter().all(|w| w.is_finite()) {
            self.has_diverged = true;
            return Ok(false);
        }
        self.solution.parameters = moved;
        self.steps += 1;
        Ok(true)
    }

    /// ∇L over all training images; beside it, the covariance of the noise becomes that of now where it is due. None
    /// where the Hessian that this takes is not finite.
    fn gradient(&mut self, progress: Progress) -> Result<Option<DVector<f64>>> {
        if !self.is_renewed() {
            return self.whole_gradient().map(Some);
        }
        let terms = self.settings.terms();
        if self.noise == Noise::GldLeading {
            let (gradient, sigma) = self.minibatches.covariance(&self.solution, progress)?;
            // A point that is lost has no eigenpairs.
            if is_finite(&gradient) {
                self.covariance = Some(self.noise.covariance(&sigma, &[], terms)?);
            }
            return Ok(Some(gradient));
        }
        let (gradient, variances) = match self.noise {
            Noise::GldConstant => {
                let gradient = self.whole_gradient()?;
                let unused = DVector::zeros(gradient.len());
                (gradient, unused)
            }
            _ => self.minibatches.variances(&self.solution, progress)?,
        };
        if !is_finite(&gradient) {
            return Ok(Some(gradient));
        }
        if self.wanted_pairs() > 0 && self.is_due(self.settings.renew_hessian) {
            let Some(found) = self.leading_of_hessian(progress)? else {
                return Ok(None);
            };
            self.hessian = found;
        }
        self.covariance = self.noise.covariance_by_variances(variances, &self.hessian, terms);
        Ok(Some(gradient))
    }

    /// Whether the next step has a new covariance.
    fn is_renewed(&self) -> bool {
        match self.noise {
            Noise::Gd | Noise::Sgd => false,
            // It never changes.
            Noise::GldConstant => self.steps == 0,
            _ => {
                let has_new_hessian = self.wanted_pairs() > 0 && self.is_due(self.settings.renew_hessian);
                has_new_hessian || self.is_due(self.settings.renew_sigma)
            }
        }
    }

    fn is_due(&self, every: usize) -> bool {
        self.steps.is_multiple_of(every)
    }

    fn whole_gradient(&self) -> Result<DVector<f64>> {
        let policy = BatchNormPolicy::Running;
        let (_, gradient) = self.objective.gradient(&self.solution, policy, Part::Train)?;
        Ok(doubled(&gradient))
    }

    /// Eigenpairs of the Hessian that the noise takes.
    fn wanted_pairs(&self) -> usize {
        match self.noise {
            Noise::GldHessian => self.settings.leading,
            Noise::GldFirstEigenvector => 1,
            _ => 0,
        }
    }

    /// None where the Hessian is not finite.
    fn leading_of_hessian(&self, progress: Progress) -> Result<Option<Vec<Eigenpair>>> {
        let options = LanczosOptions {
            largest: self.wanted_pairs(),
            smallest: 0,
            copies: false,
            effort: Effort {
                steps: self.settings.hessian_products,
                tolerance: TOLERANCE,
                seed: 1,
            },
        };
        let derivatives = derivatives(self.objective, &self.solution, self.settings.hessian_images)?;
        let found = with_hessian(&derivatives, progress, |hessian| {
            extreme_eigenpairs(hessian, options, &mut |_| true)
        })?;
        let pair = |pair: &curvature::Eigenpair| Eigenpair {
            value: pair.value,
            vector: doubled(&pair.vector),
        };
        Ok(found.map(|found| found.largest.iter().map(pair).collect()))
    }
}

/// The mean loss over the first `images` train images at a point of a network without batch norm, to be differentiated.
///
/// # Errors
/// When there are no images, or the point has diverged.
pub fn derivatives<'a>(objective: &'a Objective, solution: &'a Solution, images: usize) -> Result<Derivatives<'a>> {
    let policy = BatchNormPolicy::Running;
    Derivatives::new(objective, solution, policy, Part::Train, images, &mut |_| true)
}

/// What is found by products with the Hessian at a point of finite weights; none where a product is not finite. That
/// can be where the loss and its gradient still are: a dynamics that comes there has diverged.
///
/// # Errors
/// What `find` meets otherwise.
pub fn with_hessian<T>(
    derivatives: &Derivatives,
    progress: Progress,
    find: impl FnOnce(&mut dyn SymmetricOperator) -> Result<T>,
) -> Result<Option<T>> {
    let mut hessian = Watched {
        hessian: HessianOperator::new(derivatives, progress),
        is_lost: false,
    };
    match find(&mut hessian) {
        Err(_) if hessian.is_lost => Ok(None),
        found => found.map(Some),
    }
}

/// A Hessian that knows whether a product was not finite.
struct Watched<'a> {
    hessian: HessianOperator<'a>,
    is_lost: bool,
}

impl SymmetricOperator for Watched<'_> {
    fn dimension(&self) -> usize {
        self.hessian.dimension()
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        let product = self.hessian.apply(vector);
        // With a finite vector of the right length nothing but the product itself can be refused.
        let is_allowed = vector.len() == self.dimension() && vector.iter().all(|x| x.is_finite());
        self.is_lost |= is_allowed && matches!(product, Err(Error::Request(_)));
        product
    }
}

fn is_finite(vector: &DVector<f64>) -> bool {
    vector.iter().all(|x| x.is_finite())
}

#[cfg(test)]
mod tests;
