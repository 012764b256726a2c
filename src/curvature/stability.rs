//! Which minima SGD can stay at (Wu, Ma and E, *How SGD Selects the Global Minima in Over-parameterized Learning: A
//! Dynamical Stability Perspective*, NeurIPS 2018).
//!
//! Near a minimum at 0 where every sample's loss is least, the loss is (1/2n) Σ xᵀHᵢx, and SGD with learning rate η and
//! batches of B samples drawn without replacement is x ← (I − ηH_B)x, with H_B the mean of the batch's Hᵢ (7). With the
//! mean H and Σ = (1/n) Σ Hᵢ² − H², the minimum's sharpness is a = λ_max(H) and its non-uniformity s = λ_max(Σ)^½
//! (Definition 3). The second moment E‖x‖² never grows if (Theorem 1)
//!
//! λ_max{(I − ηH)² + η²·(n − B)/(B(n − 1))·Σ} ≤ 1 (8)
//!
//! for which a ≤ 2/η and s ≤ (1/η)·√(B(n − 1)/(n − B)) are necessary (9).
//!
//! In one dimension, and wherever the Hᵢ share their eigenvectors, (8) is necessary too. In general it is not: it
//! bounds one step from the worst point, and the steps after it may lead away from there. What decides is the growth of
//! the whole second moment M = E xxᵀ under the linear map M ← E (I − ηH_B)·M·(I − ηH_B). That map is self-adjoint, so
//! E‖x‖² stays bounded (Definition 2) if and only if its spectral radius is at most 1. [`QuadraticProblem::stability`]
//! gives both.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::dense::largest_eigenvalue;
use crate::error::{Error, Result};

/// Rows of a problem's matrices at most: the map of second moments has as many to the fourth power of entries.
pub const MOST_DIMENSIONS: usize = 16;
/// Steps of a problem's second moments at most.
pub const MOST_STEPS: usize = 1_000_000;

/// By how much a factor may exceed 1 through rounding: flat directions have it exactly.
const ROUNDING: f64 = 1e-12;

/// SGD's hyper-parameters, as far as stability knows them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sgd {
    learning_rate: f64,
    batch_size: usize,
    samples: usize,
}

impl Sgd {
    /// With learning rate η and batches of B of n samples, drawn without replacement; B = n is gradient descent.
    ///
    /// # Errors
    /// When η is not above 0 and finite, n < 2, or B is not from 1 to n.
    pub fn new(learning_rate: f64, batch_size: usize, samples: usize) -> Result<Self> {
        if !learning_rate.is_finite() || learning_rate <= 0.0 {
            return Err(Error::option(
                "learning rate",
                learning_rate,
                "give a finite number above 0",
            ));
        }
        if samples < 2 {
            return Err(Error::option(
                "samples",
                samples,
                "give two at least, or batches do not differ",
            ));
        }
        if !(1..=samples).contains(&batch_size) {
            let reason = format!("give 1 to {samples}, the number of samples");
            return Err(Error::option("batch size", batch_size, reason));
        }
        Ok(Self {
            learning_rate,
            batch_size,
            samples,
        })
    }

    /// η.
    pub fn learning_rate(self) -> f64 {
        self.learning_rate
    }

    /// B.
    pub fn batch_size(self) -> usize {
        self.batch_size
    }

    /// n.
    pub fn samples(self) -> usize {
        self.samples
    }

    /// The same with the learning rate η = 2/a that has this bound on the sharpness.
    ///
    /// # Errors
    /// When the bound is not above 0 and finite.
    pub fn with_sharpness_bound(self, sharpness: f64) -> Result<Self> {
        Self::new(2.0 / sharpness, self.batch_size, self.samples)
    }

    /// The same with the batch size nearest to B = qn/(n − 1 + q), q = (ηs)², that has this bound on the
    /// non-uniformity.
    ///
    /// # Errors
    /// When the bound is below 0 or not a number.
    pub fn with_non_uniformity_bound(self, non_uniformity: f64) -> Result<Self> {
        if non_uniformity.is_nan() || non_uniformity < 0.0 {
            let reason = "give a number that is not below 0";
            return Err(Error::option("non-uniformity", non_uniformity, reason));
        }
        let samples = self.samples as f64;
        let ratio = (self.learning_rate * non_uniformity).powi(2);
        let batch = match ratio.is_finite() {
            true => ratio * samples / (samples - 1.0 + ratio),
            false => samples,
        };
        let batch_size = (batch.round() as usize).clamp(1, self.samples);
        Self::new(self.learning_rate, batch_size, self.samples)
    }

    /// (n − B)/(B(n − 1)): the variance of a batch's mean, in variances of one sample.
    pub fn batch_variance(self) -> f64 {
        let (batch, samples) = (self.batch_size as f64, self.samples as f64);
        (samples - batch) / (batch * (samples - 1.0))
    }

    /// 2/η: the sharpness that no stable minimum exceeds (9).
    pub fn sharpness_bound(self) -> f64 {
        2.0 / self.learning_rate
    }

    /// (1/η)·√(B(n − 1)/(n − B)): the non-uniformity that no minimum within (8) exceeds (9); infinite for gradient
    /// descent.
    pub fn non_uniformity_bound(self) -> f64 {
        1.0 / (self.learning_rate * self.batch_variance().sqrt())
    }

    /// (1 − ηa)² + η²·(n − B)/(B(n − 1))·s²: the factor of E‖x‖² in a step in one dimension, where the minimum is
    /// stable if and only if it is at most 1 (3).
    pub fn factor(self, sharpness: f64, non_uniformity: f64) -> f64 {
        let (mean, noise) = (
            1.0 - self.learning_rate * sharpness,
            self.learning_rate * non_uniformity,
        );
        mean * mean + self.batch_variance() * noise * noise
    }
}

/// The loss (1/2n) Σ xᵀHᵢx with all Hᵢ `[d, d]` known.
#[derive(Clone, Debug)]
pub struct QuadraticProblem {
    hessians: Vec<DMatrix<f64>>,
    /// H.
    mean: DMatrix<f64>,
    /// Σ.
    covariance: DMatrix<f64>,
}

/// Whether SGD stays at the minimum of a quadratic problem.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// The left side of (8): E‖x‖² grows by this factor in a step at most, and in the first one from the worst start.
    pub condition: f64,
    /// The spectral radius of the map of second moments: E‖x‖² grows by this factor in a step in the long run, from
    /// almost any start. No larger than `condition`.
    pub growth: f64,
}

impl Stability {
    /// Whether (8) holds, so that E‖x‖² never grows.
    pub fn is_guaranteed(self) -> bool {
        self.condition <= 1.0 + ROUNDING
    }

    /// Whether the minimum is linearly stable (Definition 2): E‖x‖² stays below a multiple of where it began.
    pub fn is_stable(self) -> bool {
        self.growth <= 1.0 + ROUNDING
    }
}

impl QuadraticProblem {
    /// With these symmetric matrices Hᵢ `[d, d]`, one a sample.
    ///
    /// # Errors
    /// When there are fewer than two, they are not square, symmetric and of one size from 1 to [`MOST_DIMENSIONS`], or
    /// an entry of them or of their squares is not finite.
    pub fn new(hessians: Vec<DMatrix<f64>>) -> Result<Self> {
        let count = hessians.len();
        if count < 2 {
            return Err(Error::option(
                "samples",
                count,
                "give two at least, or batches do not differ",
            ));
        }
        let size = hessians[0].nrows();
        if !(1..=MOST_DIMENSIONS).contains(&size) {
            let reason = format!("an exact decision takes 1 to {MOST_DIMENSIONS}; use the bounds for larger problems");
            return Err(Error::option("dimension", size, reason));
        }
        let is_symmetric = |hessian: &DMatrix<f64>| {
            hessian.shape() == (size, size)
                && hessian.iter().all(|entry| entry.is_finite())
                && (hessian - hessian.transpose()).amax() <= ROUNDING * hessian.amax()
        };
        if let Some(index) = hessians.iter().position(|hessian| !is_symmetric(hessian)) {
            return Err(Error::Request(format!(
                "the Hessian of sample {index} is not a finite symmetric matrix with {size} rows"
            )));
        }
        let mean = average(hessians.iter().cloned(), size, count);
        let covariance = average(hessians.iter().map(|hessian| hessian * hessian), size, count) - &mean * &mean;
        if !covariance.iter().all(|entry| entry.is_finite()) {
            return Err(Error::Request(
                "the squares of the Hessians are too large to be computed".to_owned(),
            ));
        }
        Ok(Self {
            hessians,
            mean,
            covariance,
        })
    }

    /// a = λ_max(H).
    ///
    /// # Errors
    /// When the eigenvalues cannot be computed.
    pub fn sharpness(&self) -> Result<f64> {
        largest_eigenvalue(self.mean.clone())
    }

    /// s = λ_max(Σ)^½, which is 0 where all Hᵢ are the same.
    ///
    /// # Errors
    /// As [`QuadraticProblem::sharpness`].
    pub fn non_uniformity(&self) -> Result<f64> {
        Ok(largest_eigenvalue(self.covariance.clone())?.max(0.0).sqrt())
    }

    /// Whether SGD stays, by (8) and exactly.
    ///
    /// # Errors
    /// As [`Sgd::new`] and [`QuadraticProblem::sharpness`].
    pub fn stability(&self, learning_rate: f64, batch_size: usize) -> Result<Stability> {
        let sgd = Sgd::new(learning_rate, batch_size, self.hessians.len())?;
        let (descent, noise) = self.step(sgd);
        let condition = &descent * &descent + &self.covariance * noise;
        // M ↦ AMA is A ⊗ A on the entries of M.
        let squares = self.hessians.iter().map(|hessian| hessian.kronecker(hessian));
        let size = self.mean.nrows() * self.mean.nrows();
        let variance = average(squares, size, self.hessians.len()) - self.mean.kronecker(&self.mean);
        let map = descent.kronecker(&descent) + variance * noise;
        // The map keeps positive matrices positive, and so its largest eigenvalue is its spectral radius.
        Ok(Stability {
            condition: largest_eigenvalue(condition)?,
            growth: largest_eigenvalue(map)?,
        })
    }

    /// E‖x_t‖² for t = 0 to `steps` from a start `[d]`, by the exact recursion
    /// M ← (I − ηH)M(I − ηH) + η²·(n − B)/(B(n − 1))·((1/n) Σ HᵢMHᵢ − HMH) of M = E xxᵀ: what batches drawn anew for
    /// every step without replacement do on average. Infinite from where it leaves the finite numbers.
    ///
    /// # Errors
    /// As [`Sgd::new`]; when the start has another dimension or is not finite, or there are more than [`MOST_STEPS`].
    pub fn second_moments(
        &self,
        learning_rate: f64,
        batch_size: usize,
        start: &[f64],
        steps: usize,
    ) -> Result<Vec<f64>> {
        let (sgd, size) = (
            Sgd::new(learning_rate, batch_size, self.hessians.len())?,
            self.mean.nrows(),
        );
        if start.len() != size || !start.iter().all(|entry| entry.is_finite()) {
            return Err(Error::Request(format!("give a start of {size} finite numbers")));
        }
        if steps > MOST_STEPS {
            return Err(Error::option("steps", steps, format!("give {MOST_STEPS} at most")));
        }
        let (descent, noise) = self.step(sgd);
        let start = DVector::from_column_slice(start);
        let mut moment = &start * start.transpose();
        let mut squares = Vec::with_capacity(steps + 1);
        for _ in 0..=steps {
            let square = moment.trace();
            if !square.is_finite() {
                break;
            }
            squares.push(square);
            let samples = self.hessians.iter().map(|hessian| hessian * &moment * hessian);
            let variance = average(samples, size, self.hessians.len()) - &self.mean * &moment * &self.mean;
            moment = &descent * &moment * &descent + variance * noise;
        }
        squares.resize(steps + 1, f64::INFINITY);
        Ok(squares)
    }

    /// I − ηH, and η²·(n − B)/(B(n − 1)).
    fn step(&self, sgd: Sgd) -> (DMatrix<f64>, f64) {
        let size = self.mean.nrows();
        let descent = DMatrix::identity(size, size) - &self.mean * sgd.learning_rate;
        (descent, sgd.learning_rate.powi(2) * sgd.batch_variance())
    }
}

/// The mean of so many matrices `[size, size]`.
fn average(matrices: impl Iterator<Item = DMatrix<f64>>, size: usize, count: usize) -> DMatrix<f64> {
    let sum = matrices.fold(DMatrix::<f64>::zeros(size, size), |sum, matrix| sum + matrix);
    sum / count as f64
}

#[cfg(test)]
mod tests;
