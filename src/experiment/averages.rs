//! Averages of a run's snapshots, of all parameters or of some only, and the test accuracy that they reach epoch by epoch
//! (arXiv Fig. 13 and 14).

use serde::{Deserialize, Serialize};

use super::laboratory::{Laboratory, Trained};
use super::outcome::{Series, spread};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::network::Graph;
use crate::objective::{BatchNormPolicy, Evaluation};
use crate::random::{Purpose, Random};

/// Epochs of SGD that are shown before averaging starts.
pub const LEAD: usize = 10;

/// Horizontal axis of the charts made here.
pub const EPOCH_AXIS: &str = "epoch";
/// Vertical axis of the charts made here.
pub const ACCURACY_AXIS: &str = "test accuracy (%)";
/// Index of SGD itself among the accuracies of an epoch.
pub const SGD: usize = 0;

/// The plain mean of the snapshots that entered it, summed up as the trainer does it: in double precision, one snapshot
/// after another.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningAverage {
    mean: Vec<f64>,
    entered: usize,
}

impl RunningAverage {
    /// Of nothing yet, for vectors of a length.
    pub fn new(length: usize) -> Self {
        Self {
            mean: vec![0.0; length],
            entered: 0,
        }
    }

    /// A snapshot `[d]` enters.
    pub fn enter(&mut self, parameters: &[f32]) {
        self.entered += 1;
        let count = self.entered as f64;
        for (mean, &w) in self.mean.iter_mut().zip(parameters) {
            *mean += (f64::from(w) - *mean) / count;
        }
    }

    /// The average where the mask is set, the current iterate elsewhere, `[d]`.
    pub fn masked(&self, mask: &[bool], current: &[f32]) -> Vec<f32> {
        self.mean
            .iter()
            .zip(current)
            .zip(mask)
            .map(|((&mean, &w), &averaged)| if averaged { mean as f32 } else { w })
            .collect()
    }
}

/// The mask of all parameters.
pub fn all(graph: &Graph) -> Vec<bool> {
    vec![true; graph.parameter_count()]
}

/// The mask of batch norm's scales and shifts.
pub fn batch_norm(graph: &Graph) -> Vec<bool> {
    let mut mask = vec![false; graph.parameter_count()];
    for parameter in graph.parameters.iter().filter(|p| p.role.is_batch_norm()) {
        mask[parameter.range()].fill(true);
    }
    mask
}

/// The mask of as many parameters as batch norm has, drawn at random from the others, one by one and without putting any
/// back. Each `draw` of a seed is independent of the others.
pub fn as_many_others(graph: &Graph, seed: u64, draw: u32) -> Vec<bool> {
    let mut mask = batch_norm(graph);
    let others: Vec<usize> = (0..mask.len()).filter(|&index| !mask[index]).collect();
    mask.fill(false);
    let order = Random::new(seed, Purpose::AveragedParameters, draw).permutation(others.len());
    for index in order.into_iter().take(graph.batch_norm_parameter_count()) {
        mask[others[index]] = true;
    }
    mask
}

/// Test accuracies after an epoch, 0..1, batch-norm statistics recomputed for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochAccuracies {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Of SGD itself ([`SGD`]) and, from the first averaged epoch on, of the average under each mask, in their order.
    pub accuracies: Vec<f64>,
}

impl EpochAccuracies {
    /// Whether there is an average yet.
    fn is_averaged(&self) -> bool {
        self.accuracies.len() > 1
    }
}

/// Follows a run through its snapshots from shortly before averaging starts to the end of the main phase: at every
/// epoch the iterate itself and the running average under each mask. `name` is the run's, for messages.
///
/// # Errors
/// When the run is not averaged, a snapshot cannot be read or the device fails; [`Error::Cancelled`].
pub fn follow(
    laboratory: &mut Laboratory,
    trained: &Trained,
    name: &str,
    masks: &[Vec<bool>],
) -> Result<Vec<EpochAccuracies>> {
    let options = &trained.folder.record().options;
    if !options.averages() {
        return Err(Error::Request(format!(
            "the run `{name}` is not averaged; give it swa-start"
        )));
    }
    let masks_bytes: Vec<u8> = masks.iter().flatten().map(|&averaged| u8::from(averaged)).collect();
    let made = format!("averages by epoch, from {}", options.swa_start);
    // Of the iterates themselves: a run that the recipe names by its folder may be another one tomorrow.
    let run = trained.checksum()?.to_le_bytes();
    let numbers: [&[u8]; 2] = [&run, &masks_bytes];
    laboratory.remember(&trained.objective, &made, &numbers, |laboratory| {
        follow_epochs(laboratory, trained, name, masks)
    })
}

fn follow_epochs(
    laboratory: &mut Laboratory,
    trained: &Trained,
    name: &str,
    masks: &[Vec<bool>],
) -> Result<Vec<EpochAccuracies>> {
    let options = &trained.folder.record().options;
    let (start, last) = (options.swa_start, options.epochs);
    let first = start.saturating_sub(LEAD).max(1);
    let what = format!("{name} (seed {}): averages by epoch", options.seed);
    let (objective, graph) = (&trained.objective, trained.objective.graph());
    let mut average = RunningAverage::new(graph.parameter_count());
    let mut rows = Vec::with_capacity(last + 1 - first);
    for epoch in first..=last {
        let done = (epoch - first) as f64 / (last + 1 - first) as f64;
        let snapshot = trained.folder.snapshot(graph, epoch)?;
        // The iterate and its averages are one evaluation, which keeps all cores busy.
        let mut points = snapshot.parameters.clone();
        if epoch >= start {
            average.enter(&snapshot.parameters);
            for mask in masks {
                points.extend(average.masked(mask, &snapshot.parameters));
            }
        }
        let mut evaluation = Evaluation::of_parts(
            objective,
            &points,
            &snapshot.statistics,
            BatchNormPolicy::Recompute,
            usize::MAX,
            &[Part::Test],
        )?;
        let measured = loop {
            laboratory.report(&what, done)?;
            if let Some(measured) = evaluation.step(objective)? {
                break measured;
            }
        };
        rows.push(EpochAccuracies {
            epoch,
            accuracies: measured.iter().map(|point| point.test.accuracy).collect(),
        });
    }
    Ok(rows)
}

/// Mean accuracy, 0..1, over the later half of the averaged epochs: one SGD iterate is more noise than many, and the
/// first averages are of few snapshots. The number counts as in [`EpochAccuracies::accuracies`].
pub fn late(rows: &[EpochAccuracies], number: usize) -> f64 {
    let averaged: Vec<f64> = rows
        .iter()
        .filter(|row| row.is_averaged())
        .filter_map(|row| row.accuracies.get(number).copied())
        .collect();
    spread(&averaged[averaged.len() / 2..]).0
}

/// Accuracy after the last epoch, 0..1.
pub fn final_accuracy(rows: &[EpochAccuracies], number: usize) -> f64 {
    rows.last()
        .and_then(|row| row.accuracies.get(number).copied())
        .unwrap_or(f64::NAN)
}

/// Mean accuracy over the seeds' runs in % by epoch, as a curve.
pub fn series(label: &str, runs: &[Vec<EpochAccuracies>], number: usize) -> Series {
    let point = |(index, first): (usize, &EpochAccuracies)| {
        let accuracies: Vec<f64> = runs
            .iter()
            .filter_map(|rows| rows.get(index)?.accuracies.get(number).copied())
            .collect();
        (!accuracies.is_empty()).then(|| (first.epoch as f64, 100.0 * spread(&accuracies).0))
    };
    Series {
        label: label.to_owned(),
        points: runs.iter().take(1).flatten().enumerate().filter_map(point).collect(),
        dashed: number == SGD,
    }
}

/// The vertical lines of a chart: where averaging starts in the runs, once each.
pub fn marks(starts: &[usize]) -> Vec<(f64, String)> {
    let mut starts = starts.to_vec();
    starts.sort_unstable();
    starts.dedup();
    starts
        .into_iter()
        .map(|start| (start as f64, "averaging".to_owned()))
        .collect()
}

/// How a chart was made, in a line.
pub fn footnote(trained: &Trained, seeds: &[u64]) -> String {
    let record = trained.folder.record();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!(
        "{} · {} ({} test images) · bn recompute (batch {}) · mean of seeds {} · {} · valleyscope {}",
        record.model,
        record.data,
        trained.objective.data().test.len(),
        trained.objective.batch_size(),
        seeds.join(", "),
        record.device,
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::zoo;

    fn graph() -> Graph {
        zoo::build("resnet8:width=4", [3, 8, 8], 10).unwrap()
    }

    fn count(mask: &[bool]) -> usize {
        mask.iter().filter(|&&set| set).count()
    }

    #[test]
    fn an_average_is_the_mean_where_the_mask_is_set_and_the_iterate_elsewhere() {
        let mut average = RunningAverage::new(3);
        let snapshots: [[f32; 3]; 4] = [[1.0, -4.0, 8.0], [2.0, 0.0, 0.0], [6.0, 1.0, 1.0], [3.0, 7.0, -1.0]];
        for snapshot in &snapshots {
            average.enter(snapshot);
        }
        assert_eq!(average.masked(&[true; 3], &snapshots[3]), [3.0, 1.0, 2.0]);
        assert_eq!(average.masked(&[true, false, true], &snapshots[3]), [3.0, 7.0, 2.0]);
        assert_eq!(average.masked(&[false; 3], &snapshots[3]), snapshots[3]);
    }

    #[test]
    fn an_average_of_many_equal_snapshots_is_that_snapshot() {
        let snapshot = [0.1_f32, -3.3, 1e-20];
        let mut average = RunningAverage::new(3);
        for _ in 0..1000 {
            average.enter(&snapshot);
        }
        assert_eq!(average.masked(&[true; 3], &[0.0; 3]), snapshot);
    }

    #[test]
    fn masks_are_of_equal_size_and_do_not_meet() {
        let graph = graph();
        let norm = batch_norm(&graph);
        assert_eq!(count(&norm), graph.batch_norm_parameter_count());
        assert_eq!(count(&all(&graph)), graph.parameter_count());
        let others = as_many_others(&graph, 1, 0);
        assert_eq!(count(&others), count(&norm));
        assert!(others.iter().zip(&norm).all(|(&a, &b)| !(a && b)));
        assert_eq!(others, as_many_others(&graph, 1, 0));
        assert_ne!(others, as_many_others(&graph, 1, 1));
        assert_ne!(others, as_many_others(&graph, 2, 0));
    }

    #[test]
    fn late_epochs_are_the_later_half_of_the_averaged_ones() {
        let row = |epoch, accuracies: &[f64]| EpochAccuracies {
            epoch,
            accuracies: accuracies.to_vec(),
        };
        let rows = [
            row(1, &[0.0]),
            row(2, &[0.0]),
            row(3, &[0.1, 0.5]),
            row(4, &[0.25, 0.75]),
            row(5, &[0.75, 1.0]),
        ];
        assert_eq!(late(&rows, SGD), 0.5);
        assert_eq!(late(&rows, 1), 0.875);
        assert_eq!(final_accuracy(&rows, 1), 1.0);
        let other = rows.clone().map(|row| EpochAccuracies {
            accuracies: vec![0.5; row.accuracies.len()],
            ..row
        });
        let curve = series("average", &[rows.to_vec(), other.to_vec()], 1);
        assert_eq!(curve.points, [(3.0, 50.0), (4.0, 62.5), (5.0, 75.0)]);
    }
}
