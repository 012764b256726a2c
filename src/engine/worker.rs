//! The worker's loop: takes requests, does one batch of the most urgent work, and shows what is new.

mod curvature;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::curvature::{AlongRunJob, CurvatureJob};
use super::inbox::Inbox;
use super::request::{Anchor, Inspection, Request, SaveRequest, SliceRequest, TrainingStatus, Update, View};
use super::search::{SearchJob, SearchRequest};
use super::session::Session;
use super::slice::{Kept, SliceJob};
use super::{Slots, Waker};
use crate::checkpoint::{CheckpointFile, NamedTensors, Reference};
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::landscape::direction_file;
use crate::objective::{BatchNormPolicy, Compute, Solution};
use crate::training::{Event, RunStatus, Trainer};

/// Training batches between two looks at a slice of weights that move.
const BATCHES_BETWEEN_SLICES: usize = 8;
/// Time between two repaints for progress alone.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Points of the training curve per epoch.
const POINTS_PER_EPOCH: f64 = 4.0;

struct Training {
    trainer: Trainer,
    paused: bool,
    /// Seconds spent in steps and progress at the start, for the time left.
    spent: f64,
    from: f64,
    batches_since_slice: usize,
    losses: (f64, usize),
    next_point: f64,
}

pub struct Worker {
    compute: Compute,
    /// The same, for experiments.
    shared: Arc<Mutex<Compute>>,
    inbox: Arc<Inbox>,
    slots: Arc<Slots>,
    updates: Sender<Update>,
    wake: Waker,
    session: Option<Session>,
    sessions: u64,
    training: Option<Training>,
    live: Option<SliceRequest>,
    job: Option<SliceJob>,
    search: Option<SearchJob>,
    curvature: Option<CurvatureJob>,
    along_run: Option<AlongRunJob>,
    /// Whether it is not training's turn.
    slice_turn: bool,
    /// Whether the next step that both could take is the curvature's.
    curvature_turn: bool,
    progress_shown: Instant,
}

impl Worker {
    pub fn new(
        (compute, shared): (Compute, Arc<Mutex<Compute>>),
        inbox: Arc<Inbox>,
        slots: Arc<Slots>,
        updates: Sender<Update>,
        wake: Waker,
    ) -> Self {
        Self {
            compute,
            shared,
            inbox,
            slots,
            updates,
            wake,
            session: None,
            sessions: 0,
            training: None,
            live: None,
            job: None,
            search: None,
            curvature: None,
            along_run: None,
            slice_turn: false,
            curvature_turn: false,
            progress_shown: Instant::now(),
        }
    }

    /// Works until told to quit. A panic in tensor code (a lost device, say) ends the work at hand, not the worker.
    pub fn run(mut self) {
        loop {
            let taken = self.inbox.take(!self.has_work());
            for request in taken.queue {
                if matches!(request, Request::Quit) {
                    return;
                }
                self.guarded(|worker| worker.handle(request));
            }
            if let Some(live) = taken.live {
                // A slice asked for while another run was being opened is of a run no longer open.
                self.live = live.filter(|request| request.session == self.sessions);
                self.guarded(Self::start_slice);
            }
            self.guarded(Self::work);
        }
    }

    fn guarded(&mut self, action: impl FnOnce(&mut Self) -> Result<()>) {
        let result = catch_unwind(AssertUnwindSafe(|| action(self)));
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.tell(Update::Failed(error.to_string())),
            Err(_) => {
                self.slots.reading.set(None);
                self.job = None;
                self.live = None;
                self.end_search();
                self.lose_curvature();
                if self.training.take().is_some() {
                    self.slots.training.set(None);
                    self.tell(Update::TrainingEnded(RunStatus::Unfinished));
                }
                self.tell(Update::Failed(
                    "the device failed while computing; what is on disk is whole. Try --device cpu".to_owned(),
                ));
            }
        }
    }

    fn tell(&self, update: Update) {
        // The window may be gone by now; then nobody is left to tell.
        let _ = self.updates.send(update);
        (self.wake)();
    }

    fn is_training(&self) -> bool {
        self.training.as_ref().is_some_and(|t| !t.paused)
    }

    fn has_work(&self) -> bool {
        self.is_training()
            || self.search.is_some()
            || self.finds_curvature()
            || self.job.as_ref().is_some_and(|job| !job.is_finished())
    }

    fn handle(&mut self, request: Request) -> Result<()> {
        match request {
            Request::Train(request) => {
                let (session, trainer) = self.read(|compute, progress| Session::train(&request, compute, progress))?;
                self.enter(session)?;
                self.begin(trainer);
            }
            Request::Open(text) => self.open(Reference::from(text.as_str()))?,
            Request::OpenCheckpoint(request) => {
                let session = self.read(|compute, progress| Session::open_checkpoint(&request, compute, progress))?;
                self.enter(session)?;
            }
            Request::Direction(reference) => self.read_direction(reference)?,
            Request::Save(request) => self.save(&request)?,
            Request::Device(choice) => {
                let compute = Compute::open(choice)?;
                let session = match &self.session {
                    Some(session) => Some(self.read(|_, progress| session.reopen(&compute, progress))?),
                    None => None,
                };
                let name = session
                    .as_ref()
                    .map_or(compute.name(), |session| session.objective.device_name());
                *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = compute.clone();
                self.tell(Update::Device(name.to_owned()));
                self.compute = compute;
                if let Some(session) = session {
                    self.enter(session)?;
                }
            }
            Request::Continue => {
                if self.training.is_none()
                    && let Some(session) = &self.session
                    && let Some(folder) = session.folder()
                {
                    let trainer = Trainer::resume(session.objective.clone(), folder.clone())?;
                    self.begin(trainer);
                }
            }
            Request::Pause(paused) => {
                if let Some(training) = &mut self.training {
                    training.paused = paused;
                }
                self.show_training();
                // A point that has come to rest is worth refining; one that moves again is not.
                self.start_slice()?;
            }
            Request::Stop => {
                self.end_training(RunStatus::Unfinished);
                self.start_slice()?;
            }
            Request::Search(request) => {
                self.end_search();
                if let Some(request) = request {
                    self.start_search(*request)?;
                }
            }
            Request::Curvature(Some(request)) => self.start_curvature(*request),
            Request::Curvature(None) => self.hold_curvature(),
            Request::AlongRun(Some(request)) => self.start_along_run(request),
            Request::AlongRun(None) => self.hold_along_run(),
            Request::Slice(_) | Request::Quit => {}
        }
        Ok(())
    }

    /// Reads data, or passes over them, showing how far it is; Escape stops it.
    fn read<T>(&self, work: impl FnOnce(&Compute, Progress) -> Result<T>) -> Result<T> {
        read(&self.slots, &self.wake, |progress| work(&self.compute, progress))
    }

    /// Opens what a person named, told by what it is.
    fn open(&mut self, reference: Reference) -> Result<()> {
        if reference.path.is_dir() || reference.path.ends_with("run.json") {
            let session = self.read(|compute, progress| Session::open(&reference.path, compute, progress))?;
            return self.enter(session);
        }
        let file = CheckpointFile::open(&reference.path)?;
        if reference.key.is_none() && direction_file::is_direction(&file) {
            return self.read_direction(reference);
        }
        self.tell(Update::Inspected(Box::new(inspect(reference, &file)?)));
        Ok(())
    }

    fn read_direction(&mut self, reference: Reference) -> Result<()> {
        let session = self.session.as_mut().ok_or_else(|| {
            Error::file_reason(
                &reference.path,
                "this is a direction; open the checkpoint or run it belongs to first",
            )
        })?;
        let index = session.add_direction(&reference)?;
        // What was measured along a direction of this number may be of another one.
        self.job = None;
        self.tell(Update::Direction(index, reference.path));
        Ok(())
    }

    /// Writes the marked point of a slice. Under `recompute` its statistics are found first; under the other policies it
    /// keeps those of the point it started from.
    fn save(&mut self, request: &SaveRequest) -> Result<()> {
        let slice = &request.slice;
        let Some(session) = self.session.as_mut().filter(|_| slice.session == self.sessions) else {
            return Err(Error::Request(
                "another run was opened before the point could be written; mark it again".to_owned(),
            ));
        };
        let trainer = self.training.as_ref().map(|training| &training.trainer);
        let (origin, name) = session.point(slice.anchor, &slice.walk, trainer)?;
        let lines = session.lines(slice.view, &origin)?;
        let Some((line, label)) = lines.first() else {
            return Ok(());
        };
        let mut solution = Solution {
            parameters: line.point(request.position),
            statistics: line.origin.statistics.clone(),
        };
        let (objective, path, seed) = (
            session.objective.clone(),
            session.path().display().to_string(),
            session.seed(),
        );
        if slice.policy == BatchNormPolicy::Recompute {
            let parameters = &solution.parameters;
            solution.statistics = self.read(|_, progress| objective.recompute_statistics_with(parameters, progress))?;
        }
        let statistics = match slice.policy {
            BatchNormPolicy::Recompute => format!("recomputed in batches of {}", objective.batch_size()),
            _ => "those of the point the line starts from".to_owned(),
        };
        let what = match slice.view {
            View::Interpolation => format!("{label} at t = {}", request.position),
            _ => format!("{name} {:+} along {label}", request.position),
        };
        let provenance = serde_json::json!({
            "what": what, "model": objective.graph().name, "data": objective.data().name,
            "source": path, "statistics": statistics, "seed": seed, "device": objective.device_name(), "version": env!("CARGO_PKG_VERSION"),
        });
        NamedTensors::of_solution(objective.graph(), &solution).write(&request.path, &provenance.to_string())?;
        self.tell(Update::Exported(request.path.clone()));
        Ok(())
    }

    /// Makes another run the open one. What was open before stays until nothing can fail any more.
    fn enter(&mut self, session: Session) -> Result<()> {
        let summary = session.summary(self.sessions + 1)?;
        self.end_training(RunStatus::Unfinished);
        self.sessions += 1;
        self.session = Some(session);
        self.job = None;
        self.live = None;
        self.slots.slice.set(None);
        self.slots.compass.set(None);
        self.slots.surface.set(None);
        self.search = None;
        self.slots.search.set(None);
        self.curvature = None;
        self.slots.curvature.set(None);
        self.along_run = None;
        self.slots.along_run.set(None);
        self.tell(Update::Opened(Box::new(summary)));
        Ok(())
    }

    fn begin(&mut self, trainer: Trainer) {
        let from = trainer.progress();
        self.training = Some(Training {
            next_point: trainer.metrics().len() as f64 + 1.0 / POINTS_PER_EPOCH,
            trainer,
            paused: false,
            spent: 0.0,
            from,
            batches_since_slice: 0,
            losses: (0.0, 0),
        });
        self.show_training();
    }

    fn end_training(&mut self, status: RunStatus) {
        if let Some(training) = self.training.take() {
            if let Some(session) = &mut self.session {
                session.update_folder(training.trainer.folder());
            }
            self.slots.training.set(None);
            self.tell(Update::TrainingEnded(status));
        }
    }

    fn start_slice(&mut self) -> Result<()> {
        let kept = self.job.take().map_or_else(Kept::default, SliceJob::into_kept);
        let Some(request) = &self.live else { return Ok(()) };
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let prepared = read(&self.slots, &self.wake, |progress| session.prepare(request, progress));
        let training = self.training.as_mut();
        let trains = training.as_ref().is_some_and(|training| !training.paused);
        let trainer = training.map(|training| {
            training.batches_since_slice = 0;
            &training.trainer
        });
        let job = prepared.and_then(|()| SliceJob::new(session, request.clone(), trainer, trains, kept));
        match job {
            Ok(job) => {
                self.slots.compass.set(job.compass());
                if !job.has_surface() {
                    self.slots.surface.set(None);
                }
                self.job = Some(job);
                self.show_surface();
                Ok(())
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    /// Lets go of what is on its way to the stage: asked again, it would fail again.
    fn give_up(&mut self) {
        self.job = None;
        self.live = None;
        self.slots.surface.set(None);
        self.tell(Update::SliceFailed);
    }

    fn show_surface(&mut self) {
        if let (Some(job), Some(session)) = (&mut self.job, &self.session)
            && let Some(view) = job.surface_news(&session.objective)
        {
            self.slots.surface.set(Some(view));
        }
    }

    /// Begins to search through the point as it is now.
    fn start_search(&mut self, request: SearchRequest) -> Result<()> {
        let Some(session) = self.session.as_mut().filter(|_| request.session == self.sessions) else {
            return Err(Error::Request(
                "another run was opened before the search could begin; start it again".to_owned(),
            ));
        };
        let trainer = self.training.as_ref().map(|training| &training.trainer);
        let search = SearchJob::new(session, request, trainer)?;
        self.slots.search.set(Some(search.view()));
        self.search = Some(search);
        (self.wake)();
        Ok(())
    }

    /// Ends the search; what it found stays.
    fn end_search(&mut self) {
        if let Some(search) = self.search.take() {
            self.slots.search.set(Some(search.stopped()));
            (self.wake)();
        }
    }

    fn work(&mut self) -> Result<()> {
        let job_waits = self.job.as_ref().is_some_and(|job| !job.is_finished());
        let urgent = self.job.as_ref().is_some_and(SliceJob::is_urgent);
        self.slice_turn = !self.slice_turn;
        let turn = !self.is_training() || self.slice_turn;
        // Who looks at the curvature does not see the stage: what is refined there takes turns with it.
        let curvature = self.finds_curvature();
        self.curvature_turn = !self.curvature_turn;
        if job_waits && (urgent || (turn && !(curvature && self.curvature_turn))) {
            return self.slice_step();
        }
        if curvature && turn {
            self.curvature_step();
            return Ok(());
        }
        // The search goes on only where nothing on its way to the stage waits.
        if self.search.is_some() && !job_waits && turn {
            return self.search_step();
        }
        if self.is_training() {
            self.training_step()?;
        }
        Ok(())
    }

    fn slice_step(&mut self) -> Result<()> {
        let (Some(job), Some(session)) = (&mut self.job, &mut self.session) else {
            return Ok(());
        };
        match job.step(session) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.slots.slice.set(job.view(&session.objective));
                if let Some(compass) = job.compass() {
                    self.slots.compass.set(Some(compass));
                }
                self.show_surface();
                (self.wake)();
                Ok(())
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    fn search_step(&mut self) -> Result<()> {
        let (Some(search), Some(session)) = (&mut self.search, &self.session) else {
            return Ok(());
        };
        match search.step(&session.objective) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.slots.search.set(Some(search.view()));
                if search.is_finished() {
                    self.search = None;
                }
                (self.wake)();
                Ok(())
            }
            Err(error) => {
                self.end_search();
                Err(error)
            }
        }
    }

    fn training_step(&mut self) -> Result<()> {
        let Some(training) = &mut self.training else {
            return Ok(());
        };
        let started = Instant::now();
        let event = training.trainer.step();
        training.spent += started.elapsed().as_secs_f64();
        match event {
            Ok(Event::Batch { epoch, loss }) => {
                training.losses = (training.losses.0 + loss, training.losses.1 + 1);
                let mut point = None;
                if epoch + 1e-9 >= training.next_point {
                    point = Some(Update::TrainPoint(epoch, training.losses.0 / training.losses.1 as f64));
                    training.losses = (0.0, 0);
                    training.next_point = epoch + 1.0 / POINTS_PER_EPOCH;
                }
                training.batches_since_slice += 1;
                let look_again = training.batches_since_slice >= BATCHES_BETWEEN_SLICES
                    && self.live.as_ref().is_some_and(|live| live.anchor == Anchor::Current)
                    && self.job.as_ref().is_none_or(|job| !job.is_urgent());
                if let Some(point) = point {
                    self.tell(point);
                }
                if self.progress_shown.elapsed() >= PROGRESS_INTERVAL {
                    self.show_training();
                }
                if look_again {
                    self.start_slice()?;
                }
            }
            Ok(Event::Evaluating) => {}
            Ok(Event::Epoch(row)) => {
                if let Some(session) = &mut self.session {
                    session.update_folder(training.trainer.folder());
                }
                self.tell(Update::Epoch(row));
                self.show_training();
            }
            Ok(Event::Solution(name, measured)) => {
                if let Some(session) = &mut self.session {
                    session.update_folder(training.trainer.folder());
                }
                self.tell(Update::Solution(name, measured));
            }
            Ok(Event::Finished) => {
                if let Some(session) = &mut self.session {
                    session.update_folder(training.trainer.folder());
                }
                self.training = None;
                self.slots.training.set(None);
                self.tell(Update::TrainingEnded(RunStatus::Finished));
                self.start_slice()?;
            }
            Err(error @ Error::Diverged { .. }) => {
                self.end_training(RunStatus::Diverged(error.to_string()));
                self.start_slice()?;
                return Err(error);
            }
            Err(error) => {
                // Held, not dropped: once there is room on the disk again, it goes on where it is.
                training.paused = true;
                self.show_training();
                self.start_slice()?;
                return Err(Error::Request(format!(
                    "{error}. Training is paused; mend this and press play"
                )));
            }
        }
        Ok(())
    }

    fn show_training(&mut self) {
        self.progress_shown = Instant::now();
        let status = self.training.as_ref().map(|training| {
            let progress = training.trainer.progress();
            let total = training.trainer.folder().record().options.total_epochs();
            let gained = progress - training.from;
            TrainingStatus {
                epoch: training.trainer.epochs_done(),
                total,
                progress,
                seconds_left: (gained > 0.002).then(|| training.spent / gained * (1.0 - progress)),
                paused: training.paused,
            }
        });
        self.slots.training.set(status);
        (self.wake)();
    }
}

/// Describes a checkpoint file.
fn inspect(reference: Reference, file: &CheckpointFile) -> Result<Inspection> {
    let listings = file.listings()?;
    if listings.is_empty() {
        // The error says what a state dict is.
        file.state_dict(None)?;
    }
    Ok(Inspection {
        format: file.format(),
        values: file.others().to_vec(),
        data: file.own("data"),
        model: file.own("model"),
        listings,
        reference,
    })
}

/// Work that can be watched and stopped.
fn read<T>(slots: &Slots, wake: &Waker, work: impl FnOnce(Progress) -> Result<T>) -> Result<T> {
    slots.stop_reading.store(false, Ordering::Relaxed);
    let result = work(&mut |done| {
        slots.reading.set(Some(done));
        wake();
        !slots.stop_reading.load(Ordering::Relaxed)
    });
    slots.reading.set(None);
    result
}
