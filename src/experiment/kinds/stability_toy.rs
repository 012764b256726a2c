//! Two minima of one sharpness in one dimension: SGD leaves the one where the two functions differ in their curvature.

use serde::Deserialize;

use super::Experiment;
use super::convexity::chart;
use super::curves::columns;
use super::dynamical_stability::{STEP_AXIS, check_rising};
use crate::curvature::Sgd;
use crate::curvature::escape::{Descent, Escape, MOST_NUMBERS, Settings, loss};
use crate::dynamics::proportion::Proportion;
use crate::error::{Error, Result};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, median, significant};
use crate::experiment::recipe::Recipe;
use crate::training::full_batch::check_learning_rate;

/// How far from a minimum a trajectory starts, as in the paper.
const BESIDE: f64 = 1e-5;
/// The sharpness and the non-uniformity at x = 1: f'' = ½(0.2 + 3.8), and half the difference.
const AT_ONE: (f64, f64) = (2.0, 1.8);

/// SGD and gradient descent beside both minima of f = ½(min{x², 0.1(x − 1)²} + min{x², 1.9(x − 1)²}) (Wu et al. Section
/// 2 and Fig. 2). It needs no network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StabilityToy {
    /// Learning rates η, in rising order.
    pub learning_rates: Vec<f64>,
    /// The one that is drawn.
    pub drawn: f64,
    /// Runs of SGD a seed.
    pub runs: usize,
    /// Steps of each.
    pub steps: usize,
}

/// What one learning rate came to.
struct Found {
    learning_rate: f64,
    /// The factor of the expected (x − 1)² in a step of SGD (3).
    factor: f64,
    /// Runs of SGD that leave x = 1, of gradient descent, and of SGD that stay at x = 0.
    leave: Proportion,
    descent_leaves: Proportion,
    stay: Proportion,
    /// Steps after which those that leave are at the other minimum.
    times: Vec<f64>,
}

impl Found {
    /// Whether the expected (x − 1)² grows under SGD, so that it leaves.
    fn is_unstable(&self) -> bool {
        self.factor > 1.0
    }

    /// Runs that went as the condition says, and all runs. For gradient descent, and at x = 0, the sharpness alone
    /// counts: there all are to stay.
    fn as_predicted(&self) -> Proportion {
        let leave = match self.is_unstable() {
            true => self.leave.count,
            false => self.leave.all - self.leave.count,
        };
        Proportion {
            count: leave + self.descent_leaves.all - self.descent_leaves.count + self.stay.count,
            all: self.leave.all + self.descent_leaves.all + self.stay.all,
        }
    }
}

/// The rate above which SGD leaves x = 1: 2a/(a² + s²).
fn threshold() -> f64 {
    let (sharpness, non_uniformity) = AT_ONE;
    2.0 * sharpness / (sharpness * sharpness + non_uniformity * non_uniformity)
}

fn simulate(
    learning_rate: f64,
    start: f64,
    descent: Descent,
    (runs, steps): (usize, usize),
    seed: u64,
) -> Result<Escape> {
    Escape::simulate(Settings {
        descent,
        learning_rate,
        start,
        steps,
        runs,
        seed,
    })
}

impl Experiment for StabilityToy {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_rising("learning-rates", &self.learning_rates)?;
        for &rate in &self.learning_rates {
            check_learning_rate(rate)?;
            // At x = 0 both functions have the curvature 2.
            if rate >= 1.0 {
                return Err(Error::option(
                    "learning-rates",
                    rate,
                    "it must be below 1: from there on no method stays at either minimum",
                ));
            }
        }
        if !self.learning_rates.contains(&self.drawn) {
            return Err(Error::option(
                "drawn",
                self.drawn,
                "it must be one of the learning rates",
            ));
        }
        if self.runs == 0 {
            return Err(Error::option("runs", 0, "it must be at least 1"));
        }
        let most = MOST_NUMBERS / self.runs;
        if !(1..most).contains(&self.steps) {
            return Err(Error::option(
                "steps",
                self.steps,
                format!(
                    "with {} runs it must be from 1 to {}",
                    self.runs,
                    most.saturating_sub(1)
                ),
            ));
        }
        Ok(())
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut all = Vec::new();
        for (index, &learning_rate) in self.learning_rates.iter().enumerate() {
            let done = index as f64 / self.learning_rates.len() as f64;
            laboratory.report(&format!("η = {learning_rate}"), done)?;
            all.push(self.found(learning_rate, &recipe.seeds)?);
        }
        let seed = recipe.seeds.first().copied().unwrap_or_default();
        Ok(Outcome {
            figures: self.figures(&all, seed)?,
            tables: vec![self.table(&all)],
            verdict: verdict(&all),
        })
    }
}

impl StabilityToy {
    fn found(&self, learning_rate: f64, seeds: &[u64]) -> Result<Found> {
        let (mut leave, mut descent_leaves, mut stay) = (Vec::new(), Vec::new(), Vec::new());
        let mut times = Vec::new();
        for &seed in seeds {
            let size = (self.runs, self.steps);
            let from_one = simulate(learning_rate, 1.0 - BESIDE, Descent::Stochastic, size, seed)?;
            leave.extend(from_one.left.iter().map(Option::is_some));
            times.extend(from_one.left.iter().flatten().map(|&steps| steps as f64));
            // Those of one seed are all the same.
            let descent = simulate(learning_rate, 1.0 - BESIDE, Descent::Gradient, (1, self.steps), seed)?;
            descent_leaves.extend(descent.left.iter().map(Option::is_some));
            let from_zero = simulate(learning_rate, BESIDE, Descent::Stochastic, size, seed)?;
            let ends = from_zero.trajectories.iter().filter_map(|trajectory| trajectory.last());
            stay.extend(ends.map(|x| x.abs() <= BESIDE));
        }
        Ok(Found {
            learning_rate,
            factor: Sgd::new(learning_rate, 1, 2)?.factor(AT_ONE.0, AT_ONE.1),
            leave: Proportion::of(leave),
            descent_leaves: Proportion::of(descent_leaves),
            stay: Proportion::of(stay),
            times,
        })
    }

    fn figures(&self, all: &[Found], seed: u64) -> Result<Vec<Figure>> {
        let foot = format!(
            "f = ½(min{{x², 0.1(x − 1)²}} + min{{x², 1.9(x − 1)²}}) · starts {BESIDE} beside a minimum · {} steps · \
             seed {seed} · valleyscope {}",
            self.steps,
            env!("CARGO_PKG_VERSION")
        );
        let ways = [
            ("SGD from x = 1", Descent::Stochastic, 1.0 - BESIDE),
            ("GD from x = 1", Descent::Gradient, 1.0 - BESIDE),
            ("SGD from x = 0", Descent::Stochastic, BESIDE),
        ];
        let (mut places, mut losses) = (Vec::new(), Vec::new());
        for (label, descent, start) in ways {
            let escape = simulate(self.drawn, start, descent, (1, self.steps), seed)?;
            let steps = || escape.trajectories.iter().flatten().enumerate();
            let series = |points: Vec<(f64, f64)>| Series {
                label: label.to_owned(),
                points,
                dashed: false,
            };
            places.push(series(steps().map(|(step, &x)| (step as f64, x)).collect()));
            losses.push(series(steps().map(|(step, &x)| (step as f64, loss(x))).collect()));
        }
        let share = |label: &str, value: fn(Proportion) -> f64, dashed: bool| Series {
            label: label.to_owned(),
            points: all
                .iter()
                .map(|found| (found.learning_rate, 100.0 * value(found.leave)))
                .collect(),
            dashed,
        };
        let shares = vec![
            share("SGD", Proportion::share, false),
            share("lower end of 95 %", |leave| leave.interval()[0], true),
            share("upper end of 95 %", |leave| leave.interval()[1], true),
        ];
        let at = format!("η = {}", self.drawn);
        Ok(vec![
            chart(
                "trajectories",
                format!("SGD leaves x = 1 and gradient descent stays, {at}"),
                (STEP_AXIS, "x (minima at 0 and 1)"),
                places,
                Vec::new(),
                &foot,
            ),
            chart(
                "losses",
                format!("The loss bursts on the way, {at}"),
                (STEP_AXIS, "f(x)"),
                losses,
                Vec::new(),
                &foot,
            ),
            chart(
                "leaving",
                "Runs that leave x = 1 by learning rate".to_owned(),
                ("learning rate η", "share of runs (%)"),
                shares,
                vec![(threshold(), "2a/(a² + s²)".to_owned())],
                &foot,
            ),
        ])
    }

    fn table(&self, all: &[Found]) -> Table {
        let row = |found: &Found| {
            vec![
                found.learning_rate.to_string(),
                significant(found.factor, 3),
                match found.is_unstable() {
                    true => "leaves".to_owned(),
                    false => "stays".to_owned(),
                },
                found.leave.to_string(),
                match found.times.is_empty() {
                    true => "–".to_owned(),
                    false => format!("{:.0}", median(&found.times)),
                },
                found.descent_leaves.to_string(),
                found.stay.to_string(),
            ]
        };
        Table {
            caption: format!(
                "Runs of {} steps, with Wilson's intervals of 95 %; at x = 1 sharpness {} and non-uniformity {}, at \
                 x = 0 the same sharpness and none",
                self.steps, AT_ONE.0, AT_ONE.1
            ),
            header: columns(
                "η | (1 − ηa)² + η²s² at x = 1 | so SGD | SGD leaves x = 1 | after steps, median | GD leaves x = 1 \
                 | SGD stays at x = 0",
            ),
            rows: all.iter().map(row).collect(),
        }
    }
}

fn verdict(all: &[Found]) -> Verdict {
    let predicted = all
        .iter()
        .map(Found::as_predicted)
        .fold(Proportion::default(), |sum, one| Proportion {
            count: sum.count + one.count,
            all: sum.all + one.all,
        });
    let each: Vec<String> = all
        .iter()
        .map(|found| {
            format!(
                "η = {}: SGD leaves x = 1 in {} and stays at x = 0 in {}, gradient descent leaves x = 1 in {}",
                found.learning_rate, found.leave, found.stay, found.descent_leaves
            )
        })
        .collect();
    Verdict {
        answer: Answer::of(predicted.count, predicted.all),
        measured: format!(
            "{} of {} runs go as (1 − ηa)² + η²s² ≤ 1 says, which holds at x = 1 up to η = {:.3}. {}.",
            predicted.count,
            predicted.all,
            threshold(),
            each.join("; ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;
    use crate::curvature::escape::COEFFICIENTS;
    use crate::curvature::testing::quadratic::QuadraticProblem;

    fn kind() -> StabilityToy {
        StabilityToy {
            learning_rates: vec![0.3, 0.5, 0.7],
            drawn: 0.7,
            runs: 20,
            steps: 400,
        }
    }

    #[test]
    fn the_two_numbers_at_one_are_those_of_the_functions() {
        let curvatures = COEFFICIENTS.map(|coefficient| DMatrix::from_element(1, 1, 2.0 * coefficient));
        let problem = QuadraticProblem::new(curvatures.to_vec());
        assert!((problem.sharpness() - AT_ONE.0).abs() < 1e-12);
        assert!((problem.non_uniformity() - AT_ONE.1).abs() < 1e-12);
        let factor = |rate: f64| Sgd::new(rate, 1, 2).unwrap().factor(AT_ONE.0, AT_ONE.1);
        assert!((factor(threshold()) - 1.0).abs() < 1e-12);
        assert!(factor(0.5) < 1.0 && factor(0.7) > 1.0);
    }

    #[test]
    fn sgd_leaves_above_the_threshold_and_gradient_descent_nowhere() {
        let kind = kind();
        let rates = kind.learning_rates.iter();
        let all: Vec<Found> = rates.map(|&rate| kind.found(rate, &[1, 2]).unwrap()).collect();
        let leave: Vec<Proportion> = all.iter().map(|found| found.leave).collect();
        let of = |count| Proportion { count, all: 40 };
        assert_eq!(leave, [of(0), of(0), of(40)]);
        assert!(
            all.iter()
                .all(|found| found.descent_leaves == Proportion { count: 0, all: 2 })
        );
        assert!(all.iter().all(|found| found.stay == of(40)));
        assert_eq!(all[2].times.len(), 40);
        let found = verdict(&all);
        assert_eq!(found.answer, Answer::Shown);
        assert!(
            found.measured.starts_with("246 of 246 runs") && found.measured.contains("up to η = 0.552"),
            "{}",
            found.measured
        );
        let rows = kind.table(&all).rows;
        assert_eq!((rows[1][2].as_str(), rows[2][2].as_str()), ("stays", "leaves"));
        assert_eq!((rows[1][4].as_str(), rows[1][5].as_str()), ("–", "0 of 2 (0 to 66 %)"));
        let figures = kind.figures(&all, 1).unwrap();
        assert_eq!(figures.len(), 3);
    }

    #[test]
    fn runs_against_the_condition_count_against_it() {
        let found = |factor, count| Found {
            learning_rate: 0.7,
            factor,
            leave: Proportion { count, all: 10 },
            descent_leaves: Proportion { count: 0, all: 1 },
            stay: Proportion { count: 10, all: 10 },
            times: Vec::new(),
        };
        assert_eq!(found(1.5, 8).as_predicted(), Proportion { count: 19, all: 21 });
        assert_eq!(found(0.9, 8).as_predicted(), Proportion { count: 13, all: 21 });
        assert_eq!(verdict(&[found(1.5, 8)]).answer, Answer::PartlyShown);
    }

    #[test]
    fn what_cannot_be_tried_is_told_by_its_name() {
        let recipe = Recipe::named("stability-toy").unwrap();
        assert!(kind().check(&recipe).is_ok());
        for (name, kind) in [
            (
                "learning-rates",
                StabilityToy {
                    learning_rates: vec![0.7, 1.0],
                    ..kind()
                },
            ),
            (
                "learning-rate",
                StabilityToy {
                    learning_rates: vec![-0.7, 0.5],
                    ..kind()
                },
            ),
            ("drawn", StabilityToy { drawn: 0.6, ..kind() }),
            ("runs", StabilityToy { runs: 0, ..kind() }),
            ("steps", StabilityToy { steps: 0, ..kind() }),
            (
                "steps",
                StabilityToy {
                    steps: usize::MAX,
                    ..kind()
                },
            ),
        ] {
            let message = kind.check(&recipe).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
