//! `valleyscope train`.

use std::path::PathBuf;
use std::sync::Arc;

use super::progress::Progress;
use super::source::DataOptions;
use crate::error::{Error, Result};
use crate::experiment::demo;
use crate::network::zoo;
use crate::objective::{Compute, DeviceChoice, Objective};
use crate::training::RunFolder;
use crate::training::{Trainer, TrainingOptions};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Model name with options, such as resnet8:width=8
    #[arg(long, default_value = demo::MODEL)]
    model: String,
    /// Data: builtin, cifar10:DIR, mnist:DIR, folder:DIR, …
    #[arg(long, value_name = "SPEC", default_value = demo::DATA)]
    data: String,
    #[command(flatten)]
    data_options: DataOptions,
    #[command(flatten)]
    options: TrainingOptions,
    /// Run folder to write
    #[arg(
        long,
        value_name = "RUN",
        required_unless_present = "resume",
        conflicts_with = "resume"
    )]
    out: Option<PathBuf>,
    /// Go on with this interrupted run, with the model, data and options it was started with
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = [
            "model", "data", "subset", "test_subset", "random_labels", "classes", "data_seed", "mean", "std", "epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "swa_start",
            "swa_learning_rate", "sgd_epochs", "sgd_learning_rate", "seed",
        ]
    )]
    resume: Option<PathBuf>,
    /// Print the run's record as one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    let folder = arguments
        .resume
        .as_ref()
        .map(|path| RunFolder::open(path))
        .transpose()?;
    let mut progress = Progress::new();
    let mut options = arguments.options.clone();
    let (model, data) = match &folder {
        Some(folder) => {
            let record = folder.record();
            (&record.model, DataOptions::default().open(&record.data, &mut progress)?)
        }
        None => {
            options.fit_epochs();
            options.check()?;
            let data = arguments.data_options.open(&arguments.data, &mut progress)?;
            options.fit_images(data.train.len());
            (&arguments.model, data)
        }
    };
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len())?);
    let objective = Arc::new(Objective::usual(graph, data, Compute::open(device)?)?);
    super::note_device(&objective);
    let mut trainer = match (folder, &arguments.out) {
        (Some(folder), _) => Trainer::resume(objective, folder)?,
        (None, Some(path)) => Trainer::start(objective, &options, path)?,
        (None, None) => {
            return Err(Error::option("--out", "", "name a folder for the run"));
        }
    };
    let result = demo::train(&mut trainer, &mut |stage, done| progress.report(stage, done));
    drop(progress);
    let path = trainer.folder().path().display().to_string();
    if let Err(error) = result {
        return Err(match error {
            Error::Cancelled => Error::Request(format!(
                "stopped after epoch {}; go on with: valleyscope train --resume {path}",
                trainer.metrics().len()
            )),
            other => other,
        });
    }
    let record = trainer.folder().record();
    if arguments.json {
        return super::print_json(record);
    }
    for (name, measured) in [
        ("last SGD iterate", record.results.last),
        ("SWA", record.results.swa),
        ("SGD from SWA", record.results.sgd),
    ] {
        if let Some(m) = measured {
            say!(
                "{name:17} train loss {:.4}  test loss {:.4}  train accuracy {:.1} %  test accuracy {:.1} %",
                m.train.loss,
                m.test.loss,
                100.0 * m.train.accuracy,
                100.0 * m.test.accuracy
            );
        }
    }
    say!("run folder: {path}");
    Ok(())
}
