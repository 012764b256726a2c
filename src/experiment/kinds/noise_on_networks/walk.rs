//! A dynamics from a point on, looked at on its way, and kept.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data::Progress;
use crate::dynamics::network::{Settings, Walk};
use crate::dynamics::noise::Noise;
use crate::error::Result;
use crate::experiment::laboratory::Laboratory;
use crate::objective::{Objective, Solution};

/// How a dynamics went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<L> {
    /// What was seen, as far as it came.
    pub looks: Vec<L>,
    /// Steps after which it diverged, where it did.
    pub diverged: Option<usize>,
}

/// What is walked.
pub struct Walked<'a> {
    /// On which network and data.
    pub objective: &'a Objective,
    /// Where it starts.
    pub start: &'a Solution,
    /// The dynamics.
    pub noise: Noise,
    /// Its numbers.
    pub settings: Settings,
    /// Its seed, see [`Walk::new`].
    pub seed: u64,
    /// Steps after which is looked, in rising order; the last of them is the last.
    pub looks: &'a [usize],
}

/// Steps after which is looked: every so many from the start on, and the last.
pub fn looks(steps: usize, every: usize) -> Vec<usize> {
    let regular = (0..steps).step_by(every.max(1));
    regular.chain([steps]).collect()
}

impl Walked<'_> {
    /// Walks to the end or until it diverges, or finds it walked before. `what` tells whoever waits what it is; `made`
    /// says all that the record depends on beside the start. A `look` that finds nothing has found it diverged, even if
    /// it could go on.
    ///
    /// # Errors
    /// As [`Walk::new`], [`Walk::step`] and `look`, and when it cannot be kept.
    pub fn go<L: Serialize + DeserializeOwned>(
        &self,
        laboratory: &mut Laboratory,
        (what, made): (&str, &str),
        mut look: impl FnMut(&Solution, usize, Progress) -> Result<Option<L>>,
    ) -> Result<Record<L>> {
        let last = self.looks.last().copied().unwrap_or_default();
        let (_, record) = laboratory.point(self.objective, made, &self.start.parameters, |laboratory| {
            let start = self.start.clone();
            let mut walk = Walk::new(self.objective, start, self.noise, self.settings, self.seed)?;
            let mut record = Record {
                looks: Vec::new(),
                diverged: None,
            };
            for step in 0..=last {
                let share = step as f64 / last.max(1) as f64;
                let mut told = |_: f64| laboratory.report(what, share).is_ok();
                if self.looks.contains(&step) {
                    let found = look(walk.solution(), step, &mut told)?;
                    if found.is_none() {
                        record.diverged = Some(step);
                        break;
                    }
                    record.looks.extend(found);
                }
                if step < last && !walk.step(&mut told)? {
                    record.diverged = Some(step);
                    break;
                }
            }
            self.objective.release_gradients();
            Ok((walk.solution().parameters.clone(), record))
        })?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::data::Dataset;
    use crate::error::Error;
    use crate::experiment::descent;
    use crate::network::zoo;
    use crate::objective::Compute;

    fn objective() -> Objective {
        let data = Arc::new(Dataset::open("builtin:train=12:test=2:augment=off").unwrap());
        let graph = Arc::new(zoo::build("mlp:3", data.shape, data.classes.len()).unwrap());
        Objective::new(graph, data, Compute::cpu(), 16).unwrap()
    }

    /// SGD from a seed's weights, looked at before the first step and after two and three.
    fn walked(objective: &Objective, folder: &Path, learning_rate: f64, lost: Option<usize>) -> Record<usize> {
        let mut report = |_: &str, _: f64| true;
        let mut laboratory = Laboratory::new(Compute::cpu(), folder, &mut report);
        let start = descent::start(objective, 1).unwrap();
        let settings = Settings {
            learning_rate,
            batch_size: 4,
            ..Settings::default()
        };
        let walked = Walked {
            objective,
            start: &start,
            noise: Noise::Sgd,
            settings,
            seed: 1,
            looks: &looks(3, 2),
        };
        let made = format!("{settings:?}, lost {lost:?}");
        let found = walked.go(&mut laboratory, ("SGD", &made), |solution, step, told| {
            assert!(told(0.0));
            assert_eq!(solution.parameters == start.parameters, step == 0);
            Ok((Some(step) != lost).then_some(step))
        });
        found.unwrap()
    }

    #[test]
    fn it_looks_at_the_start_and_at_the_end() {
        assert_eq!(looks(10, 4), [0, 4, 8, 10]);
        assert_eq!(looks(10, 5), [0, 5, 10]);
        assert_eq!(looks(10, 50), [0, 10]);
    }

    #[test]
    fn a_walk_is_looked_at_as_far_as_it_comes() {
        let (folder, objective) = (tempfile::tempdir().unwrap(), objective());
        let walked = |learning_rate: f64, lost| walked(&objective, folder.path(), learning_rate, lost);
        let record = |looks: &[usize], diverged| Record {
            looks: looks.to_vec(),
            diverged,
        };
        assert_eq!(walked(0.01, None), record(&[0, 2, 3], None));
        // Nothing to be seen after two steps.
        assert_eq!(walked(0.01, Some(2)), record(&[0], Some(2)));
        // So large that a slope of 10⁻³ leads beyond the numbers of single precision in the first step.
        assert_eq!(walked(1e42, None), record(&[0], Some(0)));
    }

    #[test]
    fn being_told_to_stop_keeps_nothing() {
        let (folder, objective) = (tempfile::tempdir().unwrap(), objective());
        let start = descent::start(&objective, 1).unwrap();
        let walked = Walked {
            objective: &objective,
            start: &start,
            noise: Noise::Gd,
            settings: Settings {
                batch_size: 4,
                ..Settings::default()
            },
            seed: 1,
            looks: &[0, 1],
        };
        let mut report = |_: &str, _: f64| false;
        let mut laboratory = Laboratory::new(Compute::cpu(), folder.path(), &mut report);
        let stopped = walked.go(&mut laboratory, ("GD", "GD"), |_, step, _| Ok(Some(step)));
        assert!(matches!(stopped, Err(Error::Cancelled)));
        assert!(!folder.path().join("lines").exists());
    }
}
