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
//! bounds one step from the worst point, and the steps after it may lead away from there.

use serde::Serialize;

use crate::error::{Error, Result};

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
    pub(super) fn batch_variance(self) -> f64 {
        let (batch, samples) = (self.batch_size as f64, self.samples as f64);
        (samples - batch) / (batch * (samples - 1.0))
    }

    /// 2/η: the sharpness that no stable minimum exceeds (9).
    pub fn sharpness_bound(self) -> f64 {
        2.0 / self.learning_rate
    }

    /// 2(1 + μ)/η: the sharpness that no minimum exceeds at which gradient descent with momentum μ, the heavy ball
    /// w ← w − η∇L(w) + μ(w − w₋₁) with w₋₁ the point before, is stable (Polyak, 1964). Along an eigenvector with
    /// eigenvalue λ its factors are the roots of z² − (1 + μ − ηλ)z + μ, which leave the unit circle at z = −1, where
    /// ηλ = 2(1 + μ).
    pub fn sharpness_bound_with_momentum(self, momentum: f64) -> f64 {
        (1.0 + momentum) * self.sharpness_bound()
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

#[cfg(test)]
mod tests;
