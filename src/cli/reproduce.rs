//! `valleyscope reproduce`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use clap::ValueEnum;

use super::progress::Progress;
use crate::error::{Error, Result};
use crate::experiment::laboratory::{FOLDER, Laboratory};
use crate::experiment::outcome::Made;
use crate::experiment::recipe::{Recipe, papers};
use crate::figure::experiment;
use crate::objective::{Compute, DeviceChoice};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Experiments: names, recipe files that end in .toml, or `all`
    #[arg(value_name = "NAME", required_unless_present = "list")]
    names: Vec<String>,
    /// List the experiments
    #[arg(long)]
    list: bool,
    /// Folder for pages, figures, tables and the runs that they share
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    out: PathBuf,
    /// Say no more than the verdict
    #[arg(long, hide = true)]
    one_of_several: bool,
    /// Print names, claims and verdicts as one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    if arguments.list {
        return list(arguments.json);
    }
    let mut asked = Vec::new();
    for name in &arguments.names {
        match name.as_str() {
            "all" => asked.extend(
                Recipe::built_in()?
                    .into_iter()
                    .map(|recipe| (recipe.name.clone(), recipe)),
            ),
            name => asked.push((name.to_owned(), Recipe::named(name)?)),
        }
    }
    let mut failed = Vec::new();
    match asked.as_slice() {
        [(_, recipe)] => make(recipe, arguments, device)?,
        several => {
            let interrupted = super::interrupt_flag();
            for (name, recipe) in several {
                // Each in a process of its own: its memory is its own, and one that fails leaves the others alone.
                if !make_apart(name, arguments, device)? {
                    failed.push(recipe.name.clone());
                }
                if interrupted.load(Ordering::Relaxed) {
                    return Err(Error::Cancelled);
                }
            }
        }
    }
    if arguments.one_of_several {
        return Ok(());
    }
    if !failed.is_empty() {
        return Err(Error::Request(format!(
            "not made: {}; see above. The others are in {}",
            failed.join(", "),
            arguments.out.display()
        )));
    }
    if arguments.json {
        let documents = asked
            .iter()
            .map(|(_, recipe)| {
                let Made { outcome, cost, .. } = Made::read(&arguments.out, recipe)?;
                Ok(serde_json::json!({
                    "name": recipe.name, "claim": recipe.claim, "verdict": outcome.verdict, "cost": cost,
                }))
            })
            .collect::<Result<Vec<serde_json::Value>>>()?;
        return super::print_json(&documents);
    }
    say!("pages, figures and tables are in {}", arguments.out.display());
    Ok(())
}

/// Makes one experiment here.
fn make(recipe: &Recipe, arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    let mut progress = Progress::new();
    let compute = Compute::open(device)?;
    let mut report = |what: &str, done: f64| progress.report(&format!("{}: {what}", recipe.name), done);
    let (outcome, cost) = Laboratory::new(compute, &arguments.out, &mut report).make(recipe)?;
    let made = Made::new(outcome, cost, recipe);
    experiment::write(&arguments.out, recipe, &made)?;
    drop(progress);
    if !arguments.json {
        let verdict = &made.outcome.verdict;
        say!("{}: {}. {}", recipe.name, verdict.answer.name(), verdict.measured);
    }
    Ok(())
}

/// Makes one experiment in a process of its own, which shows its progress; false where that failed, and said why.
fn make_apart(name: &str, arguments: &Arguments, device: DeviceChoice) -> Result<bool> {
    let failed = |error: std::io::Error| Error::Request(format!("another process could not be started: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command
        .args(["reproduce", name, "--one-of-several", "--out"])
        .arg(&arguments.out);
    if let Some(device) = device.to_possible_value() {
        command.args(["--device", device.get_name()]);
    }
    if arguments.json {
        command.stdout(Stdio::null()).arg("--json");
    }
    Ok(command.status().map_err(failed)?.success())
}

fn list(json: bool) -> Result<()> {
    let recipes = Recipe::built_in()?;
    if json {
        let documents: Vec<serde_json::Value> = recipes
            .iter()
            .map(|recipe| {
                serde_json::json!({
                    "name": recipe.name, "paper": recipe.paper, "figures": recipe.figures, "claim": recipe.claim,
                })
            })
            .collect();
        return super::print_json(&documents);
    }
    let widest = recipes.iter().map(|recipe| recipe.name.len()).max().unwrap_or(0);
    for paper in papers(&recipes) {
        say!("{paper}");
        for recipe in recipes.iter().filter(|recipe| recipe.paper == paper) {
            say!("  {:widest$}  {}", recipe.name, recipe.claim);
            say!("  {:widest$}  {}", "", recipe.figures.join(", "));
        }
    }
    Ok(())
}
