//! What happens to batch-norm statistics when the parameters move: the three policies of the papers and of PyTorch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::network::Graph;

/// How batch-norm layers are normalised at a point that is not the checkpoint's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormPolicy {
    /// The checkpoint's running mean and variance, held fixed at every point (PyTorch's `eval()`).
    #[default]
    Running,
    /// At every point one pass over the training split, unaugmented and in fixed order; after n samples a batch of b
    /// enters with weight b/(n+b), its variance unbiased. The papers' `bn_update`, made deterministic.
    Recompute,
    /// Every evaluation batch is normalised by its own mean and variance (PyTorch's `train()`).
    Batch,
}

impl BatchNormPolicy {
    /// All three, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Running, Self::Recompute, Self::Batch];

    /// The name used on the command line, in files and on figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Recompute => "recompute",
            Self::Batch => "batch",
        }
    }

    /// One sentence with the formula, for tooltips.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Running => {
                "running: the checkpoint's running mean μ and variance σ² at every point, as PyTorch's eval()"
            }
            Self::Recompute => {
                "recompute: at every point one pass over the training images in fixed order;\n\
                 after n images a batch of b enters with weight b/(n+b), σ² unbiased (the papers' bn_update)"
            }
            Self::Batch => {
                "batch: every evaluation batch is normalised by its own mean and variance, as PyTorch's train()"
            }
        }
    }
}

impl fmt::Display for BatchNormPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Running statistics `[K, s]` that batches enter one after another.
#[derive(Clone, Debug)]
pub struct RunningStatistics {
    values: Vec<f64>,
    images: usize,
}

impl RunningStatistics {
    /// Starts from given statistics.
    pub fn new(values: &[f32]) -> Self {
        Self {
            values: values.iter().map(|&v| f64::from(v)).collect(),
            images: 0,
        }
    }

    /// Starts the running mean that [`BatchNormPolicy::Recompute`] takes, for `points` points. The first batch enters
    /// with weight 1, so the starting values do not matter.
    pub fn reset(graph: &Graph, points: usize) -> Self {
        Self {
            values: vec![0.0; points * graph.statistics_count()],
            images: 0,
        }
    }

    /// A batch enters with a fixed `momentum`, as in PyTorch's training mode.
    pub fn enter(&mut self, batch: &[f32], momentum: f64) {
        for (value, &new) in self.values.iter_mut().zip(batch) {
            *value = (1.0 - momentum) * *value + momentum * f64::from(new);
        }
    }

    /// A batch of `images` enters with weight b/(n+b).
    pub fn enter_equally(&mut self, batch: &[f32], images: usize) {
        self.images += images;
        let weight = images as f64 / self.images as f64;
        if weight == 1.0 {
            // 0 · NaN would keep what came before alive.
            self.values.clear();
            self.values.extend(batch.iter().map(|&v| f64::from(v)));
        } else {
            self.enter(batch, weight);
        }
    }

    /// The statistics now, `[K, s]` flat.
    pub fn values(&self) -> Vec<f32> {
        self.values.iter().map(|&v| v as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_give_the_mean_over_images() {
        let mut running = RunningStatistics::new(&[f32::NAN]);
        running.enter_equally(&[1.0], 10);
        running.enter_equally(&[4.0], 10);
        running.enter_equally(&[10.0], 5);
        // (10·1 + 10·4 + 5·10) / 25
        assert!((running.values()[0] - 4.0).abs() < 1e-6);
    }
}
