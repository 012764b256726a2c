//! Evaluation as a machine that does one batch a step, so that whoever drives it can stop, interleave and report.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::evaluator::Evaluator;
use super::{BatchNormPolicy, Objective, RunningStatistics};
use crate::data::{Part, Progress};
use crate::error::{Error, Result};

/// Loss and accuracy on one split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Mean cross-entropy.
    #[serde(with = "super::loss_value")]
    pub loss: f64,
    /// Share of images classified correctly, 0..1.
    #[serde(with = "super::loss_value")]
    pub accuracy: f64,
}

/// Loss and accuracy at one point, on both splits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// On the training split, unaugmented.
    pub train: Quality,
    /// On the test split.
    pub test: Quality,
}

impl Measurement {
    /// One split.
    pub fn part(&self, part: Part) -> Quality {
        match part {
            Part::Train => self.train,
            Part::Test => self.test,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    loss: f64,
    correct: f64,
    images: usize,
}

impl Sums {
    fn quality(self) -> Quality {
        Quality {
            loss: self.loss / self.images as f64,
            accuracy: self.correct / self.images as f64,
        }
    }
}

/// The evaluation of `K` points on both splits, one batch a step.
#[derive(Debug)]
pub struct Evaluation {
    evaluator: Evaluator,
    running: RunningStatistics,
    statistics_batches: VecDeque<Range<usize>>,
    batches: VecDeque<(Part, Range<usize>)>,
    sums: Vec<[Sums; 2]>,
}

impl std::fmt::Debug for Sums {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{} / {}", self.loss, self.images)
    }
}

impl Evaluation {
    /// Prepares the evaluation of `points` `[K, d]` (flat) on the first `samples` images of each split. `statistics`
    /// `[s]` are the checkpoint's, used under [`BatchNormPolicy::Running`] at every point.
    ///
    /// # Errors
    /// When lengths do not fit the graph, or a batch could not be normalised by itself.
    pub fn new(
        objective: &Objective,
        points: &[f32],
        statistics: &[f32],
        policy: BatchNormPolicy,
        samples: usize,
    ) -> Result<Self> {
        Self::of_parts(objective, points, statistics, policy, samples, &Part::BOTH)
    }

    /// The same on some splits only; the loss on the others is then NaN.
    ///
    /// # Errors
    /// As [`Evaluation::new`].
    pub fn of_parts(
        objective: &Objective,
        points: &[f32],
        statistics: &[f32],
        policy: BatchNormPolicy,
        samples: usize,
        parts: &[Part],
    ) -> Result<Self> {
        let graph = objective.graph();
        let d = graph.parameter_count();
        if points.is_empty() || !points.len().is_multiple_of(d) || statistics.len() != graph.statistics_count() {
            return Err(Error::Request(format!(
                "{} takes vectors of {d} parameters and {} statistics; given were {} and {}",
                graph.name,
                graph.statistics_count(),
                points.len(),
                statistics.len()
            )));
        }
        let count = points.len() / d;
        let has_statistics = graph.statistics_count() > 0;
        let normalised_by_itself: &[Part] = match policy {
            BatchNormPolicy::Running => &[],
            BatchNormPolicy::Recompute => &[Part::Train],
            BatchNormPolicy::Batch => parts,
        };
        for &part in normalised_by_itself {
            if let Some(last) = objective.batches(part, samples).next_back() {
                graph.check_batch(last.len())?;
            }
        }
        let statistics_batches = if has_statistics && policy == BatchNormPolicy::Recompute {
            objective.batches(Part::Train, samples).collect()
        } else {
            VecDeque::new()
        };
        let batches = parts
            .iter()
            .flat_map(|&part| objective.batches(part, samples).map(move |range| (part, range)))
            .collect();
        let mut evaluation = Self {
            evaluator: Evaluator::new(objective, points),
            running: RunningStatistics::reset(graph, count),
            statistics_batches,
            batches,
            sums: vec![[Sums::default(); 2]; count],
        };
        if policy == BatchNormPolicy::Running || !has_statistics {
            evaluation.evaluator.fix(objective, &statistics.repeat(count));
        }
        Ok(evaluation)
    }

    /// Images still to do at each point.
    pub fn remaining(&self) -> usize {
        let batches = self.batches.iter().map(|(_, range)| range);
        self.statistics_batches.iter().chain(batches).map(Range::len).sum()
    }

    /// Images that one point takes on the first `samples` images of each split: those of the statistics pass count
    /// again.
    pub fn images(objective: &Objective, policy: BatchNormPolicy, samples: usize) -> usize {
        let count = |part| objective.data().split(part).len().min(samples);
        let has_statistics = objective.graph().statistics_count() > 0;
        let passes = if has_statistics && policy == BatchNormPolicy::Recompute {
            2
        } else {
            1
        };
        passes * count(Part::Train) + count(Part::Test)
    }

    /// Does one batch, or as many as the device is best given at once. When they were the last, gives one measurement a
    /// point.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn step(&mut self, objective: &Objective) -> Result<Option<Vec<Measurement>>> {
        if !self.statistics_batches.is_empty() {
            self.statistics_step(objective)?;
            return Ok(None);
        }
        self.batch_step(objective)?;
        if !self.batches.is_empty() {
            return Ok(None);
        }
        let measurement = |[train, test]: &[Sums; 2]| Measurement {
            train: train.quality(),
            test: test.quality(),
        };
        Ok(Some(self.sums.iter().map(measurement).collect()))
    }

    /// The statistics that the pass under `recompute` found, `[K, s]` flat; meaningless under other policies.
    pub fn recomputed_statistics(&self) -> Vec<f32> {
        self.running.values()
    }

    /// Does the statistics pass alone and gives `[K, s]` flat.
    pub(super) fn finish_statistics(&mut self, objective: &Objective, progress: Progress) -> Result<Vec<f32>> {
        let total = self.statistics_batches.len().max(1) as f64;
        while !self.statistics_batches.is_empty() {
            self.statistics_step(objective)?;
            if !progress(1.0 - self.statistics_batches.len() as f64 / total) {
                return Err(Error::Cancelled);
            }
        }
        Ok(self.running.values())
    }

    // Batches leave their queue only when they are done, so that a step that failed can be tried again.

    fn statistics_step(&mut self, objective: &Objective) -> Result<()> {
        let count = self
            .evaluator
            .batches_at_once(objective)
            .min(self.statistics_batches.len());
        let batches: Vec<_> = self.statistics_batches.range(..count).cloned().collect();
        let statistics = self.evaluator.statistics(objective, &batches)?;
        for (statistics, range) in statistics.iter().zip(&batches) {
            self.running.enter_equally(statistics, range.len());
        }
        self.statistics_batches.drain(..count);
        if self.statistics_batches.is_empty() {
            self.evaluator.fix(objective, &self.running.values());
        }
        Ok(())
    }

    fn batch_step(&mut self, objective: &Objective) -> Result<()> {
        let count = self.evaluator.batches_at_once(objective).min(self.batches.len());
        let batches: Vec<_> = self.batches.range(..count).cloned().collect();
        let results = self.evaluator.losses(objective, &batches)?;
        for (results, (part, range)) in results.into_iter().zip(&batches) {
            for (sums, (loss, hits)) in self.sums.iter_mut().zip(results) {
                let sum = &mut sums[usize::from(*part == Part::Test)];
                sum.loss += loss;
                sum.correct += hits;
                sum.images += range.len();
            }
        }
        self.batches.drain(..count);
        Ok(())
    }
}
