//! How long the noise of SGD is beside the gradient that it covers (*The Anisotropic Noise in Stochastic Gradient
//! Descent*, Supplementary C.1 and Fig. 7).

use nalgebra::DVector;
use serde::{Deserialize, Serialize};

use super::covariance::GradientCovariance;
use super::indicators::WithError;
use super::minibatches::Sigma;
use crate::curvature::Estimate;

/// Lengths at a point, in units of the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Norms {
    /// ‖∇L‖, of the mean over all training images.
    pub gradient: f64,
    /// E‖ε‖ of a batch: the mean of ‖gᵢ − ∇L‖ over the gradients gᵢ of the batches that all images are divided into,
    /// with its standard error. None where Σ is of single images, which do not tell how long the noise of a batch is.
    pub expected: Option<Estimate>,
    /// √TrΣ, the root of E‖ε‖². It is no less than E‖ε‖ (Jensen), and hardly more where many directions have noise.
    pub root_mean_square: f64,
}

impl Norms {
    /// Of ∇L `[D]` and Σ at one point, which is of the gradients that `sigma` says.
    pub fn of(gradient: &DVector<f64>, covariance: &GradientCovariance, sigma: Sigma) -> Self {
        Self {
            gradient: gradient.norm(),
            expected: match sigma {
                Sigma::Batches => Estimate::of(&covariance.deviations()),
                Sigma::Images => None,
            },
            root_mean_square: covariance.trace().sqrt(),
        }
    }

    /// The symbol of [`Self::noise`].
    pub fn symbol(sigma: Sigma) -> &'static str {
        match sigma {
            Sigma::Batches => "E‖ε‖",
            Sigma::Images => "√Tr(Σ)",
        }
    }

    /// How long the noise is: E‖ε‖ where it is known, otherwise √TrΣ, without an error.
    pub fn noise(&self) -> WithError {
        match self.expected {
            Some(found) => (found.mean, found.standard_error),
            None => (self.root_mean_square, None),
        }
    }

    /// How many times as long the noise is as the gradient; infinite where there is no gradient.
    pub fn ratio(&self) -> f64 {
        self.noise().0 / self.gradient
    }

    /// Whether the noise dominates the gradient: it is longer by more than two standard errors.
    pub fn is_dominated(&self) -> bool {
        let (noise, error) = self.noise();
        noise - 2.0 * error.unwrap_or(0.0) > self.gradient
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Purpose, Random};

    /// Of gradients `[D, n]`, a column each.
    fn norms(gradients: &DMatrix<f64>, sigma: Sigma) -> Norms {
        Norms::of(&gradients.column_mean(), &GradientCovariance::of(gradients), sigma)
    }

    #[test]
    fn lengths_are_those_of_the_mean_and_of_the_deviations_from_it() {
        // Around (3, 4): 1 to either side along the first axis, and 2 along the second.
        let gradients = DMatrix::from_row_slice(2, 4, &[4.0, 2.0, 3.0, 3.0, 4.0, 4.0, 6.0, 2.0]);
        let found = norms(&gradients, Sigma::Batches);
        let (noise, error) = found.noise();
        assert!((found.gradient - 5.0).abs() < 1e-14 && (noise - 1.5).abs() < 1e-14);
        // Deviations ½ from the mean of four: √(4·¼/(4·3)).
        assert!((error.unwrap() - (1.0_f64 / 12.0).sqrt()).abs() < 1e-14);
        // E‖ε‖² = (1 + 1 + 4 + 4)/4.
        assert!((found.root_mean_square - 2.5_f64.sqrt()).abs() < 1e-14);
        assert!((found.ratio() - 0.3).abs() < 1e-14 && !found.is_dominated());
        // Of single images, √TrΣ is what is known.
        let images = norms(&gradients, Sigma::Images);
        assert_eq!(images.noise(), (found.root_mean_square, None));
        assert_ne!(Norms::symbol(Sigma::Batches), Norms::symbol(Sigma::Images));
    }

    #[test]
    fn a_gradient_within_two_errors_of_the_noise_is_not_dominated() {
        let with = |gradient: f64| Norms {
            gradient,
            expected: Estimate::of(&[1.0, 3.0]),
            root_mean_square: 5.0_f64.sqrt(),
        };
        // The mean is 2 and its error 1: two of them reach down to 0.
        assert!(with(-1e-9).is_dominated() && !with(0.0).is_dominated() && !with(1.0).is_dominated());
        let without = |gradient: f64| Norms {
            expected: None,
            ..with(gradient)
        };
        assert!(without(2.2).is_dominated() && !without(2.3).is_dominated());
    }

    proptest! {
        #[test]
        fn the_expected_length_is_no_more_than_the_root_of_its_square(
            rows in 1_usize..8, columns in 2_usize..9, seed in 0_u64..1000,
        ) {
            let mut random = Random::new(seed, Purpose::Direction, 0);
            let gradients = DMatrix::from_fn(rows, columns, |_, _| f64::from(random.normal()));
            let found = norms(&gradients, Sigma::Batches);
            let deviations = GradientCovariance::of(&gradients).deviations();
            let square = deviations.iter().map(|length| length * length).sum::<f64>() / columns as f64;
            prop_assert!((found.root_mean_square - square.sqrt()).abs() < 1e-12);
            prop_assert!(found.noise().0 <= found.root_mean_square * (1.0 + 1e-12));
        }
    }
}
