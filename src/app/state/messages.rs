//! What the worker's messages change of what the window shows.

use std::time::Instant;

use super::{State, WRITING};
use crate::app::checkpoint::CheckpointForm;
use crate::app::command::Command;
use crate::app::look::{Look, Picture};
use crate::app::page::Page;
use crate::app::surface::look::HeightsKept;
use crate::engine::{Anchor, RunSummary, Update};
use crate::landscape::{Basis, DirectionKind};
use crate::training::RunStatus;

impl State {
    /// Takes a message from the worker.
    pub fn receive(&mut self, update: Update) {
        match update {
            Update::Opened(summary) => self.opened(*summary),
            Update::Inspected(inspection) => {
                self.pending = None;
                self.form.open.clear();
                // Data of the run that is open are a better guess than none, but the built-in ones fit nothing else.
                let data = self.run.as_ref().map(|run| run.record.data.clone());
                let data = data.filter(|data| !data.starts_with("builtin")).unwrap_or_default();
                let form = CheckpointForm::new(*inspection, &data);
                if form.is_complete() {
                    self.commands.push(Command::OpenCheckpoint);
                }
                self.checkpoint = Some(form);
            }
            Update::TrainPoint(epoch, loss) => self.train_points.push([epoch, loss]),
            Update::Epoch(row) => {
                if let Some(run) = &mut self.run {
                    run.snapshots = row.epoch + 1;
                    run.metrics.retain(|r| r.epoch < row.epoch);
                    run.metrics.push(row);
                }
            }
            Update::Solution(name, measured) => {
                if let Some(run) = &mut self.run {
                    let results = &mut run.record.results;
                    match name {
                        "last" => results.last = Some(measured),
                        "swa" => {
                            results.swa = Some(measured);
                            run.swa = true;
                        }
                        _ => {
                            results.sgd = Some(measured);
                            run.sgd = true;
                        }
                    }
                }
            }
            Update::TrainingEnded(status) => {
                self.ended = Some(Instant::now());
                if let Some(run) = &mut self.run {
                    // An epoch that was cut off is trained again when the run goes on.
                    let done = run.metrics.len() as f64;
                    self.train_points.retain(|point| point[0] <= done + 1e-9);
                    let finished = status == RunStatus::Finished;
                    run.record.status = status;
                    // Whoever only watched sees what the run was for; whoever explores is left alone.
                    if finished && run.sgd && self.undo.is_empty() && self.look == self.initial {
                        self.show_interpolation();
                        self.continue_look();
                    }
                }
            }
            Update::Direction(index, path) => {
                self.pending = None;
                self.form.open.clear();
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                let count = self.direction_files.len().max(index + 1);
                self.direction_files.resize(count, String::new());
                self.direction_files[index] = name.into_owned();
                // A file that is read again may hold another direction.
                self.requested = None;
                if self.look.picture == Picture::Interpolation {
                    self.show_picture(Picture::Direction);
                }
                self.look.settle();
                // At 0° the slice is along the first axis: the direction just read.
                (self.look.first, self.look.angle) = (Basis::File(index), 0.0);
            }
            Update::Device(name) => {
                self.pending = None;
                self.device = name;
                // Experiments take another time there.
                self.experiments.estimates = None;
                self.commands.push(Command::NextExperiment);
            }
            Update::SliceFailed => {
                self.stopped = true;
                self.fit = None;
            }
            Update::Failed(text) => {
                self.pending = None;
                self.playing = false;
                self.experiments.visiting = None;
                self.notice(text, true);
            }
            Update::Exported(path) => {
                if self.pending == Some(WRITING) {
                    self.pending = None;
                }
                self.notice(format!("written: {}", path.display()), false);
            }
            Update::Experiment(made) => {
                let (name, now) = (made.name.clone(), made.now);
                if now && self.page != Page::Experiments {
                    let answer = made.made.outcome.verdict.answer.name();
                    self.notice(format!("the experiment {name} is made: {answer} (E)"), false);
                }
                self.experiments.take(*made);
                if now {
                    self.experiment_ended();
                }
            }
            Update::ExperimentStopped(name) => {
                let text = format!("{name} is stopped; what is done of it is kept, and it goes on there next time");
                self.notice(text, false);
                self.experiment_ended();
            }
            Update::ExperimentFailed(name, reason) => {
                self.notice(format!("the experiment {name} failed: {reason}"), true);
                self.experiment_ended();
            }
            Update::Estimates(estimates) => self.experiments.estimates = Some(estimates.into_iter().collect()),
        }
    }

    fn experiment_ended(&mut self) {
        (self.experiments.running, self.experiments.status) = (None, None);
        self.commands.push(Command::NextExperiment);
    }

    fn opened(&mut self, summary: RunSummary) {
        self.look = Look::default();
        // What went wrong before is mended.
        self.notices.retain(|notice| !notice.failed);
        self.form.open.clear();
        self.direction_files.clear();
        self.search.open = false;
        self.curvature.open(&summary);
        if summary.checkpoint {
            self.checkpoint = None;
            self.look.anchor = Anchor::Swa;
        }
        if summary.batch_norm_parameters == 0 {
            self.look.first = Basis::Random(DirectionKind::Uniform, 1);
            self.look.second = Basis::Random(DirectionKind::Gaussian, 1);
        }
        self.initial = self.look.clone();
        self.fit = None;
        self.surface = None;
        self.heights = HeightsKept::default();
        self.behind = None;
        if summary.sgd && summary.record.status == RunStatus::Finished && !summary.checkpoint {
            self.show_interpolation();
        }
        self.train_points.clear();
        self.playing = false;
        self.stopped = false;
        self.pending = None;
        self.settled = self.look.clone();
        self.undo.clear();
        self.redo.clear();
        self.requested = None;
        self.run = Some(summary);
        self.arrive();
    }
}
