//! The shapes of noise that Zhu and others compare (*The Anisotropic Noise in Stochastic Gradient Descent*, Table 1):
//! how a covariance is made of Σ, that of the gradients, and of the Hessian H. Where Σ and H come from does not matter
//! here: from a surface in closed form, or from the batches of a network.

use nalgebra::{DMatrix, DVector};
use serde::Deserialize;

use super::covariance::{Covariance, Eigenpair, GradientCovariance};
use crate::error::Result;

/// Gradient descent θ ← θ − η·∇L + noise of mean 0, by the shape of the noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// None.
    Gd,
    /// N(0, Σ).
    Sgd,
    /// N(0, σ²·I) with a constant σ.
    GldConstant,
    /// N(0, (TrΣ/D)·I): as large as SGD's.
    GldDynamic,
    /// N(0, diag Σ).
    GldDiagonal,
    /// Of the leading eigenpairs of Σ.
    GldLeading,
    /// Of the leading eigenpairs of H, as large as SGD's.
    GldHessian,
    /// Along the first eigenvector of H, as large as SGD's.
    GldFirstEigenvector,
}

/// The numbers that shapes of noise leave open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// k, how many leading eigenpairs of Σ or H are used.
    pub leading: usize,
    /// σ of [`Noise::GldConstant`].
    pub deviation: f64,
}

impl Noise {
    /// For figures, as the paper writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gd => "GD",
            Self::Sgd => "SGD",
            Self::GldConstant => "GLD const",
            Self::GldDynamic => "GLD dynamic",
            Self::GldDiagonal => "GLD diag",
            Self::GldLeading => "GLD leading",
            Self::GldHessian => "GLD Hessian",
            Self::GldFirstEigenvector => "GLD 1st eigvec(H)",
        }
    }

    /// The covariance of this noise where gradients have the covariance Σ and the loss has the Hessian H, given by its
    /// leading eigenpairs: `terms.leading` of them or more, by falling eigenvalue. Negative eigenvalues of H count as
    /// 0; where none is above 0, Hessian noise is none.
    ///
    /// Each is as large as SGD's, TrΣ (Eq. 14), but for [`Self::Gd`], [`Self::GldConstant`] and, where k < D,
    /// [`Self::GldLeading`]. [`Covariance::scaled_to`] makes all alike.
    ///
    /// # Errors
    /// As [`GradientCovariance::leading`].
    pub fn covariance(self, sigma: &GradientCovariance, hessian: &[Eigenpair], terms: Terms) -> Result<Covariance> {
        Ok(match self.covariance_by_variances(sigma.diagonal(), hessian, terms) {
            Some(covariance) => covariance,
            None if self == Self::GldLeading => {
                Covariance::of_pairs(&sigma.leading(terms.leading)?, sigma.dimensions())
            }
            None => Covariance::Factor(sigma.factor().clone()),
        })
    }

    /// The same from the diagonal of Σ alone, `[D]`: all that a network of millions of parameters has room for. Nothing
    /// of [`Self::Sgd`] and [`Self::GldLeading`], which are made of all of Σ.
    pub fn covariance_by_variances(
        self,
        variances: DVector<f64>,
        hessian: &[Eigenpair],
        terms: Terms,
    ) -> Option<Covariance> {
        let (dimensions, trace) = (variances.len(), variances.sum());
        let isotropic = |variance: f64| Covariance::Isotropic { variance, dimensions };
        Some(match self {
            Self::Gd => isotropic(0.0),
            Self::GldConstant => isotropic(terms.deviation * terms.deviation),
            Self::GldDynamic => isotropic(trace / dimensions as f64),
            Self::GldDiagonal => Covariance::Diagonal(variances),
            Self::GldHessian => {
                let leading = &hessian[..terms.leading.min(hessian.len())];
                Covariance::of_pairs(leading, dimensions).scaled_to(trace)
            }
            Self::GldFirstEigenvector => match hessian.first() {
                Some(first) => {
                    let deviation = trace.sqrt();
                    Covariance::Factor(DMatrix::from_fn(dimensions, 1, |row, _| deviation * first.vector[row]))
                }
                None => isotropic(0.0),
            },
            Self::Sgd | Self::GldLeading => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dynamics::covariance::eigenpairs;
    use crate::random::{Purpose, Random};

    /// Σ of random gradients, and a random Hessian, positive definite or not.
    fn at_random(dimensions: usize, seed: u64, lift: f64) -> (GradientCovariance, Vec<Eigenpair>) {
        let mut random = Random::new(seed, Purpose::Direction, 0);
        let mut normal = |rows, columns| DMatrix::from_fn(rows, columns, |_, _| f64::from(random.normal()));
        let gradients: DMatrix<f64> = normal(dimensions, 9);
        let square: DMatrix<f64> = normal(dimensions, dimensions);
        let hessian = &square + square.transpose() + DMatrix::<f64>::identity(dimensions, dimensions) * lift;
        (GradientCovariance::of(&gradients), eigenpairs(hessian).unwrap())
    }

    #[test]
    fn names_in_files_are_those_of_the_paper() {
        let name = |text: &str| serde_json::from_str::<Noise>(&format!("\"{text}\"")).map(Noise::name);
        assert_eq!(name("gd").unwrap(), "GD");
        assert_eq!(name("gld-first-eigenvector").unwrap(), "GLD 1st eigvec(H)");
        assert!(name("gld").unwrap_err().to_string().contains("gld-constant"));
    }

    #[test]
    fn hessian_noise_leaves_negative_curvature_out() {
        let (sigma, hessian) = at_random(4, 1, -100.0);
        let terms = Terms {
            leading: 4,
            deviation: 1.0,
        };
        assert!(hessian.iter().all(|pair| pair.value < 0.0));
        let trace = |noise: Noise, pairs: &[Eigenpair]| noise.covariance(&sigma, pairs, terms).unwrap().trace();
        assert_eq!(trace(Noise::GldHessian, &hessian), 0.0);
        assert_eq!(trace(Noise::GldFirstEigenvector, &[]), 0.0);
    }

    proptest! {
        #[test]
        fn shapes_share_their_size_and_none_leaves_a_minimum_faster_than_the_first_eigenvector(
            dimensions in 1_usize..6, seed in 0_u64..1000,
        ) {
            // A lift by more than the norm of a random matrix makes a minimum of it.
            let (sigma, hessian) = at_random(dimensions, seed, 40.0);
            let terms = Terms { leading: dimensions, deviation: 0.2 };
            let trace = sigma.trace();
            let of = |noise: Noise| noise.covariance(&sigma, &hessian, terms).unwrap();
            prop_assert_eq!(of(Noise::Gd).trace(), 0.0);
            prop_assert!((of(Noise::GldConstant).trace() - 0.04 * dimensions as f64).abs() < 1e-12);
            let largest = of(Noise::GldFirstEigenvector).trace_with(&hessian);
            // Eq. 14: the most that Tr(HΣ) can be is λ₁·TrΣ.
            prop_assert!((largest - hessian[0].value * trace).abs() < 1e-10 * largest);
            for noise in [
                Noise::Sgd,
                Noise::GldDynamic,
                Noise::GldDiagonal,
                Noise::GldLeading,
                Noise::GldHessian,
                Noise::GldFirstEigenvector,
            ] {
                let covariance = of(noise);
                prop_assert!((covariance.trace() - trace).abs() < 1e-10 * trace, "{}", noise.name());
                prop_assert!(covariance.trace_with(&hessian) <= largest * (1.0 + 1e-10));
            }
            // With k = D the leading eigenpairs of Σ are all of it, and fewer are less.
            let unit = &hessian[0].vector;
            let (whole, exact) = (of(Noise::GldLeading), of(Noise::Sgd));
            prop_assert!((whole.along(unit) - exact.along(unit)).abs() < 1e-10 * trace);
            let one = Noise::GldLeading.covariance(&sigma, &hessian, Terms { leading: 1, ..terms }).unwrap();
            prop_assert!((one.trace() - sigma.leading(1).unwrap()[0].value).abs() < 1e-12 * trace);
            prop_assert!(one.trace() <= trace * (1.0 + 1e-12));
            // What needs no more than the diagonal of Σ is the same from it.
            for noise in [Noise::GldConstant, Noise::GldDynamic, Noise::GldDiagonal, Noise::GldHessian] {
                let by_variances = noise.covariance_by_variances(sigma.diagonal(), &hessian, terms);
                prop_assert_eq!(by_variances, Some(of(noise)));
            }
            for noise in [Noise::Sgd, Noise::GldLeading] {
                prop_assert_eq!(noise.covariance_by_variances(sigma.diagonal(), &hessian, terms), None);
            }
            // The indicator of isotropic noise is TrH·TrΣ/D (Eq. 46).
            let curvature: f64 = hessian.iter().map(|pair| pair.value).sum();
            let isotropic = of(Noise::GldDynamic).trace_with(&hessian);
            prop_assert!((isotropic - curvature * trace / dimensions as f64).abs() < 1e-10 * isotropic);
        }
    }
}
