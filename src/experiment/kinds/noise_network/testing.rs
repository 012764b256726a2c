//! Dynamics whose ends are known.

use super::NoiseNetwork;
use super::way::{Look, Way};
use crate::curvature::Estimate;
use crate::dynamics::network::Settings;
use crate::dynamics::noise::Noise;
use crate::dynamics::sharpness::Around;
use crate::experiment::kinds::noise_on_networks::{Minimum, Record};
use crate::objective::{Measurement, Quality};

fn look(step: usize, loss: f64, accuracy: f64, sharpness: f64) -> Look {
    let quality = Quality { loss, accuracy };
    Look {
        step,
        measured: Measurement {
            train: quality,
            test: quality,
        },
        sharpness: Estimate::of(&[sharpness, sharpness]),
    }
}

pub fn kind() -> NoiseNetwork {
    NoiseNetwork {
        model: "lenet".to_owned(),
        data: "builtin".to_owned(),
        minimum: Minimum {
            learning_rate: 0.1,
            loss: 0.01,
            steps: 10,
        },
        dynamics: vec![Noise::Sgd, Noise::Gd],
        walk: Settings::default(),
        steps: 10,
        every: 4,
        around: Around::default(),
        burst: 10.0,
    }
}

/// Three seeds, whose end differs a little between them.
pub fn way(noise: Noise, highest: f64, accuracy: f64, sharpness: f64) -> Way {
    let record = |seed: f64| Record {
        looks: vec![
            look(0, 0.01, 0.5, 0.1),
            look(4, highest, 0.5, 0.1),
            look(10, 0.005, accuracy + 0.001 * seed, sharpness + 0.001 * seed),
        ],
        diverged: None,
    };
    let records: Vec<Record<Look>> = [0.0, 1.0, 2.0].map(record).to_vec();
    let left = records.iter().map(|record| record.has_left(0.01, 10.0)).collect();
    Way { noise, records, left }
}

/// One that diverged after three steps.
pub fn lost() -> Record<Look> {
    Record {
        looks: vec![look(0, 0.01, 0.5, 0.1)],
        diverged: Some(3),
    }
}
