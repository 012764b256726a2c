//! The background worker that owns the device and all tensors. The window sends requests and never waits; answers come
//! back as a stream of small messages and as latest-value slots.

mod compass;
mod curvature;
mod directions;
mod experiment;
mod inbox;
mod names;
pub mod request;
mod search;
mod session;
mod slice;
mod surface;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use curvature::{
    AlongRunRequest, AlongRunView, CurvatureRequest, CurvatureStage, CurvatureView, EigenvectorSet, EpochCurvature,
    Measured,
};
use experiment::{Experimenter, Job};
use inbox::Inbox;
pub use request::{
    Anchor, CheckpointRequest, CompassView, ExperimentStatus, Inspection, LineView, MadeExperiment, Marginals,
    PlaneChoice, Request, RunSummary, SaveRequest, SliceRequest, SliceView, Step, SurfaceChoice, SurfaceRequest,
    SurfaceView, TrainRequest, TrainingStatus, Turn, Update, View,
};
pub use search::{SearchRequest, SearchView};

use crate::data::Progress;
use crate::error::{Error, Result};
use crate::experiment::outcome::Made;
use crate::experiment::recipe::Recipe;
use crate::objective::Compute;

/// Time a closing window waits for the worker and for an experiment.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// Called after every answer, from the worker's thread: asks the window for a repaint.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// A value of which only the latest matters. The lock is held for a pointer's copy, never for work.
#[derive(Debug)]
pub struct Slot<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Slot<T> {
    /// The latest value.
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it.
    pub fn set(&self, value: Option<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value.map(Arc::new);
    }
}

/// The latest values.
#[derive(Debug, Default)]
pub struct Slots {
    /// The slice under the mouse.
    pub slice: Slot<SliceView>,
    /// The surface beside it.
    pub surface: Slot<SurfaceView>,
    /// The polar map behind the direction pad.
    pub compass: Slot<CompassView>,
    /// The search for asymmetric directions; empty before the first one of the open run.
    pub search: Slot<SearchView>,
    /// The curvature at a point; empty before the first one of the open run.
    pub curvature: Slot<CurvatureView>,
    /// The curvature along the run; empty before it was asked for of the open run.
    pub along_run: Slot<AlongRunView>,
    /// How far training is; empty when none goes on.
    pub training: Slot<TrainingStatus>,
    /// Share of a data set that is read, 0..1; empty when none is being read.
    pub reading: Slot<f64>,
    /// Share of a file that is written, 0..1; empty when none is being written.
    pub writing: Slot<f64>,
    /// How far an experiment is; empty when none is being made.
    pub experiment: Slot<ExperimentStatus>,
    /// Set to stop reading.
    pub stop_reading: AtomicBool,
    /// Set to stop writing.
    pub stop_writing: AtomicBool,
    /// Set to stop the experiment.
    pub stop_experiment: AtomicBool,
}

/// The window's end of the worker.
pub struct Engine {
    inbox: Arc<Inbox>,
    slots: Arc<Slots>,
    updates: Receiver<Update>,
    sender: Sender<Update>,
    wake: Waker,
    worker: Option<JoinHandle<()>>,
    experimenter: Experimenter,
}

impl Engine {
    /// Starts the worker on a device.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(compute: Compute, wake: Waker) -> Result<Self> {
        let (sender, updates) = mpsc::channel();
        let (inbox, slots) = (Arc::new(Inbox::default()), Arc::new(Slots::default()));
        // What the worker computes on, for those beside it: it may change.
        let device = Arc::new(Mutex::new(compute.clone()));
        let experimenter = Experimenter::start(device.clone(), slots.clone(), sender.clone(), wake.clone())?;
        let worker = worker::Worker::new(
            (compute, device),
            inbox.clone(),
            slots.clone(),
            sender.clone(),
            wake.clone(),
        );
        let worker = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| Error::Request(format!("the worker could not start: {error}")))?;
        Ok(Self {
            inbox,
            slots,
            updates,
            sender,
            wake,
            worker: Some(worker),
            experimenter,
        })
    }

    /// Sends a request. A live one replaces the live one before it.
    pub fn send(&self, request: Request) {
        self.inbox.push(request);
    }

    /// Messages since the last call.
    pub fn updates(&self) -> Vec<Update> {
        self.updates.try_iter().collect()
    }

    /// Stops reading a data set, or a pass over one that nothing waits for on the stage, and writing a file.
    pub fn stop_files(&self) {
        self.slots.stop_reading.store(true, Ordering::Relaxed);
        self.slots.stop_writing.store(true, Ordering::Relaxed);
    }

    /// Makes an experiment in a folder in a thread of its own, on the device that tensors are on, has it written, and
    /// reports by [`Update::Experiment`], [`Update::ExperimentFailed`] or [`Update::ExperimentStopped`]. The one before
    /// must have reported.
    pub fn experiment(
        &self,
        recipe: Recipe,
        folder: PathBuf,
        write: impl FnOnce(&Path, &Recipe, &Made) -> Result<()> + Send + 'static,
    ) {
        self.slots.stop_experiment.store(false, Ordering::Relaxed);
        self.experimenter
            .push(Job::Make(Box::new(recipe), folder, Box::new(write)));
    }

    /// Stops the experiment: what was trained and measured is kept.
    pub fn stop_experiment(&self) {
        self.slots.stop_experiment.store(true, Ordering::Relaxed);
    }

    /// Finds out what experiments will take, with what a folder has already, and reports by [`Update::Estimates`].
    pub fn estimate(&self, recipes: Vec<Recipe>, folder: PathBuf) {
        self.experimenter.push(Job::Estimate(recipes, folder));
    }

    /// Reads the outcomes of experiments that were made in a folder before, and reports each by [`Update::Experiment`].
    pub fn outcomes(&self, recipes: Vec<Recipe>, folder: PathBuf) {
        self.experimenter.push(Job::Read(recipes, folder));
    }

    /// The latest values.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Writes a file in a thread of its own and reports by [`Update::Exported`] or [`Update::Failed`].
    pub fn export(&self, path: PathBuf, write: impl FnOnce(&Path, Progress) -> Result<()> + Send + 'static) {
        let (sender, wake, slots) = (self.sender.clone(), self.wake.clone(), self.slots.clone());
        slots.stop_writing.store(false, Ordering::Relaxed);
        let run = move || {
            let result = write(&path, &mut |done| {
                slots.writing.set(Some(done));
                wake();
                !slots.stop_writing.load(Ordering::Relaxed)
            });
            slots.writing.set(None);
            let update = match result {
                Ok(()) => Update::Exported(path),
                Err(error) => Update::Failed(error.to_string()),
            };
            // The window may be gone by now; then nobody is left to tell.
            let _ = sender.send(update);
            wake();
        };
        if let Err(error) = std::thread::Builder::new().name("export".to_owned()).spawn(run) {
            tracing::error!("the export could not start: {error}");
        }
    }
}

impl Drop for Engine {
    /// Ends the worker and the experiment at their next batch. On a device that is still tuning its kernels a batch can
    /// take minutes; then the window closes without them. Files are written whole either way.
    fn drop(&mut self) {
        self.stop_files();
        self.experimenter.close();
        self.inbox.push(Request::Quit);
        let Some(worker) = self.worker.take() else { return };
        let start = Instant::now();
        let ended = || worker.is_finished() && self.experimenter.is_finished();
        while !ended() && start.elapsed() < CLOSING_TIME {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
