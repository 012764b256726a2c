//! Where experiments are made: training runs are done once, kept on disk, and taken up again where they were cut off;
//! every experiment that names the same run shares it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cost::Cost;
use super::demo::{self, Report};
use super::kept::{Kept, KeptPoint, KeptPoints, Measurements};
use super::outcome::{Outcome, Place, PlaceView};
use super::recipe::{Recipe, RunStage};
use crate::data::{Dataset, Part};
use crate::error::{Error, Result};
use crate::files::checksum;
use crate::files::whole_file;
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{DirectionKind, Line, LineRecord, Provenance, direction};
use crate::network::zoo;
use crate::objective::{BatchNormPolicy, Compute, Objective, Solution};
use crate::training::{RunFolder, RunStatus, Trainer};

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

/// Seeds that a run is trained with. Runs that start from the same run and differ in their own seed alone go different
/// ways from the same weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// Of the order of its images and their augmentation, and of its initial weights where it starts from no other run.
    pub own: u64,
    /// Of the runs that it starts from.
    pub before: u64,
}

impl From<u64> for Seeds {
    /// One seed for all.
    fn from(seed: u64) -> Self {
        Self {
            own: seed,
            before: seed,
        }
    }
}

/// A run that is done.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its folder.
    pub folder: RunFolder,
    /// Name of the folder among the laboratory's runs; of a run from elsewhere, its path.
    pub name: String,
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
            Which::Last => self.snapshot(self.epochs())?,
            Which::Swa => self.folder.solution(graph, "swa")?,
            Which::Sgd => self.folder.solution(graph, "sgd")?,
        };
        Ok(Arc::new(solution))
    }

    /// Epochs of its main phase.
    pub fn epochs(&self) -> usize {
        self.folder.record().options.epochs
    }

    /// SGD's iterate after so many epochs, with the statistics it was trained with.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn snapshot(&self, epoch: usize) -> Result<Solution> {
        self.folder.snapshot(self.objective.graph(), epoch)
    }

    /// A checksum of the iterates after every epoch of its main phase, with their statistics: of what they are,
    /// wherever they lie.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn checksum(&self) -> Result<u64> {
        let of_epoch = |epoch: usize| -> Result<u64> {
            let Solution { parameters, statistics } = self.snapshot(epoch)?;
            Ok(checksum::of(&[
                bytemuck::cast_slice(&parameters),
                bytemuck::cast_slice(&statistics),
            ]))
        };
        let sums = (0..=self.epochs()).map(of_epoch).collect::<Result<Vec<u64>>>()?;
        Ok(checksum::of(&[bytemuck::cast_slice(&sums)]))
    }

    /// Where a window finds what is seen from one of its solutions.
    pub fn place(&self, solution: Which, view: PlaceView, policy: BatchNormPolicy, reach: f64) -> Option<Place> {
        Some(Place {
            run: self.name.clone(),
            solution,
            view,
            policy,
            reach,
        })
    }

    /// The line along a random direction of unit length through one of its solutions.
    ///
    /// # Errors
    /// As [`Self::solution`], and when the network has no parameters of this kind.
    pub fn ray(&self, which: Which, kind: DirectionKind, draw: u64) -> Result<Line> {
        let unit = direction::random(self.objective.graph(), kind, draw)?;
        Ok(Line::ray(self.solution(which)?, Arc::new(unit)))
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
/// Name of the folder of measured lines and what else is kept, likewise.
pub const LINES: &str = "lines";
/// Name of the file that makes a folder a run's.
const RECORD: &str = "run.json";
/// Name of the file beside a run that says how many seconds it took.
const SECONDS: &str = "seconds.json";

/// Where experiments are made.
pub struct Laboratory<'a> {
    compute: Compute,
    runs: PathBuf,
    measurements: Measurements,
    points: KeptPoints,
    objectives: HashMap<(String, String), Arc<Objective>>,
    /// Data by their place in memory, with a checksum of what they hold.
    checksums: HashMap<usize, (Arc<Dataset>, u64)>,
    /// What was used so far.
    cost: Cost,
    /// Folders of the runs that count in it: one that several others start from counts once.
    counted: HashSet<PathBuf>,
    /// Seconds spent on runs, lines and points, now, and not earlier.
    spent: f64,
    report: &'a mut Report<'a>,
}

impl<'a> Laboratory<'a> {
    /// A laboratory that keeps runs and measured lines in a folder.
    pub fn new(compute: Compute, folder: &Path, report: &'a mut Report<'a>) -> Self {
        Self {
            compute,
            runs: folder.join(RUNS),
            measurements: Measurements::new(&folder.join(LINES)),
            points: KeptPoints::new(&folder.join(LINES)),
            objectives: HashMap::new(),
            checksums: HashMap::new(),
            cost: Cost::default(),
            counted: HashSet::new(),
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
        self.counted.clear();
        self.cost.look_at_memory();
        let experiment = recipe.measure.experiment();
        experiment.check(recipe)?;
        let outcome = experiment.make(recipe, self)?;
        // What is neither a run, nor a line, nor a point was done just now.
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
    pub fn has(&mut self, recipe: &Recipe, name: &str, seeds: Seeds) -> Result<bool> {
        let Some(stage) = recipe.runs.get(name) else {
            return Ok(false);
        };
        if stage.checkpoint.is_some() {
            return Ok(true);
        }
        let objective = self.objective(&stage.model, &stage.data)?;
        let name = self.folder_name(recipe, stage, seeds, &objective);
        let path = self.runs.join(name);
        let folder = RunFolder::open(&path);
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

    /// A run of a recipe with a seed, or with one of its own: trained now, taken up where it was cut off, or found. One
    /// that the recipe names by its folder is only read.
    ///
    /// # Errors
    /// When there is no such run, it cannot be trained, read or written; [`Error::Cancelled`].
    pub fn trained(&mut self, recipe: &Recipe, name: &str, seeds: impl Into<Seeds>) -> Result<Trained> {
        let seeds = seeds.into();
        let stage = recipe
            .runs
            .get(name)
            .ok_or_else(|| Error::Request(format!("the recipe {} has no run `{name}`", recipe.name)))?;
        if let Some(folder) = stage.existing()? {
            let record = folder.record().clone();
            let objective = self.objective(&record.model, &record.data)?;
            let path = std::path::absolute(folder.path()).unwrap_or_else(|_| folder.path().to_owned());
            return Ok(Trained {
                folder,
                name: path.display().to_string(),
                objective,
            });
        }
        let start = match &stage.from {
            Some(before) => Some(self.trained(recipe, before, seeds.before)?),
            None => None,
        };
        let objective = self.objective(&stage.model, &stage.data)?;
        if let Some(start) = &start
            && start.objective.graph().parameters != objective.graph().parameters
        {
            return Err(Error::Request(format!(
                "the run `{name}` is of {}, and the run that it starts from of {}: their parameters differ",
                stage.model,
                start.objective.graph().name
            )));
        }
        let folder = self.folder_name(recipe, stage, seeds, &objective);
        let path = self.runs.join(&folder);
        let options = stage.options(seeds.own);
        let mut trainer = match RunFolder::open(&path) {
            Ok(folder) => Trainer::resume(objective.clone(), folder)?,
            // A record that cannot be read now may be read another time: nothing trained is thrown away.
            Err(error) if path.join(RECORD).exists() => return Err(error),
            Err(_) => {
                whole_file::make_folder(&self.runs)?;
                // What was cut off before its first record is begun anew.
                if path.exists() {
                    std::fs::remove_dir_all(&path).map_err(|error| Error::file(&path, "remove this folder", &error))?;
                }
                match &start {
                    Some(start) => {
                        let initial = start.snapshot(stage.from_epoch.unwrap_or(start.epochs()))?;
                        Trainer::start_at(objective.clone(), &options, &path, initial)?
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
            report(&format!("{name} (seed {}): {what}", seeds.own), done)
        });
        let seconds = started.elapsed().as_secs_f64();
        whole_file::write(&path.join(SECONDS), format!("{}\n", before + seconds).as_bytes())?;
        trained?;
        // A run that is asked for twice is trained once.
        let earlier = if self.counted.insert(path) { before } else { 0.0 };
        self.cost.training += earlier + seconds;
        self.spent += seconds;
        Ok(Trained {
            folder: trainer.folder().clone(),
            name: folder,
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
        let what = Measured {
            line: trained.ray(which, kind, draw)?,
            origin: format!("{}, {}", which.name(), trained.folder.path().display()),
            label: format!("{kind} (seed {draw})"),
            policy,
            positions,
            seed: trained.folder.record().options.seed,
        };
        self.line(&trained.objective, what)
    }

    /// Slopes dL̂/dl of the train loss along a line at `positions`, one each: ⟨∇L̂(w + l·u), u⟩, or with w′ − w for u
    /// between two solutions. In losses per unit of the position.
    ///
    /// # Errors
    /// Under `recompute`, where the statistics of a network move with its weights and the gradient, which takes them as
    /// constants, is not that of the loss along the line. When the device fails; [`Error::Cancelled`].
    pub fn slopes(
        &mut self,
        objective: &Objective,
        line: &Line,
        positions: &[f64],
        policy: BatchNormPolicy,
    ) -> Result<Vec<f64>> {
        if policy == BatchNormPolicy::Recompute && objective.graph().statistics_count() > 0 {
            return Err(Error::Request(format!(
                "there are no exact slopes under `{policy}`: its batch-norm statistics move with the weights, and \
                 gradients take them as constants; choose `{}`, or differences",
                BatchNormPolicy::Running
            )));
        }
        let origin = &line.origin;
        let made = format!("slopes by tangents, bn {policy}");
        let moved = line.point(1.0);
        let along: Vec<f32> = line
            .axis
            .entries(&origin.parameters)
            .map(|entry| entry as f32)
            .collect();
        let numbers: [&[u8]; 4] = [
            bytemuck::cast_slice(positions),
            bytemuck::cast_slice(&origin.parameters),
            bytemuck::cast_slice(&origin.statistics),
            bytemuck::cast_slice(&moved),
        ];
        self.remember(objective, &made, &numbers, |laboratory| {
            let report = &mut laboratory.report;
            positions
                .iter()
                .enumerate()
                .map(|(index, &position)| {
                    if !report("exact slopes", index as f64 / positions.len() as f64) {
                        return Err(Error::Cancelled);
                    }
                    let point = Solution {
                        parameters: line.point(position),
                        statistics: origin.statistics.clone(),
                    };
                    let (_, slope) = objective.slope(&point, &along, policy, Part::Train, usize::MAX)?;
                    Ok(slope)
                })
                .collect()
        })
    }

    /// A measurement on an objective, found where it was made before in the same way and from the same numbers, else made
    /// now and kept.
    ///
    /// # Errors
    /// What measuring meets, and [`Error::File`].
    pub fn remember<T: Serialize + DeserializeOwned>(
        &mut self,
        objective: &Objective,
        made: &str,
        numbers: &[&[u8]],
        measure: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let started = Instant::now();
        let made = self.made_on(objective, made);
        let path = self.measurements.path(&made, numbers);
        if let Some(kept) = self.measurements.get(&path, &made) {
            self.cost.measuring += kept.seconds;
            self.spent += started.elapsed().as_secs_f64();
            return Ok(kept.value);
        }
        let value = measure(self)?;
        let kept = Kept {
            made,
            value,
            seconds: started.elapsed().as_secs_f64(),
        };
        self.measurements.keep(&path, &kept)?;
        self.cost.measuring += kept.seconds;
        self.spent += kept.seconds;
        Ok(kept.value)
    }

    /// Weights that are found from others on an objective, with what is known of them: those found before in the same
    /// way and from the same weights, else found now and kept. That is training.
    ///
    /// # Errors
    /// What finding them meets, and [`Error::File`].
    pub(super) fn point<R: Serialize + DeserializeOwned>(
        &mut self,
        objective: &Objective,
        made: &str,
        from: &[f32],
        find: impl FnOnce(&mut Self) -> Result<(Vec<f32>, R)>,
    ) -> Result<(Vec<f32>, R)> {
        let started = Instant::now();
        let made = self.made_on(objective, made);
        let path = self.points.path(&made, from);
        let kept = match self.points.get(&path, &made) {
            Some(kept) => kept,
            None => {
                let (parameters, record) = find(self)?;
                let kept = KeptPoint {
                    made,
                    parameters,
                    record,
                    seconds: started.elapsed().as_secs_f64(),
                };
                self.points.keep(&path, &kept)?;
                kept
            }
        };
        self.cost.training += kept.seconds;
        self.spent += started.elapsed().as_secs_f64();
        Ok((kept.parameters, kept.record))
    }

    /// How something is made on an objective, with all that it depends on there.
    fn made_on(&mut self, objective: &Objective, made: &str) -> String {
        format!(
            "{made}\n{} on {} ({:016x})\n{}, batch {}, valleyscope {}",
            objective.graph().name,
            objective.data().name,
            self.checksum(objective.data()),
            objective.device_name(),
            objective.batch_size(),
            env!("CARGO_PKG_VERSION")
        )
    }

    /// A checksum of the images and labels of a data set, whatever its name says.
    fn checksum(&mut self, data: &Arc<Dataset>) -> u64 {
        let place = Arc::as_ptr(data) as usize;
        let (_, checksum) = self
            .checksums
            .entry(place)
            .or_insert_with(|| (data.clone(), data.checksum()));
        *checksum
    }

    /// Name of a run's folder: what it is of, and a checksum of all that it depends on.
    fn folder_name(&mut self, recipe: &Recipe, stage: &RunStage, seeds: Seeds, objective: &Objective) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let mut depends = format!("{}\n{version}", objective.device_name());
        depends += &format!("\n{:016x}", self.checksum(objective.data()));
        let mut next = Some((stage, seeds.own));
        // The recipe was checked: no run starts from itself.
        while let Some((stage, seed)) = next {
            depends += &format!("\n{}\n{}\n{:?}", stage.model, stage.data, stage.options(seed));
            if let Some(path) = &stage.checkpoint {
                depends += &format!("\n{}", path.display());
            }
            if let Some(epoch) = stage.from_epoch {
                depends += &format!("\nafter epoch {epoch} of");
            }
            let before = stage.from.as_ref().and_then(|name| recipe.runs.get(name));
            next = before.map(|before| (before, seeds.before));
        }
        let model: String = stage
            .model
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        format!("{model}-seed{}-{:016x}", seeds.own, checksum::of(&[depends.as_bytes()]))
    }

    /// Measures a line on the first `samples` images of each split.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn line_on(&mut self, objective: &Objective, what: Measured, samples: usize) -> Result<LineRecord> {
        let provenance = Provenance::new(
            objective,
            &what.origin,
            &what.label,
            what.policy,
            samples,
            Some(what.seed),
        );
        // Neither what it is called matters to what is measured nor how the folder of its run is spelt.
        let made = format!(
            "line, bn {}, {} train and {} test images",
            what.policy, provenance.train_images, provenance.test_images
        );
        let (line, positions, policy, label) = (what.line, what.positions, what.policy, what.label);
        let (along, moved) = (positions.clone(), line.point(1.0));
        let origin = line.origin.clone();
        let numbers: [&[u8]; 4] = [
            bytemuck::cast_slice(&along),
            bytemuck::cast_slice(&origin.parameters),
            bytemuck::cast_slice(&origin.statistics),
            bytemuck::cast_slice(&moved),
        ];
        let curve = self.remember(objective, &made, &numbers, |laboratory| {
            let request = SweepRequest {
                slice: line,
                positions,
                policy,
                samples,
            };
            let (report, cost) = (&mut laboratory.report, &mut laboratory.cost);
            Sweep::new(objective, request).run(objective, |done, total| {
                cost.look_at_memory();
                report(&label, done as f64 / total.max(1) as f64)
            })
        })?;
        Ok(LineRecord {
            provenance,
            label,
            curve,
        })
    }
}

/// Seconds that a run took so far, as far as they were written down.
fn seconds_of(folder: &Path) -> f64 {
    let bytes = whole_file::read(&folder.join(SECONDS), 64).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or(0.0)
}
