//! Progress on standard error: a bar with an ETA on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const STEPS: u64 = 1000;
/// A stage that is done sooner says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells where one stage ends and the next one starts.
#[derive(Default)]
struct Stages {
    name: String,
    /// All that was told of it last, and the share done.
    told: String,
    done: f64,
}

impl Stages {
    /// Whether a stage starts with this report.
    fn starts(&mut self, stage: &str, done: f64) -> bool {
        // The part before a comma names the stage; what follows (the epoch) changes while it goes on.
        let name = stage.split(',').next().unwrap_or(stage);
        // A method's own name may hold a comma: what is told in other words and is less far than before is another
        // stage, too. In the same words it is the same one, in which every product begins at 0.
        let starts = name != self.name || (stage != self.told && done < self.done);
        name.clone_into(&mut self.name);
        stage.clone_into(&mut self.told);
        self.done = done;
        starts
    }
}

/// Shows one stage after another, and stops them when Ctrl-C was pressed.
pub struct Progress {
    interrupted: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    stages: Stages,
    since: Instant,
    tenth: Option<u64>,
}

impl Progress {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(STEPS);
            if let Ok(style) = ProgressStyle::with_template("{msg:32} {bar:40.cyan/black} {percent:>3} %  {eta} left") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            interrupted: super::interrupt_flag(),
            bar,
            stages: Stages::default(),
            since: Instant::now(),
            tenth: None,
        }
    }

    /// Shows that `done` (0..1) of `stage` is done; false when Ctrl-C was pressed.
    pub fn report(&mut self, stage: &str, done: f64) -> bool {
        let starts = self.stages.starts(stage, done);
        if starts {
            self.since = Instant::now();
            self.tenth = None;
        }
        match &self.bar {
            Some(bar) => {
                if starts {
                    bar.reset();
                }
                bar.set_message(stage.to_owned());
                bar.set_position((done * STEPS as f64) as u64);
            }
            None => {
                let tenth = (done * 10.0) as u64;
                if self.since.elapsed() > PATIENCE && self.tenth.is_none_or(|before| tenth > before) {
                    eprintln!("{stage}: {:.0} %", done * 100.0);
                    self.tenth = Some(tenth);
                }
            }
        }
        !self.interrupted.load(Ordering::Relaxed)
    }

    /// Prints something while a stage goes on, with the bar out of its way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_starts_with_its_name_and_not_where_it_goes_back_within_itself() {
        let mut stages = Stages::default();
        for (stage, done, expected) in [
            ("eigenvalues", 0.0, true),
            ("eigenvalues", 0.4, false),
            ("eigenvalues, largest 3", 0.5, false),
            ("eigenvalues, largest 4", 0.9, false),
            ("eigenvalues, true residuals", 0.95, false),
            ("eigenvalues, true residuals", 1.0, false),
            // The share of the next product.
            ("eigenvalues, true residuals", 0.92, false),
            ("eigenvalues, true residuals", 0.97, false),
            ("trace", 0.0, true),
            ("trace", 0.5, false),
            // Methods that have a comma in their names.
            ("run, one", 0.0, true),
            ("run, one", 1.0, false),
            ("run, two", 0.1, true),
            ("run, two", 0.2, false),
        ] {
            assert_eq!(stages.starts(stage, done), expected, "{stage}, {done}");
        }
    }
}
