//! The same without a window: the worker is asked, and answers.

use std::sync::Arc;

use valleyscope::curvature::{Effort, LanczosOptions, SymmetricOperator, extreme_eigenpairs};
use valleyscope::data::Part;
use valleyscope::engine::{
    Anchor, CurvatureRequest, CurvatureView, Engine, Request, SliceRequest, Step, Turn, Update, View,
};
use valleyscope::error::Result;
use valleyscope::landscape::{Basis, DirectionKind, Normalisation, direction};
use valleyscope::objective::{BatchNormPolicy, Derivatives, Objective, Solution};
use valleyscope::training::{RunFolder, TrainingOptions};

use crate::engine::{open, opened, start, train, wait};
use crate::{Run, perceptron, slow};

fn ask(engine: &Engine, request: &CurvatureRequest) {
    engine.send(Request::Curvature(Some(Box::new(request.clone()))));
}

/// The view of a request that satisfies a condition.
#[track_caller]
fn view(
    engine: &Engine,
    request: &CurvatureRequest,
    what: &str,
    condition: impl Fn(&CurvatureView) -> bool,
) -> Arc<CurvatureView> {
    wait(what, || {
        let view = engine.slots().curvature.get();
        view.filter(|view| view.request == *request && condition(view))
    })
}

#[track_caller]
fn finished(engine: &Engine, request: &CurvatureRequest) -> Arc<CurvatureView> {
    view(engine, request, "everything is found", |view| view.finished)
}

pub fn usual(session: u64) -> CurvatureRequest {
    CurvatureRequest {
        session,
        anchor: Anchor::Swa,
        walk: Vec::new(),
        policy: BatchNormPolicy::Running,
        images: usize::MAX,
        largest: 1,
        smallest: 0,
        seed: 1,
        uniformity: None,
    }
}

/// A small network with batch norm.
pub fn residual() -> &'static Run {
    static RUN: std::sync::OnceLock<Run> = std::sync::OnceLock::new();
    RUN.get_or_init(|| {
        let options = TrainingOptions {
            epochs: 2,
            batch_size: 20,
            swa_start: 1,
            sgd_epochs: 0,
            ..TrainingOptions::default()
        };
        Run::train(
            "residual",
            "resnet8:width=2",
            |_| "builtin:train=140:test=20".to_owned(),
            &options,
        )
    })
}

/// The Hessian over the first images of the training split.
struct Hessian<'a>(Derivatives<'a>, usize);

impl SymmetricOperator for Hessian<'_> {
    fn dimension(&self) -> usize {
        self.1
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        self.0.hessian_vector(vector, &mut |_| true)
    }
}

/// The largest eigenvalue at a point under a policy.
pub fn largest(objective: &Objective, solution: &Solution, policy: BatchNormPolicy, images: usize) -> f64 {
    let silent = &mut |_: f64| true;
    let derivatives = Derivatives::new(objective, solution, policy, Part::Train, images, silent).unwrap();
    let options = LanczosOptions {
        largest: 1,
        smallest: 0,
        copies: false,
        effort: Effort {
            steps: 200,
            tolerance: 1e-3,
            seed: 1,
        },
    };
    let mut hessian = Hessian(derivatives, solution.parameters.len());
    let found = extreme_eigenpairs(&mut hessian, options, &mut |_| true).unwrap();
    found.largest[0].value
}

#[test]
fn the_point_its_walk_its_policy_and_its_images_count() {
    let (engine, session) = open(&residual().folder);
    let objective = residual().objective();
    // With the statistics of training, which no policy finds again.
    let folder = RunFolder::open(&residual().folder).unwrap();
    let last = folder.snapshot(objective.graph(), 2).unwrap();
    let turn = Turn {
        first: Basis::Random(DirectionKind::Uniform, 1),
        second: Basis::Random(DirectionKind::Gaussian, 1),
        angle: 0.0,
        normalisation: Normalisation::Unit,
    };
    let drawn = |kind| direction::random(objective.graph(), kind, 1).unwrap();
    let (first, second) = (drawn(DirectionKind::Uniform), drawn(DirectionKind::Gaussian));
    let moved = last.moved(&direction::turned(&first, &second, 0.0).unwrap(), 0.4);
    let mut values = Vec::new();
    for (walk, policy, images) in [
        (Vec::new(), BatchNormPolicy::Running, usize::MAX),
        (Vec::new(), BatchNormPolicy::Running, 30),
        (Vec::new(), BatchNormPolicy::Recompute, usize::MAX),
        (Vec::new(), BatchNormPolicy::Recompute, 30),
        (Vec::new(), BatchNormPolicy::Batch, usize::MAX),
        (vec![Step { turn, position: 0.4 }], BatchNormPolicy::Running, usize::MAX),
    ] {
        let (solution, name) = match walk.is_empty() {
            true => (&last, "epoch 2"),
            false => (&moved, "epoch 2 +0.4 along uniform (seed 1)"),
        };
        let request = CurvatureRequest {
            anchor: Anchor::Epoch(2),
            walk,
            policy,
            images,
            ..usual(session)
        };
        ask(&engine, &request);
        let known = view(&engine, &request, "the eigenvector is found", |view| {
            view.eigenvectors.is_some() || view.problem.is_some()
        });
        assert_eq!(known.problem, None);
        assert_eq!((known.origin.as_str(), known.images), (name, [images.min(140), 140]));
        assert_eq!(
            known.eigenvectors.as_ref().unwrap().names,
            [format!("eigenvector 1 of {name}")]
        );
        let expected = largest(&objective, solution, policy, images);
        let value = known.largest[0].value;
        // Made in the same order, batch by batch.
        assert!(
            (value / expected - 1.0).abs() < 1e-6,
            "{value} instead of {expected}, {policy}"
        );
        values.push(value);
    }
    // None of them is another by chance.
    for (index, one) in values.iter().enumerate() {
        for other in &values[..index] {
            assert!((one / other - 1.0).abs() > 1e-4, "{values:?}");
        }
    }
}

#[test]
fn it_is_held_goes_on_and_is_replaced() {
    let (engine, session) = open(&slow().folder);
    let long = CurvatureRequest {
        anchor: Anchor::Current,
        largest: 32,
        smallest: 32,
        ..usual(session)
    };
    ask(&engine, &long);
    let first = view(&engine, &long, "two products are made", |view| view.steps >= 2);
    assert!(!first.finished && first.eigenvectors.is_none());
    assert_eq!(first.origin, "epoch 1");
    engine.send(Request::Curvature(None));
    let held = finished(&engine, &long);
    assert!(held.steps >= first.steps && !held.converged);
    // A slice goes before it.
    let slice = SliceRequest {
        session,
        anchor: Anchor::Current,
        walk: Vec::new(),
        view: View::Direction(Turn {
            first: Basis::Random(DirectionKind::Uniform, 3),
            second: Basis::Random(DirectionKind::Gaussian, 3),
            angle: 0.5,
            normalisation: Normalisation::Unit,
        }),
        policy: BatchNormPolicy::Running,
        range: (-1.0, 1.0),
        marked: 0.0,
        compass: None,
        surface: None,
    };
    ask(&engine, &long);
    engine.send(Request::Slice(Some(Box::new(slice.clone()))));
    wait("the slice is complete", || {
        let view = engine.slots().slice.get()?;
        (view.request == slice && view.level.full && view.refining.is_none()).then_some(())
    });
    let between = engine.slots().curvature.get().unwrap();
    assert!(between.steps >= held.steps, "it began anew");
    let later = view(&engine, &long, "it goes on behind the slice", |view| {
        view.steps > between.steps
    });
    assert!(!later.finished);

    // Another point takes its place, and another session ends it.
    let other = CurvatureRequest {
        anchor: Anchor::Epoch(0),
        ..long.clone()
    };
    ask(&engine, &other);
    view(&engine, &other, "the other has begun", |view| {
        view.steps >= 1 && view.origin == "epoch 0"
    });
    engine.send(Request::Open(slow().folder.display().to_string()));
    let next = opened(&engine).session;
    assert_ne!(next, session);
    assert!(engine.slots().curvature.get().is_none());
    // What was asked of the run before is dropped without a word.
    ask(&engine, &long);
    let now = CurvatureRequest { session: next, ..long };
    ask(&engine, &now);
    view(&engine, &now, "the run that is open counts", |view| view.steps >= 1);
}

#[test]
fn the_non_uniformity_comes_when_it_is_asked_for_and_keeps_the_rest() {
    let (engine, session) = open(&perceptron().folder);
    let spectrum = usual(session);
    ask(&engine, &spectrum);
    let before = finished(&engine, &spectrum);
    assert_eq!((before.non_uniformity, before.trace.unwrap().samples), (None, 20));
    let with = CurvatureRequest {
        uniformity: Some(16),
        ..spectrum.clone()
    };
    ask(&engine, &with);
    let after = view(&engine, &with, "it is known", |view| {
        view.non_uniformity.is_some() && view.finished
    });
    assert_eq!(
        (&after.largest, &after.trace, &after.eigenvectors, after.steps),
        (&before.largest, &before.trace, &before.eigenvectors, before.steps)
    );
    // Too few images are told in words, and asked again with more, it is found; the spectrum stays.
    let few = CurvatureRequest {
        uniformity: Some(4),
        ..spectrum.clone()
    };
    ask(&engine, &few);
    let refused = view(&engine, &few, "it is refused", |view| view.problem.is_some());
    assert!(refused.problem.as_ref().unwrap().contains("8 at least"), "{refused:?}");
    assert_eq!(refused.largest, before.largest);
    let more = CurvatureRequest {
        uniformity: Some(20),
        ..spectrum
    };
    ask(&engine, &more);
    let again = view(&engine, &more, "it is found again", |view| {
        view.finished && view.non_uniformity != after.non_uniformity
    });
    assert_eq!((again.problem.as_ref(), again.steps), (None, before.steps));
}

#[test]
fn what_makes_no_sense_is_told_with_the_view() {
    let (engine, session) = open(&perceptron().folder);
    type Change = fn(&mut CurvatureRequest);
    let cases: [(&str, Change); 4] = [
        ("1 to 32 of the largest", |request| request.largest = 0),
        ("1 to 32 of the largest", |request| request.smallest = 33),
        ("at least one image", |request| request.images = 0),
        ("0099.safetensors", |request| request.anchor = Anchor::Epoch(99)),
    ];
    for (about, change) in cases {
        let mut request = usual(session);
        change(&mut request);
        ask(&engine, &request);
        let failed = view(&engine, &request, "it is refused", |view| view.problem.is_some());
        let problem = failed.problem.clone().unwrap();
        assert!(failed.finished && failed.largest.is_empty(), "{failed:?}");
        assert!(problem.contains(about), "{problem}");
    }
    // After that all is well.
    ask(&engine, &usual(session));
    assert_eq!(finished(&engine, &usual(session)).problem, None);
    let failed = engine
        .updates()
        .into_iter()
        .any(|update| matches!(update, Update::Failed(_)));
    assert!(!failed, "what is on the page needs no notice");
}

#[test]
fn weights_that_are_trained_are_taken_as_they_are_at_the_start() {
    let engine = start();
    let folder = tempfile::tempdir().unwrap();
    train(&engine, folder.path(), "mlp:4");
    let session = opened(&engine).session;
    let epoch = || engine.slots().training.get().map(|training| training.epoch);
    let before = wait("training is on its way", || epoch().filter(|&epoch| epoch > 0.0));
    let request = CurvatureRequest {
        anchor: Anchor::Current,
        largest: 2,
        ..usual(session)
    };
    ask(&engine, &request);
    let found = finished(&engine, &request);
    assert_eq!(found.problem, None);
    assert!(found.origin.starts_with("training, epoch "), "{}", found.origin);
    let name = &found.eigenvectors.as_ref().unwrap().names[1];
    assert_eq!(*name, format!("eigenvector 2 of {}", found.origin));
    wait("training has gone on meanwhile", || {
        epoch().filter(|&epoch| epoch > before + 1.0)
    });
    // Asked again, it is of the weights as they are then.
    ask(&engine, &request);
    let again = view(&engine, &request, "it is of another point", |view| {
        view.origin != found.origin
    });
    assert!(again.origin.starts_with("training, epoch "));
    engine.send(Request::Stop);
    wait("training ends", || {
        let mut updates = engine.updates().into_iter();
        updates.find(|update| matches!(update, Update::TrainingEnded(_)))
    });
}
