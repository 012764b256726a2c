//! What the window asks for and what it is told. Requests describe points by how they are reached, not by vectors, so
//! they are small, comparable and can be undone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

use super::curvature::{AlongRunRequest, CurvatureRequest};
use super::search::SearchRequest;
use crate::checkpoint::{Listing, Reference};
use crate::experiment::cost::Estimate;
use crate::experiment::outcome::Made;
use crate::landscape::normalisation::Normalisation;
use crate::landscape::{Basis, Curve, Field, Frame, LineRecord, Quantity, SurfaceRecord};
use crate::objective::{BatchNormPolicy, DeviceChoice, Measurement};
use crate::training::{EpochMetrics, RunRecord, RunStatus, TrainingOptions};

/// A request to the worker.
#[derive(Clone, Debug)]
pub enum Request {
    /// Train a new run.
    Train(Box<TrainRequest>),
    /// Open a run folder, look into a checkpoint file, or read a direction: a path, with `::key` an entry of it.
    Open(String),
    /// Open solutions of a checkpoint file.
    OpenCheckpoint(Box<CheckpointRequest>),
    /// Read a direction from a file, for the pad's first axis.
    Direction(Reference),
    /// Write the marked point of a slice as safetensors.
    Save(Box<SaveRequest>),
    /// Go on with the run that is open.
    Continue,
    /// Hold training, or let it go on.
    Pause(bool),
    /// End training; the run can be continued later.
    Stop,
    /// Put tensors elsewhere; not while a run trains.
    Device(DeviceChoice),
    /// The slice under the mouse; replaces the one before. Without one, evaluation stops.
    Slice(Option<Box<SliceRequest>>),
    /// Search for asymmetric directions behind all else, in place of the search before. Without one, that one ends.
    Search(Option<Box<SearchRequest>>),
    /// Find the curvature at a point behind all else, in place of the one before; the same goes on where it was left.
    /// Without one, it stays there.
    Curvature(Option<Box<CurvatureRequest>>),
    /// Measure the curvature at every epoch behind all else; what was measured since the run was opened is kept.
    /// Without one, it stays where it is.
    AlongRun(Option<AlongRunRequest>),
    /// End the worker.
    Quit,
}

/// A new run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainRequest {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Hyper-parameters.
    pub options: TrainingOptions,
    /// Run folder to write; without one, a fresh one is made under `runs`.
    pub folder: Option<PathBuf>,
    /// Where fresh folders are made.
    pub runs: PathBuf,
}

/// Solutions of a checkpoint file, and the data to measure them on.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointRequest {
    /// The file.
    pub path: PathBuf,
    /// Key of the state dict to stand at first; empty where the file itself is one.
    pub first: String,
    /// Key of another to go to, if there is one.
    pub second: Option<String>,
    /// Model name; without one, the only one that fits.
    pub model: Option<String>,
    /// Data specification.
    pub data: String,
}

/// A point to write.
#[derive(Clone, Debug, PartialEq)]
pub struct SaveRequest {
    /// The slice it lies on.
    pub slice: SliceRequest,
    /// Where along its first line.
    pub position: f64,
    /// The file.
    pub path: PathBuf,
}

/// What a checkpoint file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The file, and the entry that was asked for.
    pub reference: Reference,
    /// The container, for people.
    pub format: &'static str,
    /// Its state dicts.
    pub listings: Vec<Listing>,
    /// Plain values beside them, such as the epoch.
    pub values: Vec<(String, String)>,
    /// Data specification, where the file names its own.
    pub data: Option<String>,
    /// Model name, likewise.
    pub model: Option<String>,
}

/// A solution of the open run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The weights being trained, now.
    Current,
    /// The snapshot after this many epochs.
    Epoch(usize),
    /// The average; of a checkpoint, the solution opened first.
    Swa,
    /// The end of SGD started from the average; of a checkpoint, the other solution.
    Sgd,
}

/// u = cos φ · u₁ + sin φ · u₂, of unit length where the directions are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// u₁.
    pub first: Basis,
    /// u₂.
    pub second: Basis,
    /// φ in radians.
    pub angle: f64,
    /// What is done to the directions' lengths.
    pub normalisation: Normalisation,
}

/// The plane w + a·e₁ + b·e₂.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaneChoice {
    /// u₁.
    pub first: Basis,
    /// u₂.
    pub second: Basis,
    /// Whether e₁ and e₂ are u₁ and u₂, or orthogonal unit vectors that span the same plane.
    pub frame: Frame,
    /// What is done to the lengths of u₁ and u₂.
    pub normalisation: Normalisation,
}

/// The two curves through a point of a plane, along its axes or turned ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marginals {
    /// The plane.
    pub plane: PlaneChoice,
    /// Ranges of its two axes.
    pub ranges: [(f64, f64); 2],
    /// The point's positions.
    pub mark: [f64; 2],
    /// Angles of the two curves in the plane, in radians; 0 and π/2 are its axes.
    pub angles: [f64; 2],
}

impl Marginals {
    /// Direction of curve `index` in the plane.
    pub fn along(&self, index: usize) -> [f64; 2] {
        // The axes themselves are met exactly.
        match self.angles[index] {
            0.0 => [1.0, 0.0],
            angle if angle == std::f64::consts::FRAC_PI_2 => [0.0, 1.0],
            angle => [angle.cos(), angle.sin()],
        }
    }

    /// Position of the point along curve `index`: on an axis, its position there.
    pub fn position(&self, index: usize) -> f64 {
        let along = self.along(index);
        self.mark[0] * along[0] + self.mark[1] * along[1]
    }

    /// Where position 0 of curve `index` lies in the plane.
    pub fn foot(&self, index: usize) -> [f64; 2] {
        let (along, position) = (self.along(index), self.position(index));
        [0, 1].map(|axis| match along[axis] {
            // Along an axis the other position is the point's.
            0.0 => self.mark[axis],
            1.0 => 0.0,
            share => self.mark[axis] - position * share,
        })
    }

    /// The part of curve `index` that lies in the plane's ranges.
    pub fn range(&self, index: usize) -> (f64, f64) {
        let (along, foot) = (self.along(index), self.foot(index));
        let mut range = (f64::NEG_INFINITY, f64::INFINITY);
        for axis in 0..2 {
            if along[axis].abs() > 1e-9 {
                let ends = [self.ranges[axis].0, self.ranges[axis].1].map(|end| (end - foot[axis]) / along[axis]);
                range = (range.0.max(ends[0].min(ends[1])), range.1.min(ends[0].max(ends[1])));
            }
        }
        let position = self.position(index);
        (range.0.min(position), range.1.max(position))
    }
}

/// A surface over two positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SurfaceChoice {
    /// The loss in a plane through the point.
    Plane(PlaneChoice),
    /// L(w_t + l·u) over (l, t): the loss along a direction through the whole of training.
    Through(Turn),
}

/// A live surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceRequest {
    /// Which.
    pub choice: SurfaceChoice,
    /// Ranges of the two axes; of a surface through training, only the first counts.
    pub ranges: [(f64, f64); 2],
    /// Snapshots of the trajectory there are.
    pub snapshots: usize,
    /// Whether every node is wanted, not only those that tell.
    pub every_node: bool,
}

/// A step w ← w + l·u.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// u.
    pub turn: Turn,
    /// l.
    pub position: f64,
}

/// What is drawn on the stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View {
    /// The slice along the pad's direction.
    Direction(Turn),
    /// The pad's two basis directions over each other.
    Comparison(Basis, Basis, Normalisation),
    /// From SWA to SGD.
    Interpolation,
    /// Two curves through a point of a plane.
    Marginals(Marginals),
}

impl View {
    /// What is done to the lengths of its directions.
    pub fn normalisation(self) -> Normalisation {
        match self {
            Self::Direction(turn) => turn.normalisation,
            Self::Comparison(_, _, normalisation) => normalisation,
            Self::Marginals(marginals) => marginals.plane.normalisation,
            Self::Interpolation => Normalisation::Unit,
        }
    }
}

/// A live slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceRequest {
    /// The run it is of ([`RunSummary::session`]); a request for a run no longer open is dropped.
    pub session: u64,
    /// Where the walk starts.
    pub anchor: Anchor,
    /// Steps from there to the point w.
    pub walk: Vec<Step>,
    /// What is drawn.
    pub view: View,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// First and last position.
    pub range: (f64, f64),
    /// A position that is measured exactly, beside the even ones.
    pub marked: f64,
    /// Axes of the pad whose map is wanted behind it, once the slice itself is there.
    pub compass: Option<(Basis, Basis)>,
    /// Surface that is wanted beside it.
    pub surface: Option<SurfaceRequest>,
}

/// How finely something is, or is being, evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Points of the line.
    pub points: usize,
    /// Training images used at each.
    pub train_images: usize,
    /// Test images used at each.
    pub test_images: usize,
    /// Whether these are all images, at as many points as a curve needs.
    pub full: bool,
}

impl Level {
    /// Whether so few images were used that the curve's shape is right and its height is not: a loss over 48 images has
    /// a standard error of some tenths.
    pub fn is_rough(self) -> bool {
        !self.full && self.train_images < 200
    }
}

/// One curve of a slice.
#[derive(Clone, Debug)]
pub struct LineView {
    /// The finest curve that is complete.
    pub record: LineRecord,
    /// The next finer one, as far as it is.
    pub incoming: Curve,
    /// First and last position.
    pub range: (f64, f64),
}

/// The refinement under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refining {
    /// The level it leads to.
    pub level: Level,
    /// Share done, 0..1.
    pub done: f64,
    /// Seconds left to the finest level at the speed so far.
    pub seconds_left: f64,
}

/// ‖w + l·u − w₀‖ for every l: the square root of a parabola.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distance {
    /// ‖w − w₀‖².
    pub square: f64,
    /// ⟨w − w₀, u⟩.
    pub along: f64,
    /// ‖u‖².
    pub length_square: f64,
}

impl Distance {
    /// The distance at position l.
    pub fn at(&self, l: f64) -> f64 {
        (self.square + 2.0 * l * self.along + l * l * self.length_square)
            .max(0.0)
            .sqrt()
    }
}

/// The slice as far as it is known.
#[derive(Clone, Debug)]
pub struct SliceView {
    /// What was asked.
    pub request: SliceRequest,
    /// Its curves: one, or two over each other.
    pub lines: Vec<LineView>,
    /// Level of the complete curves.
    pub level: Level,
    /// What is being refined; nothing when all is done.
    pub refining: Option<Refining>,
    /// Distance from the initial weights along the first curve.
    pub distance: Distance,
    /// Cosine of the angle between the pad's two basis directions, where both are known.
    pub basis_cosine: Option<f64>,
    /// Epochs trained at the point, where it moves while training.
    pub epoch: Option<f64>,
}

/// The training loss in the plane of the pad, on a polar grid.
#[derive(Clone, Debug, PartialEq)]
pub struct CompassView {
    /// u₁ and u₂.
    pub axes: (Basis, Basis),
    /// Number of angles over the full circle; angle i is 2π·i/angles.
    pub angles: usize,
    /// Number of radii; radius j is reach·(j+1)/radii.
    pub radii: usize,
    /// Largest radius.
    pub reach: f64,
    /// Loss at the centre, once measured.
    pub centre: Option<f32>,
    /// Losses, angle by angle, where measured.
    pub losses: Vec<Option<f32>>,
    /// Training images used.
    pub images: usize,
}

/// A surface as far as it is known.
#[derive(Clone, Debug)]
pub struct SurfaceView {
    /// What was asked.
    pub request: SurfaceRequest,
    /// The solution that the walk to its origin starts from.
    pub anchor: Anchor,
    /// Steps from there.
    pub walk: Vec<Step>,
    /// Its values, and how they were made.
    pub record: SurfaceRecord,
    /// What can be drawn of it, in the order of [`Quantity::ALL`].
    pub fields: Vec<Arc<Field>>,
    /// Images of each split used at every node.
    pub images: [usize; 2],
    /// Whether these are all images.
    pub full: bool,
    /// The refinement under way.
    pub refining: Option<SurfaceRefining>,
    /// Column k: what a step along axis k of a plane is, in multiples of u₁ and u₂.
    pub frame: [[f64; 2]; 2],
}

impl SurfaceView {
    /// The direction of a step in the plane as a turn between its two directions, and how far it goes.
    pub fn turn(&self, [a, b]: [f64; 2]) -> Option<(Turn, f64)> {
        let SurfaceChoice::Plane(plane) = self.request.choice else {
            return None;
        };
        let [first, second] = self.frame.map(|row| row[0] * a + row[1] * b);
        let turn = Turn {
            first: plane.first,
            second: plane.second,
            angle: second.atan2(first),
            normalisation: plane.normalisation,
        };
        let length = match plane.normalisation {
            // A turn of unit directions is of unit length, whatever their angle.
            Normalisation::Unit => {
                let cosine = self.record.angle?.to_radians().cos();
                first * first + second * second + 2.0 * first * second * cosine
            }
            _ => first * first + second * second,
        };
        Some((turn, length.sqrt()))
    }

    /// What is drawn of one quantity.
    pub fn field(&self, quantity: Quantity) -> Option<&Arc<Field>> {
        self.fields.iter().find(|field| field.quantity == quantity)
    }
}

/// The refinement of a surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceRefining {
    /// Nodes of the pass along both axes.
    pub nodes: [usize; 2],
    /// Images of each split it uses.
    pub images: [usize; 2],
    /// Nodes measured in it so far, and those asked for so far.
    pub measured: (usize, usize),
}

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingStatus {
    /// Epochs done, the current one in part.
    pub epoch: f64,
    /// Epochs in all.
    pub total: usize,
    /// Share of all work done, 0..1.
    pub progress: f64,
    /// Seconds left at the speed so far, pauses aside.
    pub seconds_left: Option<f64>,
    /// Whether it is held.
    pub paused: bool,
}

/// How far an experiment is.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentStatus {
    /// Its name.
    pub name: String,
    /// What is being trained or measured for it.
    pub what: String,
    /// Share of that part that is done, 0..1.
    pub done: f64,
    /// When the experiment began.
    pub since: Instant,
}

/// An experiment that was made.
#[derive(Clone, Debug)]
pub struct MadeExperiment {
    /// Its name.
    pub name: String,
    /// What was found, and what it took.
    pub made: Made,
    /// Its first figure in small.
    pub thumbnail: Option<RgbImage>,
    /// Whether it was made just now; otherwise it was made before, and read.
    pub now: bool,
}

/// What the window is told of a run, or of an open checkpoint.
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// Counts the runs opened since the start.
    pub session: u64,
    /// The folder, or the checkpoint file.
    pub path: PathBuf,
    /// Whether it is a checkpoint: it has no trajectory, and nothing is known of how it was trained.
    pub checkpoint: bool,
    /// Names of its two solutions: SWA and SGD, or the entries of the checkpoint.
    pub names: [String; 2],
    /// What was done to a checkpoint's names and values.
    pub notes: Vec<String>,
    /// How it was made.
    pub record: RunRecord,
    /// Rows so far.
    pub metrics: Vec<EpochMetrics>,
    /// Snapshots on disk, the initial weights included.
    pub snapshots: usize,
    /// Whether there is an average.
    pub swa: bool,
    /// Whether there is an end of SGD from the average.
    pub sgd: bool,
    /// Number of parameters.
    pub parameters: usize,
    /// Of these, in batch norm.
    pub batch_norm_parameters: usize,
}

/// A message from the worker.
#[derive(Clone, Debug)]
pub enum Update {
    /// A run is open; it may be one that starts to train.
    Opened(Box<RunSummary>),
    /// A checkpoint file was looked into.
    Inspected(Box<Inspection>),
    /// A direction was read: its number, and the file.
    Direction(usize, PathBuf),
    /// Mean training loss since the last point, at a time in epochs.
    TrainPoint(f64, f64),
    /// An epoch is done.
    Epoch(EpochMetrics),
    /// A solution (`last`, `swa`, `sgd`) was measured and, but for the first, saved.
    Solution(&'static str, Measurement),
    /// Training ended, and how.
    TrainingEnded(RunStatus),
    /// Tensors are now on the device of this name.
    Device(String),
    /// What was on its way to the stage failed: it does not come.
    SliceFailed,
    /// Something went wrong, in a sentence for a person.
    Failed(String),
    /// A file was written.
    Exported(PathBuf),
    /// An experiment was made, or one that was made before was read.
    Experiment(Box<MadeExperiment>),
    /// The experiment of this name was stopped; what was trained and measured for it is kept.
    ExperimentStopped(String),
    /// The experiment of this name failed, and why, in a sentence for a person.
    ExperimentFailed(String, String),
    /// What experiments will take, by name; nothing for one whose data cannot be opened here.
    Estimates(Vec<(String, Option<Estimate>)>),
}
