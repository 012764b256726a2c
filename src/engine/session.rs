//! The run or checkpoint that is open: its objective, its solutions, and the directions drawn for it so far.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directions::Eigenvectors;
use super::names::normalisation_note;
use super::request::{Anchor, CheckpointRequest, PlaneChoice, RunSummary, Step, TrainRequest, View};
use super::slice::Speed;
use crate::checkpoint::{CheckpointFile, entry_names};
use crate::data::{Dataset, Progress};
use crate::error::{Error, Result};
use crate::landscape::direction::Basis;
use crate::landscape::projection::PrincipalComponents;
use crate::landscape::{Landmarks, Line, Memory, Trajectory};
use crate::network::zoo;
use crate::objective::{Compute, Objective, Solution};
use crate::training::{RunFolder, RunRecord, RunStatus, Trainer, TrainingOptions};

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
    pub(super) directions: HashMap<Basis, Arc<Vec<f32>>>,
    /// Directions read from files, with the files' names.
    pub(super) files: Vec<(String, Arc<Vec<f32>>)>,
    /// Eigenvectors of the points whose curvature was found, the last at the end.
    pub(super) eigenvectors: Vec<Eigenvectors>,
    solutions: HashMap<&'static str, Arc<Solution>>,
    /// The trajectory's leading components, and the number of snapshots they are of.
    pub(super) principal: Option<(usize, PrincipalComponents)>,
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
            eigenvectors: Vec::new(),
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
            eigenvectors: Vec::new(),
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

    pub(super) fn named(&mut self, name: &'static str) -> Result<Arc<Solution>> {
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

    /// The first `count` snapshots of the run.
    ///
    /// # Errors
    /// When a checkpoint is open, which has none.
    pub fn trajectory(&self, count: usize) -> Result<Arc<Trajectory>> {
        let graph = self.objective.graph().clone();
        let folder = self.folder().ok_or_else(no_trajectory)?;
        Ok(Arc::new(Trajectory::new(graph, folder.clone(), count)))
    }

    /// The trajectory of so many snapshots, and the solutions there are, with those that span the plane.
    pub fn landmarks(&mut self, snapshots: usize, plane: PlaneChoice) -> Result<Landmarks> {
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
        for basis in [plane.first, plane.second] {
            if let Basis::SwaToEpoch(epoch) = basis {
                solutions.push((format!("epoch {epoch}"), self.epoch(epoch)?));
            }
        }
        Ok(Landmarks { trajectory, solutions })
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

    pub(super) fn epoch(&self, epoch: usize) -> Result<Arc<Solution>> {
        match self.folder() {
            Some(folder) => Ok(Arc::new(folder.snapshot(self.objective.graph(), epoch)?)),
            None => Err(no_trajectory()),
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
