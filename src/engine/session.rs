//! The run that is open: its objective, its solutions, and the directions drawn for it so far.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::request::{Anchor, RunSummary, Step, TrainRequest, Turn, View};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::landscape::direction::{self, Basis};
use crate::landscape::{Line, Memory};
use crate::network::zoo;
use crate::objective::{Compute, EVALUATION_BATCH, Objective, Solution};
use crate::training::{RunFolder, RunRecord, Trainer};

/// Directions kept; another draw of one costs a millisecond for a small network.
const DIRECTIONS_KEPT: usize = 8;

/// An open run.
pub struct Session {
    pub objective: Arc<Objective>,
    pub folder: RunFolder,
    pub memory: Memory,
    start: Arc<Solution>,
    directions: HashMap<Basis, Arc<Vec<f32>>>,
    solutions: HashMap<&'static str, Arc<Solution>>,
}

/// The objective that a model and data name describe.
fn objective(model: &str, data: &str, compute: &Compute) -> Result<Arc<Objective>> {
    let data = Arc::new(Dataset::open(data)?);
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len())?);
    Ok(Arc::new(Objective::new(
        graph,
        data,
        compute.clone(),
        EVALUATION_BATCH,
    )?))
}

impl Session {
    /// Starts a new run.
    pub fn train(request: &TrainRequest, compute: &Compute) -> Result<(Self, Trainer)> {
        request.options.check()?;
        let objective = objective(&request.model, &request.data, compute)?;
        let path = match &request.folder {
            Some(folder) => folder.clone(),
            None => fresh_folder(&request.runs, &request.model, request.options.seed),
        };
        let trainer = Trainer::start(objective.clone(), &request.options, &path)?;
        Ok((Self::new(objective, trainer.folder().clone())?, trainer))
    }

    /// Opens a run folder.
    pub fn open(path: &Path, compute: &Compute) -> Result<Self> {
        let folder = RunFolder::open(path)?;
        let RunRecord { model, data, .. } = folder.record();
        let objective = objective(model, data, compute)?;
        Self::new(objective, folder)
    }

    fn new(objective: Arc<Objective>, folder: RunFolder) -> Result<Self> {
        Ok(Self {
            start: Arc::new(folder.snapshot(objective.graph(), 0)?),
            memory: Memory::default(),
            directions: HashMap::new(),
            solutions: HashMap::new(),
            objective,
            folder,
        })
    }

    /// What the window is told.
    pub fn summary(&self, session: u64) -> Result<RunSummary> {
        let graph = self.objective.graph();
        let metrics = self.folder.metrics()?;
        Ok(RunSummary {
            session,
            path: self.folder.path().to_owned(),
            record: self.folder.record().clone(),
            snapshots: self.folder.snapshots().min(metrics.len() + 1),
            metrics,
            swa: self.folder.solution_path("swa").exists(),
            sgd: self.folder.solution_path("sgd").exists(),
            parameters: graph.parameter_count(),
            batch_norm_parameters: graph.batch_norm_parameter_count(),
        })
    }

    /// The initial weights.
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
            Basis::SwaToSgd => {
                let (swa, sgd) = (self.named("swa")?, self.named("sgd")?);
                direction::between(&swa.parameters, &sgd.parameters)?
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
        if !self.folder.solution_path(name).exists() {
            return Err(Error::Request(format!(
                "this run has no {} yet: it is written when averaging is done",
                name.to_uppercase()
            )));
        }
        let solution = Arc::new(self.folder.solution(self.objective.graph(), name)?);
        self.solutions.insert(name, solution.clone());
        Ok(solution)
    }

    fn turned(&mut self, turn: Turn) -> Result<Arc<Vec<f32>>> {
        let (first, second) = (self.basis(turn.first)?, self.basis(turn.second)?);
        Ok(Arc::new(direction::turned(&first, &second, turn.angle)?))
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
            (Anchor::Current, None) => {
                let last = self.folder.snapshots().saturating_sub(1);
                (self.epoch(last)?, format!("epoch {last}"))
            }
            (Anchor::Epoch(epoch), _) => (self.epoch(epoch)?, format!("epoch {epoch}")),
            (Anchor::Swa, _) => (self.named("swa")?, "SWA".to_owned()),
            (Anchor::Sgd, _) => (self.named("sgd")?, "SGD".to_owned()),
        };
        for step in walk {
            let direction = self.turned(step.turn)?;
            point = Arc::new(point.moved(&direction, step.position));
            name += &format!(" {:+} along {}", step.position, turn_name(step.turn));
        }
        Ok((point, name))
    }

    fn epoch(&self, epoch: usize) -> Result<Arc<Solution>> {
        Ok(Arc::new(self.folder.snapshot(self.objective.graph(), epoch)?))
    }

    /// The lines of a view through `origin`, each with its name.
    pub fn lines(&mut self, view: View, origin: &Arc<Solution>) -> Result<Vec<(Line, String)>> {
        let ray = |direction: Arc<Vec<f32>>| Line::Ray {
            origin: origin.clone(),
            direction,
        };
        Ok(match view {
            View::Direction(turn) => {
                let direction = self.turned(turn)?;
                vec![(ray(direction), turn_name(turn))]
            }
            View::Comparison(first, second) => vec![
                (ray(self.basis(first)?), first.to_string()),
                (ray(self.basis(second)?), second.to_string()),
            ],
            View::Interpolation => {
                let (from, to) = (self.named("swa")?, self.named("sgd")?);
                vec![(Line::Segment { from, to }, "SWA → SGD".to_owned())]
            }
        })
    }
}

/// `uniform (seed 1)` at 0°, otherwise the angle with both, precise enough to repeat it.
fn turn_name(turn: Turn) -> String {
    let degrees = turn.angle.to_degrees();
    if degrees.abs() < 0.05 {
        turn.first.to_string()
    } else if (degrees - 90.0).abs() < 0.05 {
        turn.second.to_string()
    } else {
        format!(
            "{}° from {} to {}",
            (degrees * 1e4).round() / 1e4,
            turn.first,
            turn.second
        )
    }
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
