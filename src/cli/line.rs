//! `valleyscope line`.

use std::path::{Path, PathBuf};

use super::drawing::Pair;
use super::progress::Progress;
use super::source;
use crate::error::{Error, Result};
use crate::figure::{pictures, table};
use crate::files::whole_file;
use crate::landscape::line::positions;
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{LineRecord, Provenance, Scale};
use crate::objective::{BatchNormPolicy, Compute, DeviceChoice, Objective, usual_batch};

/// More points than any plot has pixels; a larger number is a slip of the keyboard.
const MOST_POINTS: usize = 100_000;

/// A farther position is infinite in single precision.
const FARTHEST: f64 = 1e30;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: source::Arguments,
    /// Positions, first and last
    #[arg(long, value_name = "A..B", default_value = "-3..3", allow_hyphen_values = true, value_parser = parse_range)]
    range: (f64, f64),
    /// Number of points
    #[arg(long, value_name = "N", default_value_t = 41)]
    points: usize,
    /// What happens to batch-norm statistics [default: recompute with --to, as in the papers, otherwise running]
    #[arg(long, value_enum)]
    bn: Option<BatchNormPolicy>,
    /// Images an evaluation batch [default: 128, or fewer where a large network leaves no memory for them]
    #[arg(long, value_name = "B")]
    batch_size: Option<usize>,
    /// File to write: .csv (with .json beside it), .png or .svg; may be given more than once
    #[arg(long, value_name = "FILE", required_unless_present = "json")]
    out: Vec<PathBuf>,
    /// Pixels of a figure [default: 1600x1000]
    #[arg(long, value_name = "WxH")]
    size: Option<Pair<u32>>,
    /// Print the line as one JSON document
    #[arg(long)]
    json: bool,
}

pub fn parse_range(text: &str) -> std::result::Result<(f64, f64), String> {
    let wrong = || format!("`{text}` is not of the form A..B with two numbers that single precision holds");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|position| position.abs() <= FARTHEST)
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
        table::refuse_files_of_a_run(out)?;
        whole_file::check_writable(out)?;
    }
    let first = arguments.source.first();
    arguments.source.check(&[&first])?;
    let mut progress = Progress::new();
    let source = arguments.source.open(true, &mut progress)?;
    let (line, label) = arguments.source.line(&source, &mut progress)?;
    let data = source.data.ok_or_else(|| {
        Error::Request(format!(
            "{} does not say which data it is for; give --data, such as --data cifar10:DIR",
            source.name
        ))
    })?;
    let batch_size = arguments.batch_size.unwrap_or_else(|| usual_batch(&source.graph));
    let policy = arguments.bn.unwrap_or(match first.is_segment() {
        true => BatchNormPolicy::Recompute,
        false => BatchNormPolicy::Running,
    });
    let has_statistics = source.graph.statistics_count() > 0;
    if first.is_segment() && policy == BatchNormPolicy::Running && has_statistics {
        eprintln!(
            "note: under bn running the first solution's statistics hold all along the line, so its end is not the \
             other's own loss; --bn recompute finds each point's"
        );
    }
    let objective = Objective::new(source.graph, data, Compute::open(device)?, batch_size)?;
    super::note_device(&objective);
    let (start, end) = arguments.range;
    let request = SweepRequest {
        slice: line,
        positions: positions(start, end, arguments.points),
        policy,
        samples: usize::MAX,
    };
    let curve = Sweep::new(&objective, request).run(&objective, |done, total| {
        progress.report("line", done as f64 / total.max(1) as f64)
    })?;
    drop(progress);
    let record = LineRecord {
        provenance: Provenance::new(&objective, &source.name, &label, policy, usize::MAX, None),
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

fn write(arguments: &Arguments, path: &Path, record: &LineRecord) -> Result<()> {
    let records = std::slice::from_ref(record);
    let size = arguments.size.map(|Pair(width, height)| (width, height));
    table::write_lines(path, records, size, || {
        let Some(names) = arguments.source.ends() else {
            let title = format!("Loss along {}", record.label);
            let axis = pictures::ray_axis(arguments.source.normalisation());
            return pictures::lines(&title, axis, records, Scale::Automatic);
        };
        pictures::interpolation(&names, record, Scale::Automatic)
    })
}
