//! `valleyscope reproduce`.

use std::path::PathBuf;

use super::progress::Progress;
use crate::error::Result;
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
    /// Print names, claims and verdicts as one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, device: DeviceChoice) -> Result<()> {
    if arguments.list {
        return list(arguments.json);
    }
    let mut recipes = Vec::new();
    for name in &arguments.names {
        match name.as_str() {
            "all" => recipes.extend(Recipe::built_in()?),
            name => recipes.push(Recipe::named(name)?),
        }
    }
    let mut progress = Progress::new();
    let compute = Compute::open(device)?;
    let mut made = Vec::new();
    for recipe in recipes {
        let mut report = |what: &str, done: f64| progress.report(&format!("{}: {what}", recipe.name), done);
        let (outcome, cost) = Laboratory::new(compute.clone(), &arguments.out, &mut report).make(&recipe)?;
        let one = Made::new(outcome, cost);
        experiment::write(&arguments.out, &recipe, &one)?;
        if !arguments.json {
            say!(
                "{}: {}. {}",
                recipe.name,
                one.outcome.verdict.answer.name(),
                one.outcome.verdict.measured
            );
        }
        made.push((recipe, one));
    }
    drop(progress);
    experiment::write_index(&arguments.out, &made)?;
    if arguments.json {
        let documents: Vec<serde_json::Value> = made
            .iter()
            .map(|(recipe, Made { outcome, cost, .. })| {
                serde_json::json!({
                    "name": recipe.name, "claim": recipe.claim, "verdict": outcome.verdict, "cost": cost,
                })
            })
            .collect();
        return super::print_json(&documents);
    }
    say!("pages, figures and tables are in {}", arguments.out.display());
    Ok(())
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
