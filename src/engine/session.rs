//! The run or checkpoint that is open: its objective, its solutions, and the directions drawn for it so far.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::request::{
    Anchor, CheckpointRequest, Marginals, PlaneChoice, RunSummary, SliceRequest, Step, SurfaceChoice, TrainRequest,
    Turn, View,
};
use super::slice::Speed;
use crate::checkpoint::{CheckpointFile, Reference, entry_names};
use crate::data::{Dataset, Progress};
use crate::error::{Error, Result};
use crate::landscape::direction::{self, Basis};
use crate::landscape::normalisation::Normalisation;
use crate::landscape::projection::{PrincipalComponents, principal_components};
use crate::landscape::{Axis, Frame, Landmarks, Line, Memory, Plane, Trajectory, direction_file};
use crate::network::zoo;
use crate::objective::{Compute, Objective, Solution};
use crate::training::{RunFolder, RunRecord, RunStatus, Trainer, TrainingOptions};

/// Directions kept; another draw of one costs a millisecond for a small network.
const DIRECTIONS_KEPT: usize = 8;

/// Where the solutions come from.
enum Origin {
    Run(RunFolder),
    Checkpoint {
        request: CheckpointRequest,
        record: Box<RunRecord>,
        notes: Vec<String>,
    },
}

/// An open run or checkpoint.
pub struct Session {
    pub objective: Arc<Objective>,
    pub memory: Memory,
    pub speed: Speed,
    origin: Origin,
    start: Arc<Solution>,
    directions: HashMap<Basis, Arc<Vec<f32>>>,
    /// Directions read from files, with the files' names.
    files: Vec<(String, Arc<Vec<f32>>)>,
    solutions: HashMap<&'static str, Arc<Solution>>,
    /// The trajectory's leading components, and the number of snapshots they are of.
    principal: Option<(usize, PrincipalComponents)>,
}

/// The objective that a model and data name describe.
fn objective(model: &str, data: &str, compute: &Compute, progress: Progress) -> Result<Arc<Objective>> {
    let data = Arc::new(Dataset::open_with(data, progress)?);
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len())?);
    Ok(Arc::new(Objective::usual(graph, data, compute.clone())?))
}

impl Session {
    /// Starts a new run.
    pub fn train(request: &TrainRequest, compute: &Compute, progress: Progress) -> Result<(Self, Trainer)> {
        request.options.check()?;
        let objective = objective(&request.model, &request.data, compute, progress)?;
        let path = match &request.folder {
            Some(folder) => folder.clone(),
            None => fresh_folder(&request.runs, &request.model, request.options.seed),
        };
        let trainer = Trainer::start(objective.clone(), &request.options, &path)?;
        Ok((Self::of_run(objective, trainer.folder().clone())?, trainer))
    }

    /// Opens a run folder.
    pub fn open(path: &Path, compute: &Compute, progress: Progress) -> Result<Self> {
        let folder = RunFolder::open(path)?;
        let RunRecord { model, data, .. } = folder.record();
        let objective = objective(model, data, compute, progress)?;
        Self::of_run(objective, folder)
    }

    /// Opens solutions of a checkpoint file.
    pub fn open_checkpoint(request: &CheckpointRequest, compute: &Compute, progress: Progress) -> Result<Self> {
        let file = CheckpointFile::open(&request.path)?;
        let key = |key: &str| (!key.is_empty()).then(|| key.to_owned());
        let state = file.state_dict(key(&request.first).as_deref())?;
        let data = Arc::new(Dataset::open_with(&request.data, progress)?);
        let model = match &request.model {
            Some(model) => model.clone(),
            None => state.only_fit(data.shape)?,
        };
        let graph = Arc::new(zoo::build(&model, data.shape, data.classes.len())?);
        let start = Arc::new(state.solution(&graph)?);
        let mut solutions = HashMap::from([("swa", start.clone())]);
        let mut notes = state.notes();
        if let Some(second) = &request.second {
            let state = file.state_dict(key(second).as_deref())?;
            solutions.insert("sgd", Arc::new(state.solution(&graph)?));
            let others: Vec<String> = state.notes().into_iter().filter(|note| !notes.contains(note)).collect();
            notes.extend(others);
        }
        let objective = Arc::new(Objective::usual(graph, data.clone(), compute.clone())?);
        let record = RunRecord {
            status: RunStatus::Finished,
            ..RunRecord::new(&model, &data.name, objective.device_name(), TrainingOptions::default())
        };
        Ok(Self {
            start,
            memory: Memory::default(),
            speed: Speed::new(&objective),
            objective,
            directions: HashMap::new(),
            files: Vec::new(),
            solutions,
            principal: None,
            origin: Origin::Checkpoint {
                request: request.clone(),
                record: Box::new(record),
                notes,
            },
        })
    }

    /// The same on another device.
    pub fn reopen(&self, compute: &Compute, progress: Progress) -> Result<Self> {
        match &self.origin {
            Origin::Run(folder) => Self::open(folder.path(), compute, progress),
            Origin::Checkpoint { request, .. } => Self::open_checkpoint(request, compute, progress),
        }
    }

    fn of_run(objective: Arc<Objective>, folder: RunFolder) -> Result<Self> {
        Ok(Self {
            start: Arc::new(folder.snapshot(objective.graph(), 0)?),
            memory: Memory::default(),
            speed: Speed::new(&objective),
            directions: HashMap::new(),
            files: Vec::new(),
            solutions: HashMap::new(),
            principal: None,
            objective,
            origin: Origin::Run(folder),
        })
    }

    /// The run folder, where it is a run.
    pub fn folder(&self) -> Option<&RunFolder> {
        match &self.origin {
            Origin::Run(folder) => Some(folder),
            Origin::Checkpoint { .. } => None,
        }
    }

    /// Takes the run folder's newer state.
    pub fn update_folder(&mut self, folder: &RunFolder) {
        self.origin = Origin::Run(folder.clone());
    }

    /// The run folder or the checkpoint file.
    pub fn path(&self) -> &Path {
        match &self.origin {
            Origin::Run(folder) => folder.path(),
            Origin::Checkpoint { request, .. } => &request.path,
        }
    }

    /// Seed of the run, where it is one.
    pub fn seed(&self) -> Option<u64> {
        self.folder().map(|folder| folder.record().options.seed)
    }

    /// Names of the two solutions: SWA and SGD, or the entries of the checkpoint.
    pub fn names(&self) -> [String; 2] {
        match &self.origin {
            Origin::Run(_) => ["SWA", "SGD"].map(str::to_owned),
            Origin::Checkpoint { request, .. } => entry_names(&request.first, request.second.as_deref()),
        }
    }

    /// What the window is told.
    pub fn summary(&self, session: u64) -> Result<RunSummary> {
        let graph = self.objective.graph();
        let (parameters, batch_norm_parameters) = (graph.parameter_count(), graph.batch_norm_parameter_count());
        let names = self.names();
        Ok(match &self.origin {
            Origin::Run(folder) => {
                let metrics = folder.metrics()?;
                RunSummary {
                    session,
                    path: folder.path().to_owned(),
                    checkpoint: false,
                    names,
                    notes: Vec::new(),
                    record: folder.record().clone(),
                    snapshots: folder.snapshots().min(metrics.len() + 1),
                    metrics,
                    swa: folder.solution_path("swa").exists(),
                    sgd: folder.solution_path("sgd").exists(),
                    parameters,
                    batch_norm_parameters,
                }
            }
            Origin::Checkpoint { request, record, notes } => RunSummary {
                session,
                path: request.path.clone(),
                checkpoint: true,
                names,
                notes: notes.clone(),
                record: (**record).clone(),
                snapshots: 0,
                metrics: Vec::new(),
                swa: true,
                sgd: request.second.is_some(),
                parameters,
                batch_norm_parameters,
            },
        })
    }

    /// The initial weights; of a checkpoint, the solution opened first.
    pub fn start(&self) -> &[f32] {
        &self.start.parameters
    }

    /// A unit direction of the pad.
    pub fn basis(&mut self, basis: Basis) -> Result<Arc<Vec<f32>>> {
        if let Some(known) = self.directions.get(&basis) {
            return Ok(known.clone());
        }
        let direction = match basis {
            Basis::Random(kind, seed) => direction::random(self.objective.graph(), kind, seed)?,
            Basis::SwaToSgdAndRandom(seed) => {
                let (swa, sgd) = (self.named("swa")?, self.named("sgd")?);
                let (graph, from, to) = (self.objective.graph(), &swa.parameters, &sgd.parameters);
                let sum = direction::interpolation_and_random(graph, from, to, seed)?;
                direction::normalised(sum)
                    .ok_or_else(|| Error::Request("the two directions cancel; choose another seed".to_owned()))?
            }
            Basis::File(index) => {
                let file = self.files.get(index);
                return file.map(|(_, direction)| direction.clone()).ok_or_else(|| {
                    Error::Request("this direction was read for another network; read it again".to_owned())
                });
            }
            Basis::SwaToSgd => {
                let (swa, sgd) = (self.named("swa")?, self.named("sgd")?);
                direction::between(&swa.parameters, &sgd.parameters)?
            }
            Basis::SwaToEpoch(epoch) => {
                let (swa, then) = (self.named("swa")?, self.epoch(epoch)?);
                direction::between(&swa.parameters, &then.parameters)?
            }
            Basis::Principal { component, snapshots } => {
                // Found before, with progress; see `prepare`.
                let known = self.principal.as_ref().filter(|(count, _)| *count == snapshots);
                let found = known.and_then(|(_, principal)| principal.components.get(component));
                return found.cloned().ok_or_else(|| {
                    Error::Request("the trajectory has grown; choose its principal components again".to_owned())
                });
            }
        };
        let direction = Arc::new(direction);
        if self.directions.len() >= DIRECTIONS_KEPT {
            self.directions.clear();
        }
        self.directions.insert(basis, direction.clone());
        Ok(direction)
    }

    fn named(&mut self, name: &'static str) -> Result<Arc<Solution>> {
        if let Some(known) = self.solutions.get(name) {
            return Ok(known.clone());
        }
        let folder = match &self.origin {
            Origin::Run(folder) if folder.solution_path(name).exists() => folder,
            Origin::Run(_) => {
                return Err(Error::Request(format!(
                    "this run has no {} yet: it is written when averaging is done",
                    name.to_uppercase()
                )));
            }
            Origin::Checkpoint { .. } => {
                return Err(Error::Request(
                    "this checkpoint was opened with one solution; open it again with two".to_owned(),
                ));
            }
        };
        let solution = Arc::new(folder.solution(self.objective.graph(), name)?);
        self.solutions.insert(name, solution.clone());
        Ok(solution)
    }

    /// Reads a direction and keeps it, scaled to unit length; gives its number.
    pub fn add_direction(&mut self, reference: &Reference) -> Result<usize> {
        let values = direction_file::read(reference, self.objective.graph())?;
        let unit = direction::normalised(values).ok_or_else(|| {
            Error::file_reason(&reference.path, "this direction has length 0: there is no way along it")
        })?;
        let entry = (reference.to_string(), Arc::new(unit));
        // A file that is read again may have changed.
        match self.files.iter().position(|(known, _)| *known == entry.0) {
            Some(index) => {
                self.files[index] = entry;
                Ok(index)
            }
            None => {
                self.files.push(entry);
                Ok(self.files.len() - 1)
            }
        }
    }

    /// Finds what a request needs and what can take long: the principal components of the trajectory.
    ///
    /// # Errors
    /// When there are none, a snapshot cannot be read, or `progress` says stop.
    pub fn prepare(&mut self, request: &SliceRequest, progress: Progress) -> Result<()> {
        let mut bases = Vec::new();
        match request.view {
            View::Direction(turn) => bases.extend([turn.first, turn.second]),
            View::Comparison(first, second, _) => bases.extend([first, second]),
            View::Marginals(marginals) => bases.extend([marginals.plane.first, marginals.plane.second]),
            View::Interpolation => {}
        }
        match request.surface.map(|surface| surface.choice) {
            Some(SurfaceChoice::Through(turn)) => bases.extend([turn.first, turn.second]),
            Some(SurfaceChoice::Plane(plane)) => bases.extend([plane.first, plane.second]),
            None => {}
        }
        bases.extend(request.walk.iter().flat_map(|step| [step.turn.first, step.turn.second]));
        for basis in bases {
            let Basis::Principal { snapshots, .. } = basis else {
                continue;
            };
            if self.principal.as_ref().is_some_and(|(count, _)| *count == snapshots) {
                continue;
            }
            let trajectory = self.trajectory(snapshots)?;
            let found = principal_components(snapshots, 2, |step| trajectory.snapshot(step), progress)?;
            self.principal = Some((snapshots, found));
        }
        Ok(())
    }

    /// The first `count` snapshots of the run.
    ///
    /// # Errors
    /// When a checkpoint is open, which has none.
    pub fn trajectory(&self, count: usize) -> Result<Arc<Trajectory>> {
        let graph = self.objective.graph().clone();
        let folder = self.folder().ok_or_else(no_trajectory)?;
        Ok(Arc::new(Trajectory::new(graph, folder.clone(), count)))
    }

    /// Share of the trajectory's variance along a direction, where it is one of its principal components.
    pub fn explained(&self, basis: Basis) -> Option<f64> {
        let Basis::Principal { component, snapshots } = basis else {
            return None;
        };
        let (_, principal) = self.principal.as_ref().filter(|(count, _)| *count == snapshots)?;
        principal.explained.get(component).copied()
    }

    /// The trajectory of so many snapshots, and the solutions there are.
    pub fn landmarks(&mut self, snapshots: usize) -> Result<Landmarks> {
        let trajectory = match self.folder() {
            Some(_) if snapshots > 0 => Some(self.trajectory(snapshots)?),
            _ => None,
        };
        let mut solutions = Vec::new();
        for (name, key) in self.names().into_iter().zip(["swa", "sgd"]) {
            let there = match &self.origin {
                Origin::Run(folder) => folder.solution_path(key).exists(),
                Origin::Checkpoint { .. } => self.solutions.contains_key(key),
            };
            if there {
                solutions.push((name, self.named(key)?));
            }
        }
        Ok(Landmarks { trajectory, solutions })
    }

    /// The plane of a choice through `origin`.
    ///
    /// # Errors
    /// When a direction is not to be had, or the two span no plane.
    pub fn plane(&mut self, choice: PlaneChoice, origin: &Arc<Solution>) -> Result<Plane> {
        let [first, second] =
            [choice.first, choice.second].map(|basis| self.direction(basis, choice.normalisation, origin));
        Plane::new(
            origin.clone(),
            [Axis::Along(first?), Axis::Along(second?)],
            choice.frame,
        )
    }

    /// A direction of the pad with the length asked for, at a point.
    pub fn direction(&mut self, basis: Basis, normalisation: Normalisation, at: &Solution) -> Result<Arc<Vec<f32>>> {
        let unit = self.basis(basis)?;
        if normalisation == Normalisation::Unit {
            return Ok(unit);
        }
        let graph = self.objective.graph();
        let drawn = match basis {
            Basis::Random(kind, seed) => direction::draw(graph, kind, seed)?,
            _ => unit.to_vec(),
        };
        let scaled = normalisation.apply(graph, &at.parameters, drawn);
        scaled.map(Arc::new).ok_or_else(|| {
            Error::Request(format!(
                "{} has length 0 after normalisation `{normalisation}`; choose another direction",
                self.basis_name(basis)
            ))
        })
    }

    /// What a basis direction is called.
    pub fn basis_name(&self, basis: Basis) -> String {
        let names = self.names();
        let files: Vec<&str> = self.files.iter().map(|(name, _)| name.as_str()).collect();
        basis.name(names.each_ref().map(String::as_str), &files)
    }

    /// `uniform (seed 1)` at 0°, otherwise the angle with both, precise enough to repeat it.
    pub fn turn_name(&self, turn: Turn) -> String {
        let (first, second) = (self.basis_name(turn.first), self.basis_name(turn.second));
        let degrees = turn.angle.to_degrees();
        let name = if degrees.abs() < 0.05 {
            first
        } else if (degrees - 90.0).abs() < 0.05 {
            second
        } else {
            format!("{}° from {first} to {second}", (degrees * 1e4).round() / 1e4)
        };
        name + &normalisation_note(turn.normalisation)
    }

    /// The direction of a turn at a point.
    pub fn turned(&mut self, turn: Turn, at: &Solution) -> Result<Arc<Vec<f32>>> {
        let first = self.direction(turn.first, turn.normalisation, at)?;
        let second = self.direction(turn.second, turn.normalisation, at)?;
        let direction = match turn.normalisation {
            Normalisation::Unit => direction::turned(&first, &second, turn.angle)?,
            _ => direction::combined(&first, &second, turn.angle)?,
        };
        Ok(Arc::new(direction))
    }

    /// The point that a walk from an anchor leads to, and its name.
    pub fn point(
        &mut self,
        anchor: Anchor,
        walk: &[Step],
        trainer: Option<&Trainer>,
    ) -> Result<(Arc<Solution>, String)> {
        let (mut point, mut name) = match (anchor, trainer) {
            (Anchor::Current, Some(trainer)) => (
                Arc::new(trainer.current()),
                format!("training, epoch {:.3}", trainer.epochs_done()),
            ),
            (Anchor::Current | Anchor::Epoch(_), None) if self.folder().is_none() => {
                let [name, _] = self.names();
                (self.named("swa")?, name)
            }
            (Anchor::Current, None) => {
                let last = self.folder().map_or(0, RunFolder::snapshots).saturating_sub(1);
                (self.epoch(last)?, format!("epoch {last}"))
            }
            (Anchor::Epoch(epoch), _) => (self.epoch(epoch)?, format!("epoch {epoch}")),
            (Anchor::Swa, _) => {
                let [name, _] = self.names();
                (self.named("swa")?, name)
            }
            (Anchor::Sgd, _) => {
                let [_, name] = self.names();
                (self.named("sgd")?, name)
            }
        };
        for step in walk {
            let direction = self.turned(step.turn, &point)?;
            point = Arc::new(point.moved(&direction, step.position));
            name += &format!(" {:+} along {}", step.position, self.turn_name(step.turn));
        }
        Ok((point, name))
    }

    fn epoch(&self, epoch: usize) -> Result<Arc<Solution>> {
        match self.folder() {
            Some(folder) => Ok(Arc::new(folder.snapshot(self.objective.graph(), epoch)?)),
            None => Err(no_trajectory()),
        }
    }

    /// What the axes of a plane are called.
    pub fn axis_names(&self, plane: PlaneChoice) -> [String; 2] {
        let note = normalisation_note(plane.normalisation);
        let [first, second] = [plane.first, plane.second].map(|basis| self.basis_name(basis) + &note);
        match plane.frame {
            Frame::Given => [first, second],
            Frame::Orthonormal => {
                let second = format!("{second}, across the first");
                [first, second]
            }
        }
    }

    fn marginal_name(&self, marginals: &Marginals, index: usize) -> String {
        let names = self.axis_names(marginals.plane);
        match marginals.along(index) {
            [1.0, 0.0] => names[0].clone(),
            [0.0, 1.0] => names[1].clone(),
            _ => format!(
                "{:.1}° from {} to {}",
                marginals.angles[index].to_degrees(),
                names[0],
                names[1]
            ),
        }
    }

    /// The lines of a view through `origin`, each with its name.
    pub fn lines(&mut self, view: View, origin: &Arc<Solution>) -> Result<Vec<(Line, String)>> {
        let ray = |direction: Arc<Vec<f32>>| Line::ray(origin.clone(), direction);
        Ok(match view {
            View::Direction(turn) => {
                let direction = self.turned(turn, origin)?;
                vec![(ray(direction), self.turn_name(turn))]
            }
            View::Comparison(first, second, normalisation) => {
                let mut line = |basis| -> Result<(Line, String)> {
                    let direction = self.direction(basis, normalisation, origin)?;
                    let name = self.basis_name(basis) + &normalisation_note(normalisation);
                    Ok((ray(direction), name))
                };
                vec![line(first)?, line(second)?]
            }
            View::Marginals(marginals) => {
                let plane = self.plane(marginals.plane, origin)?;
                (0..2)
                    .map(|index| {
                        let origin = Arc::new(Solution {
                            parameters: plane.point(marginals.foot(index)),
                            statistics: origin.statistics.clone(),
                        });
                        let line = Line::ray(origin, Arc::new(plane.step(marginals.along(index))));
                        (line, self.marginal_name(&marginals, index))
                    })
                    .collect()
            }
            View::Interpolation => {
                let (from, to) = (self.named("swa")?, self.named("sgd")?);
                vec![(Line::segment(from, to), self.names().join(" → "))]
            }
        })
    }
}

fn normalisation_note(normalisation: Normalisation) -> String {
    match normalisation {
        Normalisation::Unit => String::new(),
        other => format!(", normalised by {other}"),
    }
}

fn no_trajectory() -> Error {
    Error::Request("a checkpoint has no trajectory; open a run folder to scrub through one".to_owned())
}

/// A folder under `runs` that does not exist yet, named after the model and seed.
fn fresh_folder(runs: &Path, model: &str, seed: u64) -> PathBuf {
    let model: String = model
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let name = format!("{model}-seed{seed}");
    let mut path = runs.join(&name);
    let mut count = 1;
    while path.exists() {
        count += 1;
        path = runs.join(format!("{name}-{count}"));
    }
    path
}
