//! Where experiments are made: training runs are done once, kept on disk, and taken up again where they were cut off;
//! every experiment that names the same run shares it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::cost::Cost;
use super::demo::{self, Report};
use super::kept::{KeptLine, KeptLines};
use super::outcome::{Outcome, Place, PlaceView};
use super::recipe::{Recipe, RunStage};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{DirectionKind, Line, LineRecord, Provenance, direction};
use crate::network::zoo;
use crate::objective::{BatchNormPolicy, Compute, Objective, Solution};
use crate::training::{EpochMetrics, RunFolder, RunStatus, Trainer};

/// A solution of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The last SGD iterate of the main phase.
    Last,
    /// The average.
    #[default]
    Swa,
    /// The end of SGD started from the average.
    Sgd,
}

impl Which {
    /// For figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Last => "last SGD iterate",
            Self::Swa => "SWA",
            Self::Sgd => "SGD",
        }
    }
}

/// A run that is done.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its folder.
    pub folder: RunFolder,
    /// What it was trained on.
    pub objective: Arc<Objective>,
}

impl Trained {
    /// One of its solutions; the last iterate has the statistics it was trained with, the others recomputed ones.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn solution(&self, which: Which) -> Result<Arc<Solution>> {
        let graph = self.objective.graph();
        let solution = match which {
            Which::Last => self.folder.snapshot(graph, self.folder.record().options.epochs)?,
            Which::Swa => self.folder.solution(graph, "swa")?,
            Which::Sgd => self.folder.solution(graph, "sgd")?,
        };
        Ok(Arc::new(solution))
    }

    /// Where a window finds what is seen from one of its solutions.
    pub fn place(&self, solution: Which, view: PlaceView, policy: BatchNormPolicy, reach: f64) -> Option<Place> {
        let name = self.folder.path().file_name()?;
        Some(Place {
            run: name.to_string_lossy().into_owned(),
            solution,
            view,
            policy,
            reach,
        })
    }

    /// Rows of its epochs.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn metrics(&self) -> Result<Vec<EpochMetrics>> {
        self.folder.metrics()
    }
}

/// A line to measure.
pub struct Measured {
    /// The line.
    pub line: Line,
    /// Where it starts, for the record.
    pub origin: String,
    /// What it is, for the record.
    pub label: String,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Positions along it.
    pub positions: Vec<f64>,
    /// Seed of what is random in it.
    pub seed: u64,
}

/// Folder of experiments unless another is named.
pub const FOLDER: &str = "valleyscope-experiments";
/// Name of the folder of runs within a laboratory's.
pub const RUNS: &str = "runs";
/// Name of the file beside a run that says how many seconds it took.
const SECONDS: &str = "seconds.json";

/// Where experiments are made.
pub struct Laboratory<'a> {
    compute: Compute,
    runs: PathBuf,
    lines: KeptLines,
    objectives: HashMap<(String, String), Arc<Objective>>,
    /// What was used so far.
    cost: Cost,
    /// Seconds spent on runs and lines, now, and not earlier.
    spent: f64,
    report: &'a mut Report<'a>,
}

impl<'a> Laboratory<'a> {
    /// A laboratory that keeps runs and measured lines in a folder.
    pub fn new(compute: Compute, folder: &Path, report: &'a mut Report<'a>) -> Self {
        Self {
            compute,
            runs: folder.join(RUNS),
            lines: KeptLines::new(&folder.join("lines")),
            objectives: HashMap::new(),
            cost: Cost::default(),
            spent: 0.0,
            report,
        }
    }

    /// Makes an experiment, and says what it takes.
    ///
    /// # Errors
    /// When something cannot be trained, measured or written; [`Error::Cancelled`].
    pub fn make(&mut self, recipe: &Recipe) -> Result<(Outcome, Cost)> {
        let started = Instant::now();
        (self.cost, self.spent) = (Cost::default(), 0.0);
        self.cost.look_at_memory();
        let outcome = recipe.measure.make(recipe, self)?;
        // What is neither a run nor a line was done just now.
        self.cost.measuring += started.elapsed().as_secs_f64() - self.spent;
        Ok((outcome, self.cost))
    }

    /// Says how far a part of the work is.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when it is to stop.
    pub fn report(&mut self, what: &str, done: f64) -> Result<()> {
        self.cost.look_at_memory();
        match (self.report)(what, done) {
            true => Ok(()),
            false => Err(Error::Cancelled),
        }
    }

    /// Whether a run of a recipe is there, trained to its end.
    ///
    /// # Errors
    /// As [`Self::objective`].
    pub fn has(&mut self, recipe: &Recipe, name: &str, seed: u64) -> Result<bool> {
        let Some(stage) = recipe.runs.get(name) else {
            return Ok(false);
        };
        let objective = self.objective(&stage.model, &stage.data)?;
        let folder = RunFolder::open(&self.runs.join(folder_name(recipe, stage, seed, &objective)));
        Ok(folder.is_ok_and(|folder| folder.record().status == RunStatus::Finished))
    }

    /// The objective of a model on data, opened once.
    ///
    /// # Errors
    /// When either does not exist.
    pub fn objective(&mut self, model: &str, data: &str) -> Result<Arc<Objective>> {
        let key = (model.to_owned(), data.to_owned());
        if let Some(known) = self.objectives.get(&key) {
            return Ok(known.clone());
        }
        let data = Arc::new(Dataset::open(data)?);
        let graph = Arc::new(zoo::build(model, data.shape, data.classes.len())?);
        let objective = Arc::new(Objective::usual(graph, data, self.compute.clone())?);
        self.objectives.insert(key, objective.clone());
        Ok(objective)
    }

    /// A run of a recipe with a seed: trained now, taken up where it was cut off, or found.
    ///
    /// # Errors
    /// When there is no such run, it cannot be trained or written; [`Error::Cancelled`].
    pub fn trained(&mut self, recipe: &Recipe, name: &str, seed: u64) -> Result<Trained> {
        let stage = recipe
            .runs
            .get(name)
            .ok_or_else(|| Error::Request(format!("the recipe {} has no run `{name}`", recipe.name)))?;
        let start = match &stage.from {
            Some(before) => Some(self.trained(recipe, before, seed)?),
            None => None,
        };
        let objective = self.objective(&stage.model, &stage.data)?;
        let path = self.runs.join(folder_name(recipe, stage, seed, &objective));
        let options = stage.options(seed);
        let mut trainer = match RunFolder::open(&path) {
            Ok(folder) => Trainer::resume(objective.clone(), folder)?,
            Err(_) => {
                whole_file::make_folder(&self.runs)?;
                // What was cut off before its first record is begun anew.
                if path.exists() {
                    std::fs::remove_dir_all(&path).map_err(|error| Error::file(&path, "remove this folder", &error))?;
                }
                match &start {
                    Some(start) => {
                        let initial = start.solution(Which::Last)?;
                        Trainer::start_at(objective.clone(), &options, &path, (*initial).clone())?
                    }
                    None => Trainer::start(objective.clone(), &options, &path)?,
                }
            }
        };
        let (report, cost) = (&mut self.report, &mut self.cost);
        let before = seconds_of(&path);
        let started = Instant::now();
        let trained = demo::train(&mut trainer, &mut |what, done| {
            cost.look_at_memory();
            report(&format!("{name} (seed {seed}): {what}"), done)
        });
        let seconds = started.elapsed().as_secs_f64();
        whole_file::write(&path.join(SECONDS), format!("{}\n", before + seconds).as_bytes())?;
        trained?;
        self.cost.training += before + seconds;
        self.spent += seconds;
        Ok(Trained {
            folder: trainer.folder().clone(),
            objective,
        })
    }

    /// Measures a line on all images.
    ///
    /// # Errors
    /// When the device fails; [`Error::Cancelled`].
    pub fn line(&mut self, objective: &Objective, what: Measured) -> Result<LineRecord> {
        self.line_on(objective, what, usize::MAX)
    }

    /// Measures the line along a random direction of unit length through a solution of a run, at `positions` (distances
    /// from it) on all images.
    ///
    /// # Errors
    /// As [`Self::line`], and when the network has no parameters of this kind.
    pub fn random_ray(
        &mut self,
        trained: &Trained,
        which: Which,
        (kind, draw): (DirectionKind, u64),
        policy: BatchNormPolicy,
        positions: Vec<f64>,
    ) -> Result<LineRecord> {
        let unit = direction::random(trained.objective.graph(), kind, draw)?;
        let what = Measured {
            line: Line::ray(trained.solution(which)?, Arc::new(unit)),
            origin: format!("{}, {}", which.name(), trained.folder.path().display()),
            label: format!("{kind} (seed {draw})"),
            policy,
            positions,
            seed: trained.folder.record().options.seed,
        };
        self.line(&trained.objective, what)
    }

    /// Measures a line on the first `samples` images of each split.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn line_on(&mut self, objective: &Objective, what: Measured, samples: usize) -> Result<LineRecord> {
        let started = Instant::now();
        let provenance = Provenance::new(
            objective,
            &what.origin,
            &what.label,
            what.policy,
            samples,
            Some(what.seed),
        );
        let path = self.lines.path(&what.line, &what.positions, &provenance)?;
        if let Some(kept) = self.lines.get(&path) {
            self.cost.measuring += kept.seconds;
            self.spent += started.elapsed().as_secs_f64();
            return Ok(kept.record);
        }
        let request = SweepRequest {
            slice: what.line,
            positions: what.positions,
            policy: what.policy,
            samples,
        };
        let (report, cost) = (&mut self.report, &mut self.cost);
        let curve = Sweep::new(objective, request).run(objective, |done, total| {
            cost.look_at_memory();
            report(&what.label, done as f64 / total.max(1) as f64)
        })?;
        let kept = KeptLine {
            record: LineRecord {
                provenance,
                label: what.label,
                curve,
            },
            seconds: started.elapsed().as_secs_f64(),
        };
        self.lines.keep(&path, &kept)?;
        self.cost.measuring += kept.seconds;
        self.spent += kept.seconds;
        Ok(kept.record)
    }
}

/// Seconds that a run took so far, as far as they were written down.
fn seconds_of(folder: &Path) -> f64 {
    let bytes = whole_file::read(&folder.join(SECONDS), 64).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or(0.0)
}

/// Name of a run's folder: what it is of, and a checksum of all that it depends on.
fn folder_name(recipe: &Recipe, stage: &RunStage, seed: u64, objective: &Objective) -> String {
    let mut depends = objective.device_name().to_owned();
    let mut next = Some(stage);
    // The recipe was checked: no run starts from itself.
    while let Some(stage) = next {
        depends += &format!("\n{}\n{}\n{:?}", stage.model, stage.data, stage.options(seed));
        next = stage.from.as_ref().and_then(|name| recipe.runs.get(name));
    }
    let mut checksum = flate2::Crc::new();
    checksum.update(depends.as_bytes());
    let model: String = stage
        .model
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    format!("{model}-seed{seed}-{:08x}", checksum.sum())
}
