//! The demo: trains the built-in example and measures its valleys, from training curve to the asymmetric interpolation.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::{EpochMetrics, RunFolder, RunRecord, whole_file};
use crate::data::{Dataset, Part};
use crate::error::{Error, Result};
use crate::figure::chart::{Mark, Scale};
use crate::figure::{pictures, table};
use crate::landscape::direction::{self, DirectionKind};
use crate::landscape::line::{Line, positions};
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::landscape::{LineRecord, Provenance};
use crate::network::zoo;
use crate::objective::{
    BatchNormPolicy, Compute, EVALUATION_BATCH, Measurement, Objective, Solution,
};
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
            data: format!("{DATA}:train=1000:test=500"),
            options: TrainingOptions {
                epochs: 24,
                swa_start: 13,
                sgd_epochs: 8,
                ..TrainingOptions::default()
            },
            slice_points: 21,
            interpolation_points: 17,
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

/// Runs the recipe and writes figures, tables and a summary into `out`; the run itself goes into `out/run`.
///
/// # Errors
/// When something cannot be trained, measured or written, and [`Error::Cancelled`].
pub fn run(
    recipe: &Recipe,
    compute: Compute,
    out: &Path,
    report: &mut Report,
) -> Result<Findings> {
    whole_file::make_folder(out)?;
    let data = Arc::new(Dataset::open(&recipe.data)?);
    let graph = Arc::new(zoo::build(&recipe.model, data.shape, data.classes.len())?);
    let objective = Arc::new(Objective::new(graph, data, compute, EVALUATION_BATCH)?);
    let run_path = out.join("run");
    let mut trainer = match RunFolder::open(&run_path) {
        // The same run, finished or cut off, is used again; another one is in the way.
        Ok(folder) if same_run(folder.record(), &objective, recipe) => {
            Trainer::resume(objective.clone(), folder)?
        }
        Ok(_) => {
            return Err(Error::file_reason(
                &run_path,
                "another run is in this folder; choose another --out or remove it",
            ));
        }
        Err(_) => Trainer::start(objective.clone(), &recipe.options, &run_path)?,
    };
    train(&mut trainer, report)?;
    let findings = measure(&objective, &trainer, recipe, report)?;
    write(&findings, out)?;
    Ok(findings)
}

fn same_run(record: &RunRecord, objective: &Objective, recipe: &Recipe) -> bool {
    record.model == recipe.model
        && record.data == recipe.data
        && record.options == recipe.options
        && record.device == objective.compute().name()
}

fn measure(
    objective: &Objective,
    trainer: &Trainer,
    recipe: &Recipe,
    report: &mut Report,
) -> Result<Findings> {
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
        let line = Line::Ray {
            origin: average.clone(),
            direction: Arc::new(direction::random(graph, kind, seed)?),
        };
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
    .sweep(
        objective,
        Line::Segment {
            from: average,
            to: end,
        },
        seed,
        &mut |done| report("SWA to SGD", done),
    )?;
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
            line,
            positions: self.positions,
            policy: self.policy,
            samples: usize::MAX,
        };
        let curve = Sweep::new(objective, request).run(objective, |done, total| {
            report(done as f64 / total.max(1) as f64)
        })?;
        Ok(LineRecord {
            provenance: provenance(
                objective,
                self.origin,
                &self.label,
                self.policy,
                usize::MAX,
                Some(seed),
            ),
            label: self.label,
            curve,
        })
    }
}

/// How a line over `objective` was made.
pub fn provenance(
    objective: &Objective,
    origin: &str,
    line: &str,
    policy: BatchNormPolicy,
    samples: usize,
    seed: Option<u64>,
) -> Provenance {
    Provenance {
        model: objective.graph().name.clone(),
        data: objective.data().name.clone(),
        origin: origin.to_owned(),
        line: line.to_owned(),
        batch_norm: policy,
        batch_size: objective.batch_size(),
        train_images: objective.data().train.len().min(samples),
        test_images: objective.data().test.len().min(samples),
        seed,
        device: objective.compute().name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Distance between the run's two ends, for the summary.
fn write(findings: &Findings, out: &Path) -> Result<()> {
    let charts = [
        (
            "training",
            pictures::training(&findings.record, &findings.metrics),
        ),
        (
            "uniform-direction",
            pictures::lines(
                "Loss along a random U(0,1) direction from SWA",
                "position l of w + l·u, ‖u‖ = 1",
                std::slice::from_ref(&findings.uniform),
                Scale::Automatic,
            ),
        ),
        (
            "batch-norm-directions",
            pictures::lines(
                "Loss along batch-norm and other directions from SWA",
                "position l of w + l·u, ‖u‖ = 1",
                &findings.batch_norm,
                Scale::Automatic,
            ),
        ),
        ("interpolation", interpolation_chart(&findings.interpolation)),
    ];
    for (name, chart) in &charts {
        chart.write(&out.join(format!("{name}.png")))?;
        chart.write(&out.join(format!("{name}.svg")))?;
    }
    let metrics = std::fs::read(out.join("run/metrics.csv"))
        .map_err(|error| Error::file(out.join("run/metrics.csv"), "read this file", &error))?;
    whole_file::write(&out.join("training.csv"), &metrics)?;
    table::write_lines(
        &out.join("uniform-direction.csv"),
        std::slice::from_ref(&findings.uniform),
    )?;
    table::write_lines(&out.join("batch-norm-directions.csv"), &findings.batch_norm)?;
    table::write_lines(
        &out.join("interpolation.csv"),
        std::slice::from_ref(&findings.interpolation),
    )?;
    whole_file::write(&out.join("summary.md"), summary(findings).as_bytes())
}

/// The interpolation with its two ends marked.
pub fn interpolation_chart(record: &LineRecord) -> crate::figure::Chart {
    let mut chart = pictures::lines(
        "From SWA to SGD",
        "position t of w_SWA + t·(w_SGD − w_SWA)",
        std::slice::from_ref(record),
        Scale::Automatic,
    );
    chart.marks = [(0.0, "SWA"), (1.0, "SGD")]
        .map(|(position, label)| Mark {
            position,
            label: label.to_owned(),
        })
        .to_vec();
    chart
}

/// The numbers as Markdown.
fn summary(findings: &Findings) -> String {
    let mut text = String::new();
    let Findings {
        record, solutions, ..
    } = findings;
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# The valleys of {}\n\n\
         Data {}, seed {}, {} epochs, averaging from epoch {}, then {} epochs of SGD from the average at learning rate {}.\n\
         Device {}, valleyscope {}.\n\n\
         | solution | train loss | test loss | train accuracy | test accuracy |\n|---|---|---|---|---|\n",
        record.model,
        record.data,
        record.options.seed,
        record.options.epochs,
        record.options.swa_start,
        record.options.sgd_epochs,
        record.options.sgd_learning_rate,
        record.device,
        record.version
    );
    for (name, m) in [
        ("last SGD iterate", solutions.last),
        ("SWA", solutions.swa),
        ("SGD from SWA", solutions.sgd),
    ] {
        let _ = writeln!(
            text,
            "| {name} | {:.4} | {:.4} | {:.1} % | {:.1} % |",
            m.train.loss,
            m.test.loss,
            100.0 * m.train.accuracy,
            100.0 * m.test.accuracy
        );
    }
    text.push_str("\nBatch-norm statistics recomputed at each solution.\n");
    let ends = |record: &LineRecord| {
        let losses: Vec<(f64, f64)> = record.curve.losses(Part::Train).collect();
        let at = |position: f64| {
            losses
                .iter()
                .find(|(x, _)| (x - position).abs() < 1e-9)
                .map_or(f64::NAN, |(_, y)| *y)
        };
        (at(-3.0), at(0.0), at(3.0))
    };
    let [bn, rest] = &findings.batch_norm;
    text.push_str(
        "\n| direction from SWA (policy running) | train loss at l = −3 | 0 | 3 |\n|---|---|---|---|\n",
    );
    for record in [&findings.uniform, bn, rest] {
        let (left, middle, right) = ends(record);
        let _ = writeln!(
            text,
            "| {} | {left:.3} | {middle:.3} | {right:.3} |",
            record.label
        );
    }
    let curve = &findings.interpolation.curve;
    if let (Some(train), Some(test)) = (curve.minimum(Part::Train), curve.minimum(Part::Test)) {
        let _ = write!(
            text,
            "\nFrom SWA (t = 0) to SGD (t = 1), statistics recomputed at every point: the train loss is lowest at \
             t = {:.2} ({:.4}), the test loss at t = {:.2} ({:.4}), {:.2} nearer to SWA.\n",
            train.position,
            train.loss,
            test.position,
            test.loss,
            train.position.abs() - test.position.abs()
        );
    }
    text
}
