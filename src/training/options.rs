//! Hyper-parameters: one struct that the command line, the window and `run.json` share.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// More epochs than anyone would wait for; a larger number in a file is a broken file.
const MOST_EPOCHS: usize = 100_000;

/// Hyper-parameters of a run. The defaults are the demo's: a ResNet-8 whose valley is visibly asymmetric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct TrainingOptions {
    /// Epochs of the main phase
    #[arg(long, default_value_t = Self::default().epochs)]
    pub epochs: usize,
    /// Images a training batch
    #[arg(long, default_value_t = Self::default().batch_size)]
    pub batch_size: usize,
    /// Learning rate at the start
    #[arg(long = "lr", value_name = "RATE", default_value_t = Self::default().learning_rate)]
    pub learning_rate: f64,
    /// Momentum
    #[arg(long, default_value_t = Self::default().momentum)]
    pub momentum: f64,
    /// Weight decay, added to the gradient as in PyTorch's SGD
    #[arg(long, default_value_t = Self::default().weight_decay)]
    pub weight_decay: f64,
    /// First epoch whose weights enter the average; 0 for no averaging
    #[arg(long, value_name = "EPOCH", default_value_t = Self::default().swa_start)]
    pub swa_start: usize,
    /// Learning rate while averaging
    #[arg(long = "swa-lr", value_name = "RATE", default_value_t = Self::default().swa_learning_rate)]
    pub swa_learning_rate: f64,
    /// Epochs of SGD started from the average; 0 for none
    #[arg(long, value_name = "EPOCHS", default_value_t = Self::default().sgd_epochs)]
    pub sgd_epochs: usize,
    /// Learning rate of those epochs
    #[arg(long = "sgd-lr", value_name = "RATE", default_value_t = Self::default().sgd_learning_rate)]
    pub sgd_learning_rate: f64,
    /// Seed of the initial weights, the order of the data and its augmentation
    #[arg(long, default_value_t = Self::default().seed)]
    pub seed: u64,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            epochs: 60,
            batch_size: 128,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 3e-4,
            swa_start: 36,
            swa_learning_rate: 0.05,
            sgd_epochs: 20,
            sgd_learning_rate: 1e-3,
            seed: 1,
        }
    }
}

impl TrainingOptions {
    /// Whether weights are averaged.
    pub fn averages(&self) -> bool {
        self.swa_start > 0
    }

    /// Epochs of both phases.
    pub fn total_epochs(&self) -> usize {
        self.epochs + if self.averages() { self.sgd_epochs } else { 0 }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is out of range.
    pub fn check(&self) -> Result<()> {
        let count = |option: &str, value: usize, least: usize| {
            if (least..=MOST_EPOCHS).contains(&value) {
                Ok(())
            } else {
                Err(Error::option(
                    option,
                    value,
                    format!("it must be a whole number from {least} to {MOST_EPOCHS}"),
                ))
            }
        };
        let rate = |option: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(Error::option(option, value, "a learning rate must be above 0"))
            }
        };
        count("--epochs", self.epochs, 1)?;
        count("--batch-size", self.batch_size, 1)?;
        rate("--lr", self.learning_rate)?;
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(Error::option(
                "--momentum",
                self.momentum,
                "it must be at least 0 and below 1",
            ));
        }
        if !self.weight_decay.is_finite() || self.weight_decay < 0.0 {
            return Err(Error::option(
                "--weight-decay",
                self.weight_decay,
                "it must be at least 0",
            ));
        }
        if self.swa_start > self.epochs {
            return Err(Error::option(
                "--swa-start",
                self.swa_start,
                format!(
                    "averaging would start after the last epoch; it must be from 1 to --epochs ({}), or 0 for none",
                    self.epochs
                ),
            ));
        }
        if self.averages() {
            rate("--swa-lr", self.swa_learning_rate)?;
            count("--sgd-epochs", self.sgd_epochs, 0)?;
            rate("--sgd-lr", self.sgd_learning_rate)?;
        }
        Ok(())
    }

    /// Averaging as usual would start after the last of so few epochs: it then starts at the same share of them.
    pub fn fit_epochs(&mut self) {
        let usual = Self::default();
        if self.swa_start == usual.swa_start && self.swa_start > self.epochs {
            self.swa_start = (self.epochs * usual.swa_start).div_ceil(usual.epochs).max(1);
        }
    }

    /// The usual batch would be larger than the training split: it is then the whole split.
    pub fn fit_images(&mut self, images: usize) {
        if self.batch_size == Self::default().batch_size {
            self.batch_size = self.batch_size.min(images);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_out_of_range_is_named() {
        type Change = fn(&mut TrainingOptions);
        let cases: [(&str, Change); 9] = [
            ("--epochs", |o| o.epochs = 0),
            ("--batch-size", |o| o.batch_size = 0),
            ("--lr", |o| o.learning_rate = -0.1),
            ("--lr", |o| o.learning_rate = f64::NAN),
            ("--momentum", |o| o.momentum = 1.0),
            ("--weight-decay", |o| o.weight_decay = -1.0),
            ("--swa-start", |o| o.swa_start = 61),
            ("--swa-lr", |o| o.swa_learning_rate = 0.0),
            ("--sgd-lr", |o| o.sgd_learning_rate = f64::INFINITY),
        ];
        TrainingOptions::default().check().unwrap();
        for (name, change) in cases {
            let mut options = TrainingOptions::default();
            change(&mut options);
            let message = options.check().unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
