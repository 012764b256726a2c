//! Progress on standard error: a bar with an ETA on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const STEPS: u64 = 1000;
/// A stage that is done sooner says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows one stage after another, and stops them when Ctrl-C was pressed.
pub struct Progress {
    interrupted: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    stage: String,
    done: f64,
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
            stage: String::new(),
            done: 0.0,
            since: Instant::now(),
            tenth: None,
        }
    }

    /// Shows that `done` (0..1) of `stage` is done; false when Ctrl-C was pressed.
    pub fn report(&mut self, stage: &str, done: f64) -> bool {
        // The part before a comma names the stage; what follows (the epoch) changes while it goes on.
        let name = stage.split(',').next().unwrap_or(stage);
        // A method's own name may hold a comma: what is less far than before is another stage, too.
        let starts = name != self.stage || done < self.done;
        self.done = done;
        if starts {
            name.clone_into(&mut self.stage);
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
