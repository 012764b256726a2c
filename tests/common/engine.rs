//! The worker without a window: started, asked, and waited for.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use valleyscope::engine::{Engine, Request, RunSummary, TrainRequest, Update};
use valleyscope::training::TrainingOptions;

use crate::driver::{PATIENCE, compute};

/// Asks until there is an answer.
#[track_caller]
pub fn wait<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A worker with nothing open.
pub fn start() -> Engine {
    Engine::start(compute(), Arc::new(|| {})).unwrap()
}

/// The run that it was asked to open.
#[track_caller]
pub fn opened(engine: &Engine) -> RunSummary {
    wait("the run is open", || {
        engine.updates().into_iter().find_map(|update| match update {
            Update::Opened(summary) => Some(*summary),
            Update::Failed(message) => panic!("{message}"),
            _ => None,
        })
    })
}

/// A worker with a run open, and the number of its session.
#[track_caller]
pub fn open(run: &Path) -> (Engine, u64) {
    let engine = start();
    engine.send(Request::Open(run.display().to_string()));
    let session = opened(&engine).session;
    (engine, session)
}

/// Begins to train for longer than any test.
pub fn train(engine: &Engine, folder: &Path, model: &str) {
    engine.send(Request::Train(Box::new(TrainRequest {
        model: model.to_owned(),
        data: "builtin:train=60:test=40".to_owned(),
        options: TrainingOptions {
            epochs: 20_000,
            batch_size: 20,
            learning_rate: 0.01,
            swa_start: 0,
            ..TrainingOptions::default()
        },
        folder: Some(folder.join("run")),
        runs: folder.to_owned(),
    })));
}
