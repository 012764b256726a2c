//! The training loop as a machine that does one batch a step, and can be dropped and resumed at any epoch.

use std::sync::Arc;

use super::options::TrainingOptions;
use super::run::{EpochMetrics, RunFolder, RunRecord, RunStatus, TrainingState};
use super::schedule;
use super::sgd::Sgd;
use crate::data::Part;
use crate::data::augmentation::push_augmented;
use crate::error::{Error, Result};
use crate::network::initialisation::initial_parameters;
use crate::objective::{
    BatchNormPolicy, Evaluation, Measurement, Objective, RunningStatistics, Solution, check_memory,
};
use crate::random::{Purpose, Random};

/// PyTorch's default momentum of batch-norm statistics.
const STATISTICS_MOMENTUM: f64 = 0.1;

/// What a step of training brought.
#[derive(Clone, Debug)]
pub enum Event {
    /// One batch was trained on.
    Batch {
        /// Epochs done, the current one in part.
        epoch: f64,
        /// Mean loss of the batch.
        loss: f64,
    },
    /// One batch was evaluated.
    Evaluating,
    /// An epoch is done and saved.
    Epoch(EpochMetrics),
    /// A solution (`last`, `swa` or `sgd`) was measured and saved.
    Solution(&'static str, Measurement),
    /// All is done.
    Finished,
}

#[derive(Debug)]
enum Stage {
    Train,
    Test(Evaluation),
    Save(EpochMetrics),
    Measure(&'static str, Evaluation),
    Finished,
}

struct Epoch {
    order: Vec<usize>,
    augmentation: Random,
    batch: usize,
    loss: f64,
    correct: usize,
}

/// A run being trained.
pub struct Trainer {
    objective: Arc<Objective>,
    folder: RunFolder,
    parameters: Vec<f32>,
    statistics: RunningStatistics,
    sgd: Sgd,
    average: Vec<f64>,
    averaged: usize,
    done: usize,
    epoch: Epoch,
    metrics: Vec<EpochMetrics>,
    stage: Stage,
}

impl Trainer {
    /// Starts a new run in `path` and writes its initial weights.
    ///
    /// # Errors
    /// When an option is out of range, a batch could not be normalised, or the folder cannot be written.
    pub fn start(objective: Arc<Objective>, options: &TrainingOptions, path: &std::path::Path) -> Result<Self> {
        let graph = objective.graph();
        let initial = Solution {
            parameters: initial_parameters(graph, options.seed),
            statistics: graph.initial_statistics(),
        };
        Self::start_at(objective, options, path, initial)
    }

    /// Starts a new run in `path` from weights that are there already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(
        objective: Arc<Objective>,
        options: &TrainingOptions,
        path: &std::path::Path,
        initial: Solution,
    ) -> Result<Self> {
        check(&objective, options)?;
        let graph = objective.graph();
        let record = RunRecord::new(
            &graph.name,
            &objective.data().name,
            objective.device_name(),
            options.clone(),
        );
        let mut folder = RunFolder::create(path, record)?;
        folder.save_snapshot(graph, 0, &initial)?;
        let d = initial.parameters.len();
        let state = TrainingState {
            epoch: 0,
            velocity: vec![0.0; d],
            average: vec![0.0; d],
            averaged: 0,
        };
        folder.save_state(&state)?;
        // Last, so that a folder with a record is one that can be resumed.
        folder.update(|_| ())?;
        Ok(Self::new(objective, folder, initial, state, Vec::new()))
    }

    /// Goes on with a run that was interrupted, from its last whole epoch; bit for bit as if it had not been.
    ///
    /// # Errors
    /// When a file of the run is missing or broken.
    pub fn resume(objective: Arc<Objective>, mut folder: RunFolder) -> Result<Self> {
        check(&objective, &folder.record().options)?;
        let graph = objective.graph();
        let state = folder.state(graph.parameter_count())?;
        let solution = folder.snapshot(graph, state.epoch)?;
        let mut metrics = folder.metrics()?;
        metrics.retain(|row| row.epoch <= state.epoch);
        if metrics.len() != state.epoch {
            return Err(Error::file_reason(
                folder.path().join("metrics.csv"),
                format!(
                    "it has {} of the {} epochs done; training cannot go on from it",
                    metrics.len(),
                    state.epoch
                ),
            ));
        }
        if folder.record().status != RunStatus::Finished {
            folder.update(|record| record.status = RunStatus::Unfinished)?;
        }
        let mut trainer = Self::new(objective, folder, solution, state, metrics);
        trainer.enter_next_stage()?;
        Ok(trainer)
    }

    fn new(
        objective: Arc<Objective>,
        folder: RunFolder,
        solution: Solution,
        state: TrainingState,
        metrics: Vec<EpochMetrics>,
    ) -> Self {
        let options = &folder.record().options;
        let sgd = Sgd::with_velocity(state.velocity, options.momentum, options.weight_decay);
        let epoch = Epoch::new(&objective, options, state.epoch + 1);
        Self {
            parameters: solution.parameters,
            statistics: RunningStatistics::new(&solution.statistics),
            sgd,
            average: state.average,
            averaged: state.averaged,
            done: state.epoch,
            epoch,
            metrics,
            stage: Stage::Train,
            objective,
            folder,
        }
    }

    fn options(&self) -> &TrainingOptions {
        &self.folder.record().options
    }

    /// The run on disk.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The objective trained on.
    pub fn objective(&self) -> &Arc<Objective> {
        &self.objective
    }

    /// Rows of the epochs done.
    pub fn metrics(&self) -> &[EpochMetrics] {
        &self.metrics
    }

    /// The weights and statistics now.
    pub fn current(&self) -> Solution {
        Solution {
            parameters: self.parameters.clone(),
            statistics: self.statistics.values(),
        }
    }

    /// Share of all training batches done, 0..1.
    pub fn progress(&self) -> f64 {
        let batches = self.batches_per_epoch();
        let in_epoch = match self.stage {
            Stage::Train | Stage::Test(_) | Stage::Save(_) => self.epoch.batch,
            Stage::Measure(..) | Stage::Finished => 0,
        };
        let done = self.done * batches + in_epoch;
        (done as f64 / (self.options().total_epochs() * batches) as f64).min(1.0)
    }

    /// Epochs done, the current one in part.
    pub fn epochs_done(&self) -> f64 {
        self.progress() * self.options().total_epochs() as f64
    }

    fn batches_per_epoch(&self) -> usize {
        self.objective.data().train.len().div_ceil(self.options().batch_size)
    }

    /// Does one batch, or one save. After an error the step can be tried again: nothing done before is lost.
    ///
    /// # Errors
    /// [`Error::Diverged`], [`Error::File`] or [`Error::Device`].
    pub fn step(&mut self) -> Result<Event> {
        match &mut self.stage {
            Stage::Train => self.train_batch(),
            Stage::Test(evaluation) => {
                if let Some(measured) = evaluation.step(&self.objective)? {
                    let test = measured[0].test;
                    let train = self.objective.data().train.len() as f64;
                    let epoch = self.done + 1;
                    let phase = if epoch > self.options().epochs { "sgd" } else { "train" };
                    self.stage = Stage::Save(EpochMetrics {
                        epoch,
                        phase: phase.to_owned(),
                        learning_rate: schedule::learning_rate(self.options(), epoch),
                        train_loss: self.epoch.loss / train,
                        train_accuracy: self.epoch.correct as f64 / train,
                        test_loss: test.loss,
                        test_accuracy: test.accuracy,
                    });
                }
                Ok(Event::Evaluating)
            }
            Stage::Save(row) => {
                let row = row.clone();
                self.save_epoch(&row)?;
                Ok(Event::Epoch(row))
            }
            Stage::Measure(name, evaluation) => {
                let name = *name;
                match evaluation.step(&self.objective)? {
                    None => Ok(Event::Evaluating),
                    Some(measured) => {
                        let statistics = evaluation.recomputed_statistics();
                        self.save_measured(name, measured[0], statistics)?;
                        Ok(Event::Solution(name, measured[0]))
                    }
                }
            }
            Stage::Finished => Ok(Event::Finished),
        }
    }

    fn train_batch(&mut self) -> Result<Event> {
        let (data, options) = (self.objective.data(), self.options());
        let size = options.batch_size;
        let start = self.epoch.batch * size;
        let indices = &self.epoch.order[start..(start + size).min(self.epoch.order.len())];
        let [channels, height, width] = data.shape;
        let mut images = Vec::with_capacity(indices.len() * channels * height * width);
        let mut augmentation = self.epoch.augmentation.clone();
        for &index in indices {
            push_augmented(data, index, &mut augmentation, &mut images);
        }
        let labels: Vec<u32> = indices.iter().map(|&i| data.train.labels[i]).collect();
        let count = indices.len();
        let result = self.objective.batch_gradient(&self.parameters, images, &labels, None)?;
        let rate = schedule::learning_rate(options, self.done + 1);
        if !result.loss.is_finite() {
            return self.diverged("the loss");
        }
        self.sgd.step(&mut self.parameters, &result.gradient, rate);
        if !self.parameters.iter().all(|w| w.is_finite()) {
            return self.diverged("a weight");
        }
        self.statistics.enter(&result.statistics, STATISTICS_MOMENTUM);
        self.epoch.augmentation = augmentation;
        self.epoch.loss += result.loss * count as f64;
        self.epoch.correct += result.correct;
        self.epoch.batch += 1;
        let batches = self.batches_per_epoch();
        let event = Event::Batch {
            epoch: self.done as f64 + self.epoch.batch as f64 / batches as f64,
            loss: result.loss,
        };
        if self.epoch.batch == batches {
            // Files hold single precision: going on from what they hold makes a resumed run the same run.
            self.statistics = RunningStatistics::new(&self.statistics.values());
            self.stage = Stage::Test(Evaluation::of_parts(
                &self.objective,
                &self.parameters,
                &self.statistics.values(),
                BatchNormPolicy::Running,
                usize::MAX,
                &[Part::Test],
            )?);
        }
        Ok(event)
    }

    /// Records that the run diverged. The epoch is not saved, so what is on disk is finite.
    fn diverged(&mut self, what: &'static str) -> Result<Event> {
        let epoch = self.done + 1;
        let error = Error::Diverged {
            epoch,
            batch: self.epoch.batch + 1,
            what,
            learning_rate: schedule::learning_rate(self.options(), epoch),
        };
        self.folder
            .update(|record| record.status = RunStatus::Diverged(error.to_string()))?;
        Err(error)
    }

    fn save_epoch(&mut self, row: &EpochMetrics) -> Result<()> {
        let epoch = row.epoch;
        let options = self.options();
        let (mut average, mut averaged) = (self.average.clone(), self.averaged);
        if options.averages() && (options.swa_start..=options.epochs).contains(&epoch) {
            averaged += 1;
            for (mean, &w) in average.iter_mut().zip(&self.parameters) {
                *mean += (f64::from(w) - *mean) / averaged as f64;
            }
        }
        let graph = self.objective.graph();
        self.folder.save_snapshot(graph, epoch, &self.current())?;
        let mut metrics = self.metrics.clone();
        metrics.push(row.clone());
        self.folder.save_metrics(&metrics)?;
        let state = TrainingState {
            epoch,
            velocity: self.sgd.velocity().to_vec(),
            average,
            averaged,
        };
        self.folder.save_state(&state)?;
        self.metrics = metrics;
        self.average = state.average;
        self.averaged = averaged;
        self.done = epoch;
        self.enter_next_stage()
    }

    fn save_measured(&mut self, name: &'static str, measured: Measurement, statistics: Vec<f32>) -> Result<()> {
        let graph = self.objective.graph().clone();
        let parameters = if name == "swa" {
            self.average_parameters()
        } else {
            self.parameters.clone()
        };
        if name != "last" {
            let solution = Solution { parameters, statistics };
            self.folder.save_solution(&graph, name, &solution)?;
        }
        self.folder.update(|record| {
            let results = &mut record.results;
            match name {
                "last" => results.last = Some(measured),
                "swa" => results.swa = Some(measured),
                _ => results.sgd = Some(measured),
            }
        })?;
        self.enter_next_stage()
    }

    fn average_parameters(&self) -> Vec<f32> {
        self.average.iter().map(|&v| v as f32).collect()
    }

    /// What comes next follows from the epochs done and the solutions measured alone, so a resumed run finds its place.
    fn enter_next_stage(&mut self) -> Result<()> {
        let (options, results) = (self.options().clone(), self.folder.record().results);
        let (main, total) = (options.epochs, options.total_epochs());
        self.stage = if self.done < main || (main < self.done && self.done < total) {
            self.epoch = Epoch::new(&self.objective, &options, self.done + 1);
            Stage::Train
        } else if self.done == main && results.last.is_none() {
            self.measure("last", &self.parameters)?
        } else if self.done == main && options.averages() && results.swa.is_none() {
            self.measure("swa", &self.average_parameters())?
        } else if self.done == main && self.done < total {
            // SGD starts from the average, with the optimizer's state as it is.
            let average = self.folder.solution(self.objective.graph(), "swa")?;
            self.parameters = average.parameters;
            self.statistics = RunningStatistics::new(&average.statistics);
            self.epoch = Epoch::new(&self.objective, &options, self.done + 1);
            Stage::Train
        } else if self.done > main && results.sgd.is_none() {
            self.measure("sgd", &self.parameters)?
        } else {
            self.folder.update(|record| record.status = RunStatus::Finished)?;
            Stage::Finished
        };
        Ok(())
    }

    fn measure(&self, name: &'static str, parameters: &[f32]) -> Result<Stage> {
        let evaluation = Evaluation::new(
            &self.objective,
            parameters,
            &self.statistics.values(),
            BatchNormPolicy::Recompute,
            usize::MAX,
        )?;
        Ok(Stage::Measure(name, evaluation))
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        self.objective.release_gradients();
    }
}

impl Epoch {
    fn new(objective: &Objective, options: &TrainingOptions, epoch: usize) -> Self {
        let images = objective.data().train.len();
        Self {
            order: Random::new(options.seed, Purpose::Shuffle, epoch as u32).permutation(images),
            augmentation: Random::new(options.seed, Purpose::Augmentation, epoch as u32),
            batch: 0,
            loss: 0.0,
            correct: 0,
        }
    }
}

fn check(objective: &Objective, options: &TrainingOptions) -> Result<()> {
    options.check()?;
    let images = objective.data().train.len();
    if options.batch_size > images {
        return Err(Error::option(
            "--batch-size",
            options.batch_size,
            format!("the training split has only {images} images"),
        ));
    }
    check_memory(objective.graph(), options.batch_size)?;
    let last = images % options.batch_size;
    objective
        .graph()
        .check_batch(if last == 0 { options.batch_size } else { last })
}
