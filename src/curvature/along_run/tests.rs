//! Runs whose sharpness and non-uniformity have closed forms, and what is told of those that have none.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::curvature::stability::Sgd;
use crate::data::{Dataset, Pixels};
use crate::network::zoo;
use crate::objective::{Compute, Solution};
use crate::training::RunRecord;
use crate::training::sgd::Sgd as Momentum;

const MODEL: &str = "logistic";
const DATA: &str = "two-gaussians:seed=3";
/// Images of that data set.
const IMAGES: usize = 20;
const WEIGHTS: [[f32; 2]; 5] = [[0.1, 0.0], [0.7, -0.2], [-1.5, 0.4], [2.0, 1.0], [0.3, 0.3]];

fn objective() -> Objective {
    let data = Arc::new(Dataset::open(DATA).unwrap());
    let graph = Arc::new(zoo::build(MODEL, data.shape, data.classes.len()).unwrap());
    Objective::new(graph, data, Compute::cpu(), 16).unwrap()
}

fn options(momentum: f64) -> TrainingOptions {
    TrainingOptions {
        epochs: 4,
        batch_size: 5,
        learning_rate: 0.5,
        momentum,
        swa_start: 0,
        ..TrainingOptions::default()
    }
}

/// A run of logistic regression at given weights.
fn run(path: &Path, objective: &Objective, momentum: f64) -> RunFolder {
    let record = RunRecord::new(MODEL, DATA, "cpu", options(momentum));
    let folder = RunFolder::create(&path.join("run"), record).unwrap();
    for (epoch, weights) in WEIGHTS.iter().enumerate() {
        folder.save_snapshot(objective.graph(), epoch, &at(weights)).unwrap();
    }
    folder
}

fn at(weights: &[f32]) -> Solution {
    Solution {
        parameters: weights.to_vec(),
        statistics: Vec::new(),
    }
}

fn plan(epochs: &[usize], samples: usize, non_uniformity: Option<usize>) -> Plan {
    Plan {
        epochs: epochs.to_vec(),
        policy: BatchNormPolicy::Running,
        samples,
        effort: Effort {
            steps: 40,
            tolerance: 1e-6,
            seed: 3,
        },
        non_uniformity,
    }
}

fn measured(folder: &RunFolder, objective: &Objective, plan: Plan) -> AlongRun {
    let mut record = AlongRun::new(folder, objective, plan).unwrap();
    let measured = record.measure(folder, objective, &mut |_| Ok(()), &mut |_| true);
    measured.unwrap();
    record
}

/// Hᵢ = p(1 − p)·(x, 1)(x, 1)ᵀ of every image, as [h·x², h·x, h].
fn hessians(objective: &Objective, [weight, bias]: [f32; 2]) -> Vec<[f64; 3]> {
    let Pixels::Floats(inputs) = &objective.data().train.images else {
        panic!("numbers");
    };
    let of = |&x: &f32| {
        let x = f64::from(x);
        let p = 1.0 / (1.0 + (-(f64::from(weight) * x + f64::from(bias))).exp());
        [x * x, x, 1.0].map(|entry| p * (1.0 - p) * entry)
    };
    inputs.iter().map(of).collect()
}

fn mean(matrices: &[[f64; 3]]) -> [f64; 3] {
    [0, 1, 2].map(|i| matrices.iter().map(|matrix| matrix[i]).sum::<f64>() / matrices.len() as f64)
}

fn squared([a, b, c]: [f64; 3]) -> [f64; 3] {
    [a * a + b * b, b * (a + c), b * b + c * c]
}

/// The larger eigenvalue of [[a, b], [b, c]].
fn largest([a, b, c]: [f64; 3]) -> f64 {
    0.5 * (a + c) + (0.25 * (a - c).powi(2) + b * b).sqrt()
}

#[test]
fn of_logistic_regression_every_epoch_has_its_closed_forms_beside_its_own_bounds() {
    let (objective, place) = (objective(), tempfile::tempdir().unwrap());
    let folder = run(place.path(), &objective, 0.0);
    let all = Some(usize::MAX);
    let record = measured(&folder, &objective, plan(&[0, 1, 3, 4], usize::MAX, all));
    assert_eq!((record.trained_on, record.samples), (IMAGES, IMAGES));
    assert_eq!(record.images, Some(Images::All));
    let epochs: Vec<usize> = record.rows.iter().map(|row| row.epoch).collect();
    assert_eq!(epochs, record.epochs);
    for row in &record.rows {
        let weights = WEIGHTS[row.epoch];
        let each = hessians(&objective, weights);
        let average = mean(&each);
        let (found, expected) = (row.sharpness.unwrap(), largest(average));
        // A handful of roundings of 6e-8 in every product.
        assert!((found.value / expected - 1.0).abs() < 3e-6, "{found:?} {expected}");
        assert!(found.converged && found.residual < 3e-6 * expected, "{found:?}");
        let squares = mean(&each.into_iter().map(squared).collect::<Vec<_>>());
        let square = squared(average);
        let covariance = [0, 1, 2].map(|i| squares[i] - square[i]);
        let (found, expected) = (row.non_uniformity.unwrap(), largest(covariance).sqrt());
        assert!((found.value / expected - 1.0).abs() < 1e-5, "{found:?} {expected}");
        assert!(found.standard_error.is_none() && row.lost.is_none());
        // The last of four epochs is 5/8 of the way down to a hundredth.
        let rate = if row.epoch == 4 { 0.5 - 0.625 * 0.495 } else { 0.5 };
        assert!((row.learning_rate - rate).abs() < 1e-12, "{row:?}");
        assert!((row.sharpness_bound * rate / 2.0 - 1.0).abs() < 1e-12);
        let bound = (5.0 * 19.0 / 15.0_f64).sqrt() / rate;
        assert!((row.non_uniformity_bound.unwrap() / bound - 1.0).abs() < 1e-12);
        let shares = [row.sharpness_share.unwrap(), row.non_uniformity_share.unwrap()];
        let expected = [row.sharpness.unwrap().value * rate / 2.0, found.value / bound];
        for (share, expected) in shares.into_iter().zip(expected) {
            assert!((share / expected - 1.0).abs() < 1e-12, "{share} {expected}");
        }
        assert_eq!(row.heavy_ball_bound, None);
        let (policy, part) = (BatchNormPolicy::Running, Part::Train);
        let slope = objective.slope(&at(&weights), &[0.0, 0.0], policy, part, IMAGES);
        assert_eq!(row.loss, Some(slope.unwrap().0));
    }
}

#[test]
fn some_images_stand_for_all_with_an_error() {
    let (objective, place) = (objective(), tempfile::tempdir().unwrap());
    let folder = run(place.path(), &objective, 0.0);
    for (samples, asked) in [(15, 12), (usize::MAX, 13)] {
        let record = measured(&folder, &objective, plan(&[1], samples, Some(asked)));
        assert_eq!(record.images, Some(Images::Sets { count: 4, images: 3 }));
        assert_eq!(record.samples, samples.min(IMAGES));
        let found = record.rows[0].non_uniformity.unwrap();
        let error = found.standard_error.unwrap();
        assert!(found.squared.samples == 4 && error > 0.0, "{found:?}");
    }
    // All that the mean is over are all at once, few or not.
    for (samples, asked) in [(12, usize::MAX), (12, 12), (5, 8)] {
        let record = measured(&folder, &objective, plan(&[1], samples, Some(asked)));
        assert_eq!(record.images, Some(Images::All));
        let each: Vec<_> = hessians(&objective, WEIGHTS[1]).into_iter().take(samples).collect();
        let square = squared(mean(&each));
        let squares = mean(&each.into_iter().map(squared).collect::<Vec<_>>());
        let covariance = [0, 1, 2].map(|i| squares[i] - square[i]);
        let (found, expected) = (record.rows[0].non_uniformity.unwrap(), largest(covariance).sqrt());
        assert!((found.value / expected - 1.0).abs() < 1e-5, "{found:?} {expected}");
        assert!(found.standard_error.is_none(), "{found:?}");
    }
    let one = AlongRun::new(&folder, &objective, plan(&[1], 1, Some(8)));
    assert!(one.unwrap_err().to_string().contains("one image has no covariance"));
    let few = AlongRun::new(&folder, &objective, plan(&[1], usize::MAX, Some(7)));
    let message = few.unwrap_err().to_string();
    assert!(message.contains("give 8 at least"), "{message}");
    let alone = measured(&folder, &objective, plan(&[1], 7, None));
    assert!(alone.rows[0].non_uniformity.is_none() && alone.rows[0].sharpness.is_some());
}

#[test]
fn an_epoch_that_has_diverged_is_a_row_that_says_so() {
    let (objective, place) = (objective(), tempfile::tempdir().unwrap());
    let folder = run(place.path(), &objective, 0.9);
    let save = |epoch, weights: [f32; 2]| {
        let saved = folder.save_snapshot(objective.graph(), epoch, &at(&weights));
        saved.unwrap();
    };
    save(2, [f32::NAN, 0.0]);
    // Some inputs are beyond 1.2, and single precision ends at 3.4e38.
    save(3, [3e38, 0.0]);
    let all = Some(usize::MAX);
    let record = measured(&folder, &objective, plan(&[1, 2, 3, 4], usize::MAX, all));
    let lost: Vec<bool> = record.rows.iter().map(|row| row.lost.is_some()).collect();
    assert_eq!(lost, [false, true, true, false]);
    for row in &record.rows {
        assert_eq!(row.sharpness.is_some(), row.lost.is_none(), "{row:?}");
    }
    let reason = record.rows[1].lost.as_deref().unwrap();
    assert!(reason.contains("diverged"), "{reason}");
    // Of weights that cannot be taken the loss is not known, and elsewhere it is not finite.
    let losses = [1, 2].map(|index| record.rows[index].loss);
    assert!(
        losses[0].is_none() && losses[1].is_some_and(|loss| !loss.is_finite()),
        "{record:?}"
    );
    // The bounds are known all the same, and with momentum the heavy ball's, too.
    assert_eq!(record.rows[2].sharpness_bound, 4.0);
    let bound = record.rows[2].heavy_ball_bound.unwrap();
    assert!((bound - 7.6).abs() < 1e-12, "{bound}");
    let text = serde_json::to_string(&record).unwrap();
    let back: AlongRun = serde_json::from_str(&text).unwrap();
    assert_eq!(back.rows[2].lost, record.rows[2].lost);
    assert!(back.rows[1].loss.is_none() && back.rows[2].loss.is_some_and(|loss| !loss.is_finite()));
    assert!(back.rows[0].loss.is_some() && back.rows[0].non_uniformity.is_some());
    assert!(text.contains("\"loss\":null"), "{text}");
    // Where nothing is left, that is an error.
    let mut record = AlongRun::new(&folder, &objective, plan(&[2, 3], usize::MAX, None)).unwrap();
    let nothing = record.measure(&folder, &objective, &mut |_| Ok(()), &mut |_| true);
    let message = nothing.unwrap_err().to_string();
    assert!(message.contains("no epoch could be measured"), "{message}");
}

#[test]
fn the_share_done_rises_and_what_was_stopped_goes_on() {
    let (objective, place) = (objective(), tempfile::tempdir().unwrap());
    let folder = run(place.path(), &objective, 0.0);
    let plan = plan(&[0, 2, 4], usize::MAX, Some(usize::MAX));
    let mut record = AlongRun::new(&folder, &objective, plan.clone()).unwrap();
    let mut shares = Vec::new();
    let stopped = record.measure(&folder, &objective, &mut |_| Ok(()), &mut |share| {
        shares.push(share);
        share < 0.34
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(record.rows.len(), 1);
    let mut told = Vec::new();
    let mut tell = |row: &AtEpoch| {
        told.push(row.epoch);
        Ok(())
    };
    let done = record.measure(&folder, &objective, &mut tell, &mut |share| {
        shares.push(share);
        true
    });
    done.unwrap();
    assert_eq!(told, [2, 4]);
    assert_eq!(record, measured(&folder, &objective, plan));
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
    let second = shares.iter().rposition(|share| *share <= 1.0 / 3.0).unwrap();
    let (first, second) = shares.split_at(second);
    assert!(first.is_sorted() && second.is_sorted(), "{shares:?}");
}

#[test]
fn what_was_measured_stays_where_it_cannot_be_told() {
    let (objective, place) = (objective(), tempfile::tempdir().unwrap());
    let folder = run(place.path(), &objective, 0.0);
    let mut record = AlongRun::new(&folder, &objective, plan(&[0, 2, 4], usize::MAX, None)).unwrap();
    let mut refuse = |row: &AtEpoch| match row.epoch {
        2 => Err(Error::Request("the disk is full".to_owned())),
        _ => Ok(()),
    };
    let ended = record.measure(&folder, &objective, &mut refuse, &mut |_| true);
    assert!(ended.unwrap_err().to_string().contains("the disk is full"));
    let epochs: Vec<usize> = record.rows.iter().map(|row| row.epoch).collect();
    assert!(record.is_known() && epochs == [0, 2], "{epochs:?}");
}

#[test]
fn what_cannot_be_measured_is_refused_before() {
    let (objective, place) = (objective(), tempfile::tempdir().unwrap());
    let folder = run(place.path(), &objective, 0.0);
    for epochs in [&[][..], &[5], &[2, 1], &[1, 1]] {
        let refused = AlongRun::new(&folder, &objective, plan(epochs, usize::MAX, None));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("has 5 snapshots"), "{message}");
    }
    assert!(AlongRun::new(&folder, &objective, plan(&[1], 0, None)).is_err());
    // Without batch norm an image's loss is its own under any policy.
    let by_batch = Plan {
        policy: BatchNormPolicy::Batch,
        ..plan(&[1], usize::MAX, Some(usize::MAX))
    };
    let record = measured(&folder, &objective, by_batch.clone());
    assert!(record.rows[0].non_uniformity.is_some());
    let data = Arc::new(Dataset::open("builtin:train=20:test=20").unwrap());
    let graph = Arc::new(zoo::build("resnet8:width=2", data.shape, data.classes.len()).unwrap());
    let normalised = Objective::new(graph, data, Compute::cpu(), 16).unwrap();
    let refused = AlongRun::new(&folder, &normalised, by_batch);
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("--bn") && message.contains("running or recompute"),
        "{message}"
    );
}

#[test]
fn epochs_are_up_to_twenty_with_both_ends() {
    assert_eq!(epochs(0, None), [0]);
    assert_eq!(epochs(3, None), [0, 1, 2, 3]);
    assert_eq!(epochs(10, Some(4)), [0, 4, 8, 10]);
    assert_eq!(epochs(10, Some(50)), [0, 10]);
    for last in 1..500 {
        let some = epochs(last, None);
        assert_eq!(some.len(), 20.min(last + 1), "{some:?}");
        assert!(some[0] == 0 && some.ends_with(&[last]), "{some:?}");
        // As evenly as whole epochs can be.
        let steps = || some.windows(2).map(|pair| pair[1] - pair[0]);
        let (least, most) = (steps().min().unwrap(), steps().max().unwrap());
        assert!(least >= 1 && most - least <= 1, "{some:?}");
    }
}

#[test]
fn the_heavy_ball_stays_below_its_bound_and_leaves_above() {
    let bound = |rate, momentum| Sgd::new(rate, 1, 2).unwrap().sharpness_bound_with_momentum(momentum);
    let rate = 0.1;
    for momentum in [0.0, 0.5, 0.9] {
        // A hundredth beside the bound, the largest factor's magnitude is off 1 by some fiftieth or more.
        for (share, stays) in [(0.99, true), (1.01, false)] {
            let curvature = (share * bound(rate, momentum)) as f32;
            let (mut descent, mut w) = (Momentum::new(1, momentum, 0.0), [1.0_f32]);
            let mut left = false;
            for _ in 0..1000 {
                let gradient = [curvature * w[0]];
                descent.step(&mut w, &gradient, rate);
                left |= w[0].abs() > 1e3;
            }
            let has_settled = w[0].abs() < 1e-3;
            assert_eq!((has_settled, left), (stays, !stays), "{momentum}, {share}");
        }
    }
    // Beyond what plain gradient descent bears.
    assert_eq!(bound(0.5, 0.0), 4.0);
    assert!(bound(0.5, 0.9) > 7.5);
}
