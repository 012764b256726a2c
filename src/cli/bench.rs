//! `valleyscope bench`: throughput on this machine, with the cost model beside it.

use super::progress::Progress;
use crate::error::{Error, Result};
use crate::experiment::throughput::{CASES, Case, Measurement, Report};
use crate::objective::{Compute, DeviceChoice};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to measure: demo, preresnet20, vgg16, densenet100; without, all of them
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    let mut cases: Vec<&Case> = Vec::new();
    for name in &arguments.names {
        let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        let case = CASES.iter().find(|case| case.name == name);
        cases.push(case.ok_or_else(|| {
            Error::option("NAME", name, format!("it must be one of {}", known.join(", ")))
        })?);
    }
    if cases.is_empty() {
        cases = CASES.iter().collect();
    }
    let compute = Compute::open(device)?;
    let mut report = Report::new(&compute);
    let mut progress = Progress::new();
    if !arguments.json {
        say!("{}, {} threads{}", report.device, report.threads, match report.peak_gflops {
            Some(peak) => format!(", at most {peak:.0} GFLOP/s"),
            None => String::new(),
        });
        say!(
            "{:12} {:14} {:10} {:>14} {:>10} {:>10} {:>8}",
            "network", "task", "bn", "a second", "MFLOP", "GFLOP/s", "of peak"
        );
    }
    for (index, case) in cases.iter().enumerate() {
        let share = index as f64 / cases.len() as f64;
        let before = report.measurements.len();
        report.measure(case, &compute, &mut |what| progress.report(what, share))?;
        if !arguments.json {
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

fn row(measured: &Measurement) -> String {
    let unit = if measured.task == "line" { "points" } else { "steps" };
    let share = measured.share_of_peak.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    format!(
        "{:12} {:14} {:10} {:>14} {:>10.0} {:>10.1} {:>8}",
        measured.case,
        measured.task,
        measured.policy.name(),
        format!("{:.2} {unit}", measured.rate),
        2e-6 * measured.multiply_adds as f64,
        measured.gflops,
        share
    )
}
