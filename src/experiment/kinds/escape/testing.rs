//! Minima and what became of them, as the tests make them up.

use super::Escape;
use super::found::{Measured, Minimum, Switched};
use crate::curvature::{Estimate, NonUniformity, Sgd, Sharpness};
use crate::experiment::descent::{Method, Record};
use crate::training::End;

pub(super) fn measured(sharpness: f64, non_uniformity: f64) -> Measured {
    Measured {
        sharpness: Sharpness {
            value: sharpness,
            residual: 0.001,
            converged: true,
        },
        non_uniformity: NonUniformity {
            value: non_uniformity,
            standard_error: None,
            squared: Estimate::of(&[non_uniformity.powi(2)]).unwrap(),
            converged: true,
        },
        accuracy: 0.2,
    }
}

pub(super) fn kind() -> Escape {
    Escape {
        model: "mlp:5".to_owned(),
        data: "builtin".to_owned(),
        start: Method::GradientDescent { learning_rate: 0.2 },
        loss: 1e-4,
        start_steps: 100,
        switches: vec![
            Method::GradientDescent { learning_rate: 0.2 },
            Method::GradientDescent { learning_rate: 0.5 },
        ],
        steps: 10,
        sharpness_every: 5,
        burst: 10.0,
        tolerance: 0.05,
    }
}

pub(super) fn switched(learning_rate: f64, (leaves, left): (bool, bool), end: Option<Measured>) -> Switched {
    let highest = if left { 0.1 } else { 1e-4 };
    Switched {
        bounds: Sgd::new(learning_rate, 100, 100).unwrap(),
        leaves,
        left,
        record: Record {
            end: End::Steps,
            steps: 10,
            loss: 1e-4,
            highest,
            losses: vec![(0.0, 1e-4), (5.0, highest), (10.0, 1e-4)],
            distances: vec![(0.0, 0.0), (10.0, 0.5)],
            sharpness: vec![(0.0, 8.0), (10.0, 4.0)],
            non_uniformity: Vec::new(),
        },
        end,
    }
}

/// Sharpness 8: stable for a rate of 0.2 (2/η = 10), and not for 0.5 (4).
pub(super) fn minimum(seed: u64, switched: Vec<Switched>) -> Minimum {
    Minimum {
        seed,
        steps: 70,
        loss: 1e-4,
        measured: measured(8.0, 30.0),
        switched,
    }
}
