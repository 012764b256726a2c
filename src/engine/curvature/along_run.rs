//! Sharpness and non-uniformity along a run (Wu, Ma and E, 2018, Definition 3), found behind the stage: one epoch after
//! another from coarse to fine, of which a step makes one batch. Of all epochs the sharpness comes first, and then,
//! where it is asked for, the non-uniformity, which takes longer. What was measured is kept while the run is open.

mod order;
#[cfg(test)]
mod tests;
mod view;
mod visit;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

pub use self::view::{AlongRunRequest, AlongRunView, EpochCurvature, Measured};
use self::visit::{Found, Visit};
use super::VIEW_INTERVAL;
use crate::curvature::{NonUniformity, Sharpness};
use crate::data::Part;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::objective::BatchNormPolicy;

/// How numbers are measured: the policy, the images of the Hessian, and the seed.
type How = (BatchNormPolicy, usize, u64);

/// One number at one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Task {
    epoch: usize,
    /// The non-uniformity from so many images; without, the sharpness.
    uniformity: Option<usize>,
}

impl Task {
    /// That there is no such number.
    fn failed(self, reason: String) -> Found {
        match self.uniformity {
            None => Found::Sharpness(Err(reason)),
            Some(images) => Found::NonUniformity(images, Err(reason)),
        }
    }
}

/// One number along the run, as far as it is measured.
struct Series<T> {
    epochs: BTreeMap<usize, Measured<T>>,
    /// Seconds that those took which have one, and how many they are.
    spent: (f64, usize),
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self {
            epochs: BTreeMap::new(),
            spent: (0.0, 0),
        }
    }
}

impl<T> Series<T> {
    fn keep(&mut self, epoch: usize, measured: Measured<T>, seconds: f64) {
        if measured.is_ok() {
            self.spent.0 += seconds;
            self.spent.1 += 1;
        }
        self.epochs.insert(epoch, measured);
    }

    /// Lets those be measured again that have none.
    fn forget_failures(&mut self) {
        self.epochs.retain(|_, measured| measured.is_ok());
    }

    /// Seconds that an epoch takes, once that is known.
    fn seconds(&self) -> Option<f64> {
        let (seconds, count) = self.spent;
        (count > 0).then(|| seconds / count as f64)
    }
}

/// The measurement of a run, under way or held.
pub struct AlongRunJob {
    request: AlongRunRequest,
    /// Training images there are.
    all: usize,
    /// All that was measured since the run was opened; the non-uniformity also by the images it is from.
    sharpness: HashMap<How, Series<Sharpness>>,
    uniformity: HashMap<(How, usize), Series<NonUniformity>>,
    /// What is being measured; nothing once all is.
    task: Option<Task>,
    /// How far that is; nothing before its first step.
    visit: Option<Visit>,
    /// Seconds spent in it.
    spent: f64,
    held: bool,
    problem: Option<String>,
    shown: Instant,
}

impl AlongRunJob {
    /// Prepares the measurement; nothing is evaluated yet.
    ///
    /// # Errors
    /// When a checkpoint is open, which has no trajectory.
    pub fn new(session: &Session, request: AlongRunRequest) -> Result<Self> {
        if session.folder().is_none() {
            return Err(Error::Request(
                "a checkpoint has no trajectory; open a run folder or train the example".to_owned(),
            ));
        }
        let mut job = Self {
            request,
            all: session.objective.data().split(Part::Train).len(),
            sharpness: HashMap::new(),
            uniformity: HashMap::new(),
            task: None,
            visit: None,
            spent: 0.0,
            held: false,
            problem: None,
            shown: Instant::now(),
        };
        job.plan();
        Ok(job)
    }

    /// Goes on with a request of the same run: with what is under way where that is still wanted, and otherwise anew
    /// with what of it is not known. Asked the same again, as by a person who presses Start or comes back, it tries the
    /// epochs once more that failed.
    pub fn go_on(mut self, request: AlongRunRequest) -> Self {
        let how = self.how();
        if request == self.request {
            self.forget_failures();
        }
        (self.request, self.held, self.problem) = (request, false, None);
        let is_wanted = |task: Task| task.uniformity.is_none() || task.uniformity == request.uniformity;
        let goes_on = self.visit.is_some() && how == self.how() && self.task.is_some_and(is_wanted);
        if !goes_on {
            self.leave();
        }
        self
    }

    fn forget_failures(&mut self) {
        let how = self.how();
        if let Some(series) = self.sharpness.get_mut(&how) {
            series.forget_failures();
        }
        let uniformity = self.request.uniformity;
        if let Some(series) = uniformity.and_then(|images| self.uniformity.get_mut(&(how, images))) {
            series.forget_failures();
        }
    }

    /// Stays where it is.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Lets go of the epoch under way, which is begun anew later: its vectors may fill the memory that another search
    /// needs. What was measured stays.
    pub fn let_go(&mut self) {
        self.leave();
    }

    /// Ends with a problem of all epochs. What was measured stays.
    pub fn fail(&mut self, problem: String) {
        self.leave();
        self.problem = Some(problem);
    }

    /// Whether there is something left to be measured.
    pub fn has_work(&self) -> bool {
        !self.held && self.problem.is_none() && self.task.is_some()
    }

    /// Does one batch, or reads the weights of the next epoch. True when there is something new to show. An epoch that
    /// has no such number is left out with its reason.
    ///
    /// # Errors
    /// When the device fails. It is to [`AlongRunJob::fail`] then.
    pub fn step(&mut self, session: &Session) -> Result<bool> {
        let Some(task) = self.task else { return Ok(false) };
        let started = Instant::now();
        let found = self.advance(task, session);
        self.spent += started.elapsed().as_secs_f64();
        let found = match found {
            Ok(None) => return Ok(self.is_due()),
            Ok(Some(found)) => found,
            // That is not the epoch's fault.
            Err(error @ Error::Device(_)) => return Err(error),
            Err(error) => task.failed(error.to_string()),
        };
        self.keep(task.epoch, found);
        self.leave();
        if self.task.is_none() {
            session.objective.release_gradients();
        }
        Ok(true)
    }

    fn advance(&mut self, task: Task, session: &Session) -> Result<Option<Found>> {
        if let Some(visit) = &mut self.visit {
            return visit.step();
        }
        let (objective, solution) = (session.objective.clone(), session.epoch(task.epoch)?);
        self.visit = Some(Visit::new(objective, solution, &self.request, task.uniformity)?);
        Ok(None)
    }

    fn keep(&mut self, epoch: usize, found: Found) {
        let (how, seconds) = (self.how(), self.spent);
        match found {
            Found::Sharpness(measured) => {
                let series = self.sharpness.entry(how).or_default();
                series.keep(epoch, measured, seconds);
            }
            Found::NonUniformity(images, measured) => {
                let series = self.uniformity.entry((how, images)).or_default();
                series.keep(epoch, measured, seconds);
            }
        }
    }

    /// Lets go of what is under way for what is to be measured next.
    fn leave(&mut self) {
        (self.visit, self.spent) = (None, 0.0);
        self.plan();
    }

    /// Finds out what is to be measured next.
    fn plan(&mut self) {
        let snapshots = self.request.snapshots;
        let sharpness = order::next(self.measured(), snapshots);
        let sharpness = sharpness.map(|epoch| Task {
            epoch,
            uniformity: None,
        });
        let task = sharpness.or_else(|| {
            let images = self.request.uniformity?;
            let epoch = order::next(self.settled(images), snapshots)?;
            Some(Task {
                epoch,
                uniformity: Some(images),
            })
        });
        self.task = task;
    }

    fn how(&self) -> How {
        let asked = &self.request;
        (asked.policy, asked.images.min(self.all), asked.seed)
    }

    /// Epochs whose sharpness was measured, in rising order.
    fn measured(&self) -> impl Iterator<Item = usize> {
        let series = self.sharpness.get(&self.how()).into_iter();
        series.flat_map(|series| series.epochs.keys().copied())
    }

    /// Epochs whose non-uniformity from so many images was measured, and those without a sharpness, which are not to
    /// have one, in rising order.
    fn settled(&self, images: usize) -> impl Iterator<Item = usize> {
        let how = self.how();
        let found = self.uniformity.get(&(how, images));
        let series = self.sharpness.get(&how).into_iter();
        let epochs = series.flat_map(|series| &series.epochs);
        let is_found = move |epoch: &usize| found.is_some_and(|found| found.epochs.contains_key(epoch));
        let settled = epochs.filter(move |(epoch, sharpness)| sharpness.is_err() || is_found(epoch));
        settled.map(|(&epoch, _)| epoch)
    }

    /// Whether it is time to show what is being done.
    fn is_due(&mut self) -> bool {
        let due = self.shown.elapsed() >= VIEW_INTERVAL;
        if due {
            self.shown = Instant::now();
        }
        due
    }

    /// Seconds left at the speed of the epochs so far.
    fn seconds_left(&self) -> Option<f64> {
        let how = self.how();
        let left = |done: usize, seconds: Option<f64>| match self.request.snapshots.saturating_sub(done) {
            0 => Some(0.0),
            epochs => seconds.map(|seconds| epochs as f64 * seconds),
        };
        let known = self.sharpness.get(&how).and_then(Series::seconds);
        let sharpness = left(self.measured().count(), known)?;
        let uniformity = match self.request.uniformity {
            None => 0.0,
            Some(images) => {
                let known = self.uniformity.get(&(how, images)).and_then(Series::seconds);
                left(self.settled(images).count(), known)?
            }
        };
        let left = (sharpness + uniformity - self.spent).max(0.0);
        self.has_work().then_some(left)
    }

    /// What is known now.
    pub fn view(&self) -> AlongRunView {
        let how = self.how();
        let sharpness = self.sharpness.get(&how).into_iter();
        let uniformity = self.request.uniformity;
        let uniformity = uniformity.and_then(|images| self.uniformity.get(&(how, images)));
        let epochs = sharpness.flat_map(|series| &series.epochs);
        let epochs = epochs.map(|(&epoch, sharpness)| EpochCurvature {
            epoch,
            sharpness: sharpness.clone(),
            non_uniformity: uniformity.and_then(|series| series.epochs.get(&epoch)).cloned(),
        });
        let task = self.task.filter(|_| self.has_work());
        AlongRunView {
            request: self.request,
            images: [self.request.images.min(self.all), self.all],
            epochs: epochs.collect(),
            at: task.map(|task| (task.epoch, self.visit.as_ref().map(Visit::stage))),
            finished: !self.has_work(),
            seconds_left: self.seconds_left(),
            problem: self.problem.clone(),
        }
    }
}
