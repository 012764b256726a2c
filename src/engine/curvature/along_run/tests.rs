//! A run of a perceptron, measured and asked in all ways.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::curvature::loss::ImageHessians;
use crate::curvature::non_uniformity::estimated_non_uniformity;
use crate::curvature::{Effort, sharpness};
use crate::data::Dataset;
use crate::engine::request::CheckpointRequest;
use crate::experiment::demo;
use crate::network::zoo;
use crate::objective::{Compute, Derivatives, Objective, Solution};
use crate::training::{RunFolder, Trainer, TrainingOptions};

const MODEL: &str = "mlp:3";
const DATA: &str = "two-gaussians";
/// Training images of these data.
const IMAGES: usize = 20;
/// Snapshots of the run, and the order in which they are measured.
const SNAPSHOTS: usize = 7;
const ORDER: [usize; SNAPSHOTS] = [0, 6, 3, 1, 4, 2, 5];
const SEED: u64 = 3;

/// A session with a run of six epochs.
fn session(folder: &Path) -> Session {
    let data = Arc::new(Dataset::open(DATA).unwrap());
    let graph = Arc::new(zoo::build(MODEL, data.shape, data.classes.len()).unwrap());
    let objective = Arc::new(Objective::usual(graph, data, Compute::flex()).unwrap());
    let options = TrainingOptions {
        epochs: SNAPSHOTS - 1,
        batch_size: 5,
        swa_start: 0,
        ..TrainingOptions::default()
    };
    let path = folder.join("run");
    let mut trainer = Trainer::start(objective, &options, &path).unwrap();
    demo::train(&mut trainer, &mut |_, _| true).unwrap();
    Session::open(&path, &Compute::flex(), &mut |_| true).unwrap()
}

fn request(snapshots: usize) -> AlongRunRequest {
    AlongRunRequest {
        session: 1,
        policy: BatchNormPolicy::Running,
        images: usize::MAX,
        seed: SEED,
        uniformity: None,
        snapshots,
    }
}

/// Measures all there is. Gives the epochs in the order in which they are done, and the number of steps.
fn finish(job: &mut AlongRunJob, session: &Session) -> (Vec<usize>, usize) {
    let (mut order, mut steps) = (Vec::new(), 0);
    while job.has_work() {
        let before = job.task;
        job.step(session).unwrap();
        steps += 1;
        if job.task != before {
            order.extend(before.map(|task| task.epoch));
        }
    }
    (order, steps)
}

/// Steps until an epoch is in the middle of being measured; gives the number of steps.
fn begin(job: &mut AlongRunJob, session: &Session, epoch: usize) -> usize {
    let mut steps = 0;
    while job.task.is_some_and(|task| task.epoch != epoch) || job.visit.is_none() {
        assert!(job.has_work(), "epoch {epoch} is not measured");
        job.step(session).unwrap();
        steps += 1;
    }
    // The weights are read, and there is a product more.
    for _ in 0..2 {
        job.step(session).unwrap();
    }
    assert_eq!(job.task.map(|task| task.epoch), Some(epoch));
    steps + 2
}

fn epochs(view: &AlongRunView) -> Vec<usize> {
    view.epochs.iter().map(|known| known.epoch).collect()
}

#[test]
fn epochs_are_measured_from_coarse_to_fine_and_each_is_what_the_library_finds() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    for (images, counted) in [(usize::MAX, IMAGES), (7, 7)] {
        let asked = AlongRunRequest {
            images,
            ..request(SNAPSHOTS)
        };
        let mut job = AlongRunJob::new(&session, asked).unwrap();
        assert_eq!((job.view().finished, job.view().seconds_left), (false, None));
        begin(&mut job, &session, 6);
        let early = job.view();
        assert_eq!((epochs(&early), early.at.map(|(epoch, _)| epoch)), (vec![0], Some(6)));
        assert!(early.seconds_left.is_some());
        let (order, _) = finish(&mut job, &session);
        assert_eq!(order, ORDER[1..]);
        let view = job.view();
        assert_eq!(epochs(&view), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((view.images, view.request), ([counted, IMAGES], asked));
        assert!(view.finished && view.at.is_none() && view.seconds_left.is_none());
        let effort = Effort {
            steps: 200,
            tolerance: 1e-3,
            seed: SEED,
        };
        for known in &view.epochs {
            let solution = session.epoch(known.epoch).unwrap();
            let expected = sharpness::sharpness(&session.objective, &solution, images, effort, &mut |_| true);
            // Products in parts are those that are made whole, to the last digit: see their tests.
            assert_eq!(known.sharpness, Ok(expected.unwrap()), "epoch {}", known.epoch);
            assert_eq!(known.non_uniformity, None);
        }
        let value = |index: usize| view.epochs[index].sharpness.as_ref().unwrap().value;
        assert!((value(0) / value(6) - 1.0).abs() > 1e-2, "the run has gone nowhere");
    }
}

#[test]
fn the_non_uniformity_comes_after_every_sharpness_and_is_what_the_library_estimates() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let asked = AlongRunRequest {
        uniformity: Some(16),
        ..request(3)
    };
    let mut job = AlongRunJob::new(&session, asked).unwrap();
    assert_eq!(finish(&mut job, &session).0, [0, 2, 1, 0, 2, 1]);
    let effort = Effort {
        steps: 60,
        tolerance: 1e-2,
        seed: SEED,
    };
    for known in &job.view().epochs {
        let solution = session.epoch(known.epoch).unwrap();
        let (policy, silent) = (BatchNormPolicy::Running, &mut |_: f64| true);
        let objective = &session.objective;
        let derivatives = Derivatives::new(objective, &solution, policy, Part::Train, IMAGES, silent).unwrap();
        let told = &mut |_: f64| true;
        let mut hessians = ImageHessians::new(&derivatives, told).unwrap();
        let expected = estimated_non_uniformity(&mut hessians, 4, 4, effort, &mut |_| true).unwrap();
        let found = known.non_uniformity.clone().unwrap().unwrap();
        // Both are the root of a mean of eigenvalues λ that lie within a hundredth of λ.
        assert!(
            (found.value / expected.value - 1.0).abs() < 1e-2,
            "{found:?} instead of {expected:?}"
        );
        assert!(found.standard_error.is_some());
    }
    // Not asked for any more, it is not told; asked for again, it is known.
    let mut job = job.go_on(request(3));
    assert!(!job.has_work() && job.view().epochs.iter().all(|known| known.non_uniformity.is_none()));
    job = job.go_on(asked);
    assert!(!job.has_work() && job.view().epochs.iter().all(|known| known.non_uniformity.is_some()));
    // From other images it is another one.
    job = job.go_on(AlongRunRequest {
        uniformity: Some(20),
        ..asked
    });
    assert_eq!(finish(&mut job, &session).0, [0, 2, 1]);
}

#[test]
fn it_is_held_and_goes_on_in_the_middle_of_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let mut whole = AlongRunJob::new(&session, request(SNAPSHOTS)).unwrap();
    let (_, all) = finish(&mut whole, &session);
    let mut job = AlongRunJob::new(&session, request(SNAPSHOTS)).unwrap();
    let steps = begin(&mut job, &session, 3);
    job.hold();
    assert!(!job.has_work());
    let held = job.view();
    assert_eq!((epochs(&held), held.finished, held.at), (vec![0, 6], true, None));
    let mut job = job.go_on(request(SNAPSHOTS));
    assert_eq!(job.view().epochs, held.epochs);
    let (order, rest) = finish(&mut job, &session);
    assert_eq!((order.as_slice(), steps + rest), (&ORDER[2..], all));
    assert_eq!(job.view().epochs, whole.view().epochs);
}

#[test]
fn let_go_it_keeps_what_was_measured_and_begins_the_epoch_anew() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let mut job = AlongRunJob::new(&session, request(SNAPSHOTS)).unwrap();
    begin(&mut job, &session, 3);
    job.hold();
    let held = job.view().epochs;
    job.let_go();
    assert!(job.visit.is_none() && !job.has_work());
    assert_eq!(job.view().epochs, held);
    let mut job = job.go_on(request(SNAPSHOTS));
    assert_eq!(finish(&mut job, &session).0, ORDER[2..]);
}

#[test]
fn what_failed_is_tried_again_once_where_the_same_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let path = RunFolder::open(&folder.path().join("run")).unwrap().snapshot_path(3);
    let weights = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let asked = request(SNAPSHOTS);
    let mut job = AlongRunJob::new(&session, asked).unwrap();
    assert_eq!(finish(&mut job, &session).0, ORDER);
    let lost = |job: &AlongRunJob| {
        let epochs = job.view().epochs.into_iter();
        let lost = epochs.filter(|known| known.sharpness.is_err());
        lost.map(|known| known.epoch).collect::<Vec<usize>>()
    };
    assert_eq!(lost(&job), [3]);
    // Another question has nothing to do with it: the epochs there are or s, too.
    job = job.go_on(request(SNAPSHOTS - 1));
    assert!(!job.has_work());
    job = job.go_on(asked);
    assert!(!job.has_work());
    // It fails again, and that is that.
    job = job.go_on(asked);
    assert_eq!(finish(&mut job, &session).0, [3]);
    assert_eq!(lost(&job), [3]);
    assert!(!job.has_work());
    std::fs::write(&path, weights).unwrap();
    job = job.go_on(asked);
    assert_eq!(finish(&mut job, &session).0, [3]);
    assert_eq!((lost(&job), job.view().epochs.len()), (Vec::new(), SNAPSHOTS));
    // The non-uniformity is tried again in the same way.
    let few = AlongRunRequest {
        uniformity: Some(4),
        ..request(2)
    };
    job = job.go_on(few);
    assert_eq!(finish(&mut job, &session).0, [0, 1]);
    job = job.go_on(few);
    assert_eq!(finish(&mut job, &session).0, [0, 1]);
}

#[test]
fn another_question_cancels_what_is_under_way_and_keeps_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let other = AlongRunRequest {
        images: 6,
        ..request(SNAPSHOTS)
    };
    let mut job = AlongRunJob::new(&session, request(SNAPSHOTS)).unwrap();
    begin(&mut job, &session, 3);
    let first = job.view().epochs;
    let mut job = job.go_on(other);
    assert!(job.visit.is_none() && job.view().epochs.is_empty());
    assert_eq!(finish(&mut job, &session).0, ORDER);
    let mut job = job.go_on(request(SNAPSHOTS));
    assert_eq!(job.view().epochs, first);
    assert_eq!(finish(&mut job, &session).0, ORDER[2..]);
    let job = job.go_on(other);
    assert!(!job.has_work());
    // All images are as many as there are.
    let all = AlongRunRequest {
        images: IMAGES,
        ..request(SNAPSHOTS)
    };
    assert!(!job.go_on(all).has_work());
}

#[test]
fn epochs_that_come_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let mut job = AlongRunJob::new(&session, request(3)).unwrap();
    assert_eq!(finish(&mut job, &session).0, [0, 2, 1]);
    let mut job = job.go_on(request(5));
    begin(&mut job, &session, 4);
    // What is under way is not begun again for another one.
    let mut job = job.go_on(request(6));
    assert!(job.visit.is_some());
    assert_eq!(finish(&mut job, &session).0, [4, 5, 3]);
    assert_eq!(epochs(&job.view()), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn an_epoch_without_a_hessian_is_left_out_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let run = RunFolder::open(&folder.path().join("run")).unwrap();
    let graph = session.objective.graph();
    let save = |epoch: usize, weight: f32| {
        let solution = Solution {
            parameters: vec![weight; graph.parameter_count()],
            statistics: Vec::new(),
        };
        run.save_snapshot(graph, epoch, &solution).unwrap();
    };
    save(2, f32::NAN);
    // Finite, but its logits are not.
    save(4, 1e30);
    std::fs::remove_file(run.snapshot_path(5)).unwrap();
    let asked = AlongRunRequest {
        uniformity: Some(8),
        ..request(SNAPSHOTS)
    };
    let mut job = AlongRunJob::new(&session, asked).unwrap();
    let (order, _) = finish(&mut job, &session);
    assert_eq!(order[..SNAPSHOTS], ORDER);
    // The non-uniformity is looked for where there is a sharpness; of the others there is nothing to wait for, so that
    // the first of the widest gaps is from 0 to 2.
    assert_eq!(order[SNAPSHOTS..], [0, 6, 1, 3]);
    let view = job.view();
    assert!(view.finished && view.problem.is_none());
    for known in &view.epochs {
        let about = match known.epoch {
            2 => "this network has diverged",
            4 => "is not finite, so that it has no spectrum",
            5 => "0005.safetensors",
            _ => {
                assert!(
                    known.sharpness.is_ok() && matches!(known.non_uniformity, Some(Ok(_))),
                    "{known:?}"
                );
                continue;
            }
        };
        let reason = known.sharpness.as_ref().unwrap_err();
        assert!(reason.contains(about), "{reason}");
        assert_eq!(known.non_uniformity, None);
    }
}

#[test]
fn what_cannot_be_measured_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let run = session(folder.path());
    let few = AlongRunRequest {
        uniformity: Some(4),
        ..request(1)
    };
    let mut job = AlongRunJob::new(&run, few).unwrap();
    finish(&mut job, &run);
    let known = &job.view().epochs[0];
    assert!(known.sharpness.is_ok());
    let reason = known.non_uniformity.clone().unwrap().unwrap_err();
    assert!(reason.contains("8 at least"), "{reason}");
    let none = AlongRunRequest {
        images: 0,
        ..request(1)
    };
    assert!(none.check().unwrap_err().to_string().contains("one image at least"));
    assert!(request(1).check().is_ok());

    let checkpoint = CheckpointRequest {
        path: folder.path().join("run/trajectory/0003.safetensors"),
        first: String::new(),
        second: None,
        model: Some(MODEL.to_owned()),
        data: DATA.to_owned(),
    };
    let checkpoint = Session::open_checkpoint(&checkpoint, &Compute::flex(), &mut |_| true).unwrap();
    let refused = match AlongRunJob::new(&checkpoint, request(1)) {
        Ok(_) => panic!("a checkpoint has a trajectory"),
        Err(error) => error.to_string(),
    };
    assert!(refused.contains("open a run folder"), "{refused}");
}
