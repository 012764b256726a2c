//! The trace of a symmetric matrix from its products with random signs (Hutchinson, *A Stochastic Estimator of the
//! Trace of the Influence Matrix*, 1990).

use super::estimate::Estimate;
use super::operator::{SymmetricOperator, check_dimension, product};
use crate::error::Result;
use crate::landscape::direction::dot;
use crate::random::{Purpose, Random};

/// tr A ≈ (1/m) Σ zᵢᵀAzᵢ over vectors zᵢ of independent signs ±1, one product a sample. It is unbiased and has the
/// variance 2·Σ_{i≠j} aᵢⱼ²/m: none where A is diagonal.
#[derive(Clone, Debug)]
pub struct TraceEstimator {
    dimension: usize,
    seed: u64,
    samples: Vec<f64>,
}

impl TraceEstimator {
    /// For a matrix `[dimension, dimension]`, without a sample yet.
    ///
    /// # Errors
    /// When the dimension is 0.
    pub fn new(dimension: usize, seed: u64) -> Result<Self> {
        check_dimension(dimension)?;
        Ok(Self {
            dimension,
            seed,
            samples: Vec::new(),
        })
    }

    /// Takes one sample more, which is one product.
    ///
    /// # Errors
    /// When the operator has another dimension, or its product fails or is not finite; the samples before are kept.
    pub fn sample(&mut self, operator: &mut dyn SymmetricOperator) -> Result<()> {
        let signs = signs(self.dimension, self.seed, self.samples.len());
        self.samples.push(dot(&signs, &product(operator, &signs)?));
        Ok(())
    }

    /// tr A from all samples so far, in the matrix's unit; nothing where there are none.
    pub fn estimate(&self) -> Option<Estimate> {
        Estimate::of(&self.samples)
    }
}

/// The vector `[d]` of independent signs ±1 that is the probe of this number, from 0 on, under a seed: whatever is
/// estimated from random signs takes these.
pub fn signs(dimension: usize, seed: u64, number: usize) -> Vec<f32> {
    // The first part of the stream is that of start vectors.
    let mut random = Random::new(seed, Purpose::Spectrum, number as u32 + 1);
    let sign = |_| if random.uniform() < 0.5 { -1.0 } else { 1.0 };
    (0..dimension).map(sign).collect()
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};
    use proptest::prelude::*;

    use super::*;
    use crate::curvature::testing::{Dense, normal, symmetric};

    fn estimated(matrix: &DMatrix<f64>, samples: usize, seed: u64) -> Estimate {
        let mut estimator = TraceEstimator::new(matrix.nrows(), seed).unwrap();
        let mut operator = Dense(matrix.clone());
        for _ in 0..samples {
            estimator.sample(&mut operator).unwrap();
        }
        estimator.estimate().unwrap()
    }

    /// The standard error that the formula gives.
    fn error(matrix: &DMatrix<f64>, samples: usize) -> f64 {
        let squares = matrix.norm_squared() - matrix.diagonal().norm_squared();
        (2.0 * squares / samples as f64).sqrt()
    }

    #[test]
    fn a_diagonal_matrix_is_measured_exactly_by_every_sample() {
        // The numbers are of single precision, so that no product is rounded.
        let matrix = DMatrix::from_diagonal(&DVector::from_column_slice(normal(40, 1, 3).as_slice()));
        let estimate = estimated(&matrix, 5, 1);
        assert!((estimate.mean - matrix.trace()).abs() < 1e-12);
        assert_eq!((estimate.samples, estimate.standard_error), (5, Some(0.0)));
    }

    #[test]
    fn the_standard_error_is_that_of_the_formula_and_falls_with_the_samples() {
        let matrix = symmetric(50, 2);
        for samples in [400, 1600] {
            // A variance from m nearly normal draws is off by √(2/m) of itself, 7 % for 400; an error by half as much.
            let ratio = estimated(&matrix, samples, 9).standard_error.unwrap() / error(&matrix, samples);
            assert!((ratio - 1.0).abs() < 0.2, "{ratio} for {samples}");
        }
    }

    #[test]
    fn samples_stream_and_depend_on_the_seed_alone() {
        let mut operator = Dense(symmetric(20, 4));
        let mut estimator = TraceEstimator::new(20, 5).unwrap();
        assert_eq!(estimator.estimate(), None);
        let mut means = Vec::new();
        for _ in 0..3 {
            estimator.sample(&mut operator).unwrap();
            means.push(estimator.estimate().unwrap().mean);
        }
        assert_eq!(means[0], estimated(&operator.0, 1, 5).mean);
        assert_eq!(means[2], estimated(&operator.0, 3, 5).mean);
        assert_ne!(means[0], means[1]);
        assert_ne!(means[0], estimated(&operator.0, 1, 6).mean);
    }

    #[test]
    fn what_has_no_trace_is_refused() {
        assert!(TraceEstimator::new(0, 1).is_err());
        let mut estimator = TraceEstimator::new(3, 1).unwrap();
        assert!(estimator.sample(&mut Dense(symmetric(4, 1))).is_err());
        let infinite = DMatrix::from_element(3, 3, f64::INFINITY);
        let message = estimator.sample(&mut Dense(infinite)).unwrap_err().to_string();
        assert!(message.contains("not finite"), "{message}");
        assert_eq!(estimator.estimate(), None);
    }

    proptest! {
        #[test]
        fn the_trace_lies_within_six_standard_errors(size in 1_usize..30, seed in 0_u64..10_000) {
            let matrix = symmetric(size, seed);
            let estimate = estimated(&matrix, 200, seed);
            // A product of single precision adds a rounding.
            let allowed = 6.0 * error(&matrix, 200) + 1e-6 * matrix.norm() * size as f64;
            prop_assert!((estimate.mean - matrix.trace()).abs() <= allowed, "{estimate:?}");
        }
    }
}
