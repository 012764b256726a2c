//! `valleyscope bench`: throughput on this machine, with the cost model beside it.

use super::progress::Progress;
use crate::error::{Error, Result};
use crate::experiment::growth::{self, Growth};
use crate::experiment::throughput::{CASES, Case, Measurement, Report};
use crate::objective::{Compute, DeviceChoice};

/// The name of the measurement of how cost grows.
const GROWTH: &str = "growth";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to measure: demo, preresnet20, vgg16, densenet100 (lines and training steps), or growth (how cost grows with
    /// points, images, width and depth); without, the first four
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    let cases = cases(&arguments.names)?;
    let compute = Compute::open(device)?;
    let mut report = Report::new(&compute);
    let mut progress = Progress::new();
    if !arguments.json {
        let peak = report.peak_gflops.map(|peak| format!(", at most {peak:.0} GFLOP/s"));
        say!(
            "{}, {} threads{}",
            report.device,
            report.threads,
            peak.unwrap_or_default()
        );
    }
    for (index, case) in cases.iter().enumerate() {
        let done = index as f64 / cases.len() as f64;
        let mut tell = |what: &str| progress.report(what, done);
        let Some(case) = case else {
            let rows = growth::measure(&compute, &mut tell)?;
            if !arguments.json {
                say!("{}", growth_table(&rows));
            }
            report.growth = rows;
            continue;
        };
        let before = report.measurements.len();
        report.measure(case, &compute, &mut tell)?;
        if !arguments.json {
            if before == 0 {
                say!("{}", heading());
            }
            for measurement in &report.measurements[before..] {
                say!("{}", row(measurement));
            }
        }
    }
    drop(progress);
    if arguments.json {
        super::print_json(&report)?;
    }
    Ok(())
}

/// The cases asked for; none stands for [`GROWTH`].
fn cases(names: &[String]) -> Result<Vec<Option<&'static Case>>> {
    if names.is_empty() {
        return Ok(CASES.iter().map(Some).collect());
    }
    let known = || {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).chain([GROWTH]).collect();
        names.join(", ")
    };
    names
        .iter()
        .map(|name| match CASES.iter().find(|case| case.name == name) {
            None if name == GROWTH => Ok(None),
            None => Err(Error::option("NAME", name, format!("it must be one of {}", known()))),
            case => Ok(case),
        })
        .collect()
}

fn heading() -> String {
    format!(
        "{:12} {:14} {:10} {:>15} {:>9} {:>7} {:>9} {:>8}",
        "network", "task", "bn", "a second", "MFLOP", "MB", "GFLOP/s", "of peak"
    )
}

fn row(measured: &Measurement) -> String {
    let unit = if measured.task == "line" { "points" } else { "steps" };
    let share = measured.share_of_peak.map(|share| format!("{:.0} %", 100.0 * share));
    format!(
        "{:12} {:14} {:10} {:>15} {:>9.0} {:>7.0} {:>9.1} {:>8}",
        measured.case,
        measured.task,
        measured.policy.name(),
        format!("{:.2} {unit}", measured.rate),
        2e-6 * measured.multiply_adds as f64,
        1e-6 * measured.bytes as f64,
        measured.gflops,
        share.unwrap_or_default()
    )
}

/// Each row beside the first: if nothing grows faster than the multiply-adds, the last column stays at 1 or below.
fn growth_table(rows: &[Growth]) -> String {
    let mut text = format!(
        "{:8} {:17} {:>6} {:>6} {:>8} {:>8} {:>8} {:>9} {:>20}",
        "doubled", "model", "points", "images", "GFLOP", "seconds", "MiB", "GFLOP/s", "time / multiply-adds"
    );
    for row in rows {
        let memory = row
            .memory
            .map(|bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20)));
        text += &format!(
            "\n{:8} {:17} {:>6} {:>6} {:>8.1} {:>8.3} {:>8} {:>9.1} {:>20.2}",
            row.doubled,
            row.model,
            row.points,
            row.images,
            2e-9 * row.multiply_adds as f64,
            row.seconds,
            memory.unwrap_or_default(),
            2.0 * row.rate(),
            rows[0].rate() / row.rate()
        );
    }
    text
}
