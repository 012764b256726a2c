//! The tab along the run: every epoch is measured, from coarse to fine, beside what SGD's stability allows, and a click
//! goes to the timeline's epoch. And the same without a window.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2, Rect, pos2};
use egui_kittest::kittest::Queryable;
use valleyscope::app::{Page, State};
use valleyscope::curvature::Sgd;
use valleyscope::engine::{AlongRunRequest, AlongRunView, Anchor, CurvatureRequest, Engine, Request, Update};
use valleyscope::objective::BatchNormPolicy;
use valleyscope::training::{RunFolder, TrainingOptions};

use crate::common::derivatives::falling;
use crate::driver::{HAND, Window, adapter};
use crate::engine::{open, opened, start, train, wait};
use crate::worker::{largest, residual, usual as at_a_point};
use crate::{ROUNDING, Run, dense, is_complete, page, perceptron};

/// Accessible names of the plots.
const SHARPNESS: &str = "Sharpness by epoch";
const NON_UNIFORMITY: &str = "Non-uniformity by epoch";
/// Epochs of the perceptron's run, and the room beside them, as a share of them.
const EPOCHS: f32 = 5.0;
const BESIDE: f32 = 0.015;

/// A run whose epochs take long to measure.
fn long() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let options = TrainingOptions {
            epochs: 20,
            swa_start: 0,
            ..TrainingOptions::default()
        };
        Run::train("long", "mlp:64", |_| "builtin:train=3000:test=20".to_owned(), &options)
    })
}

/// The tab of a run that is open.
fn tab(run: &Run) -> Window {
    let mut window = page(run);
    window.click("Along the run");
    assert!(window.state().shows_along_run());
    window
}

/// The view once nothing is left to measure.
#[track_caller]
fn measured(window: &mut Window) -> Arc<AlongRunView> {
    window.until("every epoch is measured", |state| {
        state.along_run_view().is_some() && !state.is_measuring_along_run()
    });
    let view = window.state().along_run_view().unwrap();
    assert_eq!((&view.problem, view.finished), (&None, true));
    view
}

/// Where an epoch of the perceptron's run is in a plot.
fn place(rect: Rect, epoch: f32) -> Pos2 {
    let share = (epoch / EPOCHS + BESIDE) / (1.0 + 2.0 * BESIDE);
    pos2(rect.left() + share * rect.width(), rect.center().y)
}

#[test]
fn every_epoch_is_measured_told_and_gone_to() {
    if !adapter() {
        return;
    }
    let mut window = tab(perceptron());
    let view = measured(&mut window);
    let objective = perceptron().objective();
    let folder = RunFolder::open(&perceptron().folder).unwrap();
    assert_eq!(view.epochs.len(), folder.snapshots());
    for known in &view.epochs {
        let solution = folder.snapshot(objective.graph(), known.epoch).unwrap();
        let values = falling(&dense(&objective, &solution));
        let norm = values[0].abs().max(values[values.len() - 1].abs());
        let found = known.sharpness.clone().unwrap();
        let error = (found.value - values[0]).abs();
        assert!(
            found.converged && error <= found.residual + ROUNDING * norm,
            "{found:?} instead of {} at epoch {}",
            values[0],
            known.epoch
        );
    }
    window.harness.get_by_label("6 of 6 epochs");
    window.harness.get_by_label_contains("momentum μ = 0.9");
    assert!(window.harness.query_by_label(NON_UNIFORMITY).is_none());

    // A click goes to the timeline's epoch, and so do a drag and the keys; the page stays.
    let rect = window.rect(SHARPNESS);
    window.click_at(place(rect, 2.2), 1);
    assert_eq!(window.state().look.anchor, Anchor::Epoch(2));
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert_eq!(window.state().look.anchor, Anchor::Epoch(3));
    window.pull(HAND, place(rect, 3.0), place(rect, 0.9));
    assert_eq!(window.state().look.anchor, Anchor::Epoch(1));
    window.key(Modifiers::NONE, Key::ArrowLeft);
    window.key(Modifiers::NONE, Key::ArrowLeft);
    assert_eq!(window.state().look.anchor, Anchor::Epoch(0));
    window.click_at(place(window.rect("Train loss by epoch"), 4.0), 1);
    assert_eq!((window.state().epoch(), window.state().page), (4.0, Page::Curvature));
    let told = window.tooltip(place(rect, 3.0), "loss/weight²");
    assert!(told.starts_with("epoch 3, η = 0.0200"), "{told}");
    assert!(
        told.contains("2/η = 100.0") && told.contains("2(1 + μ)/η = 190.0"),
        "{told}"
    );

    // The non-uniformity follows where it is asked for; what was measured stays.
    window.number("Images of the estimate", 16.0);
    window
        .harness
        .get_by_role_and_label(Role::CheckBox, "Estimate s")
        .click();
    window.harness.step();
    window.until("the non-uniformity is wanted", |state| {
        state
            .along_run_view()
            .is_some_and(|view| view.request.uniformity == Some(16))
    });
    let with = measured(&mut window);
    for (known, before) in with.epochs.iter().zip(&view.epochs) {
        assert_eq!(known.sharpness, before.sharpness);
        let found = known.non_uniformity.clone().unwrap().unwrap();
        assert!(found.value > 0.0 && found.standard_error.is_some(), "{found:?}");
    }
    window.harness.get_by_label("6 of 6 epochs, s at 6");
    let told = window.tooltip(place(window.rect(NON_UNIFORMITY), 3.0), "loss/weight²");
    let bound = Sgd::new(0.02, 8, 40).unwrap().non_uniformity_bound();
    let bound = format!("(1/η)√(B(n − 1)/(n − B)) = {bound:.1}");
    assert!(told.contains(&bound) && told.contains("s = λ_max(Σ)^½"), "{told}");
    window.harness.remove_cursor();
    window.rest();
    window.snapshot("curvature_along_run");
    window.click("Light");
    window.harness.remove_cursor();
    window.rest();
    window.snapshot("curvature-along-run-light");
}

#[test]
fn it_is_rough_at_once_stops_when_it_is_left_and_goes_on() {
    if !adapter() {
        return;
    }
    let mut window = tab(long());
    let all = "All images";
    window.harness.get_by_role_and_label(Role::CheckBox, all).click();
    let view = |state: &State, seed: u64| {
        let view = state.along_run_view();
        view.filter(|view| (view.request.seed, view.images[0]) == (seed, 3000))
    };
    let count = move |state: &State, seed: u64| view(state, seed).map_or(0, |view| view.epochs.len());
    window.until("there is a rough curve", |state| count(state, 1) >= 2);
    assert!(window.state().is_measuring_along_run());
    window.harness.get_by_label_contains("of 21 epochs");
    let early = view(window.state(), 1).unwrap();
    let mut order: [usize; 5] = [0, 20, 10, 5, 15];
    let known = early.epochs.len().min(order.len());
    order[..known].sort_unstable();
    let epochs: Vec<usize> = early.epochs.iter().map(|known| known.epoch).collect();
    assert!(epochs.len() > known || epochs == order[..known], "{epochs:?}");

    window.key(Modifiers::NONE, Key::C);
    assert_eq!(window.state().page, Page::Explore);
    window.until("it has stopped", |state| {
        view(state, 1).is_some_and(|view| view.finished)
    });
    let left = count(window.state(), 1);
    assert!((2..21).contains(&left), "{left}");
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.until("the slice is served meanwhile", is_complete);
    assert_eq!(count(window.state(), 1), left);

    window.click("Curvature");
    window.until("it goes on", |state| count(state, 1) > left);
    window.click("Stop along the run");
    window.until("it is stopped", |state| {
        view(state, 1).is_some_and(|view| view.finished)
    });
    assert!(!window.state().is_measuring_along_run());
    window.harness.get_by_label_contains("epochs, stopped");
    let stopped = view(window.state(), 1).unwrap();
    window.rest();
    assert_eq!(count(window.state(), 1), stopped.epochs.len());

    // Another question begins by itself and anew; what was measured before is still there.
    window.number("Seed of the spectrum", 2.0);
    window.until("another seed has begun", |state| {
        view(state, 2).is_some_and(|view| view.at.is_some())
    });
    assert!(count(window.state(), 2) < stopped.epochs.len());
    window.number("Seed of the spectrum", 1.0);
    window.until("the first seed is known", |state| {
        count(state, 1) >= stopped.epochs.len()
    });
    let again = view(window.state(), 1).unwrap();
    let is_known = |known| again.epochs.contains(known);
    assert!(stopped.epochs.iter().all(is_known));
    window.key(Modifiers::NONE, Key::Escape);
    window.until("Escape stops it", |state| !state.is_measuring_along_run());
}

#[test]
fn without_epochs_the_tab_says_what_to_do() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(folder.path(), None);
    window.harness.step();
    window.click("Curvature");
    window.click("Along the run");
    window.harness.get_by_label("No run to measure yet");
    window.harness.get_by_role_and_label(Role::Button, "Train the example");

    let checkpoint = perceptron().folder.join("swa.safetensors");
    let mut window = Window::open(Path::new("runs"), Some(&checkpoint));
    window.until("the checkpoint is open", |state| {
        state.is_checkpoint() && is_complete(state)
    });
    window.key(Modifiers::NONE, Key::C);
    window.click("Along the run");
    window.harness.get_by_label("A checkpoint has no trajectory");
    window
        .harness
        .get_by_label_contains("Open a run folder or train the example");
    window.click("Go to the stage");
    assert_eq!(window.state().page, Page::Explore);
}

fn usual(session: u64, snapshots: usize) -> AlongRunRequest {
    AlongRunRequest {
        session,
        policy: BatchNormPolicy::Running,
        images: usize::MAX,
        seed: 1,
        uniformity: None,
        snapshots,
    }
}

/// The view of a request that satisfies a condition.
#[track_caller]
fn view(
    engine: &Engine,
    request: AlongRunRequest,
    what: &str,
    condition: impl Fn(&AlongRunView) -> bool,
) -> Arc<AlongRunView> {
    wait(what, || {
        let view = engine.slots().along_run.get();
        view.filter(|view| view.request == request && condition(view))
    })
}

#[test]
fn the_policy_and_the_images_count() {
    let (engine, session) = open(&residual().folder);
    let objective = residual().objective();
    let folder = RunFolder::open(&residual().folder).unwrap();
    for (policy, images) in [
        (BatchNormPolicy::Running, usize::MAX),
        (BatchNormPolicy::Recompute, usize::MAX),
        (BatchNormPolicy::Recompute, 30),
        (BatchNormPolicy::Batch, usize::MAX),
    ] {
        let request = AlongRunRequest {
            policy,
            images,
            ..usual(session, 3)
        };
        engine.send(Request::AlongRun(Some(request)));
        let known = view(&engine, request, "every epoch is measured", |view| view.finished);
        assert_eq!((known.epochs.len(), known.images), (3, [images.min(140), 140]));
        for known in &known.epochs {
            let solution = folder.snapshot(objective.graph(), known.epoch).unwrap();
            let expected = largest(&objective, &solution, policy, images);
            let value = known.sharpness.as_ref().unwrap().value;
            // Made in the same order, batch by batch.
            assert!(
                (value / expected - 1.0).abs() < 1e-6,
                "{value} instead of {expected}, {policy}, epoch {}",
                known.epoch
            );
        }
    }
}

#[test]
fn epochs_are_added_while_a_run_is_trained() {
    let engine = start();
    let folder = tempfile::tempdir().unwrap();
    train(&engine, folder.path(), "mlp:4");
    let session = opened(&engine).session;
    for least in [1, 4] {
        let epoch = wait("an epoch is done", || {
            let updates = engine.updates().into_iter();
            let epochs = updates.filter_map(|update| match update {
                Update::Epoch(row) => Some(row.epoch),
                _ => None,
            });
            epochs.max().filter(|&epoch| epoch >= least)
        });
        let request = usual(session, epoch + 1);
        engine.send(Request::AlongRun(Some(request)));
        let known = view(&engine, request, "its epochs are measured", |view| view.finished);
        let epochs: Vec<usize> = known.epochs.iter().map(|known| known.epoch).collect();
        assert_eq!(epochs, (0..=epoch).collect::<Vec<usize>>());
        assert!(known.epochs.iter().all(|known| known.sharpness.is_ok()), "{known:?}");
    }
    let epoch = || engine.slots().training.get().map(|training| training.epoch);
    let before = wait("training goes on", epoch);
    wait("training has gone on meanwhile", || {
        epoch().filter(|&epoch| epoch > before)
    });
    engine.send(Request::Stop);
    wait("training ends", || {
        let mut updates = engine.updates().into_iter();
        updates.find(|update| matches!(update, Update::TrainingEnded(_)))
    });
}

#[test]
fn what_makes_no_sense_is_told_with_the_view_and_another_run_is_another_one() {
    let (engine, session) = open(&perceptron().folder);
    let none = AlongRunRequest {
        images: 0,
        ..usual(session, 6)
    };
    engine.send(Request::AlongRun(Some(none)));
    let refused = view(&engine, none, "it is refused", |view| view.problem.is_some());
    assert!(refused.problem.as_ref().unwrap().contains("one image at least"));
    assert!(refused.finished && refused.epochs.is_empty());
    // After that all is well.
    let first = usual(session, 6);
    engine.send(Request::AlongRun(Some(first)));
    let known = view(&engine, first, "every epoch is measured", |view| view.finished);
    assert_eq!(known.epochs.len(), 6);
    engine.send(Request::AlongRun(None));

    engine.send(Request::Open(residual().folder.display().to_string()));
    let next = opened(&engine).session;
    assert!(engine.slots().along_run.get().is_none());
    // What was asked of the run before is dropped without a word: what is sent after it is answered first.
    engine.send(Request::AlongRun(Some(first)));
    let nothing = CurvatureRequest {
        largest: 0,
        ..at_a_point(next)
    };
    engine.send(Request::Curvature(Some(Box::new(nothing.clone()))));
    wait("what came after it is refused", || {
        let view = engine.slots().curvature.get();
        view.filter(|view| view.request == nothing && view.problem.is_some())
    });
    assert!(engine.slots().along_run.get().is_none());
    let now = usual(next, 1);
    engine.send(Request::AlongRun(Some(now)));
    let other = view(&engine, now, "the run that is open counts", |view| view.finished);
    assert_eq!((other.epochs.len(), other.images), (1, [140, 140]));
}
