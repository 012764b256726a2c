//! `valleyscope demo`.

use std::path::PathBuf;

use super::progress::Progress;
use crate::error::Result;
use crate::experiment::demo::{self, Recipe};
use crate::objective::{Compute, DeviceChoice};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder for figures, tables and the run
    #[arg(long, value_name = "DIR", default_value = "valleyscope-demo")]
    out: PathBuf,
    /// A smaller network run, done in well under a minute
    #[arg(long)]
    quick: bool,
    /// Print the numbers as one JSON document
    #[arg(long)]
    json: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            out: "valleyscope-demo".into(),
            quick: false,
            json: false,
        }
    }
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    run_on(arguments, Compute::open(device)?)
}

/// The same on a device that is open already.
pub fn run_on(arguments: &Arguments, compute: Compute) -> Result<()> {
    let recipe = if arguments.quick {
        Recipe::quick()
    } else {
        Recipe::full()
    };
    let mut progress = Progress::new();
    let findings = demo::run(&recipe, compute, &arguments.out, &mut |stage, done| {
        progress.report(stage, done)
    })?;
    drop(progress);
    crate::figure::demo::write(&findings, &arguments.out)?;
    if arguments.json {
        let lines = [
            &findings.uniform,
            &findings.batch_norm[0],
            &findings.batch_norm[1],
            &findings.interpolation,
        ];
        return super::print_json(&serde_json::json!({
            "out": arguments.out, "run": findings.record, "lines": lines,
        }));
    }
    let summary = arguments.out.join("summary.md");
    let text =
        std::fs::read_to_string(&summary).map_err(|error| crate::Error::file(&summary, "read this file", &error))?;
    super::print(&format!(
        "{text}
Figures and tables are in {}",
        arguments.out.display()
    ))
}
