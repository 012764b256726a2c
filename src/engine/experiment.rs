//! Experiments in a thread of their own, one after another: the worker and the window go on beside them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::request::{ExperimentStatus, MadeExperiment, Update};
use super::{Slots, Waker};
use crate::error::{Error, Result};
use crate::experiment::cost::{self, Cost};
use crate::experiment::demo::Report;
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::Made;
use crate::experiment::recipe::Recipe;
use crate::objective::Compute;

/// Time between two repaints for progress alone.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Writes an outcome with its figures to a folder: the engine knows nothing of pictures.
pub type Writer = Box<dyn FnOnce(&Path, &Recipe, &Made) -> Result<()> + Send>;

/// What is asked of the thread.
pub enum Job {
    /// Read the outcomes of experiments of these names from a folder.
    Read(Vec<Recipe>, PathBuf),
    /// Say what these experiments will take, with what the folder has already.
    Estimate(Vec<Recipe>, PathBuf),
    /// Make an experiment in the folder, and write it.
    Make(Box<Recipe>, PathBuf, Writer),
}

/// The engine's end of the thread.
pub struct Experimenter {
    jobs: Option<Sender<Job>>,
    closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Experimenter {
    /// Starts the thread. It computes on what is in `device` when a job begins.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(device: Arc<Mutex<Compute>>, slots: Arc<Slots>, updates: Sender<Update>, wake: Waker) -> Result<Self> {
        let (jobs, receiver) = mpsc::channel();
        let closing = Arc::new(AtomicBool::new(false));
        let desk = Desk {
            device,
            slots,
            updates,
            wake,
            closing: closing.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("experiments".to_owned())
            .spawn(move || desk.run(receiver))
            .map_err(|error| Error::Request(format!("the thread of experiments could not start: {error}")))?;
        Ok(Self {
            jobs: Some(jobs),
            closing,
            thread,
        })
    }

    /// Asks for a job, which begins when those before it are done.
    pub fn push(&self, job: Job) {
        let taken = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !taken {
            tracing::error!("the thread of experiments has ended");
        }
    }

    /// Ends the thread: the job at hand where it next looks up, the others before they begin.
    pub fn close(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.jobs = None;
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// The thread's end.
struct Desk {
    device: Arc<Mutex<Compute>>,
    slots: Arc<Slots>,
    updates: Sender<Update>,
    wake: Waker,
    closing: Arc<AtomicBool>,
}

impl Desk {
    fn run(self, jobs: Receiver<Job>) {
        for job in jobs {
            if self.is_closing() {
                return;
            }
            match job {
                Job::Read(recipes, folder) => self.read(recipes, &folder),
                Job::Estimate(recipes, folder) => self.estimate(&recipes, &folder),
                Job::Make(recipe, folder, write) => self.make(&recipe, &folder, write),
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn tell(&self, update: Update) {
        // The window may be gone by now; then nobody is left to tell.
        let _ = self.updates.send(update);
        (self.wake)();
    }

    fn compute(&self) -> Compute {
        self.device.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read(&self, recipes: Vec<Recipe>, folder: &Path) {
        for recipe in recipes {
            if self.is_closing() {
                return;
            }
            // What cannot be read is not made: making it writes it anew.
            if let Ok(made) = Made::read(folder, &recipe) {
                self.tell(Update::Experiment(Box::new(MadeExperiment {
                    thumbnail: Made::thumbnail(folder, &recipe.name),
                    name: recipe.name,
                    made,
                    now: false,
                })));
            }
        }
    }

    fn estimate(&self, recipes: &[Recipe], folder: &Path) {
        let work = || cost::estimates(recipes, &self.compute(), folder, &mut |_, _| true);
        let found = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!("what experiments take could not be measured: {error}");
                vec![None; recipes.len()]
            }
            Err(_) => {
                tracing::warn!("what experiments take could not be measured: the device failed");
                vec![None; recipes.len()]
            }
        };
        let names = recipes.iter().map(|recipe| recipe.name.clone());
        self.tell(Update::Estimates(names.zip(found).collect()));
    }

    fn make(&self, recipe: &Recipe, folder: &Path, write: Writer) {
        let since = Instant::now();
        let mut shown: Option<Instant> = None;
        let mut report = |what: &str, done: f64| {
            if shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_INTERVAL) {
                shown = Some(Instant::now());
                self.slots.experiment.set(Some(ExperimentStatus {
                    name: recipe.name.clone(),
                    what: what.to_owned(),
                    done,
                    since,
                }));
                (self.wake)();
            }
            !self.slots.stop_experiment.load(Ordering::Relaxed) && !self.is_closing()
        };
        let work = || self.outcome(recipe, folder, write, &mut report);
        let result = catch_unwind(AssertUnwindSafe(work));
        self.slots.experiment.set(None);
        let name = recipe.name.clone();
        self.tell(match result {
            Ok(Ok(made)) => Update::Experiment(Box::new(MadeExperiment {
                thumbnail: Made::thumbnail(folder, &name),
                name,
                made,
                now: true,
            })),
            Ok(Err(Error::Cancelled)) => Update::ExperimentStopped(name),
            Ok(Err(error)) => Update::ExperimentFailed(name, error.to_string()),
            Err(_) => Update::ExperimentFailed(
                name,
                "the device failed while computing; what is on disk is whole. Try --device cpu".to_owned(),
            ),
        });
    }

    fn outcome(&self, recipe: &Recipe, folder: &Path, write: Writer, report: &mut Report) -> Result<Made> {
        // It may have been stopped while it waited.
        if !report("starting", 0.0) {
            return Err(Error::Cancelled);
        }
        let (outcome, cost) = Laboratory::new(self.compute(), folder, report).make(recipe)?;
        // The process has other work in memory, too.
        let cost = Cost { memory: None, ..cost };
        let made = Made::new(outcome, cost, recipe);
        write(folder, recipe, &made)?;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    /// A recipe that trains for longer than a test lasts.
    const LONG: &str = r#"
name = "long"
title = "A long one"
figures = ["Fig. 1"]
claim = "None."

[runs.first]
model = "mlp:8"
data = "builtin:train=140:test=60"
epochs = 90000

[measure.interpolation]
run = "first"
"#;

    fn recipe(text: &str) -> Recipe {
        Recipe::parse(text, Path::new("test.toml")).unwrap()
    }

    fn nothing(_: &Path, _: &Recipe, _: &Made) -> Result<()> {
        Ok(())
    }

    /// The next updates, so many of them.
    #[track_caller]
    fn next<const COUNT: usize>(engine: &Engine) -> [Update; COUNT] {
        let start = Instant::now();
        let mut updates = Vec::new();
        while updates.len() < COUNT {
            updates.extend(engine.updates());
            assert!(start.elapsed() < Duration::from_secs(120), "only {updates:?} came");
            std::thread::sleep(Duration::from_millis(2));
        }
        updates.try_into().unwrap()
    }

    #[test]
    fn an_experiment_runs_beside_the_worker_stops_when_told_and_fails_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::start(Compute::cpu(), Arc::new(|| {})).unwrap();
        let path = folder.path().to_owned();
        engine.experiment(
            Recipe::named("oscillation").unwrap(),
            path.clone(),
            |folder, recipe, _| crate::files::whole_file::write(&folder.join(&recipe.name).join("outcome.json"), b""),
        );
        // There is no folder of the experiment yet, and this writer makes none.
        let [Update::ExperimentFailed(name, message)] = next(&engine) else {
            panic!("it fails");
        };
        assert!(name == "oscillation" && message.contains("outcome.json"), "{message}");

        engine.experiment(Recipe::named("oscillation").unwrap(), path.clone(), nothing);
        let [Update::Experiment(made)] = next(&engine) else {
            panic!("it is made");
        };
        assert!(made.now && made.name == "oscillation" && made.thumbnail.is_none());
        assert!(!made.made.outcome.figures.is_empty());

        engine.experiment(recipe(LONG), path.clone(), nothing);
        let start = Instant::now();
        let status = || engine.slots().experiment.get();
        let training = || status().filter(|status| status.what.contains("training"));
        while training().is_none() {
            assert!(start.elapsed() < Duration::from_secs(120), "it does not train");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(training().unwrap().name, "long");
        engine.stop_experiment();
        assert!(matches!(next(&engine), [Update::ExperimentStopped(name)] if name == "long"));
        assert!(engine.slots().experiment.get().is_none());

        // One that is stopped while it waits does not begin.
        engine.experiment(recipe(LONG), path, nothing);
        engine.stop_experiment();
        assert!(matches!(next(&engine), [Update::ExperimentStopped(_)]));
    }

    #[test]
    fn outcomes_are_read_and_costs_told_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::start(Compute::cpu(), Arc::new(|| {})).unwrap();
        let recipe_of = |name| Recipe::named(name).unwrap();
        let logistic = recipe_of("logistic");
        let made = Made::new(crate::experiment::outcome::Outcome::empty(), Cost::default(), &logistic);
        made.write(folder.path(), &logistic).unwrap();
        std::fs::create_dir(folder.path().join("shift")).unwrap();
        std::fs::write(folder.path().join("shift/outcome.json"), "cut short").unwrap();
        let recipes = ["interpolation", "logistic", "shift"].map(recipe_of).to_vec();
        engine.outcomes(recipes, folder.path().to_owned());
        engine.estimate(vec![recipe(LONG)], folder.path().to_owned());
        // What is not there, or cannot be read, is passed over.
        let [Update::Experiment(read), Update::Estimates(estimates)] = next(&engine) else {
            panic!("an outcome, then the costs");
        };
        assert_eq!((read.name.as_str(), read.now), ("logistic", false));
        assert_eq!(read.made, made);
        let [(name, Some(estimate))] = estimates.as_slice() else {
            panic!("{estimates:?}");
        };
        assert!(
            name == "long" && estimate.training > 0.0 && estimate.measuring > 0.0,
            "{estimate:?}"
        );
    }
}
