//! The window, driven by its accessible names on the software adapter.

#[path = "window/checkpoint.rs"]
mod checkpoint;
mod common;
#[path = "common/window.rs"]
mod driver;

use std::path::Path;

use driver::{Window, adapter};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2, Rect, Vec2};
use egui_kittest::kittest::Queryable;
use valleyscope::app::{Picture, State};
use valleyscope::data::Part;
use valleyscope::engine::{Anchor, View};
use valleyscope::objective::BatchNormPolicy;
use valleyscope::training::{RunFolder, TrainingOptions};

/// Trains a small run with what the form offers.
#[track_caller]
fn train_small(window: &mut Window, folder: &Path) {
    window.text("Model", "resnet8:width=2");
    window.text("Data", "builtin:train=100:test=50");
    for (label, value) in [("Epochs", 6.0), ("Batch", 20.0), ("SWA from", 3.0), ("SGD for", 2.0)] {
        window.number(label, value);
    }
    window.text("Folder", &folder.display().to_string());
    // Where Stop was a moment ago, a click is not meant for Train.
    window.until("the Train button answers", |state| !state.just_ended());
    window.click("Train");
}

fn losses(state: &State) -> Vec<(f64, f64)> {
    let slice = state.slice.as_ref().unwrap();
    slice.lines[0].record.curve.losses(Part::Train).collect()
}

fn is_refined(state: &State) -> bool {
    state
        .slice
        .as_ref()
        .is_some_and(|slice| slice.level.full && slice.refining.is_none())
}

/// The whole way of a first visit: train, watch, drag, compare, scrub, export.
#[test]
fn a_first_visit() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(folder.path(), None);
    window.harness.step();
    window.harness.get_by_label("No valley in sight yet");
    let run = folder.path().join("run");
    train_small(&mut window, &run);
    window.until("both training curves have points", |state| {
        state.train_points.len() >= 2 && state.run.as_ref().is_some_and(|run| run.metrics.len() >= 2)
    });
    window.until("a slice of the live weights", |state| state.slice.is_some());

    // The slice follows the hand on the pad.
    window.until("training ends", |state| {
        state.training.is_none() && state.run.as_ref().is_some_and(|run| run.sgd)
    });
    window.until("the interpolation appears by itself", |state| {
        state.look.picture == Picture::Interpolation
            && state
                .slice
                .as_ref()
                .is_some_and(|slice| slice.request.view == View::Interpolation)
    });
    window.click("Direction");
    window.until("a refined slice through SWA", |state| {
        is_refined(state)
            && state
                .slice
                .as_ref()
                .is_some_and(|slice| slice.request.anchor == Anchor::Swa)
    });
    let before = losses(window.state());
    let pad = window.rect("Direction pad");
    window.drag(
        pad.center() + Vec2::new(60.0, -60.0),
        pad.center() + Vec2::new(-70.0, 0.5),
    );
    let degrees = window.state().look.angle.to_degrees();
    assert!((degrees - 180.0).abs() < 2.0, "{degrees}");
    window.until("the slice follows while the button is still down", |state| {
        let slice = state.slice.as_ref().unwrap();
        matches!(slice.request.view, View::Direction(turn) if turn == state.look.turn())
    });
    assert_ne!(before, losses(window.state()));
    window.harness.drop_at(pad.center() + Vec2::new(-70.0, 0.5));
    window.harness.step();

    // Dragging along the curve walks the point; Enter takes it, undo brings it back.
    window.until("the new slice is refined", is_refined);
    let curve = window.rect("Loss curve");
    let target = curve.center() + Vec2::new(curve.width() * 0.25, 0.0);
    window.drag(curve.center(), target);
    window.harness.drop_at(target);
    window.harness.step();
    let position = window.state().look.position;
    assert!((0.5..2.9).contains(&position), "{position}");
    window.until("the marked position itself is measured", |state| {
        losses(state).iter().any(|(x, _)| *x == state.look.position)
    });
    let here = window.state().slice.as_ref().unwrap().distance.at(position);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.state().look.walk.len(), 1);
    window.until("the slice starts at the point walked to", |state| {
        state.slice.as_ref().is_some_and(|slice| slice.request.walk.len() == 1)
    });
    let walked = window.state().slice.as_ref().unwrap().distance.at(0.0);
    assert!((walked - here).abs() < 1e-3 * here, "{walked} and {here}");
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look.walk.len(), 0);

    // Scrubbing: the slice follows w_t.
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Epoch")
        .set_value_accesskit(2.0);
    window.until("the slice through the second snapshot", |state| {
        state.look.anchor == Anchor::Epoch(2)
            && state
                .slice
                .as_ref()
                .is_some_and(|slice| slice.request.anchor == Anchor::Epoch(2))
    });
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert_eq!(window.state().look.anchor, Anchor::Epoch(3));

    // Another policy gives another curve at the same place.
    window.until("refined under `running`", |state| {
        is_refined(state)
            && state
                .slice
                .as_ref()
                .is_some_and(|s| s.request.anchor == Anchor::Epoch(3))
    });
    let running = losses(window.state());
    window.harness.get_by_label("Batch-norm policy").click();
    window.harness.step();
    window.harness.step();
    window.click("batch");
    window.until("refined under `batch`", |state| {
        is_refined(state)
            && state
                .slice
                .as_ref()
                .is_some_and(|slice| slice.request.policy == BatchNormPolicy::Batch)
    });
    assert_ne!(running, losses(window.state()));

    // Two directions over each other.
    window.click("Compare");
    window.until("two curves", |state| {
        state.slice.as_ref().is_some_and(|slice| slice.lines.len() == 2)
    });

    // Export writes what is on the stage.
    window.key(Modifiers::COMMAND, Key::S);
    for ending in ["png", "svg", "csv"] {
        if !window.state().export.open {
            window.click("Export");
        }
        let file = folder.path().join(format!("picture.{ending}"));
        window.text("File", &file.display().to_string());
        if ending == "svg" {
            // Enter in the field does what the button does.
            window.harness.get_by_role_and_label(Role::TextInput, "File").focus();
            window.harness.step();
            window.key(Modifiers::NONE, Key::Enter);
        } else {
            window.click("Write");
        }
        let name = file.display().to_string();
        window.until("the file is reported", |state| {
            state.notices.iter().any(|n| !n.failed && n.text.contains(&name))
        });
    }
    let image = image::open(folder.path().join("picture.png")).unwrap().to_rgb8();
    for colour in [[0, 140, 100], [170, 68, 136]] {
        assert!(
            image.pixels().filter(|p| p.0 == colour).count() > 500,
            "a curve of colour {colour:?}"
        );
    }
    let table = std::fs::read_to_string(folder.path().join("picture.csv")).unwrap();
    assert!(table.starts_with("curve,position,train_loss"), "{table}");
    assert!(folder.path().join("picture.json").exists());

    // The run that the window trained opens like any other.
    assert_eq!(RunFolder::open(&run).unwrap().snapshots(), 9);
}

#[test]
fn training_is_paused_by_the_space_bar_and_stopped_runs_can_be_continued() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(folder.path(), None);
    window.number("SGD for", 60.0);
    train_small(&mut window, &folder.path().join("run"));
    window.until("training runs", |state| state.is_training());
    window.key(Modifiers::NONE, Key::Space);
    window.until("it is paused", |state| {
        state.training.as_ref().is_some_and(|t| t.paused)
    });
    window.until("the resting point is refined", is_refined);
    window.key(Modifiers::NONE, Key::Space);
    window.until("it goes on, and two epochs more are there", |state| {
        state.is_training() && state.run.as_ref().is_some_and(|run| run.metrics.len() >= 2)
    });
    window.click("Stop");
    window.until("it has stopped, and the newest snapshot is refined", |state| {
        state.training.is_none() && is_refined(state) && state.slice.as_ref().is_some_and(|slice| slice.epoch.is_none())
    });
    window.click("Continue this run");
    window.until("it goes on to the end", |state| {
        state.training.is_none() && state.run.as_ref().is_some_and(|run| run.sgd)
    });
}

/// A folder that a person drops on the window.
#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("a folder has no bytes".to_owned())
    }
}

#[test]
fn escape_stops_evaluation_and_it_can_be_taken_up_again() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    finished_run(&run);
    let mut window = Window::open(folder.path(), None);
    window.harness.step();
    window
        .harness
        .input_mut()
        .dropped_files
        .push(std::sync::Arc::new(Dropped(run)));
    window.until("a coarse slice of the run dropped on the window", |state| {
        state.slice.is_some()
    });
    assert!(!is_refined(window.state()));
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.state().stopped);
    window.click("Evaluate again");
    window.until("it is refined after all", is_refined);

    // A second run starts as the first did: with `running`, and its interpolation comes up by itself at the end.
    assert_eq!(window.state().look.policy, BatchNormPolicy::Recompute);
    train_small(&mut window, &folder.path().join("second"));
    window.until("the second run trains", State::is_training);
    assert_eq!(window.state().look.policy, BatchNormPolicy::Running);
    window.until("its interpolation appears", |state| {
        state.training.is_none() && state.look.picture == Picture::Interpolation
    });
}

#[test]
fn mistakes_become_notices_and_the_window_lives_on() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(folder.path(), None);
    let complains = |window: &mut Window, about: &'static str| {
        window.until(about, |state| {
            state.notices.iter().any(|n| n.failed && n.text.contains(about))
        });
        while !window.state().notices.is_empty() {
            let first = window
                .harness
                .get_all_by_role_and_label(Role::Button, "Dismiss")
                .next()
                .unwrap();
            first.click();
            window.harness.step();
            window.harness.step();
        }
    };
    for (label, bad, good, about) in [
        ("Batch", 0.0, 20.0, "--batch-size = 0"),
        ("Rate", -0.1, 0.1, "--lr = -0.1"),
        ("SWA from", 500.0, 3.0, "--swa-start = 500"),
    ] {
        window.number(label, bad);
        window.click("Train");
        complains(&mut window, about);
        window.number(label, good);
    }
    window.open_path(&folder.path().join("nowhere"));
    complains(&mut window, "no such file or folder");
    std::fs::write(folder.path().join("file"), "in the way").unwrap();
    train_small(&mut window, &folder.path().join("file/run"));
    complains(&mut window, "file");
    window.text("Model", "resnet9");
    window.click("Train");
    complains(&mut window, "6n+2");

    // A learning rate that diverges: told, and what was trained before is still there.
    let wild = folder.path().join("wild");
    window.number("Rate", 1e30);
    train_small(&mut window, &wild);
    complains(&mut window, "diverged");
    window.until("training has ended", |state| state.training.is_none());
    assert!(RunFolder::open(&wild).unwrap().snapshots() >= 1);

    // A run with a broken snapshot opens, and says so when that snapshot is asked for.
    window.number("Rate", 0.1);
    let run = folder.path().join("run");
    train_small(&mut window, &run);
    window.until("training ends", |state| {
        state.training.is_none() && state.run.as_ref().is_some_and(|run| run.sgd)
    });
    std::fs::write(run.join("trajectory/0002.safetensors"), "cut short").unwrap();
    let session = window.state().run.as_ref().unwrap().session;
    window.open_path(&run);
    window.until("the run is open again", |state| {
        state.run.as_ref().is_some_and(|run| run.session > session)
    });
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Epoch")
        .set_value_accesskit(2.0);
    complains(&mut window, "0002.safetensors");
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Epoch")
        .set_value_accesskit(4.0);
    window.until("another snapshot still shows its slice", |state| {
        state
            .slice
            .as_ref()
            .is_some_and(|slice| slice.request.anchor == Anchor::Epoch(4))
    });
}

/// A small finished run.
fn finished_run(path: &Path) {
    let options = TrainingOptions {
        epochs: 12,
        batch_size: 20,
        swa_start: 7,
        sgd_epochs: 3,
        ..TrainingOptions::default()
    };
    driver::train(path, "resnet8:width=4", "builtin:train=200:test=100", &options);
}

#[test]
fn the_main_states_look_as_they_did() {
    if !adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(Path::new("runs"), None);
    window.harness.step();
    window.snapshot("empty");
    let mut results = window.harness.take_snapshot_results();

    let run = folder.path().join("run");
    finished_run(&run);
    let mut window = Window::open(Path::new("runs"), Some(&run));
    // The folder's name is another on every machine.
    window
        .harness
        .mask(Rect::from_min_max(Pos2::new(110.0, 0.0), Pos2::new(900.0, 38.0)));
    window.until("the interpolation is complete", is_refined);
    window.snapshot("interpolation");

    window.click("Direction");
    window.until("the slice and the pad's map are complete", |state| {
        is_refined(state)
            && state
                .slice
                .as_ref()
                .is_some_and(|slice| slice.request.view != View::Interpolation)
            && state
                .compass
                .as_ref()
                .is_some_and(|map| map.losses.iter().all(Option::is_some))
    });
    window.snapshot("direction");
    let image = window.harness.render().unwrap();
    let pad = window.rect("Direction pad");
    let (mut dark, mut bright) = (0, 0);
    for y in pad.top() as u32..pad.bottom() as u32 {
        for x in pad.left() as u32..pad.right() as u32 {
            let [r, g, b, _] = image.get_pixel(x, y).0;
            // The two ends of viridis: dark violet and bright yellow-green.
            dark += usize::from(b > g + 40 && r < 90);
            bright += usize::from(g > 170 && b < 140);
        }
    }
    assert!(
        dark > 100 && bright > 100,
        "the map shows low and high losses: {dark}, {bright}"
    );

    window.click("Light");
    window.until("light", |_| true);
    window.snapshot("direction-light");
    results.extend_harness(&mut window.harness);
    results.unwrap();
}
