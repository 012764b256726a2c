//! A run of a recipe: trained as the recipe says, or one that is there already.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::training::{RunFolder, RunStatus, TrainingOptions};

/// A training run that experiments measure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunStage {
    /// The folder of a finished run of this program, which is measured instead of training one. Nothing else is given
    /// then: all other fields are those of its record. Relative paths are relative to the recipe's file.
    pub checkpoint: Option<PathBuf>,
    /// Seed of such a run; one that is trained has the experiment's.
    #[serde(skip)]
    pub seed: Option<u64>,
    /// Model name with options.
    #[serde(default)]
    pub model: String,
    /// Data specification.
    #[serde(default)]
    pub data: String,
    /// Name of the run whose weights it starts from; without, from its seed's own.
    pub from: Option<String>,
    /// Epochs of that run's main phase after which it starts, 0 for its initial weights; without, after its last. The
    /// momentum starts anew.
    pub from_epoch: Option<usize>,
    /// Epochs of the main phase.
    pub epochs: Option<usize>,
    /// Images a training batch.
    pub batch_size: Option<usize>,
    /// Learning rate at the start.
    pub learning_rate: Option<f64>,
    /// Momentum.
    pub momentum: Option<f64>,
    /// Weight decay.
    pub weight_decay: Option<f64>,
    /// First epoch whose weights enter the average; 0 for no averaging.
    pub swa_start: Option<usize>,
    /// Learning rate while averaging.
    pub swa_learning_rate: Option<f64>,
    /// Epochs of SGD started from the average.
    pub sgd_epochs: Option<usize>,
    /// Learning rate of those epochs.
    pub sgd_learning_rate: Option<f64>,
}

/// What is wrong with a run, and the key that it is wrong at.
pub(super) struct Wrong {
    pub key: &'static str,
    pub reason: String,
}

/// What the command line calls an option, and what a recipe does.
const KEYS: [(&str, &str); 9] = [
    ("--epochs", "epochs"),
    ("--batch-size", "batch-size"),
    ("--lr", "learning-rate"),
    ("--momentum", "momentum"),
    ("--weight-decay", "weight-decay"),
    ("--swa-start", "swa-start"),
    ("--swa-lr", "swa-learning-rate"),
    ("--sgd-epochs", "sgd-epochs"),
    ("--sgd-lr", "sgd-learning-rate"),
];

impl RunStage {
    /// Its hyper-parameters with a seed; those not named are the demo's.
    pub fn options(&self, seed: u64) -> TrainingOptions {
        let usual = TrainingOptions::default();
        TrainingOptions {
            epochs: self.epochs.unwrap_or(usual.epochs),
            batch_size: self.batch_size.unwrap_or(usual.batch_size),
            learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
            momentum: self.momentum.unwrap_or(usual.momentum),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            swa_start: self.swa_start.unwrap_or(usual.swa_start),
            swa_learning_rate: self.swa_learning_rate.unwrap_or(usual.swa_learning_rate),
            sgd_epochs: self.sgd_epochs.unwrap_or(usual.sgd_epochs),
            sgd_learning_rate: self.sgd_learning_rate.unwrap_or(usual.sgd_learning_rate),
            seed: self.seed.unwrap_or(seed),
        }
    }

    /// The folder of a run that is there already; nothing for one that is trained.
    ///
    /// # Errors
    /// When the folder is missing or broken, or its run is not finished.
    pub fn existing(&self) -> Result<Option<RunFolder>> {
        self.checkpoint.as_deref().map(finished).transpose()
    }

    /// Checks what was written, and takes the rest of a run that is there already from its record; `folder` is the
    /// recipe's.
    pub(super) fn settle(&mut self, folder: &Path, seed: u64) -> std::result::Result<(), Wrong> {
        match &self.checkpoint {
            Some(path) => {
                let path = folder.join(path);
                self.take_over(&path)
            }
            None => self.check(seed),
        }
    }

    fn check(&self, seed: u64) -> std::result::Result<(), Wrong> {
        for (key, value) in [("model", &self.model), ("data", &self.data)] {
            if value.is_empty() {
                return Err(Wrong {
                    key,
                    reason: format!(
                        "a run that is trained needs `{key}`; one that is there already has `checkpoint` alone"
                    ),
                });
            }
        }
        self.options(seed).check().map_err(|error| match error {
            Error::Option { option, value, reason } => {
                let key = KEYS
                    .iter()
                    .find(|(flag, _)| *flag == option)
                    .map_or("", |(_, key)| *key);
                Wrong {
                    key,
                    reason: Error::option(key, value, reason.replace("--", "")).to_string(),
                }
            }
            other => Wrong {
                key: "",
                reason: other.to_string(),
            },
        })
    }

    fn take_over(&mut self, path: &Path) -> std::result::Result<(), Wrong> {
        let given = self.given();
        if let Some(&key) = given.first() {
            return Err(Wrong {
                key,
                reason: format!(
                    "a run with `checkpoint` is there already, with its own model, data and training; leave out {}",
                    given.join(", ")
                ),
            });
        }
        let folder = finished(path).map_err(|error| Wrong {
            key: "checkpoint",
            reason: error.to_string(),
        })?;
        let record = folder.record();
        let options = &record.options;
        *self = Self {
            checkpoint: Some(folder.path().to_owned()),
            seed: Some(options.seed),
            model: record.model.clone(),
            data: record.data.clone(),
            from: None,
            from_epoch: None,
            epochs: Some(options.epochs),
            batch_size: Some(options.batch_size),
            learning_rate: Some(options.learning_rate),
            momentum: Some(options.momentum),
            weight_decay: Some(options.weight_decay),
            swa_start: Some(options.swa_start),
            swa_learning_rate: Some(options.swa_learning_rate),
            sgd_epochs: Some(options.sgd_epochs),
            sgd_learning_rate: Some(options.sgd_learning_rate),
        };
        Ok(())
    }

    /// The keys that were written beside `checkpoint`.
    fn given(&self) -> Vec<&'static str> {
        [
            ("model", !self.model.is_empty()),
            ("data", !self.data.is_empty()),
            ("from", self.from.is_some()),
            ("from-epoch", self.from_epoch.is_some()),
            ("epochs", self.epochs.is_some()),
            ("batch-size", self.batch_size.is_some()),
            ("learning-rate", self.learning_rate.is_some()),
            ("momentum", self.momentum.is_some()),
            ("weight-decay", self.weight_decay.is_some()),
            ("swa-start", self.swa_start.is_some()),
            ("swa-learning-rate", self.swa_learning_rate.is_some()),
            ("sgd-epochs", self.sgd_epochs.is_some()),
            ("sgd-learning-rate", self.sgd_learning_rate.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect()
    }
}

/// Opens a run that is done.
fn finished(path: &Path) -> Result<RunFolder> {
    let folder = RunFolder::open(path)?;
    let status = folder.record().status.clone();
    let reason = match status {
        RunStatus::Finished => return Ok(folder),
        RunStatus::Unfinished => "this run is not finished; go on with `valleyscope train --resume` first",
        RunStatus::Diverged(_) => "this run diverged and has no solutions to measure; choose another",
    };
    Err(Error::file_reason(path, reason))
}
