//! The run folder: `run.json`, `metrics.csv`, `trajectory/NNNN.safetensors`, `swa.safetensors`, `sgd.safetensors`, and
//! `state.safetensors` from which training goes on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::options::TrainingOptions;
use crate::checkpoint::{CheckpointFile, NamedTensors, Values};
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::network::Graph;
use crate::objective::{Measurement, Solution};

/// Number of the layout of the folder; raised when an older program could not read it.
const FORMAT: u32 = 1;

/// Size of `run.json` or `metrics.csv` at most: ten times the longest run's.
const MOST_RECORD_BYTES: u64 = 256 << 20;

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Being written, or interrupted: `train --resume` goes on.
    Unfinished,
    /// All epochs are done.
    Finished,
    /// The loss stopped being finite, with the message shown.
    Diverged(String),
}

/// Losses of the solutions of a run, under the policy `recompute`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The last SGD iterate of the main phase.
    pub last: Option<Measurement>,
    /// The average.
    pub swa: Option<Measurement>,
    /// The end of SGD started from the average.
    pub sgd: Option<Measurement>,
}

/// `run.json`: how the run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Layout of the folder.
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Device that trained.
    pub device: String,
    /// Hyper-parameters and seed.
    pub options: TrainingOptions,
    /// How far it is.
    pub status: RunStatus,
    /// Measured solutions.
    #[serde(default)]
    pub results: Results,
}

impl RunRecord {
    /// The record of a run about to start.
    pub fn new(model: &str, data: &str, device: &str, options: TrainingOptions) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.to_owned(),
            data: data.to_owned(),
            device: device.to_owned(),
            options,
            status: RunStatus::Unfinished,
            results: Results::default(),
        }
    }
}

/// One row of `metrics.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// `train`, or `sgd` for the epochs started from the average.
    pub phase: String,
    /// Learning rate of the epoch.
    pub learning_rate: f64,
    /// Mean loss over the epoch's augmented batches, as the weights moved.
    pub train_loss: f64,
    /// Accuracy over the same batches, 0..1.
    pub train_accuracy: f64,
    /// Test loss after the epoch, policy `running`.
    pub test_loss: f64,
    /// Test accuracy after the epoch, 0..1.
    pub test_accuracy: f64,
}

/// What training needs, beside the newest snapshot, to go on as if it had never stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// Epochs done.
    pub epoch: usize,
    /// Momentum buffer `[d]`.
    pub velocity: Vec<f32>,
    /// Mean of the averaged models `[d]`.
    pub average: Vec<f64>,
    /// Number of models in the average.
    pub averaged: usize,
}

/// A run folder on disk.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    record: RunRecord,
}

impl RunFolder {
    /// Makes the folder for a new run. Its record is written by the first [`RunFolder::update`], when all that a run
    /// needs to go on is there.
    ///
    /// # Errors
    /// When it cannot be made, or holds a run already.
    pub fn create(path: &Path, record: RunRecord) -> Result<Self> {
        let folder = Self {
            path: path.to_owned(),
            record,
        };
        if folder.record_path().exists() {
            return Err(Error::file_reason(
                path,
                "this folder already holds a run; choose another, or go on with `train --resume`",
            ));
        }
        whole_file::make_folder(&path.join("trajectory"))?;
        Ok(folder)
    }

    /// Opens an existing run.
    ///
    /// # Errors
    /// When `run.json` is missing, broken, of a newer layout, or asks for something out of range.
    pub fn open(path: &Path) -> Result<Self> {
        // `run.json` itself may be what was picked or dropped.
        let path = if path.file_name().is_some_and(|name| name == "run.json") {
            path.parent().unwrap_or(Path::new("."))
        } else {
            path
        };
        let file = path.join("run.json");
        if !file.exists() {
            return Err(Error::file_reason(
                path,
                if path.exists() {
                    "this is not a run folder: it has no run.json. Choose a folder written by `valleyscope train`"
                } else {
                    "no such folder; check the path"
                },
            ));
        }
        let text = whole_file::read(&file, MOST_RECORD_BYTES)?;
        let text = String::from_utf8_lossy(&text);
        let broken = |reason: String| Error::file_reason(&file, reason);
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| broken(format!("it is not whole JSON ({error})")))?;
        match json.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > u64::from(FORMAT) => {
                return Err(broken(format!(
                    "it was written in layout {format} by a newer version; this one reads up to {FORMAT}"
                )));
            }
            Some(_) => {}
            None => return Err(broken("it was not written by valleyscope".to_owned())),
        }
        let record: RunRecord = serde_json::from_value(json).map_err(|error| broken(error.to_string()))?;
        record.options.check().map_err(|error| broken(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            record,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the run was made.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Changes status or results and writes `run.json`.
    ///
    /// # Errors
    /// [`Error::File`]; the record in memory is then unchanged, too.
    pub fn update(&mut self, change: impl FnOnce(&mut RunRecord)) -> Result<()> {
        let before = self.record.clone();
        change(&mut self.record);
        self.write_record().inspect_err(|_| self.record = before)
    }

    fn record_path(&self) -> PathBuf {
        self.path.join("run.json")
    }

    fn write_record(&self) -> Result<()> {
        let path = self.record_path();
        let mut text =
            serde_json::to_string_pretty(&self.record).map_err(|error| Error::file_reason(&path, error.to_string()))?;
        text.push('\n');
        whole_file::write(&path, text.as_bytes())
    }

    /// How the files were made, for their metadata.
    fn provenance(&self, what: &str) -> String {
        let record = &self.record;
        serde_json::json!({
            "what": what, "model": record.model, "data": record.data, "seed": record.options.seed,
            "device": record.device, "version": record.version,
        })
        .to_string()
    }

    /// Where the snapshot after `epoch` epochs lies.
    pub fn snapshot_path(&self, epoch: usize) -> PathBuf {
        self.path.join(format!("trajectory/{epoch:04}.safetensors"))
    }

    /// Where the solution called `name` (`swa` or `sgd`) lies.
    pub fn solution_path(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.safetensors"))
    }

    /// Number of snapshots that follow one another from the start, the initial weights included.
    pub fn snapshots(&self) -> usize {
        (0..).take_while(|&epoch| self.snapshot_path(epoch).exists()).count()
    }

    /// Writes the snapshot after `epoch` epochs.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save_snapshot(&self, graph: &Graph, epoch: usize, solution: &Solution) -> Result<()> {
        NamedTensors::of_solution(graph, solution).write(
            &self.snapshot_path(epoch),
            &self.provenance(&format!("SGD iterate after epoch {epoch}")),
        )
    }

    /// Reads the snapshot after `epoch` epochs.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn snapshot(&self, graph: &Graph, epoch: usize) -> Result<Solution> {
        let path = self.snapshot_path(epoch);
        CheckpointFile::open(&path)?.state_dict(None)?.solution(graph)
    }

    /// Writes the solution called `name`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save_solution(&self, graph: &Graph, name: &str, solution: &Solution) -> Result<()> {
        NamedTensors::of_solution(graph, solution).write(&self.solution_path(name), &self.provenance(name))
    }

    /// Reads the solution called `name`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn solution(&self, graph: &Graph, name: &str) -> Result<Solution> {
        let path = self.solution_path(name);
        CheckpointFile::open(&path)?.state_dict(None)?.solution(graph)
    }

    /// Writes `metrics.csv` whole.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save_metrics(&self, rows: &[EpochMetrics]) -> Result<()> {
        whole_file::write(&self.path.join("metrics.csv"), &metrics_csv(rows)?)
    }

    /// Reads `metrics.csv`; a run that has not finished an epoch has none.
    ///
    /// # Errors
    /// [`Error::File`] when a row cannot be read.
    pub fn metrics(&self) -> Result<Vec<EpochMetrics>> {
        let path = self.path.join("metrics.csv");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = whole_file::read(&path, MOST_RECORD_BYTES)?;
        let mut reader = csv::Reader::from_reader(text.as_slice());
        reader
            .deserialize()
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| Error::file_reason(&path, format!("it could not be read: {error}")))
    }

    /// Writes what training needs to go on.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save_state(&self, state: &TrainingState) -> Result<()> {
        let counts = [state.epoch as f64, state.averaged as f64];
        NamedTensors::of_vectors(&[
            ("velocity", Values::Single(&state.velocity)),
            ("average", Values::Double(&state.average)),
            ("epoch_and_averaged", Values::Double(&counts)),
        ])
        .write(&self.state_path(), &self.provenance("training state"))
    }

    /// Reads what training needs to go on, for vectors of `length`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn state(&self, length: usize) -> Result<TrainingState> {
        let path = self.state_path();
        let file = CheckpointFile::open(&path)?;
        let counts = file.double_vector("epoch_and_averaged", 2)?;
        Ok(TrainingState {
            epoch: counts[0] as usize,
            averaged: counts[1] as usize,
            velocity: file.vector("velocity", length)?,
            average: file.double_vector("average", length)?,
        })
    }

    fn state_path(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }
}

/// `metrics.csv`: a header and a row an epoch.
///
/// # Errors
/// When a row cannot be encoded.
pub fn metrics_csv(rows: &[EpochMetrics]) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Request(format!("the table could not be written: {reason}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|error| failed(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| failed(error.to_string()))
}
