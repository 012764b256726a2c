use std::sync::Arc;

use nalgebra::{DMatrix, Matrix2};

use super::*;
use crate::data::Dataset;
use crate::dynamics::covariance::eigenpairs;
use crate::network::initialisation::initial_parameters;
use crate::network::zoo;
use crate::objective::Compute;

fn objective(model: &str, data: &str) -> Objective {
    let data = Arc::new(Dataset::open(data).unwrap());
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).unwrap());
    Objective::new(graph, data, Compute::cpu(), 16).unwrap()
}

/// Logistic regression of 20 numbers: two parameters, so that covariances are matrices that can be written down.
fn logistic() -> (Objective, Solution) {
    let start = Solution {
        parameters: vec![0.7, -0.2],
        statistics: Vec::new(),
    };
    (objective("logistic", "two-gaussians:seed=3"), start)
}

/// A small perceptron with its initial weights.
fn perceptron() -> (Objective, Solution) {
    let objective = objective("mlp:4", "builtin:train=60:test=5:augment=off");
    let start = Solution {
        parameters: initial_parameters(objective.graph(), 1),
        statistics: Vec::new(),
    };
    (objective, start)
}

const SETTINGS: Settings = Settings {
    learning_rate: 0.05,
    batch_size: 5,
    sigma: Sigma::Batches,
    deviation: 0.3,
    leading: 2,
    renew_sigma: 1,
    renew_hessian: 1,
    hessian_images: usize::MAX,
    hessian_products: 20,
};

/// The same with a large step, so that rounding of the weights is little beside the noise, whose covariance stays that
/// of the start.
const AT_THE_START: Settings = Settings {
    learning_rate: 0.5,
    renew_sigma: usize::MAX,
    renew_hessian: usize::MAX,
    ..SETTINGS
};

/// The noise ε of so many steps, each from the start again.
fn draws(walk: &mut Walk, count: usize) -> Vec<[f64; 2]> {
    let start = walk.solution.clone();
    let gradient = walk.whole_gradient().unwrap();
    (0..count)
        .map(|_| {
            walk.solution = start.clone();
            assert!(walk.step(&mut |_| true).unwrap());
            [0, 1].map(|entry| {
                let step = f64::from(walk.solution.parameters[entry]) - f64::from(start.parameters[entry]);
                -step / walk.settings.learning_rate - gradient[entry]
            })
        })
        .collect()
}

fn dense(matrix: &DMatrix<f64>) -> Matrix2<f64> {
    Matrix2::from_fn(|row, column| matrix[(row, column)])
}

#[test]
fn the_noise_of_a_step_has_the_covariance_that_it_claims() {
    let (objective, start) = logistic();
    // Σ and H, and what is made of them, as matrices.
    let minibatches = Minibatches::new(&objective, 5, Sigma::Batches, 4).unwrap();
    let (_, found) = minibatches.covariance(&start, &mut |_| true).unwrap();
    let factor = found.factor();
    let sigma = dense(&(factor * factor.transpose()));
    let (at_start, mut goes_on) = (derivatives(&objective, &start, usize::MAX).unwrap(), |_: f64| true);
    let mut products = HessianOperator::new(&at_start, &mut goes_on);
    let columns = [[1.0, 0.0], [0.0, 1.0]]
        .map(|axis| products.apply(&axis).unwrap())
        .concat();
    let hessian = DMatrix::from_iterator(2, 2, columns.into_iter().map(f64::from));
    let hessian = (&hessian + hessian.transpose()) * 0.5;
    let outer = |pair: &Eigenpair| dense(&(&pair.vector * pair.vector.transpose()));
    let first = |matrix: DMatrix<f64>| eigenpairs(matrix).unwrap().remove(0);
    let (leading, steepest) = (first(factor * factor.transpose()), first(hessian.clone()));
    let expected: [(Noise, Matrix2<f64>); 6] = [
        (Noise::GldConstant, Matrix2::identity() * 0.09),
        (Noise::GldDynamic, Matrix2::identity() * (0.5 * sigma.trace())),
        (Noise::GldDiagonal, Matrix2::from_diagonal(&sigma.diagonal())),
        (Noise::GldLeading, outer(&leading) * leading.value),
        (Noise::GldHessian, dense(&hessian) * (sigma.trace() / hessian.trace())),
        (Noise::GldFirstEigenvector, outer(&steepest) * sigma.trace()),
    ];
    let count = 3000;
    for (noise, expected) in expected {
        let leading = if noise == Noise::GldLeading { 1 } else { 2 };
        let settings = Settings {
            leading,
            ..AT_THE_START
        };
        let mut walk = Walk::new(&objective, start.clone(), noise, settings, 4).unwrap();
        let noises = draws(&mut walk, count);
        for i in 0..2 {
            let mean = noises.iter().map(|noise| noise[i]).sum::<f64>() / count as f64;
            // Of n draws of variance C a mean has the variance C/n: five standard errors. A weight of 1 is rounded to
            // 6·10⁻⁸, and so is what the step made of it.
            let error = (expected[(i, i)] / count as f64).sqrt();
            assert!(mean.abs() < 5.0 * error + 1e-6, "{}: mean {mean}", noise.name());
            for j in 0..=i {
                let moment = noises.iter().map(|noise| noise[i] * noise[j]).sum::<f64>() / count as f64;
                // The product of two normal numbers has the variance Cᵢᵢ·Cⱼⱼ + Cᵢⱼ².
                let variance = expected[(i, i)] * expected[(j, j)] + expected[(i, j)].powi(2);
                let error = (variance / count as f64).sqrt();
                assert!(
                    (moment - expected[(i, j)]).abs() < 5.0 * error + 1e-6,
                    "{}: {moment} for {} at ({i}, {j})",
                    noise.name(),
                    expected[(i, j)]
                );
            }
        }
    }
}

#[test]
fn sgds_noise_is_that_of_batches_drawn_without_replacement() {
    let (objective, start) = logistic();
    let images = Minibatches::new(&objective, 5, Sigma::Images, 4).unwrap();
    let (_, found) = images.covariance(&start, &mut |_| true).unwrap();
    // Of 20 images, 5 at a time without replacement.
    let factor = found.factor();
    let expected = dense(&(factor * factor.transpose())) * (15.0 / 19.0);
    let mut walk = Walk::new(&objective, start, Noise::Sgd, AT_THE_START, 4).unwrap();
    let epochs = 800;
    let noises = draws(&mut walk, 4 * epochs);
    for i in 0..2 {
        // In an epoch every image has its turn.
        for epoch in noises.chunks(4) {
            assert!(epoch.iter().map(|noise| noise[i]).sum::<f64>().abs() < 1e-5);
        }
        for j in 0..=i {
            let moments = noises.chunks(4);
            let moments = moments.map(|epoch| epoch.iter().map(|noise| noise[i] * noise[j]).sum::<f64>() / 4.0);
            let found = curvature::Estimate::of(&moments.collect::<Vec<f64>>()).unwrap();
            let error = found.standard_error.unwrap();
            // Five standard errors over independent epochs.
            assert!(
                error > 0.0 && (found.mean - expected[(i, j)]).abs() < 5.0 * error,
                "{found:?} for {}",
                expected[(i, j)]
            );
        }
    }
    assert!(walk.covariance.is_none());
}

#[test]
fn all_that_are_scaled_are_as_large_as_sgds_noise() {
    let (objective, start) = perceptron();
    for seed in 1..=3 {
        for sigma in [Sigma::Batches, Sigma::Images] {
            let minibatches = Minibatches::new(&objective, 5, sigma, seed).unwrap();
            let (_, variances) = minibatches.variances(&start, &mut |_| true).unwrap();
            for (noise, leading) in [
                (Noise::GldDynamic, 1),
                (Noise::GldDiagonal, 1),
                // As many eigenpairs as there are gradients at most.
                (Noise::GldLeading, 60),
                (Noise::GldHessian, 3),
                (Noise::GldFirstEigenvector, 1),
            ] {
                let settings = Settings {
                    sigma,
                    leading,
                    hessian_products: 60,
                    ..SETTINGS
                };
                let mut walk = Walk::new(&objective, start.clone(), noise, settings, seed).unwrap();
                assert!(walk.step(&mut |_| true).unwrap());
                let trace = walk.covariance.as_ref().unwrap().trace();
                // An eigenvector of single precision has a length of 1 to some 10⁻⁷.
                let apart = (trace / variances.sum() - 1.0).abs();
                assert!(apart < 1e-5, "{}: {apart}", noise.name());
            }
        }
    }
}

#[test]
fn covariances_are_renewed_when_they_are_due_and_not_before() {
    let (objective, start) = perceptron();
    let settings = Settings {
        renew_sigma: 3,
        renew_hessian: 2,
        ..SETTINGS
    };
    let renewed = |noise: Noise| -> Vec<usize> {
        let mut walk = Walk::new(&objective, start.clone(), noise, settings, 1).unwrap();
        let mut before = None;
        let mut at = Vec::new();
        for step in 0..7 {
            walk.step(&mut |_| true).unwrap();
            if walk.covariance != before {
                at.push(step);
            }
            before = walk.covariance.clone();
        }
        at
    };
    assert_eq!(renewed(Noise::GldDynamic), [0, 3, 6]);
    assert_eq!(renewed(Noise::GldLeading), [0, 3, 6]);
    assert_eq!(renewed(Noise::GldFirstEigenvector), [0, 2, 3, 4, 6]);
    assert_eq!(renewed(Noise::GldConstant), [0]);
    assert!(renewed(Noise::Gd).is_empty() && renewed(Noise::Sgd).is_empty());
}

#[test]
fn a_walk_is_its_seeds_and_without_noise_it_is_gradient_descent() {
    let (objective, start) = perceptron();
    let walk = |noise: Noise, seed: u64| {
        let mut walk = Walk::new(&objective, start.clone(), noise, SETTINGS, seed).unwrap();
        for _ in 0..4 {
            assert!(walk.step(&mut |_| true).unwrap());
        }
        walk.solution.parameters
    };
    for noise in [Noise::Sgd, Noise::GldDynamic, Noise::GldLeading, Noise::GldHessian] {
        let first = walk(noise, 1);
        assert_eq!(first, walk(noise, 1));
        assert_ne!(first, walk(noise, 2));
    }
    assert_ne!(walk(Noise::GldDynamic, 1), walk(Noise::GldDiagonal, 1));
    let mut plain = start.clone();
    for _ in 0..4 {
        let policy = BatchNormPolicy::Running;
        let (_, gradient) = objective.gradient(&plain, policy, Part::Train).unwrap();
        for (w, &g) in plain.parameters.iter_mut().zip(&gradient) {
            *w = (f64::from(*w) - SETTINGS.learning_rate * f64::from(g)) as f32;
        }
    }
    assert_eq!(walk(Noise::Gd, 1), plain.parameters);
}

#[test]
fn a_walk_that_diverges_stays_at_its_last_finite_place_and_being_told_to_stop_stops() {
    let (objective, start) = perceptron();
    // So large that a slope of 10⁻³ leads beyond the numbers of single precision.
    let settings = Settings {
        learning_rate: 1e42,
        ..SETTINGS
    };
    for noise in [Noise::Gd, Noise::Sgd, Noise::GldDynamic, Noise::GldLeading] {
        let mut walk = Walk::new(&objective, start.clone(), noise, settings, 1).unwrap();
        for _ in 0..2 {
            assert!(!walk.step(&mut |_| true).unwrap(), "{}", noise.name());
            assert_eq!(walk.solution, start);
        }
    }
    for noise in [Noise::Gd, Noise::Sgd, Noise::GldHessian] {
        let mut walk = Walk::new(&objective, start.clone(), noise, SETTINGS, 1).unwrap();
        assert!(matches!(walk.step(&mut |_| false), Err(Error::Cancelled)));
        if noise == Noise::GldHessian {
            // In the middle of the Hessian's products.
            let mut left = 4;
            let mut tell = |_: f64| {
                left -= 1;
                left > 0
            };
            assert!(matches!(walk.step(&mut tell), Err(Error::Cancelled)));
        }
        assert_eq!(walk.solution, start);
        // It can be tried again.
        assert!(walk.step(&mut |_| true).unwrap());
    }
}

#[test]
fn numbers_out_of_range_are_named() {
    let told = |settings: Settings| settings.check().unwrap_err().to_string();
    assert!(Settings::default().check().is_ok() && SETTINGS.check().is_ok());
    for (settings, name) in [
        (
            Settings {
                learning_rate: f64::NAN,
                ..SETTINGS
            },
            "learning-rate",
        ),
        (
            Settings {
                deviation: -1.0,
                ..SETTINGS
            },
            "deviation",
        ),
        (
            Settings {
                renew_hessian: 0,
                ..SETTINGS
            },
            "renew-hessian",
        ),
        (
            Settings {
                leading: 21,
                ..SETTINGS
            },
            "hessian-products",
        ),
    ] {
        assert!(told(settings).starts_with(name), "{}", told(settings));
    }
}

#[test]
fn where_the_hessian_is_not_finite_a_walk_along_it_has_diverged() {
    let (objective, mut start) = perceptron();
    // Activations near 10²⁶ without a weight beyond them: the gradient is as large as they are, and the Hessian as
    // large as their squares, which single precision does not hold.
    let first = objective.graph().parameters[0].range();
    for (place, weight) in start.parameters.iter_mut().enumerate() {
        *weight *= if first.contains(&place) { 1e26 } else { 0.0 };
    }
    for noise in [Noise::GldHessian, Noise::GldFirstEigenvector] {
        let mut walk = Walk::new(&objective, start.clone(), noise, SETTINGS, 1).unwrap();
        assert!(is_finite(&walk.whole_gradient().unwrap()));
        for _ in 0..2 {
            assert!(!walk.step(&mut |_| true).unwrap(), "{}", noise.name());
            assert_eq!(walk.solution, start);
        }
    }
}

#[test]
fn only_a_product_that_is_not_finite_is_a_lost_hessian() {
    let (objective, start) = perceptron();
    let derivatives = derivatives(&objective, &start, usize::MAX).unwrap();
    let ones = vec![1.0_f32; start.parameters.len()];
    let found = with_hessian(&derivatives, &mut |_| true, |hessian| hessian.apply(&ones)).unwrap();
    assert_eq!(found.unwrap().len(), ones.len());
    // A vector that cannot be multiplied, and being told to stop, are errors as ever.
    let short = with_hessian(&derivatives, &mut |_| true, |hessian| hessian.apply(&ones[1..]));
    assert!(matches!(short, Err(Error::Request(_))));
    let stopped = with_hessian(&derivatives, &mut |_| false, |hessian| hessian.apply(&ones));
    assert!(matches!(stopped, Err(Error::Cancelled)));
}
