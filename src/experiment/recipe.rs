//! Recipes: an experiment as a TOML file, so that a new one needs no Rust. What is trained, what is measured on it, what
//! the paper claims, and what it published.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::kinds::Kind;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::training::TrainingOptions;

/// Recipes that come with the program, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    (
        "asymmetric-direction",
        include_str!("../../assets/experiments/asymmetric-direction.toml"),
    ),
    (
        "averaged-parameters",
        include_str!("../../assets/experiments/averaged-parameters.toml"),
    ),
    ("batch-norm", include_str!("../../assets/experiments/batch-norm.toml")),
    (
        "batch-norm-directions",
        include_str!("../../assets/experiments/batch-norm-directions.toml"),
    ),
    ("batch-size", include_str!("../../assets/experiments/batch-size.toml")),
    (
        "interpolation",
        include_str!("../../assets/experiments/interpolation.toml"),
    ),
    (
        "interpolation-and-random",
        include_str!("../../assets/experiments/interpolation-and-random.toml"),
    ),
    ("logistic", include_str!("../../assets/experiments/logistic.toml")),
    (
        "minima-spectrum",
        include_str!("../../assets/experiments/minima-spectrum.toml"),
    ),
    (
        "neighbourhood",
        include_str!("../../assets/experiments/neighbourhood.toml"),
    ),
    (
        "one-point-convexity",
        include_str!("../../assets/experiments/one-point-convexity.toml"),
    ),
    ("oscillation", include_str!("../../assets/experiments/oscillation.toml")),
    ("random-rays", include_str!("../../assets/experiments/random-rays.toml")),
    ("shift", include_str!("../../assets/experiments/shift.toml")),
    (
        "shift-symmetric",
        include_str!("../../assets/experiments/shift-symmetric.toml"),
    ),
    (
        "trajectories",
        include_str!("../../assets/experiments/trajectories.toml"),
    ),
    (
        "trajectory-surface",
        include_str!("../../assets/experiments/trajectory-surface.toml"),
    ),
];

/// Size of a recipe file, at most.
const MOST_BYTES: u64 = 1 << 20;

/// A training run that experiments measure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunStage {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Name of the run whose weights it starts from; without, from its seed's own.
    pub from: Option<String>,
    /// Epochs of that run's main phase after which it starts, 0 for its initial weights; without, after its last. The
    /// momentum starts anew.
    pub from_epoch: Option<usize>,
    /// Epochs of the main phase.
    pub epochs: Option<usize>,
    /// Images a training batch.
    pub batch_size: Option<usize>,
    /// Learning rate at the start.
    pub learning_rate: Option<f64>,
    /// Momentum.
    pub momentum: Option<f64>,
    /// Weight decay.
    pub weight_decay: Option<f64>,
    /// First epoch whose weights enter the average; 0 for no averaging.
    pub swa_start: Option<usize>,
    /// Learning rate while averaging.
    pub swa_learning_rate: Option<f64>,
    /// Epochs of SGD started from the average.
    pub sgd_epochs: Option<usize>,
    /// Learning rate of those epochs.
    pub sgd_learning_rate: Option<f64>,
}

impl RunStage {
    /// Its hyper-parameters with a seed; those not named are the demo's.
    pub fn options(&self, seed: u64) -> TrainingOptions {
        let usual = TrainingOptions::default();
        TrainingOptions {
            epochs: self.epochs.unwrap_or(usual.epochs),
            batch_size: self.batch_size.unwrap_or(usual.batch_size),
            learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
            momentum: self.momentum.unwrap_or(usual.momentum),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            swa_start: self.swa_start.unwrap_or(usual.swa_start),
            swa_learning_rate: self.swa_learning_rate.unwrap_or(usual.swa_learning_rate),
            sgd_epochs: self.sgd_epochs.unwrap_or(usual.sgd_epochs),
            sgd_learning_rate: self.sgd_learning_rate.unwrap_or(usual.sgd_learning_rate),
            seed,
        }
    }
}

/// A number that the paper published, to lay beside ours.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What it is of.
    pub what: String,
    /// The number, as printed.
    pub value: String,
}

/// An experiment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// Its name, as `reproduce NAME` takes it.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// Figures and tables of the paper that it is of.
    pub figures: Vec<String>,
    /// The claim that it tests, in a sentence.
    pub claim: String,
    /// Seeds it is repeated with.
    #[serde(default = "first_seed")]
    pub seeds: Vec<u64>,
    /// Training runs by name.
    #[serde(default)]
    pub runs: BTreeMap<String, RunStage>,
    /// What is measured: a table whose name is the kind of experiment.
    pub measure: Kind,
    /// What the paper published.
    #[serde(default)]
    pub published: Vec<Published>,
}

fn first_seed() -> Vec<u64> {
    vec![1]
}

impl Recipe {
    /// Reads a recipe; `source` is its file, for messages.
    ///
    /// # Errors
    /// [`Error::File`] with the line of what is not understood: an unknown field, a wrong unit, a run that does not
    /// exist, or runs that start from each other.
    pub fn parse(text: &str, source: &Path) -> Result<Self> {
        let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let recipe: Self = toml::from_str(text).map_err(|error| {
            let place = error
                .span()
                .map_or(String::new(), |span| format!("line {}: ", line_of(span.start)));
            let reason = error.message().replace('\n', " ");
            Error::file_reason(source, format!("{place}{reason}"))
        })?;
        let at = |words: &str| {
            let line = text
                .find(words)
                .map_or(String::new(), |offset| format!("line {}: ", line_of(offset)));
            move |reason: String| Error::file_reason(source, line.clone() + &reason)
        };
        if recipe.seeds.is_empty() {
            return Err(at("seeds")("an experiment needs one seed at least".to_owned()));
        }
        for (name, stage) in &recipe.runs {
            let header = format!("[runs.{name}]");
            stage
                .options(recipe.seeds[0])
                .check()
                .map_err(|error| at(&header)(error.to_string()))?;
            let mut seen = vec![name];
            let mut next = stage.from.as_ref();
            while let Some(before) = next {
                let Some(stage) = recipe.runs.get(before) else {
                    return Err(at(&header)(format!("there is no run `{before}` to start from")));
                };
                if seen.contains(&before) {
                    let way: Vec<&str> = seen.iter().map(|name| name.as_str()).collect();
                    return Err(at(&header)(format!(
                        "these runs start from each other: {} from {before}",
                        way.join(" from ")
                    )));
                }
                seen.push(before);
                next = stage.from.as_ref();
            }
            recipe
                .check_from_epoch(stage)
                .map_err(|error| at(&header)(error.to_string()))?;
        }
        for name in recipe.measure.runs() {
            if !recipe.runs.contains_key(name) {
                let known: Vec<&str> = recipe.runs.keys().map(String::as_str).collect();
                return Err(at("[measure")(format!(
                    "there is no run `{name}` to measure; there are: {}",
                    known.join(", ")
                )));
            }
        }
        Ok(recipe)
    }

    /// Whether the run that a stage starts from reaches the epoch after which it starts.
    fn check_from_epoch(&self, stage: &RunStage) -> Result<()> {
        let Some(epoch) = stage.from_epoch else { return Ok(()) };
        let Some((name, before)) = stage.from.as_ref().and_then(|name| self.runs.get_key_value(name)) else {
            return Err(Error::option("from-epoch", epoch, "name the run with `from`, too"));
        };
        let epochs = before.options(0).epochs;
        match epoch <= epochs {
            true => Ok(()),
            false => Err(Error::option(
                "from-epoch",
                epoch,
                format!("the run `{name}` has {epochs} epochs"),
            )),
        }
    }

    /// A recipe of the program by its name, or from a `.toml` file.
    ///
    /// # Errors
    /// As [`Self::parse`]; when there is no such recipe, with the names there are.
    pub fn named(name: &str) -> Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(text, Path::new(&format!("{name}.toml")));
        }
        let path = Path::new(name);
        if path.extension().is_some_and(|ending| ending == "toml") {
            let bytes = whole_file::read(path, MOST_BYTES)?;
            let text = String::from_utf8(bytes).map_err(|_| Error::file_reason(path, "it is not text in UTF-8"))?;
            return Self::parse(&text, path);
        }
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        Err(Error::option(
            "NAME",
            name,
            format!("there are {}, and recipe files that end in .toml", names.join(", ")),
        ))
    }

    /// All recipes of the program.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn built_in() -> Result<Vec<Self>> {
        BUILT_IN.iter().map(|(name, _)| Self::named(name)).collect()
    }
}
