//! From a minimum that one method has found, on with others: which of them leave it, and where do they go?

mod found;
mod page;
#[cfg(test)]
mod testing;

use serde::Deserialize;

use self::found::{Measured, Minimum, Switched};
use super::Experiment;
use super::checks::check_burst;
use super::dynamical_stability::{
    NON_UNIFORMITY, ROUGH_SHARPNESS, SHARPNESS, check_end, check_tolerance, every, footnote, settings, usual_tolerance,
};
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::{self, Descended, Descent, Method};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::Outcome;
use crate::experiment::recipe::Recipe;
use crate::objective::Objective;

/// One method goes down to a train loss, and then others go on from there (Wu et al. Fig. 1 and 8, and from L-BFGS Fig.
/// 9).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Escape {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// What finds the minimum.
    pub start: Method,
    /// The train loss at which it has found it.
    pub loss: f64,
    /// Its steps at most.
    pub start_steps: usize,
    /// What goes on from there: gradient descent and SGD.
    pub switches: Vec<Method>,
    /// Steps of each.
    pub steps: usize,
    /// Steps from one measured sharpness to the next.
    pub sharpness_every: usize,
    /// A minimum has been left where the train loss has been so many times as large as there. Gradient descent is
    /// looked at in every step, and SGD, whose steps see a batch alone, at the recorded losses over all images.
    #[serde(default = "usual_burst")]
    pub burst: f64,
    /// Share by which a bound may be exceeded and count as kept.
    #[serde(default = "usual_tolerance")]
    pub tolerance: f64,
}

fn usual_burst() -> f64 {
    10.0
}

impl Experiment for Escape {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        self.start.check()?;
        if self.switches.is_empty() {
            return Err(Error::option("switches", "[]", "name one at least"));
        }
        for method in &self.switches {
            method.check()?;
            if matches!(method, Method::LimitedBfgs { .. }) {
                let reason = "there is no bound for L-BFGS; name gradient-descent and sgd";
                return Err(Error::option("switches", method.name(), reason));
            }
        }
        check_end(self.loss, ("start-steps", self.start_steps))?;
        check_end(self.loss, ("steps", self.steps))?;
        if self.sharpness_every == 0 {
            return Err(Error::option("sharpness-every", 0, "it must be at least 1"));
        }
        check_burst(self.burst)?;
        check_tolerance(self.tolerance)
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let switches = self.switches.len() as f64;
        let looks = self.steps.div_ceil(self.sharpness_every.max(1)) as f64;
        Some(Descents {
            model: &self.model,
            data: &self.data,
            ways: self.ways(),
            gradients: (switches + 1.0) * (SHARPNESS + NON_UNIFORMITY) + switches * looks * ROUGH_SHARPNESS,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &self.ways());
        rows.push([
            "the first finds its minimum at a train loss of".to_owned(),
            self.loss.to_string(),
        ]);
        rows.push([
            "sharpness on the way, measured every".to_owned(),
            format!("{} steps", self.sharpness_every),
        ]);
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let (mut minima, mut none) = (Vec::new(), Vec::new());
        for &seed in &recipe.seeds {
            let what = format!("{} (seed {seed})", self.start.name());
            let way = Descent {
                method: self.start,
                loss: self.loss,
                steps: self.start_steps,
                every: every(self.start_steps),
                sharpness_every: None,
                non_uniformity_every: None,
                seed,
            };
            let found = laboratory.descend(&objective, &descent::start(&objective, seed)?, &way, &what)?;
            match found.record.has_arrived() {
                true => minima.push(self.minimum(&objective, &found, seed, laboratory)?),
                false => none.push(format!(
                    "The start of seed {seed} does not arrive: {} after {} steps. ",
                    found.record.end.name(),
                    found.record.steps
                )),
            }
        }
        let how = format!("from {} at a train loss of {}", self.start.name(), self.loss);
        let foot = footnote(&objective, &how, &recipe.seeds);
        Ok(Outcome {
            figures: self.figures(&objective, &minima, &foot),
            tables: vec![self.starts(&minima), self.table(&minima)],
            verdict: self.verdict(&minima, &none),
        })
    }
}

impl Escape {
    /// All descents of one seed, with their steps at most.
    fn ways(&self) -> Vec<(Method, usize)> {
        let switches = self.switches.iter().map(|&method| (method, self.steps));
        std::iter::once((self.start, self.start_steps))
            .chain(switches)
            .collect()
    }

    /// A minimum that was found, and all that goes on from there.
    fn minimum(
        &self,
        objective: &Objective,
        found: &Descended,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Minimum> {
        let images = objective.data().train.len();
        let what = format!("{} (seed {seed})", self.start.name());
        let measured = Measured::of(laboratory, objective, found, &what)?;
        let mut switched = Vec::new();
        for &method in &self.switches {
            let Some(bounds) = method.stability(images)? else {
                continue;
            };
            let what = format!("on with {} (seed {seed})", method.name());
            let way = Descent {
                method,
                // No minimum is so low: it goes on to its last step.
                loss: 0.0,
                steps: self.steps,
                every: every(self.steps),
                sharpness_every: Some(self.sharpness_every),
                non_uniformity_every: None,
                seed,
            };
            let descended = laboratory.descend(objective, &found.solution, &way, &what)?;
            let end = match descended.record.loss.is_finite() {
                true => Some(Measured::of(laboratory, objective, &descended, &what)?),
                false => None,
            };
            switched.push(Switched {
                bounds,
                leaves: !measured.is_within(bounds, 0.0),
                left: descended.record.highest >= self.burst * found.record.loss,
                record: descended.record,
                end,
            });
        }
        Ok(Minimum {
            seed,
            steps: found.record.steps,
            loss: found.record.loss,
            measured,
            switched,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::kind;
    use super::*;

    #[test]
    fn what_cannot_be_tried_is_told_by_its_name() {
        let recipe = Recipe::named("escape").unwrap();
        assert!(kind().check(&recipe).is_ok());
        assert_eq!(
            kind().ways(),
            [(kind().start, 100), (kind().switches[0], 10), (kind().switches[1], 10)]
        );
        let lbfgs = Method::LimitedBfgs { memory: 5 };
        assert!(Escape { start: lbfgs, ..kind() }.check(&recipe).is_ok());
        for (name, kind) in [
            (
                "switches",
                Escape {
                    switches: Vec::new(),
                    ..kind()
                },
            ),
            (
                "switches",
                Escape {
                    switches: vec![lbfgs],
                    ..kind()
                },
            ),
            (
                "start-steps",
                Escape {
                    start_steps: 0,
                    ..kind()
                },
            ),
            ("steps", Escape { steps: 0, ..kind() }),
            (
                "sharpness-every",
                Escape {
                    sharpness_every: 0,
                    ..kind()
                },
            ),
            ("burst", Escape { burst: 1.0, ..kind() }),
            (
                "loss",
                Escape {
                    loss: f64::NAN,
                    ..kind()
                },
            ),
        ] {
            let message = kind.check(&recipe).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
