//! How fast the noise of SGD leaves a minimum, beside isotropic noise of the same size: Tr(HΣ) and Tr(H)·Tr(Σ)/D, and
//! how much of Σ lies along the first eigenvector of H (*The Anisotropic Noise in Stochastic Gradient Descent*, Section
//! 3.2).

use serde::{Deserialize, Serialize};

use super::covariance::{GradientCovariance, doubled};
use crate::curvature::trace::signs;
use crate::curvature::{Effort, Estimate, LanczosOptions, SymmetricOperator, extreme_eigenpairs};
use crate::error::{Error, Result};

/// What is known of Σ and H at a point. Tr(H) and Tr(HΣ) are estimated from probes z of random signs (Hutchinson,
/// 1990), both from the same product Hz: zᵀ·Hz, and (Σz)ᵀ·Hz. All else is exact but for rounding and the residual of
/// λ₁.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Indicators {
    /// zᵀHz, one a probe: Tr(H) on average.
    traces: Vec<f64>,
    /// (Σz)ᵀHz, one a probe: Tr(HΣ) on average.
    products: Vec<f64>,
    /// Tr(Σ).
    pub noise: f64,
    /// λ₁.
    pub sharpness: f64,
    /// ‖Hu₁ − λ₁u₁‖.
    pub residual: f64,
    /// u₁ᵀΣu₁.
    pub along_first: f64,
    /// D.
    pub dimensions: usize,
}

/// A number with its standard error; none where it cannot be told.
pub type WithError = (f64, Option<f64>);

impl Indicators {
    /// Takes so many probes, a product with H each, and finds λ₁ by Lanczos.
    ///
    /// # Errors
    /// [`Error::Option`] for no probe; as [`extreme_eigenpairs`] and [`SymmetricOperator::apply`].
    pub fn measure(
        hessian: &mut dyn SymmetricOperator,
        sigma: &GradientCovariance,
        probes: usize,
        effort: Effort,
    ) -> Result<Self> {
        if probes == 0 {
            return Err(Error::option("probes", probes, "it must be at least 1"));
        }
        let dimensions = sigma.dimensions();
        let (mut traces, mut products) = (Vec::with_capacity(probes), Vec::with_capacity(probes));
        for probe in 0..probes {
            let signs = signs(dimensions, effort.seed, probe);
            let product = doubled(&hessian.apply(&signs)?);
            let signs = doubled(&signs);
            traces.push(signs.dot(&product));
            // zᵀΣ·Hz with Σ = A·Aᵀ.
            let factor = sigma.factor();
            products.push(factor.tr_mul(&signs).dot(&factor.tr_mul(&product)));
        }
        let options = LanczosOptions {
            largest: 1,
            smallest: 0,
            copies: false,
            effort,
        };
        let found = extreme_eigenpairs(hessian, options, &mut |_| true)?;
        let first = found.largest.first();
        let first = first.ok_or_else(|| Error::Request("a network without weights has no noise".to_owned()))?;
        Ok(Self {
            traces,
            products,
            noise: sigma.trace(),
            sharpness: first.value,
            residual: first.residual,
            along_first: sigma.factor().tr_mul(&doubled(&first.vector)).norm_squared(),
            dimensions,
        })
    }

    /// Tr(H).
    pub fn curvature(&self) -> WithError {
        with_error(&self.traces)
    }

    /// Tr(HΣ): how fast SGD's noise lifts the loss (Eq. 11).
    pub fn aligned(&self) -> WithError {
        with_error(&self.products)
    }

    /// Tr(H)·Tr(Σ)/D: the same of isotropic noise of the same size (Eq. 46).
    pub fn isotropic(&self) -> WithError {
        let (curvature, error) = self.curvature();
        let by = self.noise / self.dimensions as f64;
        (by * curvature, error.map(|error| by * error))
    }

    /// Tr(HΣ)·D/(Tr(H)·Tr(Σ)). Its standard error is the jackknife's over the probes, which both traces share.
    pub fn ratio(&self) -> WithError {
        let (products, traces): (f64, f64) = (self.products.iter().sum(), self.traces.iter().sum());
        let by = self.dimensions as f64 / self.noise;
        let without: Vec<f64> = self
            .products
            .iter()
            .zip(&self.traces)
            .map(|(product, trace)| by * (products - product) / (traces - trace))
            .collect();
        let count = without.len() as f64;
        let mean = without.iter().sum::<f64>() / count;
        let squares: f64 = without.iter().map(|ratio| (ratio - mean).powi(2)).sum();
        let error = (without.len() > 1).then(|| (squares * (count - 1.0) / count).sqrt());
        (by * products / traces, error)
    }

    /// The projection coefficient â = u₁ᵀΣu₁·Tr(H)/(λ₁·Tr(Σ)) (Section 5.3). NaN where the Hessian has no positive
    /// eigenvalue.
    pub fn projection(&self) -> WithError {
        self.projected(self.along_first / self.noise)
    }

    /// â of isotropic noise, Tr(H)/(λ₁·D).
    pub fn isotropic_projection(&self) -> WithError {
        self.projected(1.0 / self.dimensions as f64)
    }

    /// Tr(H)/λ₁ times the share of the noise along the first eigenvector.
    fn projected(&self, share: f64) -> WithError {
        let (curvature, error) = self.curvature();
        let by = match self.sharpness > 0.0 {
            true => share / self.sharpness,
            false => f64::NAN,
        };
        (by * curvature, error.map(|error| by * error))
    }

    /// u₁ᵀΣu₁·D/Tr(Σ): how many times more noise there is along the first eigenvector than isotropic noise of the same
    /// size has. It takes no estimate.
    pub fn alignment(&self) -> f64 {
        self.along_first * self.dimensions as f64 / self.noise
    }
}

fn with_error(draws: &[f64]) -> WithError {
    Estimate::of(draws).map_or((f64::NAN, None), |found| (found.mean, found.standard_error))
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};
    use proptest::prelude::*;

    use super::*;
    use crate::dynamics::covariance::eigenpairs;
    use crate::random::{Purpose, Random};

    /// A matrix that is held whole.
    struct Dense(DMatrix<f64>);

    impl SymmetricOperator for Dense {
        fn dimension(&self) -> usize {
            self.0.nrows()
        }

        fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
            Ok((&self.0 * doubled(vector)).iter().map(|&x| x as f32).collect())
        }
    }

    const EFFORT: Effort = Effort {
        steps: 30,
        tolerance: 1e-5,
        seed: 3,
    };

    /// H = BBᵀ and Σ of random gradients.
    fn at_random(size: usize, seed: u64) -> (DMatrix<f64>, GradientCovariance) {
        let mut random = Random::new(seed, Purpose::TestData, 0);
        let mut normal = |rows, columns| DMatrix::from_fn(rows, columns, |_, _| f64::from(random.normal()));
        let (root, gradients): (DMatrix<f64>, DMatrix<f64>) = (normal(size, size), normal(size, 7));
        (&root * root.transpose(), GradientCovariance::of(&gradients))
    }

    #[test]
    fn of_matrices_that_share_their_axes_they_are_exact() {
        // Gradients ±s along each axis: Σ = diag(s²)/3. A product zᵢ² is 1 whatever the sign.
        let (values, deviations) = ([5.0, 2.0, 0.5], [3.0, 1.0, 2.0]);
        let hessian = DMatrix::from_diagonal(&DVector::from_row_slice(&values));
        let gradients = DMatrix::from_fn(3, 6, |row, column| {
            let sign = if column % 2 == 0 { 1.0 } else { -1.0 };
            if column / 2 == row { sign * deviations[row] } else { 0.0 }
        });
        let sigma = GradientCovariance::of(&gradients);
        let found = Indicators::measure(&mut Dense(hessian), &sigma, 4, EFFORT).unwrap();
        let near = |(value, error): WithError, expected: f64| {
            // Rounding of sums of single-precision products.
            assert!((value - expected).abs() < 1e-5 * expected, "{value} {expected}");
            assert!(error.unwrap() < 1e-5 * expected, "{error:?}");
        };
        let (aligned, noise) = ((45.0 + 2.0 + 2.0) / 3.0, 14.0 / 3.0);
        near(found.curvature(), 7.5);
        near(found.aligned(), aligned);
        near(found.isotropic(), 7.5 * noise / 3.0);
        near(found.ratio(), aligned * 3.0 / (7.5 * noise));
        // u₁ is the first axis, where Σ has 9/3.
        near(found.projection(), 3.0 * 7.5 / (5.0 * noise));
        near(found.isotropic_projection(), 7.5 / (5.0 * 3.0));
        assert!((found.alignment() - 3.0 * 3.0 / noise).abs() < 1e-4);
        assert!((found.sharpness - 5.0).abs() < 1e-5 && found.residual < 1e-4);
        assert!((found.noise - noise).abs() < 1e-12 && found.dimensions == 3);
    }

    #[test]
    fn a_single_probe_has_no_error_and_none_is_refused() {
        let (hessian, sigma) = at_random(5, 1);
        let found = Indicators::measure(&mut Dense(hessian.clone()), &sigma, 1, EFFORT).unwrap();
        assert_eq!((found.curvature().1, found.ratio().1), (None, None));
        assert!(found.ratio().0.is_finite());
        let message = Indicators::measure(&mut Dense(hessian), &sigma, 0, EFFORT)
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("probes"), "{message}");
        let upside_down = DMatrix::from_diagonal(&DVector::from_row_slice(&[-1.0; 5]));
        let found = Indicators::measure(&mut Dense(upside_down), &sigma, 2, EFFORT).unwrap();
        assert!(found.projection().0.is_nan() && found.curvature().0 < 0.0);
    }

    proptest! {
        #[test]
        fn estimates_lie_within_their_errors_and_the_rest_is_exact(size in 2_usize..25, seed in 0_u64..1000) {
            let (hessian, sigma) = at_random(size, seed);
            let probes = 300;
            let effort = Effort { seed, ..EFFORT };
            let found = Indicators::measure(&mut Dense(hessian.clone()), &sigma, probes, effort).unwrap();
            let dense = sigma.factor() * sigma.factor().transpose();
            let product = &hessian * &dense;
            // The variance of zᵀMz is 2·Σ_{i≠j} sᵢⱼ² with the symmetric part S of M: six standard errors, and rounding.
            let allowed = |matrix: &DMatrix<f64>| {
                let symmetric = (matrix + matrix.transpose()) * 0.5;
                let squares = symmetric.norm_squared() - symmetric.diagonal().norm_squared();
                6.0 * (2.0 * squares / probes as f64).sqrt() + 1e-5 * matrix.norm() * size as f64
            };
            prop_assert!((found.curvature().0 - hessian.trace()).abs() <= allowed(&hessian));
            prop_assert!((found.aligned().0 - product.trace()).abs() <= allowed(&product));
            let first = eigenpairs(hessian.clone()).unwrap().remove(0);
            prop_assert!((found.sharpness / first.value - 1.0).abs() < 1e-4);
            prop_assert!((found.noise - dense.trace()).abs() < 1e-10 * dense.trace());
            // The ratio is that of the two means.
            let ratio = found.aligned().0 / found.isotropic().0;
            prop_assert!((found.ratio().0 / ratio - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn the_jackknifes_error_is_the_spread_of_the_ratio() {
        let (hessian, sigma) = at_random(12, 5);
        let (sets, probes) = (200, 60);
        // Sets of probes by other seeds: the spread of their ratios against the error that each claims.
        let all: Vec<WithError> = (0..sets)
            .map(|seed| {
                let effort = Effort { seed, ..EFFORT };
                let found = Indicators::measure(&mut Dense(hessian.clone()), &sigma, probes, effort);
                found.unwrap().ratio()
            })
            .collect();
        let ratios: Vec<f64> = all.iter().map(|(ratio, _)| *ratio).collect();
        let count = sets as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
        let spread = (squares / (count - 1.0)).sqrt();
        let claimed = all.iter().map(|(_, error)| error.unwrap()).sum::<f64>() / count;
        // A deviation of n values is known to 1/√(2(n − 1)) of itself: five of that, and a tenth for the jackknife's
        // bias.
        let allowed = 0.1 + 5.0 / (2.0 * (count - 1.0)).sqrt();
        assert!((claimed / spread - 1.0).abs() < allowed, "{claimed} {spread}");
    }
}
