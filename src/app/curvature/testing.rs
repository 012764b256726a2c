//! A window for the tests of the page.

use std::path::PathBuf;

use crate::app::page::Page;
use crate::app::state::State;
use crate::engine::RunSummary;
use crate::training::{RunRecord, TrainingOptions};

/// On the page, with a run of ten epochs that has averaged and not gone on.
pub fn state() -> State {
    let mut state = State::new(PathBuf::from("runs"), "cpu".to_owned());
    let run = RunSummary {
        session: 3,
        path: PathBuf::from("runs/one"),
        checkpoint: false,
        names: ["SWA", "SGD"].map(str::to_owned),
        notes: Vec::new(),
        record: RunRecord::new("mlp:3", "two-gaussians", "cpu", TrainingOptions::default()),
        metrics: Vec::new(),
        snapshots: 11,
        swa: true,
        sgd: false,
        parameters: 14,
        batch_norm_parameters: 0,
    };
    state.curvature.open(&run);
    state.run = Some(run);
    state.page = Page::Curvature;
    state
}
