//! `valleyscope curvature --trajectory RUN`: sharpness and non-uniformity by epoch.

mod table;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use self::table::Columns;
use super::measure::{IMAGES, STEPS, STEPS_EACH};
use super::{Arguments, Bar, as_flag, explained, hand_out, renamed};
use crate::cli::progress::Progress;
use crate::curvature::along_run::{Plan, epochs};
use crate::curvature::{AlongRun, AtEpoch, Effort, Matrix};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::figure::along_run as files;
use crate::objective::{Compute, DeviceChoice, Objective, usual_batch};
use crate::training::RunFolder;

/// The run to look along.
#[derive(Debug, clap::Args)]
pub struct Along {
    /// Run folder: instead of the curvature at one point, the sharpness a by epoch, and with --non-uniformity s, beside
    /// the bounds of the learning rate of each epoch; a line for each as soon as it is known
    #[arg(long, help_heading = "Along training", value_name = "RUN")]
    trajectory: Option<PathBuf>,
    /// Epochs from one that is measured to the next; the first and the last are always among them [default: up to twenty
    /// epochs, spread evenly]
    #[arg(long, help_heading = "Along training", value_name = "N", requires = "trajectory")]
    every: Option<usize>,
}

impl Along {
    /// The run folder, where one is named.
    pub fn trajectory(&self) -> Option<&Path> {
        self.trajectory.as_deref()
    }

    /// Epochs from one to the next, where they are given.
    pub fn every(&self) -> Option<usize> {
        self.every
    }
}

/// Refuses options that say nothing of a whole run.
pub(super) fn check(arguments: &Arguments) -> Result<()> {
    let point = "it is of one point; leave it out, or name an epoch's snapshot with --checkpoint \
                 RUN/trajectory/NNNN.safetensors instead of --trajectory";
    let record = "the run's record says it for every epoch; leave it out with --trajectory";
    let flag = |is_given: bool| is_given.then(String::new);
    let eigenvectors = arguments.save_eigenvectors.as_ref();
    let refused = [
        (
            "--checkpoint",
            arguments.checkpoint.as_ref().map(ToString::to_string),
            "--trajectory looks at the snapshots of its run; leave one of the two out",
        ),
        (
            "--part",
            (arguments.part != Part::Train).then(|| arguments.part.name().to_owned()),
            "SGD goes down the loss of the training images, and its bounds are on their curvature; leave it out with \
             --trajectory",
        ),
        (
            "--matrix",
            (arguments.matrix != Matrix::Hessian).then(|| arguments.matrix.name().to_owned()),
            "the sharpness is the largest eigenvalue of the Hessian; leave it out with --trajectory",
        ),
        (
            "--eigenvalues",
            arguments.eigenvalues.map(|count| count.to_string()),
            point,
        ),
        (
            "--smallest",
            (arguments.smallest > 0).then(|| arguments.smallest.to_string()),
            point,
        ),
        ("--copies", flag(arguments.copies), point),
        (
            "--save-eigenvectors",
            eigenvectors.map(|path| path.display().to_string()),
            point,
        ),
        ("--trace", arguments.trace.map(|count| count.to_string()), point),
        ("--density", flag(arguments.density), point),
        ("--covariance", flag(arguments.covariance.is_some()), point),
        (
            "--learning-rate",
            arguments.learning_rate.map(|rate| rate.to_string()),
            record,
        ),
        (
            "--batch-size",
            arguments.batch_size.map(|batch| batch.to_string()),
            record,
        ),
    ];
    for (option, value, reason) in refused {
        if let Some(value) = value {
            return Err(Error::option(option, value, reason));
        }
    }
    arguments.belonging.check_of_run()
}

/// Measures the epochs of the run that the arguments name.
pub(super) fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    let Some(path) = arguments.along.trajectory() else {
        let reason = "name a solution to look at, or a run folder with --trajectory";
        return Err(Error::option("--checkpoint", "", reason));
    };
    let folder = RunFolder::open(path)?;
    let snapshots = folder.snapshots();
    if snapshots == 0 {
        let reason = "this run has no snapshots yet; train it first";
        return Err(Error::option("--trajectory", path.display(), reason));
    }
    let mut progress = Progress::new();
    let (graph, data) = arguments.belonging.open_run(folder.record(), &mut progress)?;
    let batch = arguments.evaluation_batch.unwrap_or_else(|| usual_batch(&graph));
    let objective = Objective::new(graph, data, Compute::open(device)?, batch)
        .map_err(|error| renamed(error, "--batch-size", "--evaluation-batch"))?;
    crate::cli::note_device(&objective);
    let bar = Bar {
        progress: RefCell::new(progress),
        silent: arguments.json,
    };
    let plan = plan(arguments, epochs(snapshots - 1, arguments.along.every()));
    let mut record = AlongRun::new(&folder, &objective, plan).map_err(as_flag)?;
    let ended = measured(&mut record, &folder, &objective, &bar);
    if !record.is_known() {
        return ended.map_err(|error| explained(error, &bar));
    }
    // Hours may have gone into what is known, whatever ended the rest.
    if ended.is_err() {
        let (known, all) = (record.rows.len(), record.epochs.len());
        bar.note(&format!(
            "{known} of {all} epochs are measured, and the results are of those"
        ));
    }
    drop(bar);
    hand_out(arguments, &record, |path, size| files::write(path, &record, size))?;
    ended.map_err(as_flag)
}

fn plan(arguments: &Arguments, epochs: Vec<usize>) -> Plan {
    Plan {
        epochs,
        policy: arguments.bn,
        samples: arguments.samples.unwrap_or(usize::MAX),
        effort: Effort {
            steps: arguments.steps.unwrap_or(STEPS + STEPS_EACH),
            tolerance: arguments.tolerance,
            seed: arguments.seed,
        },
        non_uniformity: arguments.non_uniformity.map(|count| count.unwrap_or(IMAGES)),
    }
}

/// Measures one epoch after another, and prints each as soon as it is known. What is known by then stays in the record
/// where something ends it.
fn measured(record: &mut AlongRun, folder: &RunFolder, objective: &Objective, bar: &Bar) -> Result<()> {
    let columns = Columns::of(record);
    bar.print(&table::head(record, objective.graph().statistics_count() > 0))?;
    bar.print(&columns.names())?;
    let stage = "curvature along training";
    let mut found = |row: &AtEpoch| bar.print(&columns.row(row));
    let mut told = |share: f64| bar.report(stage, share);
    record.measure(folder, objective, &mut found, &mut told)?;
    bar.print(&table::summary(record))
}
