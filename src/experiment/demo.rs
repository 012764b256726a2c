//! The demo: trains the built-in example and measures its valleys, from training curve to the asymmetric interpolation.

use std::path::Path;
use std::sync::Arc;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::direction::{self, DirectionKind};
use crate::landscape::line::{Line, positions};
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{LineRecord, Provenance};
use crate::network::zoo;
use crate::objective::{BatchNormPolicy, Compute, EVALUATION_BATCH, Measurement, Objective};
use crate::training::{EpochMetrics, RunFolder, RunRecord};
use crate::training::{Event, Trainer, TrainingOptions};

/// The demo's network.
pub const MODEL: &str = "resnet8:width=8";
/// The demo's data.
pub const DATA: &str = "builtin";

/// What is trained and how finely it is measured.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Model name.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Hyper-parameters.
    pub options: TrainingOptions,
    /// Points of a slice along a random direction.
    pub slice_points: usize,
    /// Points of the interpolation.
    pub interpolation_points: usize,
}

impl Recipe {
    /// The demo at full size: the figures of the README.
    pub fn full() -> Self {
        Self {
            model: MODEL.to_owned(),
            data: DATA.to_owned(),
            options: TrainingOptions::default(),
            slice_points: 41,
            interpolation_points: 41,
        }
    }

    /// A smaller one, done in well under a minute on two cores.
    pub fn quick() -> Self {
        Self {
            data: format!("{DATA}:train=1500:test=750"),
            options: TrainingOptions {
                epochs: 20,
                batch_size: 32,
                swa_start: 12,
                swa_learning_rate: 0.1,
                sgd_epochs: 5,
                ..TrainingOptions::default()
            },
            slice_points: 17,
            interpolation_points: 21,
            ..Self::full()
        }
    }
}

/// The three solutions of a run, under `recompute`.
#[derive(Clone, Copy, Debug)]
pub struct Solutions {
    /// The last SGD iterate.
    pub last: Measurement,
    /// The average.
    pub swa: Measurement,
    /// The end of SGD started from the average.
    pub sgd: Measurement,
}

/// What the demo found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// How the run was made.
    pub record: RunRecord,
    /// Training curve.
    pub metrics: Vec<EpochMetrics>,
    /// The three solutions.
    pub solutions: Solutions,
    /// Along a U(0,1) direction from the average, policy `running`.
    pub uniform: LineRecord,
    /// Along a batch-norm and a non-batch-norm direction, policy `running`.
    pub batch_norm: [LineRecord; 2],
    /// From SWA (0) to SGD (1), policy `recompute`.
    pub interpolation: LineRecord,
}

/// Told what is being done and how much of it is done (0..1); says no to stop.
pub type Report<'a> = dyn FnMut(&str, f64) -> bool + 'a;

/// Trains `options` in `folder` to the end.
///
/// # Errors
/// What [`Trainer::step`] can fail with, and [`Error::Cancelled`].
pub fn train(trainer: &mut Trainer, report: &mut Report) -> Result<()> {
    loop {
        let event = trainer.step()?;
        if matches!(event, Event::Finished) {
            return Ok(());
        }
        let folder = trainer.folder();
        let epoch = trainer.metrics().len();
        let total = folder.record().options.total_epochs();
        if !report(&format!("training, epoch {epoch}/{total}"), trainer.progress()) {
            return Err(Error::Cancelled);
        }
    }
}

/// Trains the run in `out/run`, or takes it up again where it was cut off, and measures its valleys.
///
/// # Errors
/// When something cannot be trained, measured or written, and [`Error::Cancelled`].
pub fn run(recipe: &Recipe, compute: Compute, out: &Path, report: &mut Report) -> Result<Findings> {
    whole_file::make_folder(out)?;
    let data = Arc::new(Dataset::open(&recipe.data)?);
    let graph = Arc::new(zoo::build(&recipe.model, data.shape, data.classes.len())?);
    let objective = Arc::new(Objective::new(graph, data, compute, EVALUATION_BATCH)?);
    let run_path = out.join("run");
    let mut trainer = match RunFolder::open(&run_path) {
        // The same run, finished or cut off, is used again; another one is in the way.
        Ok(folder) if same_run(folder.record(), &objective, recipe) => Trainer::resume(objective.clone(), folder)?,
        Ok(_) => {
            return Err(Error::file_reason(
                &run_path,
                "another run is in this folder; choose another --out or remove it",
            ));
        }
        Err(_) => Trainer::start(objective.clone(), &recipe.options, &run_path)?,
    };
    train(&mut trainer, report)?;
    measure(&objective, &trainer, recipe, report)
}

fn same_run(record: &RunRecord, objective: &Objective, recipe: &Recipe) -> bool {
    record.model == recipe.model
        && record.data == recipe.data
        && record.options == recipe.options
        && record.device == objective.device_name()
}

fn measure(objective: &Objective, trainer: &Trainer, recipe: &Recipe, report: &mut Report) -> Result<Findings> {
    let folder = trainer.folder();
    let graph = objective.graph();
    let results = folder.record().results;
    let (Some(last), Some(swa), Some(sgd)) = (results.last, results.swa, results.sgd) else {
        return Err(Error::Request(
            "the demo needs averaging and SGD from the average; give --swa-start and --sgd-epochs".to_owned(),
        ));
    };
    let average = Arc::new(folder.solution(graph, "swa")?);
    let end = Arc::new(folder.solution(graph, "sgd")?);
    let seed = recipe.options.seed;
    let mut slice = |kind: DirectionKind, title: &str| {
        let line = Line::ray(average.clone(), Arc::new(direction::random(graph, kind, seed)?));
        let what = Measured {
            origin: "SWA",
            label: format!("{kind} (seed {seed})"),
            policy: BatchNormPolicy::Running,
            positions: positions(-3.0, 3.0, recipe.slice_points),
        };
        what.sweep(objective, line, seed, &mut |done| report(title, done))
    };
    let uniform = slice(DirectionKind::Uniform, "slice along U(0,1)")?;
    let batch_norm = [
        slice(DirectionKind::BatchNorm, "slice along batch norm")?,
        slice(DirectionKind::NonBatchNorm, "slice along the rest")?,
    ];
    let interpolation = Measured {
        origin: "SWA",
        label: "SWA → SGD".to_owned(),
        policy: BatchNormPolicy::Recompute,
        positions: positions(-2.0, 3.0, recipe.interpolation_points),
    }
    .sweep(objective, Line::segment(average, end), seed, &mut |done| {
        report("SWA to SGD", done)
    })?;
    Ok(Findings {
        record: folder.record().clone(),
        metrics: trainer.metrics().to_vec(),
        solutions: Solutions { last, swa, sgd },
        uniform,
        batch_norm,
        interpolation,
    })
}

struct Measured {
    origin: &'static str,
    label: String,
    policy: BatchNormPolicy,
    positions: Vec<f64>,
}

impl Measured {
    fn sweep(
        self,
        objective: &Objective,
        line: Line,
        seed: u64,
        report: &mut dyn FnMut(f64) -> bool,
    ) -> Result<LineRecord> {
        let request = SweepRequest {
            slice: line,
            positions: self.positions,
            policy: self.policy,
            samples: usize::MAX,
        };
        let curve =
            Sweep::new(objective, request).run(objective, |done, total| report(done as f64 / total.max(1) as f64))?;
        Ok(LineRecord {
            provenance: Provenance::new(objective, self.origin, &self.label, self.policy, usize::MAX, Some(seed)),
            label: self.label,
            curve,
        })
    }
}
