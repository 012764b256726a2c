//! The smallest network with an asymmetric valley: logistic regression with a weight and a bias (*Asymmetric Valleys*,
//! NeurIPS version, Appendix A), in double precision and closed form.
//!
//! Settings are those of the published `logistic_regression_2params.py`. It draws the training loss alone, and so there
//! is no test loss here. Samples, start and direction are the draws that the data set `two-gaussians`, the model
//! `logistic` and the direction `uniform` make of the same seed.

use std::ops::Range;

use serde::Serialize;

use crate::landscape::line;
use crate::random::{Purpose, Random};

/// The seeds of the paper's runs.
pub const SEEDS: Range<u64> = 0..50;
/// Samples of each class.
pub const PER_CLASS: usize = 10;
/// Learning rate of full-batch gradient descent.
pub const LEARNING_RATE: f64 = 0.01;
/// Its steps.
pub const STEPS: usize = 30;
/// Points of the loss curve.
pub const POINTS: usize = 31;
/// Distance of neighbouring points, in units of the parameters as the direction is of unit length.
pub const SPACING: f64 = 0.5;

/// One number with its label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// x, drawn from N(1, 1) for label 0 and from N(−1, 1) for label 1.
    pub input: f64,
    /// 0 or 1.
    pub label: u8,
}

impl Sample {
    /// −1 for label 1 and 1 for label 0, so that the loss is log(1 + exp(sign·z)) of the logit z.
    fn sign(self) -> f64 {
        if self.label == 1 { -1.0 } else { 1.0 }
    }

    /// sign·z with z = weight·x + bias.
    fn signed_logit(self, [weight, bias]: [f64; 2]) -> f64 {
        self.sign() * (weight * self.input + bias)
    }
}

/// One seed's run. Parameters are the weight and then the bias.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogisticRun {
    /// Seed of the samples, the start and the direction.
    pub seed: u64,
    /// What is fitted: [`PER_CLASS`] samples of label 0, then as many of label 1.
    pub samples: Vec<Sample>,
    /// Parameters before the first step.
    pub start: [f64; 2],
    /// Parameters after the last step.
    pub last: [f64; 2],
    /// Mean of the parameters after each step, from the first on; the start is not among them.
    pub average: [f64; 2],
    /// Unit direction, of two numbers drawn from U(0, 1).
    pub direction: [f64; 2],
    /// Distances l from the average along the direction: [`POINTS`] in steps of [`SPACING`], 0 in the middle.
    pub positions: Vec<f64>,
    /// Mean loss in nats at average + l·direction, one a position.
    pub losses: Vec<f64>,
}

/// Fits the samples of one seed, averages, and measures the loss along a random direction. The same seed gives the same
/// numbers on every platform.
pub fn run(seed: u64) -> LogisticRun {
    let samples = samples(seed);
    let start = start(seed);
    let mut parameters = start;
    let mut sum = [0.0; 2];
    for _ in 0..STEPS {
        let gradient = gradient(&samples, parameters);
        for ((parameter, slope), total) in parameters.iter_mut().zip(gradient).zip(&mut sum) {
            *parameter -= LEARNING_RATE * slope;
            *total += *parameter;
        }
    }
    let average = sum.map(|total| total / STEPS as f64);
    let direction = direction(seed);
    let reach = 0.5 * SPACING * (POINTS - 1) as f64;
    let positions = line::positions(-reach, reach, POINTS);
    let at = |l: f64| [average[0] + l * direction[0], average[1] + l * direction[1]];
    LogisticRun {
        seed,
        start,
        last: parameters,
        average,
        direction,
        losses: positions.iter().map(|&l| loss(&samples, at(l))).collect(),
        positions,
        samples,
    }
}

/// Mean cross-entropy in nats of the parameters weight and bias. It does not overflow; NaN without samples.
pub fn loss(samples: &[Sample], parameters: [f64; 2]) -> f64 {
    let losses = samples.iter().map(|sample| {
        let z = sample.signed_logit(parameters);
        z.max(0.0) + libm::log1p(libm::exp(-z.abs()))
    });
    losses.sum::<f64>() / samples.len() as f64
}

/// Gradient of [`loss`] with respect to weight and bias.
pub fn gradient(samples: &[Sample], parameters: [f64; 2]) -> [f64; 2] {
    let mut sum = [0.0; 2];
    for sample in samples {
        let residual = sample.sign() * sigmoid(sample.signed_logit(parameters));
        sum[0] += residual * sample.input;
        sum[1] += residual;
    }
    sum.map(|total| total / samples.len() as f64)
}

/// 1/(1 + exp(−z)).
fn sigmoid(z: f64) -> f64 {
    let small = libm::exp(-z.abs());
    if z >= 0.0 {
        1.0 / (1.0 + small)
    } else {
        small / (1.0 + small)
    }
}

fn samples(seed: u64) -> Vec<Sample> {
    let mut random = Random::new(seed, Purpose::TrainData, 0);
    let mut draw = |label: u8, mean: f32| Sample {
        input: f64::from(random.normal() + mean),
        label,
    };
    let labels = (0..2 * PER_CLASS).map(|index| u8::from(index >= PER_CLASS));
    labels
        .map(|label| draw(label, if label == 0 { 1.0 } else { -1.0 }))
        .collect()
}

/// U(−1, 1) both, as PyTorch starts a linear layer of one input.
fn start(seed: u64) -> [f64; 2] {
    [0, 1].map(|index| f64::from(Random::new(seed, Purpose::Initialisation, index).uniform_in(-1.0, 1.0)))
}

fn direction(seed: u64) -> [f64; 2] {
    let mut random = Random::new(seed, Purpose::Direction, 0);
    loop {
        let drawn = [f64::from(random.uniform()), f64::from(random.uniform())];
        let length = (drawn[0] * drawn[0] + drawn[1] * drawn[1]).sqrt();
        // Two zeros, one draw in 2⁴⁸, have no direction.
        if length > 0.0 {
            return drawn.map(|entry| entry / length);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Dataset, Pixels};
    use crate::landscape::DirectionKind;
    use crate::landscape::direction as directions;
    use crate::network::initialisation::initial_parameters;
    use crate::network::zoo;

    #[test]
    fn a_run_goes_downhill_and_is_the_same_again() {
        for seed in SEEDS {
            let found = run(seed);
            assert_eq!(found, run(seed));
            assert!(loss(&found.samples, found.last) < loss(&found.samples, found.start));
            assert_eq!(found.losses[POINTS / 2], loss(&found.samples, found.average));
            assert_eq!(found.positions[POINTS / 2], 0.0);
            assert!(found.positions.windows(2).all(|pair| pair[1] - pair[0] == SPACING));
            let convex = found.losses.windows(3).all(|l| l[0] - 2.0 * l[1] + l[2] >= -1e-12);
            assert!(
                convex && found.losses.iter().all(|loss| loss.is_finite()),
                "{:?}",
                found.losses
            );
        }
        assert_ne!(run(0).losses, run(1).losses);
    }

    #[test]
    fn the_draws_are_those_of_the_same_seed_everywhere_else() {
        let found = run(3);
        let data = Dataset::open("two-gaussians:seed=3").unwrap();
        let Pixels::Floats(inputs) = &data.train.images else {
            panic!("numbers");
        };
        let samples = inputs.iter().zip(&data.train.labels);
        let samples: Vec<(f64, u32)> = samples.map(|(&input, &label)| (f64::from(input), label)).collect();
        let ours: Vec<(f64, u32)> = found.samples.iter().map(|s| (s.input, s.label.into())).collect();
        assert_eq!(ours, samples);
        let graph = zoo::build("logistic", data.shape, 2).unwrap();
        assert_eq!(found.start.map(|entry| entry as f32)[..], initial_parameters(&graph, 3));
        let direction = directions::random(&graph, DirectionKind::Uniform, 3).unwrap();
        assert_eq!(found.direction.map(|entry| entry as f32)[..], direction);
    }

    #[test]
    fn the_loss_is_ln_2_at_zero_and_does_not_overflow() {
        let samples = samples(0);
        assert!((loss(&samples, [0.0, 0.0]) - std::f64::consts::LN_2).abs() < 1e-14);
        for far in [-1e300, 1e300] {
            assert!(loss(&samples, [far, 0.0]).is_finite() && gradient(&samples, [0.0, far])[0].is_finite());
        }
        // Sure and right costs nothing, sure and wrong as much as the logit.
        let sample = [Sample { input: 2.0, label: 1 }];
        assert_eq!(loss(&sample, [-500.0, 0.0]), 1000.0);
        assert_eq!(loss(&sample, [500.0, 0.0]), 0.0);
        assert_eq!(gradient(&sample, [-500.0, 0.0]), [-2.0, -1.0]);
    }

    proptest! {
        #[test]
        fn the_gradient_is_that_of_finite_differences(
            seed in 0_u64..1000, weight in -5.0_f64..5.0, bias in -5.0_f64..5.0,
        ) {
            let samples = samples(seed);
            let step = 1e-5;
            let [by_weight, by_bias] = gradient(&samples, [weight, bias]);
            let difference = |a: [f64; 2], b: [f64; 2]| (loss(&samples, a) - loss(&samples, b)) / (2.0 * step);
            let differences = [
                difference([weight + step, bias], [weight - step, bias]),
                difference([weight, bias + step], [weight, bias - step]),
            ];
            prop_assert!((by_weight - differences[0]).abs() < 1e-8, "{by_weight} {differences:?}");
            prop_assert!((by_bias - differences[1]).abs() < 1e-8, "{by_bias} {differences:?}");
        }
    }
}
