//! How long a person waits. Prints its figures; run it with
//!
//! ```text
//! cargo bench --bench responsiveness
//! ```
//!
//! Start-up times need a display (`xvfb-run` will do); the others need none. Drawing is left out of all but start-up.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::Vec2;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use valleyscope::app::{App, Start};
use valleyscope::data::Dataset;
use valleyscope::engine::View;
use valleyscope::experiment::demo;
use valleyscope::network::zoo;
use valleyscope::objective::{Compute, EVALUATION_BATCH, Objective};
use valleyscope::training::{Trainer, TrainingOptions};

const DRAGS: usize = 25;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    start_up(folder.path());
    drag(folder.path());
    while_training(folder.path());
}

fn open(folder: &std::path::Path, start: Start) -> Harness<'static, App> {
    let start = Start {
        runs: Some(folder.join("runs")),
        ..start
    };
    Harness::builder()
        .with_size(Vec2::new(1280.0, 800.0))
        .build_eframe(|context| App::new(context, Compute::cpu(), start).expect("the window's state"))
}

fn until(harness: &mut Harness<'static, App>, condition: impl Fn(&App) -> bool) -> Duration {
    let start = Instant::now();
    while !condition(harness.state()) {
        harness.step();
        std::thread::sleep(Duration::from_millis(1));
        assert!(start.elapsed() < Duration::from_secs(300), "waited in vain");
    }
    start.elapsed()
}

/// From the start of the process to the first frame and the first curve, in a real window.
fn start_up(folder: &std::path::Path) {
    if std::env::var_os("DISPLAY").is_none() {
        println!("start-up: skipped, there is no display");
        return;
    }
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_valleyscope"))
        .current_dir(folder)
        .env("VALLEYSCOPE_LOG", "valleyscope=info")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stderr = child.stderr.take().expect("standard error is piped");
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        for what in ["first frame drawn", "first curve"] {
            if line.contains(what) {
                println!("process start to {what}: {:.2} s", start.elapsed().as_secs_f64());
            }
        }
        if line.contains("first curve") {
            break;
        }
    }
    child.kill().expect("the program ends");
    child.wait().expect("the program has ended");
}

/// A run of the demo's network, trained for long enough to have a valley.
fn demo_run(path: &std::path::Path) {
    let data = Arc::new(Dataset::open(demo::DATA).expect("the built-in data"));
    let graph = Arc::new(zoo::build(demo::MODEL, data.shape, data.classes.len()).expect("the demo's network"));
    let objective = Objective::new(graph, data, Compute::cpu(), EVALUATION_BATCH).expect("they fit");
    let options = TrainingOptions {
        epochs: 2,
        swa_start: 0,
        ..TrainingOptions::default()
    };
    let mut trainer = Trainer::start(Arc::new(objective), &options, path).expect("a new run");
    demo::train(&mut trainer, &mut |_, _| true).expect("two epochs");
}

/// From a movement of the handle to the first curve along the new direction, and to the complete one.
fn drag(folder: &std::path::Path) {
    let run = folder.join("run");
    demo_run(&run);
    let mut harness = open(
        folder,
        Start {
            open: Some(run.display().to_string()),
            ..Start::default()
        },
    );
    until(&mut harness, |app| app.state().slice.is_some());
    let pad = harness.get_by_label("Direction pad").rect();
    harness.drag_at(pad.center() + Vec2::new(60.0, 0.0));
    harness.step();
    let mut waits: Vec<f64> = (0..DRAGS)
        .map(|i| {
            let angle = 0.23 * (i + 1) as f32;
            let start = Instant::now();
            harness.hover_at(pad.center() + 70.0 * Vec2::angled(angle));
            harness.step();
            until(&mut harness, |app| {
                let turn = app.state().look.turn();
                app.state()
                    .slice
                    .as_ref()
                    .is_some_and(|slice| slice.request.view == View::Direction(turn))
            });
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    println!(
        "drag to first refreshed curve: median {:.0} ms, slowest {:.0} ms of {DRAGS} (goal: 100 ms)",
        waits[DRAGS / 2],
        waits[DRAGS - 1]
    );
    let full = until(&mut harness, |app| {
        app.state()
            .slice
            .as_ref()
            .is_some_and(|slice| slice.level.full && slice.refining.is_none())
    });
    println!("then to the complete curve, all images: {:.1} s", full.as_secs_f64());
}

/// The longest time the window's thread needed for one frame, drawing aside, while a run trains.
fn while_training(folder: &std::path::Path) {
    let mut harness = open(
        folder,
        Start {
            train: true,
            ..Start::default()
        },
    );
    until(&mut harness, |app| app.state().slice.is_some());
    let mut frames: Vec<f64> = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(15) {
        let frame = Instant::now();
        harness.step();
        frames.push(1e3 * frame.elapsed().as_secs_f64());
        std::thread::sleep(Duration::from_millis(5));
    }
    frames.sort_by(f64::total_cmp);
    println!(
        "window's thread while training, drawing aside: median {:.1} ms, longest {:.1} ms of {} frames (goal: 33 ms)",
        frames[frames.len() / 2],
        frames[frames.len() - 1],
        frames.len()
    );
}
