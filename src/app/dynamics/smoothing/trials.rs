//! Trials of SGD with noise of one width, step by step, and where they are.

use crate::dynamics::proportion::Proportion;
use crate::dynamics::spiky::{self, Settings};

/// η, as in the experiment `spiky`.
pub const LEARNING_RATE: f64 = 0.0075;
/// Steps of a trial.
pub const STEPS: usize = 200;
/// Seeds of the trials, from 1; as many as in the paper.
pub const SEEDS: u64 = 100;
/// Bars of a histogram.
pub const BARS: usize = 32;

/// Trials, one a seed.
pub struct Trials {
    half_width: f64,
    start: f64,
    /// Iterates of each, from its start.
    iterates: Vec<Vec<f64>>,
}

impl Trials {
    /// Makes them, with the seeds' draws number `panel`.
    pub fn make(half_width: f64, start: f64, panel: u32) -> Self {
        let trial = |seed| {
            let settings = Settings {
                learning_rate: LEARNING_RATE,
                half_width,
                start,
                steps: STEPS,
                seed,
                panel,
            };
            spiky::iterates(settings).collect()
        };
        Self {
            half_width,
            start,
            iterates: (1..=SEEDS).map(trial).collect(),
        }
    }

    /// Half-width of their noise.
    pub fn half_width(&self) -> f64 {
        self.half_width
    }

    /// They start at −start to start.
    pub fn start(&self) -> f64 {
        self.start
    }

    /// Where they are after a step.
    pub fn at(&self, step: usize) -> impl Iterator<Item = f64> {
        self.iterates.iter().filter_map(move |trial| trial.get(step).copied())
    }

    /// How many of them are no further than this from the minimum after a step.
    pub fn within(&self, step: usize, distance: f64) -> Proportion {
        Proportion::of(self.at(step).map(|x| x.abs() <= distance))
    }

    /// How many are in each of the bars from −reach to reach after a step, and how many further out.
    pub fn histogram(&self, step: usize, reach: f64) -> ([usize; BARS], usize) {
        let mut counts = [0; BARS];
        let mut beyond = 0;
        for x in self.at(step) {
            let bar = ((x + reach) / (2.0 * reach) * BARS as f64).floor();
            if (0.0..BARS as f64).contains(&bar) {
                counts[bar as usize] += 1;
            } else {
                beyond += 1;
            }
        }
        (counts, beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::spiky::Trial;

    #[test]
    fn they_are_where_the_library_s_trials_are_after_as_many_steps() {
        let trials = Trials::make(0.3, 3.0, 0);
        for steps in [0, 1, 50, STEPS] {
            let expected = (1..=SEEDS).map(|seed| {
                Trial::make(Settings {
                    learning_rate: LEARNING_RATE,
                    half_width: 0.3,
                    start: 3.0,
                    steps,
                    seed,
                    panel: 0,
                })
                .last
            });
            assert!(trials.at(steps).eq(expected), "after {steps} steps");
        }
        assert_eq!(trials.at(STEPS + 1).count(), 0);
        assert!(trials.at(0).all(|x| x.abs() < 3.0));
    }

    #[test]
    fn a_histogram_holds_every_trial_or_says_so() {
        let trials = Trials {
            half_width: 0.0,
            start: 4.0,
            iterates: [-4.0, -3.99, 0.0, 0.1, 3.99, 4.0, 17.0, f64::NAN]
                .map(|x| vec![0.0, x])
                .to_vec(),
        };
        let (counts, beyond) = trials.histogram(1, 4.0);
        assert_eq!((counts[0], counts[BARS / 2], counts[BARS - 1], beyond), (2, 2, 1, 3));
        assert_eq!(counts.iter().sum::<usize>() + beyond, 8);
        assert_eq!(trials.within(1, 0.1).count, 2);
        // At the start all are in one bar.
        assert_eq!(trials.histogram(0, 4.0).0[BARS / 2], 8);
    }
}
