//! `valleyscope line`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::progress::Progress;
use crate::checkpoint::solution::TensorFile;
use crate::checkpoint::whole_file;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::figure::chart::Scale;
use crate::figure::{pictures, table};
use crate::landscape::direction::{self, DirectionKind};
use crate::landscape::line::{Line, positions};
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{LineRecord, Provenance};
use crate::network::zoo;
use crate::objective::{BatchNormPolicy, Compute, DeviceChoice, EVALUATION_BATCH, Objective, Solution};

/// More points than any plot has pixels; a larger number is a slip of the keyboard.
const MOST_POINTS: usize = 100_000;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Model name with options; may be left out where the checkpoint names its own
    #[arg(long)]
    model: Option<String>,
    /// Data; may be left out where the checkpoint names its own
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// Solution at position 0: a .safetensors file of a run
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Solution at position 1: position t means w + t·(w_to − w)
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "direction",
        required_unless_present = "direction"
    )]
    to: Option<PathBuf>,
    /// Random direction: position l means w + l·u with ‖u‖ = 1
    #[arg(long, value_name = "KIND", value_enum)]
    direction: Option<DirectionKind>,
    /// Positions, first and last
    #[arg(long, value_name = "A..B", default_value = "-3..3", allow_hyphen_values = true, value_parser = parse_range)]
    range: (f64, f64),
    /// Number of points
    #[arg(long, value_name = "N", default_value_t = 41)]
    points: usize,
    /// What happens to batch-norm statistics
    #[arg(long, value_enum, default_value_t)]
    bn: BatchNormPolicy,
    /// Images an evaluation batch
    #[arg(long, value_name = "B", default_value_t = EVALUATION_BATCH)]
    batch_size: usize,
    /// Seed of the direction
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// File to write: .csv (with .json beside it), .png or .svg; may be given more than once
    #[arg(long, value_name = "FILE", required_unless_present = "json")]
    out: Vec<PathBuf>,
    /// Print the line as one JSON document
    #[arg(long)]
    json: bool,
}

fn parse_range(text: &str) -> std::result::Result<(f64, f64), String> {
    let wrong = || format!("`{text}` is not of the form A..B with two numbers");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|v| v.is_finite())
            .ok_or_else(wrong)
    };
    Ok((number(start)?, number(end)?))
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    if !(1..=MOST_POINTS).contains(&arguments.points) {
        return Err(Error::option(
            "--points",
            arguments.points,
            format!("it must be from 1 to {MOST_POINTS}"),
        ));
    }
    for out in &arguments.out {
        if !out.extension().is_some_and(|e| e == "csv" || e == "png" || e == "svg") {
            return Err(Error::option(
                "--out",
                out.display(),
                "the file name must end in .csv, .png or .svg",
            ));
        }
        whole_file::check_writable(out)?;
    }
    let checkpoint = TensorFile::read(&arguments.checkpoint)?;
    let named = |key: &str, flag: &str, given: &Option<String>| {
        let own = checkpoint
            .provenance
            .as_deref()
            .and_then(|p| serde_json::from_str::<serde_json::Value>(p).ok())
            .and_then(|p| Some(p.get(key)?.as_str()?.to_owned()));
        given.clone().or(own).ok_or_else(|| {
            Error::file_reason(
                &arguments.checkpoint,
                format!("it does not say which {key} it is for; give {flag}"),
            )
        })
    };
    let model = named("model", "--model", &arguments.model)?;
    let data = Arc::new(Dataset::open(&named("data", "--data", &arguments.data)?)?);
    let graph = Arc::new(zoo::build(&model, data.shape, data.classes.len())?);
    let origin = Arc::new(checkpoint.solution(&arguments.checkpoint, &graph)?);
    let (line, label) = match (&arguments.to, arguments.direction) {
        (Some(path), _) => {
            let to = TensorFile::read(path)?.solution(path, &graph)?;
            (
                Line::Segment {
                    from: origin,
                    to: Arc::new(to),
                },
                format!("to {}", path.display()),
            )
        }
        (None, Some(kind)) => ray(origin, &graph, kind, arguments.seed)?,
        (None, None) => {
            return Err(Error::option("--direction", "", "give --direction KIND or --to FILE"));
        }
    };
    let objective = Objective::new(graph, data, Compute::open(device)?, arguments.batch_size)?;
    let (start, end) = arguments.range;
    let request = SweepRequest {
        line,
        positions: positions(start, end, arguments.points),
        policy: arguments.bn,
        samples: usize::MAX,
    };
    let mut progress = Progress::new();
    let curve = Sweep::new(&objective, request).run(&objective, |done, total| {
        progress.report("line", done as f64 / total.max(1) as f64)
    })?;
    drop(progress);
    let record = LineRecord {
        provenance: Provenance::new(
            &objective,
            &arguments.checkpoint.display().to_string(),
            &label,
            arguments.bn,
            usize::MAX,
            None,
        ),
        label,
        curve,
    };
    if arguments.json {
        super::print_json(&record)?;
    }
    // Tables before figures, which can fail where no loss is finite.
    let is_table = |path: &&PathBuf| path.extension().is_some_and(|e| e == "csv");
    let (tables, figures): (Vec<_>, Vec<_>) = arguments.out.iter().partition(is_table);
    for path in tables.into_iter().chain(figures) {
        write(arguments, path, &record)?;
        if !arguments.json {
            say!("written: {}", path.display());
        }
    }
    Ok(())
}

fn ray(origin: Arc<Solution>, graph: &crate::network::Graph, kind: DirectionKind, seed: u64) -> Result<(Line, String)> {
    let direction = Arc::new(direction::random(graph, kind, seed)?);
    Ok((Line::Ray { origin, direction }, format!("{kind} (seed {seed})")))
}

fn write(arguments: &Arguments, path: &Path, record: &LineRecord) -> Result<()> {
    let records = std::slice::from_ref(record);
    table::write_lines(path, records, || {
        if arguments.to.is_none() {
            let title = format!("Loss along {}", record.label);
            return pictures::lines(&title, pictures::RAY_AXIS, records, Scale::Automatic);
        }
        let axis = "position t of w + t·(w_to − w)";
        pictures::segment(
            "Loss from one solution to another",
            axis,
            ["from", "to"],
            record,
            Scale::Automatic,
        )
    })
}
