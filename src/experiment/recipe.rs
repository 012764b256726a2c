//! Recipes: an experiment as a TOML file, so that a new one needs no Rust. What is trained, what is measured on it, what
//! the paper claims, and what it published.

mod lines;
mod stage;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::kinds::Kind;
use super::laboratory::{LINES, RUNS};
use crate::error::{Error, Result};
use crate::files::checksum;
use crate::files::whole_file;
use lines::Lines;

pub use stage::RunStage;

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
        "biased-solution",
        include_str!("../../assets/experiments/biased-solution.toml"),
    ),
    ("escape", include_str!("../../assets/experiments/escape.toml")),
    (
        "escape-l-bfgs",
        include_str!("../../assets/experiments/escape-l-bfgs.toml"),
    ),
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
        "noise-indicators",
        include_str!("../../assets/experiments/noise-indicators.toml"),
    ),
    (
        "noise-network",
        include_str!("../../assets/experiments/noise-network.toml"),
    ),
    (
        "noise-one-hidden-layer",
        include_str!("../../assets/experiments/noise-one-hidden-layer.toml"),
    ),
    ("noise-race", include_str!("../../assets/experiments/noise-race.toml")),
    (
        "one-point-convexity",
        include_str!("../../assets/experiments/one-point-convexity.toml"),
    ),
    ("oscillation", include_str!("../../assets/experiments/oscillation.toml")),
    ("random-rays", include_str!("../../assets/experiments/random-rays.toml")),
    (
        "random-rays-batch",
        include_str!("../../assets/experiments/random-rays-batch.toml"),
    ),
    (
        "sharpness-along-training",
        include_str!("../../assets/experiments/sharpness-along-training.toml"),
    ),
    (
        "sharpness-and-non-uniformity",
        include_str!("../../assets/experiments/sharpness-and-non-uniformity.toml"),
    ),
    (
        "sharpness-by-rate",
        include_str!("../../assets/experiments/sharpness-by-rate.toml"),
    ),
    ("shift", include_str!("../../assets/experiments/shift.toml")),
    (
        "shift-symmetric",
        include_str!("../../assets/experiments/shift-symmetric.toml"),
    ),
    ("spiky", include_str!("../../assets/experiments/spiky.toml")),
    (
        "stability-diagram",
        include_str!("../../assets/experiments/stability-diagram.toml"),
    ),
    (
        "stability-toy",
        include_str!("../../assets/experiments/stability-toy.toml"),
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
    /// Title of the paper that it is of.
    #[serde(default = "first_paper")]
    pub paper: String,
    /// Figures and tables of that paper.
    pub figures: Vec<String>,
    /// The claim that it tests, in a sentence.
    pub claim: String,
    /// Seeds it is repeated with. Where all that is measured is there already, the one seed of that.
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
    /// The recipe's own text.
    #[serde(skip)]
    pub text: String,
}

/// Folders of a laboratory that no experiment can be called, and the word for all.
const NOT_NAMES: [&str; 3] = [RUNS, LINES, "all"];

fn first_paper() -> String {
    "Asymmetric Valleys".to_owned()
}

fn first_seed() -> Vec<u64> {
    vec![1]
}

impl Recipe {
    /// Reads a recipe; `source` is its file, for messages and for the paths in it.
    ///
    /// # Errors
    /// [`Error::File`] with the line of what is not understood: an unknown field, a wrong unit, a number out of range,
    /// a run that does not exist, a folder without a finished run, or runs that start from each other.
    pub fn parse(text: &str, source: &Path) -> Result<Self> {
        let lines = Lines::of(text);
        let mut recipe: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| lines.at(span.start));
            refused(source, line, &in_words(error.message()))
        })?;
        text.clone_into(&mut recipe.text);
        let wrong = |path: &[&str], reason: &str| refused(source, lines.of_key(path), reason);
        check_name(&recipe.name).map_err(|reason| wrong(&["name"], reason))?;
        let Some(&seed) = recipe.seeds.first() else {
            return Err(wrong(&["seeds"], "an experiment needs one seed at least"));
        };
        let folder = source.parent().unwrap_or(Path::new(""));
        for (name, stage) in &mut recipe.runs {
            stage
                .settle(folder, seed)
                .map_err(|found| wrong(&["runs", name.as_str(), found.key], &found.reason))?;
        }
        for name in recipe.runs.keys() {
            recipe
                .check_start(name)
                .map_err(|reason| wrong(&["runs", name.as_str(), "from"], &reason))?;
            recipe
                .check_from_epoch(name)
                .map_err(|reason| wrong(&["runs", name.as_str(), "from-epoch"], &reason))?;
        }
        for name in recipe.measure.experiment().runs() {
            if !recipe.runs.contains_key(name) {
                let known: Vec<&str> = recipe.runs.keys().map(String::as_str).collect();
                let reason = format!("there is no run `{name}` to measure; there are: {}", known.join(", "));
                return Err(refused(source, lines.of_value(&["measure"], name), &reason));
            }
        }
        let kind = lines.first_under("measure").unwrap_or_default();
        recipe.measure.experiment().check(&recipe).map_err(|error| {
            let option = match &error {
                Error::Option { option, .. } => option.as_str(),
                _ => "",
            };
            wrong(&["measure", kind, option], &error.to_string())
        })?;
        if let Some(own) = recipe.own_seed() {
            if recipe.seeds.len() > 1 {
                let reason = "what is measured is there already, and the same for every seed; leave the seeds out";
                return Err(wrong(&["seeds"], reason));
            }
            recipe.seeds = vec![own];
        }
        Ok(recipe)
    }

    /// Checks the runs that a run starts from, one after another; what is wrong is told in words.
    fn check_start(&self, name: &str) -> std::result::Result<(), String> {
        let mut seen = vec![name];
        let mut next = self.runs.get(name).and_then(|stage| stage.from.as_deref());
        while let Some(before) = next {
            let Some(stage) = self.runs.get(before) else {
                return Err(format!("there is no run `{before}` to start from"));
            };
            if seen.contains(&before) {
                let way = seen.join(" from ");
                return Err(format!("these runs start from each other: {way} from {before}"));
            }
            seen.push(before);
            next = stage.from.as_deref();
        }
        Ok(())
    }

    /// The seed of the runs that are measured, where all of them are there already: the first one's.
    fn own_seed(&self) -> Option<u64> {
        let names = self.measure.experiment().runs();
        let seeds: Option<Vec<u64>> = names.iter().map(|name| self.runs.get(*name)?.seed).collect();
        seeds?.first().copied()
    }

    /// Whether the run that a run starts from reaches the epoch after which it starts; what is wrong is told in words.
    fn check_from_epoch(&self, name: &str) -> std::result::Result<(), String> {
        let Some(stage) = self.runs.get(name) else {
            return Ok(());
        };
        let Some(epoch) = stage.from_epoch else { return Ok(()) };
        let Some((name, before)) = stage.from.as_ref().and_then(|name| self.runs.get_key_value(name)) else {
            return Err("name the run that it starts from, too, with `from`".to_owned());
        };
        let epochs = before.options(0).epochs;
        match epoch <= epochs {
            true => Ok(()),
            false => Err(format!(
                "the run `{name}` has {epochs} epochs, and this one starts after its epoch {epoch}"
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
            let recipe = Self::parse(&text, path)?;
            if BUILT_IN.iter().any(|(known, _)| *known == recipe.name) {
                let lines = Lines::of(&text);
                let reason = format!(
                    "`{}` is an experiment of the program; give yours another name",
                    recipe.name
                );
                return Err(refused(path, lines.of_key(&["name"]), &reason));
            }
            return Ok(recipe);
        }
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        Err(Error::option(
            "NAME",
            name,
            format!("there are {}, and recipe files that end in .toml", names.join(", ")),
        ))
    }

    /// A checksum of all that it asks for: what was made by another recipe of this name is told from what this one makes.
    pub fn checksum(&self) -> String {
        let asked = Self {
            text: String::new(),
            ..self.clone()
        };
        format!("{:016x}", checksum::of(&[format!("{asked:?}").as_bytes()]))
    }

    /// All recipes of the program.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn built_in() -> Result<Vec<Self>> {
        BUILT_IN.iter().map(|(name, _)| Self::named(name)).collect()
    }
}

/// An experiment's name is that of its folder, among others.
fn check_name(name: &str) -> std::result::Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(plain) && !NOT_NAMES.contains(&name) {
        true => Ok(()),
        false => Err("a name is of letters, digits, - and _, and is neither `runs`, `lines` nor `all`"),
    }
}

/// What cannot be used in a recipe's file, with its line.
fn refused(source: &Path, line: Option<usize>, reason: &str) -> Error {
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    Error::file_reason(source, format!("{place}{reason}"))
}

/// A message of the parser, with what it expected in words.
fn in_words(message: &str) -> String {
    const WHOLE: &str = "a whole number from 0 on";
    let types = [("usize", WHOLE), ("u64", WHOLE), ("u32", WHOLE), ("f64", "a number")];
    let told = types.iter().find_map(|(name, words)| {
        let start = message.strip_suffix(name)?;
        start.ends_with("expected ").then(|| format!("{start}{words}"))
    });
    told.unwrap_or_else(|| message.to_owned())
}

/// The papers that recipes are of, each once, in the order in which they come up.
pub fn papers<'a>(recipes: impl IntoIterator<Item = &'a Recipe>) -> Vec<&'a str> {
    let mut papers: Vec<&str> = Vec::new();
    for recipe in recipes {
        if !papers.contains(&recipe.paper.as_str()) {
            papers.push(&recipe.paper);
        }
    }
    papers
}
