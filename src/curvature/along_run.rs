//! Sharpness and non-uniformity along a training run (Wu, Ma and E, 2018, Definition 3), epoch by epoch, each beside
//! what the epoch's learning rate and the batch size allow (9).
//!
//! Those bounds are of plain SGD. With momentum μ, gradient descent on a quadratic (the heavy ball, v ← μv + ∇L,
//! w ← w − ηv) stays at a minimum up to a sharpness of 2(1 + μ)/η, which is told as well. Of the non-uniformity under
//! momentum there is no such bound here.

mod allowed;
mod known_loss;

use serde::{Deserialize, Serialize};

pub use self::allowed::Allowed;
use super::lanczos::Effort;
use super::non_uniformity::{NonUniformity, SETS};
use super::sharpness::{self, Images, Sharpness};
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::landscape::Provenance;
use crate::objective::{BatchNormPolicy, Derivatives, Objective};
use crate::training::{RunFolder, TrainingOptions};

/// Epochs measured, at most, where nobody says how many.
const USUAL: usize = 20;

/// Shares of an epoch's work: statistics and loss come first, and s takes many times what a does.
const LOSS: f64 = 0.05;
const SHARPNESS_BESIDE: f64 = 0.15;

/// What is to be measured along a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Epochs in rising order, see [`epochs`]; 0 are the initial weights.
    pub epochs: Vec<usize>,
    /// What happens to batch-norm statistics.
    pub policy: BatchNormPolicy,
    /// Training images that all is the mean over, from the first on; all of fewer.
    pub samples: usize,
    /// How far both numbers are sought.
    pub effort: Effort,
    /// Images among those whose Hessians tell s: from all of them at once it is exact, and of fewer estimated from
    /// sets. Without, s is not measured.
    pub non_uniformity: Option<usize>,
}

/// What was measured along a run, with all that is needed to measure it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlongRun {
    /// How it was measured.
    pub provenance: Provenance,
    /// How the run was trained: its learning rates, B, momentum and weight decay.
    pub options: TrainingOptions,
    /// n: training images that its batches were drawn from.
    pub trained_on: usize,
    /// Training images that all is the mean over, from the first on.
    pub samples: usize,
    /// d.
    pub parameters: usize,
    /// How far both numbers were sought.
    pub effort: Effort,
    /// What s is from, where it is measured.
    pub images: Option<Images>,
    /// The epochs asked for.
    pub epochs: Vec<usize>,
    /// What is known of them, in the same order.
    pub rows: Vec<AtEpoch>,
}

/// Sharpness and non-uniformity of one epoch's snapshot, without weight decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtEpoch {
    /// Epochs done.
    pub epoch: usize,
    /// η that the snapshot was reached with; of the initial weights that of the first epoch.
    pub learning_rate: f64,
    /// Mean train loss, where it is known; not finite where it has diverged.
    #[serde(with = "known_loss")]
    pub loss: Option<f64>,
    /// a.
    pub sharpness: Option<Sharpness>,
    /// 2/η.
    pub sharpness_bound: f64,
    /// a·η/2.
    pub sharpness_share: Option<f64>,
    /// 2(1 + μ)/η, where the run has momentum.
    pub heavy_ball_bound: Option<f64>,
    /// s, where it is asked for.
    pub non_uniformity: Option<NonUniformity>,
    /// (1/η)·√(B(n − 1)/(n − B)); none for B = n, where batches do not differ.
    pub non_uniformity_bound: Option<f64>,
    /// s as a share of that.
    pub non_uniformity_share: Option<f64>,
    /// Why something asked for is not known: the snapshot has diverged, or cannot be read.
    pub lost: Option<String>,
}

impl AtEpoch {
    /// What an epoch's learning rate and the batches allow, with nothing measured yet.
    fn new(epoch: usize, options: &TrainingOptions, trained_on: usize) -> Result<Self> {
        let allowed = Allowed {
            options,
            samples: trained_on,
        };
        let sgd = allowed.sgd(epoch)?;
        Ok(Self {
            epoch,
            learning_rate: sgd.learning_rate(),
            loss: None,
            sharpness: None,
            sharpness_bound: sgd.sharpness_bound(),
            sharpness_share: None,
            heavy_ball_bound: allowed.heavy_ball(epoch),
            non_uniformity: None,
            non_uniformity_bound: allowed.non_uniformity(epoch),
            non_uniformity_share: None,
            lost: None,
        })
    }
}

impl AlongRun {
    /// What is asked of a run, checked, with nothing measured yet.
    ///
    /// # Errors
    /// When there are no such snapshots, or too few images, or SGD could not be run so; under the policy `batch` where
    /// s is asked for, since an image then has no loss of its own.
    pub fn new(folder: &RunFolder, objective: &Objective, plan: Plan) -> Result<Self> {
        let (record, snapshots) = (folder.record(), folder.snapshots());
        let is_rising = plan.epochs.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_rising || plan.epochs.last().is_none_or(|&last| last >= snapshots) {
            return Err(Error::Request(format!(
                "{} has {snapshots} snapshots, counted from 0; name one at least, in rising order",
                folder.path().display()
            )));
        }
        let trained_on = objective.data().train.len();
        let samples = plan.samples.min(trained_on);
        if samples == 0 {
            return Err(Error::option("samples", samples, "it must be at least 1"));
        }
        if plan.non_uniformity.is_some()
            && plan.policy == BatchNormPolicy::Batch
            && objective.graph().statistics_count() > 0
        {
            let reason = "normalised by its batch, an image has no loss of its own, and so no Hessian; choose running \
                          or recompute";
            return Err(Error::option("--bn", plan.policy, reason));
        }
        let images = plan.non_uniformity.map(|asked| images(asked.min(samples), samples));
        let options = record.options.clone();
        // Refused before anything is measured.
        AtEpoch::new(0, &options, trained_on)?;
        let path = folder.path().display().to_string();
        let origin = format!("{} epochs of {path}", plan.epochs.len());
        let what = "hessian of the train loss along training";
        let seed = Some(options.seed);
        Ok(Self {
            provenance: Provenance {
                run: Some(path),
                test_images: 0,
                ..Provenance::new(objective, &origin, what, plan.policy, samples, seed)
            },
            options,
            trained_on,
            samples,
            parameters: objective.graph().parameter_count(),
            effort: plan.effort,
            images: images.transpose()?,
            epochs: plan.epochs,
            rows: Vec::new(),
        })
    }

    /// Measures the epochs that are not known yet, one after another. `found` is given each as soon as it is known;
    /// `progress` is told the share done of all and says whether to go on.
    ///
    /// # Errors
    /// [`Error::Cancelled`], with what is known by then kept; [`Error::Device`]; what `found` meets. An epoch that has
    /// diverged or cannot be read is a row that says so, and an error only where nothing of any epoch is known.
    pub fn measure(
        &mut self,
        folder: &RunFolder,
        objective: &Objective,
        found: &mut dyn FnMut(&AtEpoch) -> Result<()>,
        progress: Progress,
    ) -> Result<()> {
        let all = self.epochs.len() as f64;
        for index in self.rows.len()..self.epochs.len() {
            let mut told = |share: f64| progress((index as f64 + share) / all);
            let row = self.at(self.epochs[index], folder, objective, &mut told)?;
            self.rows.push(row);
            if let Some(row) = self.rows.last() {
                found(row)?;
            }
        }
        match self.rows.iter().find_map(|row| row.lost.as_deref()) {
            Some(reason) if !self.is_known() => Err(Error::Request(format!("no epoch could be measured: {reason}"))),
            _ => Ok(()),
        }
    }

    /// Whether some epoch has a sharpness.
    pub fn is_known(&self) -> bool {
        self.rows.iter().any(|row| row.sharpness.is_some())
    }

    /// Whether the run has momentum: the bounds are then not of what trained it.
    pub fn has_momentum(&self) -> bool {
        self.options.momentum > 0.0
    }

    fn at(&self, epoch: usize, folder: &RunFolder, objective: &Objective, progress: Progress) -> Result<AtEpoch> {
        let mut row = AtEpoch::new(epoch, &self.options, self.trained_on)?;
        match self.fill(&mut row, folder, objective, progress) {
            // What was asked for was checked before: that a point has no curvature is an outcome.
            Err(Error::Request(reason)) => row.lost = Some(reason),
            Err(error @ Error::File { .. }) => row.lost = Some(error.to_string()),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        Ok(row)
    }

    /// Measures one epoch, and fills in what is known as soon as it is.
    fn fill(&self, row: &mut AtEpoch, folder: &RunFolder, objective: &Objective, progress: Progress) -> Result<()> {
        if !progress(0.0) {
            return Err(Error::Cancelled);
        }
        let solution = folder.snapshot(objective.graph(), row.epoch)?;
        let (policy, part) = (self.provenance.batch_norm, Part::Train);
        let mut begun = |share: f64| progress(0.5 * LOSS * share);
        let derivatives = Derivatives::new(objective, &solution, policy, part, self.samples, &mut begun)?;
        // The slope along no direction is 0, and the loss comes with it.
        let nowhere = vec![0.0; self.parameters];
        let (loss, _) = derivatives.slope(&nowhere, &mut |share| progress(0.5 * LOSS * (1.0 + share)))?;
        row.loss = Some(loss);
        if !loss.is_finite() {
            return Err(Error::Request(format!(
                "the train loss is {loss}, and has no curvature: the training has diverged here"
            )));
        }
        let end = if self.images.is_some() { SHARPNESS_BESIDE } else { 1.0 };
        let mut told = |share: f64| progress(LOSS + (end - LOSS) * share);
        let sharpness = sharpness::sharpness_of(&derivatives, self.effort, &mut told)?;
        row.sharpness_share = Some(sharpness.value / row.sharpness_bound);
        row.sharpness = Some(sharpness);
        let Some(images) = self.images else { return Ok(()) };
        let mut told = |share: f64| progress(end + (1.0 - end) * share);
        let spread = sharpness::non_uniformity_of(&derivatives, images, self.effort, &mut told)?;
        row.non_uniformity_share = row.non_uniformity_bound.map(|bound| spread.value / bound);
        row.non_uniformity = Some(spread);
        Ok(())
    }
}

/// Epochs from the initial weights on to the last one, every so many; the last one is always among them. Where nobody
/// says how many, there are twenty as evenly spread as can be, or all of fewer.
pub fn epochs(last: usize, every: Option<usize>) -> Vec<usize> {
    let Some(every) = every else {
        let count = USUAL.min(last + 1);
        let parts = (count - 1).max(1);
        return (0..count).map(|index| (index * last + parts / 2) / parts).collect();
    };
    let every = every.max(1);
    let mut epochs: Vec<usize> = (0..=last).step_by(every).collect();
    if !last.is_multiple_of(every) {
        epochs.push(last);
    }
    epochs
}

/// All `samples` images that the mean is over, or else some sets of them, which tell by how much they differ.
fn images(asked: usize, samples: usize) -> Result<Images> {
    if samples < 2 {
        let reason = "one image has no covariance; give two at least";
        return Err(Error::option("samples", samples, reason));
    }
    if asked == samples {
        return Ok(Images::All);
    }
    let least = 2 * SETS;
    if asked < least {
        let reason = format!("give {least} at least, for {SETS} sets of two, or {samples} for all");
        return Err(Error::option("non-uniformity", asked, reason));
    }
    Ok(Images::Sets {
        count: SETS,
        images: asked / SETS,
    })
}

#[cfg(test)]
mod tests;
