//! `valleyscope save`: a solution, or a point of a line, as safetensors under PyTorch's names.

use std::path::PathBuf;
use std::sync::Arc;

use super::progress::Progress;
use super::source;
use crate::checkpoint::NamedTensors;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::objective::{Compute, DeviceChoice, Objective, Solution, usual_batch};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: source::Arguments,
    /// Position on the line, with --to or --direction
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    position: Option<f64>,
    /// Recompute batch-norm statistics at the point with one pass over the training images; otherwise they are the
    /// checkpoint's
    #[arg(long)]
    recompute: bool,
    /// Images a batch of that pass [default: 128, or fewer where a large network leaves no memory for them]
    #[arg(long, value_name = "B", requires = "recompute")]
    batch_size: Option<usize>,
    /// File to write (.safetensors); in PyTorch, load_state_dict(safetensors.torch.load_file(FILE)) reads it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    if arguments.out.extension().is_none_or(|ending| ending != "safetensors") {
        return Err(Error::option(
            "--out",
            arguments.out.display(),
            "the file name must end in .safetensors",
        ));
    }
    let first = arguments.source.first();
    if arguments.position.is_some() || first.is_given() {
        arguments.source.check(&[&first])?;
    }
    if arguments.position.is_none() && first.is_given() {
        return Err(Error::option("--position", "", "say which point of the line to save"));
    }
    if arguments.position.is_some_and(|position| !position.is_finite()) {
        return Err(Error::option(
            "--position",
            arguments.position.unwrap_or_default(),
            "it must be finite",
        ));
    }
    whole_file::check_writable(&arguments.out)?;
    let mut progress = Progress::new();
    let source = arguments.source.open(arguments.recompute, &mut progress)?;
    let (mut solution, what) = match arguments.position {
        None => ((*source.origin).clone(), source.name.clone()),
        Some(position) => {
            let (line, label) = arguments.source.line(&source, &mut progress)?;
            let solution = Solution {
                parameters: line.point(position),
                statistics: source.origin.statistics.clone(),
            };
            (solution, format!("{} at {position} {label}", source.name))
        }
    };
    let mut data_name = source.data.as_ref().map(|data| data.name.clone());
    let mut statistics = format!("those of {}", source.name);
    if arguments.recompute {
        let data = source.data.clone().ok_or_else(|| {
            Error::Request("--recompute makes a pass over the training images; give --data".to_owned())
        })?;
        data_name = Some(data.name.clone());
        let graph = Arc::clone(&source.graph);
        let batch_size = arguments.batch_size.unwrap_or_else(|| usual_batch(&graph));
        let objective = Objective::new(graph, data, Compute::open(device)?, batch_size)?;
        solution.statistics = objective.recompute_statistics_with(&solution.parameters, &mut |done| {
            progress.report("recomputing the statistics", done)
        })?;
        statistics = format!("recomputed in batches of {batch_size}");
    }
    drop(progress);
    let provenance = serde_json::json!({
        "what": what, "model": source.graph.name, "data": data_name, "statistics": statistics,
        "version": env!("CARGO_PKG_VERSION"),
    });
    NamedTensors::of_solution(&source.graph, &solution).write(&arguments.out, &provenance.to_string())?;
    say!("written: {} ({what})", arguments.out.display());
    let has_statistics = !solution.statistics.is_empty();
    if arguments.position.is_some() && has_statistics && !arguments.recompute {
        say!("its batch-norm statistics are {statistics}; --recompute --data SPEC finds the point's own");
    }
    Ok(())
}
