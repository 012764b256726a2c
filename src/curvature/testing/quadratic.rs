//! SGD on a quadratic loss whose matrices are held whole, where stability is decided exactly: what bounds, estimates
//! and examples are held against.
//!
//! The condition (8) of [`crate::curvature::stability`] bounds one step from the worst point. What decides is the
//! growth of the whole second moment M = E xxᵀ under the linear map M ← E (I − ηH_B)·M·(I − ηH_B). That map is
//! self-adjoint, so E‖x‖² stays bounded (Definition 2) if and only if its spectral radius is at most 1.

use nalgebra::{DMatrix, DVector};

use crate::curvature::Sgd;
use crate::curvature::dense::eigen;

/// By how much a factor may exceed 1 through rounding: flat directions have it exactly.
const ROUNDING: f64 = 1e-12;

/// The loss (1/2n) Σ xᵀHᵢx.
pub struct QuadraticProblem {
    hessians: Vec<DMatrix<f64>>,
    /// H.
    mean: DMatrix<f64>,
    /// Σ.
    covariance: DMatrix<f64>,
}

/// Whether SGD stays at the minimum of a quadratic problem.
#[derive(Clone, Copy, Debug)]
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
    pub fn new(hessians: Vec<DMatrix<f64>>) -> Self {
        let mean = average(hessians.iter().cloned());
        let covariance = average(hessians.iter().map(|hessian| hessian * hessian)) - &mean * &mean;
        Self {
            hessians,
            mean,
            covariance,
        }
    }

    /// a = λ_max(H).
    pub fn sharpness(&self) -> f64 {
        largest_eigenvalue(self.mean.clone())
    }

    /// s = λ_max(Σ)^½, which is 0 where all Hᵢ are the same.
    pub fn non_uniformity(&self) -> f64 {
        largest_eigenvalue(self.covariance.clone()).max(0.0).sqrt()
    }

    /// Whether SGD stays, by (8) and exactly.
    pub fn stability(&self, learning_rate: f64, batch_size: usize) -> Stability {
        let (descent, noise) = self.step(learning_rate, batch_size);
        let condition = &descent * &descent + &self.covariance * noise;
        // M ↦ AMA is A ⊗ A on the entries of M.
        let squares = average(self.hessians.iter().map(|hessian| hessian.kronecker(hessian)));
        let variance = squares - self.mean.kronecker(&self.mean);
        let map = descent.kronecker(&descent) + variance * noise;
        // The map keeps positive matrices positive, and so its largest eigenvalue is its spectral radius.
        Stability {
            condition: largest_eigenvalue(condition),
            growth: largest_eigenvalue(map),
        }
    }

    /// E‖x_t‖² for t = 0 to `steps` from a start `[d]`, by the exact recursion
    /// M ← (I − ηH)M(I − ηH) + η²·(n − B)/(B(n − 1))·((1/n) Σ HᵢMHᵢ − HMH) of M = E xxᵀ: what batches drawn anew for
    /// every step without replacement do on average.
    pub fn second_moments(&self, learning_rate: f64, batch_size: usize, start: &[f64], steps: usize) -> Vec<f64> {
        let (descent, noise) = self.step(learning_rate, batch_size);
        let start = DVector::from_column_slice(start);
        let mut moment = &start * start.transpose();
        let mut squares = vec![moment.trace()];
        for _ in 0..steps {
            let samples = average(self.hessians.iter().map(|hessian| hessian * &moment * hessian));
            let variance = samples - &self.mean * &moment * &self.mean;
            moment = &descent * &moment * &descent + variance * noise;
            squares.push(moment.trace());
        }
        squares
    }

    /// I − ηH, and η²·(n − B)/(B(n − 1)).
    fn step(&self, learning_rate: f64, batch_size: usize) -> (DMatrix<f64>, f64) {
        let size = self.mean.nrows();
        let sgd = Sgd::new(learning_rate, batch_size, self.hessians.len()).unwrap();
        let descent = DMatrix::identity(size, size) - &self.mean * learning_rate;
        (descent, learning_rate.powi(2) * sgd.batch_variance())
    }
}

/// The mean of one matrix or more, of one size.
pub fn average(mut matrices: impl Iterator<Item = DMatrix<f64>>) -> DMatrix<f64> {
    let first = matrices.next().unwrap();
    let (sum, count) = matrices.fold((first, 1.0), |(sum, count), matrix| (sum + matrix, count + 1.0));
    sum / count
}

fn largest_eigenvalue(matrix: DMatrix<f64>) -> f64 {
    let values = eigen(matrix).unwrap().values;
    values.into_iter().fold(f64::NEG_INFINITY, f64::max)
}
