//! Descents that never were, as the tests make them up.

use super::SharpnessAlongTraining;
use super::found::{Ended, Family, Found};
use crate::curvature::{Estimate, NonUniformity, Sharpness};
use crate::experiment::descent::{Method, Record};
use crate::training::End;

const IMAGES: usize = 100;

pub(super) fn kind() -> SharpnessAlongTraining {
    SharpnessAlongTraining {
        model: "mlp:5".to_owned(),
        data: "builtin".to_owned(),
        learning_rates: vec![0.5, 1.0],
        sgd_learning_rate: 0.5,
        batch_sizes: vec![1, 25],
        loss: 1e-4,
        steps: 100,
        sharpness_every: 50,
        non_uniformity_every: 60,
        tolerance: 0.05,
    }
}

/// A descent that was sharp by `sharpness` on the way and where it has arrived, and there so non-uniform; without
/// an end it diverged.
pub(super) fn found(method: Method, sharpness: [f64; 3], end: Option<f64>) -> Found {
    let [start, middle, last] = sharpness;
    let is_sgd = matches!(method, Method::Sgd { .. });
    Found {
        method,
        bounds: method.stability(IMAGES).unwrap().unwrap(),
        record: Record {
            end: end.map_or(End::Diverged, |_| End::Loss),
            steps: 80,
            loss: 1e-4,
            highest: 1.0,
            losses: vec![(0.0, 1.0), (80.0, 1e-4)],
            distances: Vec::new(),
            sharpness: vec![(0.0, start), (50.0, middle)],
            non_uniformity: match is_sgd {
                true => vec![(0.0, 1.0), (60.0, 3.0)],
                false => Vec::new(),
            },
        },
        end: end.map(|spread| Ended {
            sharpness: Sharpness {
                value: last,
                residual: 0.001,
                converged: true,
            },
            non_uniformity: is_sgd.then(|| NonUniformity {
                value: spread,
                standard_error: None,
                squared: Estimate::of(&[spread * spread]).unwrap(),
                converged: true,
            }),
        }),
    }
}

pub(super) fn descent(learning_rate: f64, sharpness: [f64; 3]) -> Found {
    found(Method::GradientDescent { learning_rate }, sharpness, Some(0.0))
}

pub(super) fn sgd(batch_size: usize, spread: Option<f64>) -> Found {
    let method = Method::Sgd {
        learning_rate: 0.5,
        batch_size,
    };
    found(method, [0.5, 1.5, 1.0], spread)
}

/// Bounds: 2/η = 4 and 2, and of s 2·√(B·99/(100 − B)): 2 for B = 1, 11.49 for B = 25.
pub(super) fn family(found: Vec<Found>) -> Family {
    Family { seed: 1, found }
}
