//! Gradient descent with noise of several shapes on a network with some random labels, from a minimum that gradient
//! descent has found: which ones leave it, and where do they come to?

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::Experiment;
use super::checks::check_burst;
use super::convexity::chart;
use super::curves::columns;
use super::dynamical_stability::{STEP_AXIS, footnote, loss_axis, settings};
use super::noise_on_networks::{self as noisy, Minimum, curve_with_errors, error_text, over_seeds, side};
use crate::curvature::Estimate;
use crate::dynamics::network::{Settings, Walk};
use crate::dynamics::noise::Noise;
use crate::dynamics::sharpness::Around;
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::Method;
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, significant};
use crate::experiment::recipe::Recipe;
use crate::objective::{BatchNormPolicy, Measurement, Objective, Solution};

/// Dynamics from a minimum on, with their accuracies and their expected sharpness (Zhu et al. Fig. 3; Fig. 1 and 6 with
/// other data and another network).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoiseNetwork {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// How gradient descent finds the minimum.
    pub minimum: Minimum,
    /// What is compared.
    #[serde(default = "all_dynamics")]
    pub dynamics: Vec<Noise>,
    /// What the dynamics share.
    #[serde(default)]
    pub walk: Settings,
    /// Steps of each.
    pub steps: usize,
    /// Steps from one look at losses, accuracies and sharpness to the next.
    pub every: usize,
    /// How the expected sharpness is estimated.
    #[serde(default)]
    pub around: Around,
    /// A minimum has been left where the train loss has been so many times as large as there.
    #[serde(default = "usual_burst")]
    pub burst: f64,
}

/// Those that the paper says leave come first.
fn all_dynamics() -> Vec<Noise> {
    vec![
        Noise::Sgd,
        Noise::GldFirstEigenvector,
        Noise::GldHessian,
        Noise::GldLeading,
        Noise::GldDiagonal,
        Noise::GldDynamic,
        Noise::GldConstant,
        Noise::Gd,
    ]
}

fn usual_burst() -> f64 {
    10.0
}

/// Whether the paper says that it leaves: its noise lies along the few directions of large curvature.
fn is_aligned(noise: Noise) -> bool {
    match noise {
        Noise::Sgd | Noise::GldLeading | Noise::GldHessian | Noise::GldFirstEigenvector => true,
        Noise::Gd | Noise::GldConstant | Noise::GldDynamic | Noise::GldDiagonal => false,
    }
}

/// What is seen after some steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Look {
    step: usize,
    measured: Measurement,
    /// The expected sharpness, where it is finite.
    sharpness: Option<Estimate>,
}

/// How a dynamics went from one seed's minimum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    /// What was seen, as far as it came.
    looks: Vec<Look>,
    /// Steps after which it diverged, where it did.
    diverged: Option<usize>,
}

impl Record {
    /// What was seen after so many steps; NaN where it never came there.
    fn value(&self, step: usize, value: fn(&Look) -> f64) -> f64 {
        let found = self.looks.iter().find(|look| look.step == step);
        found.map_or(f64::NAN, value)
    }

    /// Whether it left a place with this train loss.
    fn has_left(&self, loss: f64, burst: f64) -> bool {
        let is_far = |look: &Look| look.measured.train.loss.is_nan() || look.measured.train.loss >= burst * loss;
        self.diverged.is_some() || self.looks.iter().any(is_far)
    }
}

fn test_accuracy(look: &Look) -> f64 {
    100.0 * look.measured.test.accuracy
}

fn train_accuracy(look: &Look) -> f64 {
    100.0 * look.measured.train.accuracy
}

fn train_loss(look: &Look) -> f64 {
    look.measured.train.loss
}

fn sharpness(look: &Look) -> f64 {
    look.sharpness.map_or(f64::NAN, |found| found.mean)
}

/// A dynamics, from the minimum of every seed.
struct Way {
    noise: Noise,
    records: Vec<Record>,
    /// Of each seed, whether it left.
    left: Vec<bool>,
}

impl Way {
    fn values(&self, step: usize, value: fn(&Look) -> f64) -> Vec<f64> {
        self.records.iter().map(|record| record.value(step, value)).collect()
    }

    fn curve(&self, steps: &[usize], value: fn(&Look) -> f64, logarithmic: bool) -> Series {
        let points = steps
            .iter()
            .map(|&step| (step as f64, over_seeds(&self.values(step, value))));
        curve_with_errors(self.noise.name(), points, !is_aligned(self.noise), logarithmic)
    }
}

/// Comparisons of a dynamics that the paper says leaves with one that it says stays.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    shown: usize,
    reversed: usize,
    all: usize,
}

impl Count {
    fn enter(&mut self, side: Option<Ordering>) {
        self.all += 1;
        match side {
            Some(Ordering::Greater) => self.shown += 1,
            Some(Ordering::Less) => self.reversed += 1,
            _ => (),
        }
    }

    fn text(&self) -> String {
        match self.reversed {
            0 => format!("{} of {}", self.shown, self.all),
            reversed => format!("{} of {} ({reversed} the other way round)", self.shown, self.all),
        }
    }
}

impl Experiment for NoiseNetwork {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        self.minimum.check()?;
        self.walk.check()?;
        self.around.check()?;
        for (name, value) in [("steps", self.steps), ("every", self.every)] {
            if value == 0 {
                return Err(Error::option(name, value, "it must be at least 1"));
            }
        }
        check_burst(self.burst)?;
        let is_there = |aligned: bool| self.dynamics.iter().any(|&noise| is_aligned(noise) == aligned);
        if !(is_there(true) && is_there(false)) {
            let reason = "name two at least of which one leaves minima in the paper and one does not, such as sgd and \
                          gld-dynamic";
            return Err(Error::option("dynamics", "", reason));
        }
        Ok(())
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let looks = (self.steps.div_ceil(self.every.max(1)) + 1) as f64;
        let evaluations = self.dynamics.len() as f64 * looks * (self.around.draws + 2) as f64;
        let renewals = self.steps.div_ceil(self.walk.renew_hessian.max(1)) as f64;
        let products = self.dynamics.iter().map(|noise| match noise {
            Noise::GldHessian => self.walk.hessian_products + self.walk.leading,
            Noise::GldFirstEigenvector => self.walk.hessian_products,
            _ => 0,
        });
        Some(Descents {
            model: &self.model,
            data: &self.data,
            ways: self.ways(),
            gradients: evaluations / 3.0 + noisy::PRODUCT * renewals * products.sum::<usize>() as f64,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &[self.minimum.way()]);
        rows.push(self.minimum.setting());
        rows.extend(noisy::settings(&self.walk));
        let Around {
            deviation,
            draws,
            change,
        } = self.around;
        rows.push([
            "expected sharpness".to_owned(),
            format!("{}, δ = {deviation}, {draws} draws", change.formula()),
        ]);
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let mut losses = Vec::new();
        let mut ways: Vec<Way> = Vec::new();
        for (index, &seed) in recipe.seeds.iter().enumerate() {
            let found = self.minimum.find(&objective, seed, laboratory)?;
            losses.push(found.record.loss);
            for (place, &noise) in self.dynamics.iter().enumerate() {
                let record = self.walk_from(&objective, &found.solution, noise, seed, laboratory)?;
                let left = record.has_left(found.record.loss, self.burst);
                if index == 0 {
                    ways.push(Way {
                        noise,
                        records: Vec::new(),
                        left: Vec::new(),
                    });
                }
                ways[place].records.push(record);
                ways[place].left.push(left);
            }
        }
        let how = format!(
            "from GD at a train loss of {} · η = {} · {}",
            self.minimum.loss,
            self.walk.learning_rate,
            self.walk.sigma.name(self.walk.batch_size)
        );
        let foot = footnote(&objective, &how, &recipe.seeds);
        Ok(Outcome {
            figures: self.figures(&objective, &ways, &foot),
            tables: vec![self.table(&ways, &losses)],
            verdict: self.verdict(&ways),
        })
    }
}

impl NoiseNetwork {
    /// All descents of one seed, with their steps.
    fn ways(&self) -> Vec<(Method, usize)> {
        let Settings {
            learning_rate,
            batch_size,
            ..
        } = self.walk;
        let method = |noise: &Noise| match noise {
            Noise::Sgd => Method::Sgd {
                learning_rate,
                batch_size,
            },
            _ => Method::GradientDescent { learning_rate },
        };
        let dynamics = self.dynamics.iter().map(|noise| (method(noise), self.steps));
        std::iter::once(self.minimum.way()).chain(dynamics).collect()
    }

    /// Steps after which is looked, the last among them.
    fn looks(&self) -> Vec<usize> {
        let is_last = |step: &usize| *step < self.steps;
        let regular = (0..).step_by(self.every).take_while(is_last);
        regular.chain([self.steps]).collect()
    }

    /// A dynamics from a minimum on, or as it went before.
    fn walk_from(
        &self,
        objective: &Objective,
        start: &Solution,
        noise: Noise,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Record> {
        let what = format!("{} (seed {seed})", noise.name());
        let looks = self.looks();
        let made = format!("{what}: {:?}, {:?}, looks {looks:?}", self.walk, self.around);
        let (_, record) = laboratory.point(objective, &made, &start.parameters, |laboratory| {
            let mut walk = Walk::new(objective, start.clone(), noise, self.walk, seed)?;
            let mut record = Record::default();
            for step in 0..=self.steps {
                let share = step as f64 / self.steps as f64;
                let mut told = |_: f64| laboratory.report(&what, share).is_ok();
                if looks.contains(&step) {
                    record
                        .looks
                        .push(self.look(objective, walk.solution(), step, seed, &mut told)?);
                }
                if step < self.steps && !walk.step(&mut told)? {
                    record.diverged = Some(step);
                    break;
                }
            }
            objective.release_gradients();
            Ok((walk.solution().parameters.clone(), record))
        })?;
        Ok(record)
    }

    fn look(
        &self,
        objective: &Objective,
        solution: &Solution,
        step: usize,
        seed: u64,
        told: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Look> {
        let measured = objective.evaluate(&solution.parameters, &solution.statistics, BatchNormPolicy::Running)?;
        let measured = measured.first().copied();
        let measured = measured.ok_or_else(|| Error::Request("nothing was measured".to_owned()))?;
        let found = self.around.sharpness(objective, solution, seed, told)?;
        let is_finite = found.mean.is_finite() && found.standard_error.is_none_or(f64::is_finite);
        Ok(Look {
            step,
            measured,
            sharpness: is_finite.then_some(found),
        })
    }

    fn figures(&self, objective: &Objective, ways: &[Way], foot: &str) -> Vec<Figure> {
        let steps = self.looks();
        let seeds = ways.first().map_or(0, |way| way.records.len());
        let over = match seeds {
            1 => "one seed".to_owned(),
            count => format!("mean of {count} seeds and its standard error"),
        };
        let sharpness_axis = self.around.change.formula();
        let loss_axis = loss_axis(objective);
        let curves = |value: fn(&Look) -> f64, logarithmic: bool| -> Vec<Series> {
            ways.iter().map(|way| way.curve(&steps, value, logarithmic)).collect()
        };
        [
            (
                "sharpness",
                "Expected sharpness",
                sharpness_axis,
                curves(sharpness, false),
            ),
            (
                "test-accuracy",
                "Test accuracy",
                "test accuracy (%)",
                curves(test_accuracy, false),
            ),
            (
                "train-accuracy",
                "Train accuracy",
                "train accuracy (%)",
                curves(train_accuracy, false),
            ),
            ("train-loss", "Train loss", loss_axis.as_str(), curves(train_loss, true)),
        ]
        .into_iter()
        .map(|(name, title, axis, series)| {
            let title = format!("{title} from the minimum of gradient descent on: {over}");
            chart(name, title, (STEP_AXIS, axis), series, Vec::new(), foot)
        })
        .collect()
    }

    fn table(&self, ways: &[Way], losses: &[f64]) -> Table {
        let last = self.steps;
        let row = |way: &Way| {
            let left = way.left.iter().filter(|&&left| left).count();
            let diverged = way.records.iter().filter(|record| record.diverged.is_some()).count();
            let cell =
                |value: fn(&Look) -> f64, digits: usize| error_text(over_seeds(&way.values(last, value)), digits);
            vec![
                way.noise.name().to_owned(),
                format!("{left} of {}", way.left.len()),
                format!("{diverged} of {}", way.left.len()),
                cell(train_loss, 4),
                cell(train_accuracy, 1),
                cell(test_accuracy, 2),
                cell(sharpness, 5),
            ]
        };
        let start = ways.first().map_or_else(String::new, |way| {
            let cell = |value: fn(&Look) -> f64, digits: usize| error_text(over_seeds(&way.values(0, value)), digits);
            format!(
                "train loss {}, test accuracy {} %, expected sharpness {}",
                error_text(over_seeds(losses), 4),
                cell(test_accuracy, 2),
                cell(sharpness, 5)
            )
        });
        Table {
            caption: format!(
                "After {last} steps from the minimum of gradient descent ({start}); means over {} seeds with their \
                 standard errors. It has been left where the train loss was {} times as large",
                losses.len(),
                significant(self.burst, 3)
            ),
            header: columns(
                "dynamics | left | diverged | train loss | train accuracy (%) | test accuracy (%) | expected sharpness",
            ),
            rows: ways.iter().map(row).collect(),
        }
    }

    fn verdict(&self, ways: &[Way]) -> Verdict {
        let (mut escapes, mut flatter, mut better) = (Count::default(), Count::default(), Count::default());
        let of = |aligned: bool| ways.iter().filter(move |way| is_aligned(way.noise) == aligned);
        for one in of(true) {
            for other in of(false) {
                for (one, other) in one.left.iter().zip(&other.left) {
                    let order = one.cmp(other);
                    escapes.enter((order != Ordering::Equal).then_some(order));
                }
                let differences = |value: fn(&Look) -> f64| -> Vec<f64> {
                    let pairs = one.values(self.steps, value).into_iter();
                    pairs
                        .zip(other.values(self.steps, value))
                        .map(|(one, other)| one - other)
                        .collect()
                };
                // Flatter is less sharp.
                flatter.enter(side(&differences(sharpness)).map(Ordering::reverse));
                better.enter(side(&differences(test_accuracy)));
            }
        }
        let ends: Vec<String> = ways
            .iter()
            .map(|way| {
                let left = way.left.iter().filter(|&&left| left).count();
                format!(
                    "{} left {left} of {}, sharpness {}, test accuracy {} %",
                    way.noise.name(),
                    way.left.len(),
                    error_text(over_seeds(&way.values(self.steps, sharpness)), 4),
                    error_text(over_seeds(&way.values(self.steps, test_accuracy)), 1)
                )
            })
            .collect();
        Verdict {
            answer: Answer::of(
                escapes.shown + flatter.shown + better.shown,
                escapes.all + flatter.all + better.all,
            ),
            measured: format!(
                "Of the pairs of a dynamics that is said to leave and one that is said to stay, the first left and the \
                 second stayed in {}; after {} steps the first is flatter in {} and has the better test accuracy in \
                 {}, by Student's intervals of 95 % over the seeds. {}.",
                escapes.text(),
                self.steps,
                flatter.text(),
                better.text(),
                ends.join("; ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Quality;

    fn look(step: usize, loss: f64, accuracy: f64, sharpness: f64) -> Look {
        let quality = Quality { loss, accuracy };
        Look {
            step,
            measured: Measurement {
                train: quality,
                test: quality,
            },
            sharpness: Estimate::of(&[sharpness, sharpness]),
        }
    }

    fn kind() -> NoiseNetwork {
        NoiseNetwork {
            model: "lenet".to_owned(),
            data: "builtin".to_owned(),
            minimum: Minimum {
                learning_rate: 0.1,
                loss: 0.01,
                steps: 10,
            },
            dynamics: vec![Noise::Sgd, Noise::Gd],
            walk: Settings::default(),
            steps: 10,
            every: 4,
            around: Around::default(),
            burst: 10.0,
        }
    }

    /// Three seeds, whose end differs a little between them.
    fn way(noise: Noise, highest: f64, accuracy: f64, sharpness: f64) -> Way {
        let record = |seed: f64| Record {
            looks: vec![
                look(0, 0.01, 0.5, 0.1),
                look(4, highest, 0.5, 0.1),
                look(10, 0.005, accuracy + 0.001 * seed, sharpness + 0.001 * seed),
            ],
            diverged: None,
        };
        let records: Vec<Record> = [0.0, 1.0, 2.0].map(record).to_vec();
        let left = records.iter().map(|record| record.has_left(0.01, 10.0)).collect();
        Way { noise, records, left }
    }

    #[test]
    fn it_looks_at_the_start_and_at_the_end() {
        assert_eq!(kind().looks(), [0, 4, 8, 10]);
        let even = NoiseNetwork { every: 5, ..kind() };
        assert_eq!(even.looks(), [0, 5, 10]);
        let once = NoiseNetwork { every: 50, ..kind() };
        assert_eq!(once.looks(), [0, 10]);
    }

    #[test]
    fn each_part_of_the_claim_counts() {
        let stays = || way(Noise::Gd, 0.02, 0.5, 0.1);
        let found = kind().verdict(&[way(Noise::Sgd, 1.0, 0.6, 0.05), stays()]);
        assert_eq!(found.answer, Answer::Shown, "{}", found.measured);
        for words in [
            "stayed in 3 of 3;",
            "flatter in 1 of 1 and has the better test accuracy in 1 of 1,",
            "SGD left 3 of 3, sharpness 0.0510 ± 0.0006, test accuracy 60.1 ± 0.1 %",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        // As flat as each other, within their errors, and the other one better.
        let found = kind().verdict(&[way(Noise::Sgd, 1.0, 0.4, 0.1), stays()]);
        assert_eq!(found.answer, Answer::PartlyShown);
        assert!(
            found
                .measured
                .contains("flatter in 0 of 1 and has the better test accuracy in 0 of 1 (1 the other"),
            "{}",
            found.measured
        );
        // That nothing leaves bears nothing out.
        let found = kind().verdict(&[way(Noise::Sgd, 0.02, 0.4, 0.2), stays()]);
        assert_eq!(found.answer, Answer::NotShown, "{}", found.measured);
    }

    #[test]
    fn what_diverges_has_left_and_has_no_end() {
        let lost = Record {
            looks: vec![look(0, 0.01, 0.5, 0.1)],
            diverged: Some(3),
        };
        assert!(lost.has_left(0.01, 10.0));
        assert!(lost.value(10, test_accuracy).is_nan());
        let stays = way(Noise::Gd, 0.02, 0.5, 0.1);
        let mut leaves = way(Noise::Sgd, 1.0, 0.6, 0.05);
        leaves.records[1] = lost;
        let ways = [leaves, stays];
        let found = kind().verdict(&ways);
        assert!(found.measured.contains("flatter in 0 of 1 and"), "{}", found.measured);
        let table = kind().table(&ways, &[0.01; 3]);
        assert_eq!(table.rows[0][..4], ["SGD", "3 of 3", "1 of 3", "–"]);
        assert_eq!(table.rows[1].len(), table.header.len());
        let curve = ways[0].curve(&kind().looks(), train_loss, true);
        assert!(curve.points[0].1 == 0.01 && curve.points.last().unwrap().1.is_nan() && !curve.dashed);
    }

    #[test]
    fn what_cannot_be_asked_for_is_named_and_the_effort_told() {
        let recipe = Recipe::named("noise-network").unwrap();
        let told = |kind: NoiseNetwork| kind.check(&recipe).unwrap_err().to_string();
        assert!(kind().check(&recipe).is_ok());
        let alone = NoiseNetwork {
            dynamics: vec![Noise::Sgd, Noise::GldLeading],
            ..kind()
        };
        assert!(told(alone).starts_with("dynamics: name two at least"));
        assert!(told(NoiseNetwork { every: 0, ..kind() }).starts_with("every"));
        assert!(told(NoiseNetwork { burst: 1.0, ..kind() }).starts_with("burst"));
        let ways = kind().ways();
        assert_eq!(ways.len(), 3);
        assert!(matches!(ways[1].0, Method::Sgd { batch_size: 20, .. }) && ways[1].1 == 10);
        // Only losses and sharpness: neither of the two has a Hessian.
        let gradients = kind().descents().unwrap().gradients;
        assert_eq!(gradients, 2.0 * 4.0 * 1002.0 / 3.0);
    }
}
