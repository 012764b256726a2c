//! Ways whose lengths and indicators are known.

use nalgebra::{DMatrix, DVector};

use super::spectrum::Spectrum;
use super::way::{Lengths, Look, Way};
use super::{Found, FromStart, NoiseIndicators, sgd_and_gradient_descent};
use crate::curvature::{Effort, SymmetricOperator};
use crate::dynamics::covariance::GradientCovariance;
use crate::dynamics::indicators::Indicators;
use crate::dynamics::minibatches::Sigma;
use crate::dynamics::network::Settings;
use crate::dynamics::noise::Noise;
use crate::dynamics::norms::Norms;
use crate::error::Result;
use crate::experiment::kinds::noise_on_networks::{Minimum, Record};

/// diag(4, 1, 0).
struct Axes;

impl SymmetricOperator for Axes {
    fn dimension(&self) -> usize {
        3
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        Ok(vec![4.0 * vector[0], vector[1], 0.0])
    }
}

/// Looks at 0 and 5 from the minimum, and at 0, 5 and 10 from the start.
pub fn kind() -> NoiseIndicators {
    NoiseIndicators {
        model: "lenet".to_owned(),
        data: "builtin".to_owned(),
        minimum: Minimum {
            learning_rate: 0.1,
            loss: 0.01,
            steps: 10,
        },
        dynamics: sgd_and_gradient_descent(),
        walk: Settings::default(),
        steps: 5,
        every: 5,
        probes: 3,
        eigenvalues: 3,
        from_start: Some(FromStart { steps: 10, every: 5 }),
    }
}

/// Noise along the first two axes with these deviations, beside a gradient of this length.
fn look(step: usize, [first, second]: [f64; 2], gradient: f64) -> Look {
    let gradients = DMatrix::from_row_slice(
        3,
        4,
        &[first, -first, 0.0, 0.0, 0.0, 0.0, second, -second, 0.0, 0.0, 0.0, 0.0],
    );
    let covariance = GradientCovariance::of(&gradients);
    let effort = Effort {
        steps: 3,
        tolerance: 1e-3,
        seed: 1,
    };
    let norms = Norms::of(
        &DVector::from_vec(vec![gradient, 0.0, 0.0]),
        &covariance,
        Sigma::Batches,
    );
    Look {
        lengths: Lengths { step, norms },
        indicators: Indicators::measure(&mut Axes, &covariance, 3, effort).unwrap(),
    }
}

/// SGD with two looks from the minimum, of these deviations of the noise, and with three from the start, at which the
/// noise is of the last of them; all beside gradients of this length.
pub fn found(deviations: [[f64; 2]; 2], gradient: f64, last: f64) -> Found {
    let looks = [0, 1].map(|index| look(5 * index, deviations[index], gradient));
    let lengths = [0, 5, 10].map(|step| look(step, deviations[1], gradient).lengths);
    Found {
        spectra: vec![spectrum(last)],
        ways: vec![Way {
            seed: 1,
            noise: Noise::Sgd,
            record: Record {
                looks: looks.to_vec(),
                diverged: None,
            },
        }],
        trainings: vec![Way {
            seed: 1,
            noise: Noise::Sgd,
            record: Record {
                looks: lengths.to_vec(),
                diverged: None,
            },
        }],
        dimensions: 3,
    }
}

/// Three eigenvalues with this last one.
pub fn spectrum(last: f64) -> Spectrum {
    Spectrum {
        values: vec![4.0, 3.5, last],
        residual: 2e-3,
    }
}
