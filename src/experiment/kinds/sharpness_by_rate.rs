//! Gradient descent with several learning rates from the same weights: how sharp is the minimum that each one finds?

use serde::Deserialize;

use super::Experiment;
use super::convexity::chart;
use super::curves::columns;
use super::dynamical_stability::{
    SHARPNESS, SHARPNESS_AXIS, STEP_AXIS, check_end, check_rising, check_tolerance, curve, every, footnote, loss_axis,
    settings, text, usual_tolerance,
};
use crate::curvature::Sharpness;
use crate::error::Result;
use crate::experiment::cost::Descents;
use crate::experiment::descent::{self, Descent, Method, Record};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, significant};
use crate::experiment::recipe::Recipe;
use crate::objective::Objective;

/// A sharpness of less than this share below 2/η is close to it.
const CLOSE: f64 = 0.1;

/// The sharpness of the solutions of gradient descent beside 2/η (Wu et al. Table 2). A rate that diverges has none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharpnessByRate {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Learning rates η, in rising order.
    pub learning_rates: Vec<f64>,
    /// Train loss at which gradient descent has arrived.
    pub loss: f64,
    /// Steps at most.
    pub steps: usize,
    /// Share by which a sharpness may exceed 2/η and count as no larger: gradient descent still swings about the edge
    /// of stability when it is stopped.
    #[serde(default = "usual_tolerance")]
    pub tolerance: f64,
}

/// What one rate came to from one seed's weights.
struct Found {
    learning_rate: f64,
    record: Record,
    /// Of the solution, and its accuracy on test images, where it has arrived.
    solution: Option<(Sharpness, f64)>,
}

impl Found {
    /// a·η/2, the sharpness as a share of its bound.
    fn share(&self) -> Option<f64> {
        let (sharpness, _) = self.solution.as_ref()?;
        Some(0.5 * self.learning_rate * sharpness.value)
    }
}

/// The solutions of one seed.
struct Family {
    seed: u64,
    found: Vec<Found>,
}

impl Family {
    /// Shares a·η/2 of the rates whose bound 2/η is below the sharpness that the smallest rate finds: there the bound
    /// is what limits it.
    fn limited(&self) -> Vec<f64> {
        let mut arrived = self
            .found
            .iter()
            .filter_map(|found| Some((found, found.solution.as_ref()?.0.value)));
        let Some((_, free)) = arrived.next() else {
            return Vec::new();
        };
        arrived
            .filter(|(found, _)| 2.0 / found.learning_rate < free)
            .filter_map(|(found, _)| found.share())
            .collect()
    }

    /// Whether all solutions are within the bound, and those that it limits close to it; there must be some.
    fn bears_out(&self, tolerance: f64) -> bool {
        let limited = self.limited();
        let mut shares = self.found.iter().filter_map(Found::share);
        shares.all(|share| share <= 1.0 + tolerance)
            && !limited.is_empty()
            && limited.iter().all(|share| *share >= 1.0 - CLOSE)
    }
}

impl Experiment for SharpnessByRate {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_rising("learning-rates", &self.learning_rates)?;
        for (method, _) in self.ways() {
            method.check()?;
        }
        check_end(self.loss, ("steps", self.steps))?;
        check_tolerance(self.tolerance)
    }

    fn descents(&self) -> Option<Descents<'_>> {
        Some(Descents {
            model: &self.model,
            data: &self.data,
            ways: self.ways(),
            gradients: self.learning_rates.len() as f64 * SHARPNESS,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &self.ways());
        rows.push(["has arrived at a train loss of".to_owned(), self.loss.to_string()]);
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let mut families = Vec::new();
        for &seed in &recipe.seeds {
            let start = descent::start(&objective, seed)?;
            let mut found = Vec::new();
            for &learning_rate in &self.learning_rates {
                let method = Method::GradientDescent { learning_rate };
                let what = format!("{} (seed {seed})", method.name());
                let way = Descent {
                    method,
                    loss: self.loss,
                    steps: self.steps,
                    every: every(self.steps),
                    sharpness_every: None,
                    non_uniformity_every: None,
                    seed,
                };
                let descended = laboratory.descend(&objective, &start, &way, &what)?;
                let solution = match descended.record.has_arrived() {
                    true => Some((
                        laboratory.sharpness(&objective, &descended.solution, &what)?,
                        descent::test_accuracy(&objective, &descended.solution)?,
                    )),
                    false => None,
                };
                found.push(Found {
                    learning_rate,
                    record: descended.record,
                    solution,
                });
            }
            families.push(Family { seed, found });
        }
        let foot = footnote(
            &objective,
            &format!("gradient descent to a train loss of {}", self.loss),
            &recipe.seeds,
        );
        Ok(Outcome {
            figures: self.figures(&objective, &families, &foot),
            tables: vec![self.table(&families)],
            verdict: self.verdict(&families),
        })
    }
}

impl SharpnessByRate {
    /// All descents of one seed, with their steps at most.
    fn ways(&self) -> Vec<(Method, usize)> {
        let method = |&learning_rate: &f64| Method::GradientDescent { learning_rate };
        let rates = self.learning_rates.iter().map(method);
        rates.map(|method| (method, self.steps)).collect()
    }

    fn figures(&self, objective: &Objective, families: &[Family], foot: &str) -> Vec<Figure> {
        let mut sharpness = vec![Series {
            label: "2/η".to_owned(),
            points: self
                .learning_rates
                .iter()
                .map(|rate| (rate.log10(), 2.0 / rate))
                .collect(),
            dashed: true,
        }];
        sharpness.extend(families.iter().map(|family| {
            let points = family.found.iter().filter_map(|found| {
                let (sharpness, _) = found.solution.as_ref()?;
                Some((found.learning_rate.log10(), sharpness.value))
            });
            Series {
                label: format!("seed {}", family.seed),
                points: points.collect(),
                dashed: false,
            }
        }));
        let losses = families.first().map_or(Vec::new(), |family| {
            let curves = family.found.iter();
            let name = |found: &Found| format!("η = {}: {}", found.learning_rate, found.record.end.name());
            curves
                .map(|found| curve(name(found), &found.record, |record| &record.losses))
                .collect()
        });
        let seed = families.first().map_or(0, |family| family.seed);
        let loss_axis = loss_axis(objective);
        vec![
            chart(
                "sharpness",
                "Sharpness of the solutions of gradient descent".to_owned(),
                ("log₁₀ of the learning rate η", SHARPNESS_AXIS),
                sharpness,
                Vec::new(),
                foot,
            ),
            chart(
                "losses",
                format!("Gradient descent from one start, seed {seed}"),
                (STEP_AXIS, &loss_axis),
                losses,
                Vec::new(),
                foot,
            ),
        ]
    }

    fn table(&self, families: &[Family]) -> Table {
        let row = |index: usize, learning_rate: f64| {
            let all: Vec<&Found> = families.iter().map(|family| &family.found[index]).collect();
            let solutions: Vec<&(Sharpness, f64)> = all.iter().filter_map(|found| found.solution.as_ref()).collect();
            let of = |value: fn(&(Sharpness, f64)) -> f64| solutions.iter().map(|one| value(one)).collect::<Vec<f64>>();
            let shares: Vec<f64> = all.iter().filter_map(|found| found.share()).collect();
            let arrived = all.iter().filter(|found| found.solution.is_some());
            let steps: Vec<f64> = arrived.map(|found| found.record.steps as f64).collect();
            let residual = of(|(sharpness, _)| sharpness.residual).into_iter().fold(0.0, f64::max);
            vec![
                learning_rate.to_string(),
                significant(2.0 / learning_rate, 3),
                text(&of(|(sharpness, _)| sharpness.value), 2),
                text(&shares, 3),
                match solutions.is_empty() {
                    true => "–".to_owned(),
                    false => significant(residual, 1),
                },
                format!("{} of {}", solutions.len(), all.len()),
                text(&steps, 0),
                text(&of(|(_, accuracy)| 100.0 * accuracy), 1),
            ]
        };
        let rates = self.learning_rates.iter().enumerate();
        Table {
            caption: format!(
                "Solutions of gradient descent at a train loss of {}: mean and standard deviation over seeds; a dash \
                 where it does not arrive in {} steps, or diverges",
                self.loss, self.steps
            ),
            header: columns(
                "η | 2/η | sharpness a | a·η/2 | largest residual of a | arrived | steps | test accuracy (%)",
            ),
            rows: rates.map(|(index, &rate)| row(index, rate)).collect(),
        }
    }

    fn verdict(&self, families: &[Family]) -> Verdict {
        let percent = 100.0 * self.tolerance;
        let shown = families
            .iter()
            .filter(|family| family.bears_out(self.tolerance))
            .count();
        let shares: Vec<f64> = families
            .iter()
            .flat_map(|family| family.found.iter().filter_map(Found::share))
            .collect();
        let limited: Vec<f64> = families.iter().flat_map(Family::limited).collect();
        let count = |most: f64| shares.iter().filter(|share| **share <= most).count();
        Verdict {
            answer: Answer::of(shown, families.len()),
            measured: format!(
                "For {shown} of {} seeds every solution's sharpness is at most 2/η, within {percent:.0} %, and at \
                 least {:.0} % of it where 2/η is below the sharpness that the smallest rate finds. Of {} solutions {} \
                 are at or below 2/η itself, and {} within {percent:.0} % above. Where 2/η limits it, a·η/2 is {} \
                 ({} solutions).",
                families.len(),
                100.0 * (1.0 - CLOSE),
                shares.len(),
                count(1.0),
                count(1.0 + self.tolerance) - count(1.0),
                text(&limited, 3),
                limited.len(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::End;

    fn family(sharpness: &[Option<f64>]) -> Family {
        let found = [0.5, 1.0, 2.0]
            .into_iter()
            .zip(sharpness)
            .map(|(learning_rate, value)| Found {
                learning_rate,
                record: Record {
                    end: value.map_or(End::Diverged, |_| End::Loss),
                    steps: 7,
                    loss: 1e-5,
                    highest: 1.0,
                    losses: vec![(0.0, 1.0), (7.0, 1e-5)],
                    distances: Vec::new(),
                    sharpness: Vec::new(),
                    non_uniformity: Vec::new(),
                },
                solution: value.map(|value| {
                    let sharpness = Sharpness {
                        value,
                        residual: 0.001,
                        converged: true,
                    };
                    (sharpness, 0.25)
                }),
            });
        Family {
            seed: 1,
            found: found.collect(),
        }
    }

    fn kind() -> SharpnessByRate {
        SharpnessByRate {
            model: "mlp:5".to_owned(),
            data: "builtin".to_owned(),
            learning_rates: vec![0.5, 1.0, 2.0],
            loss: 1e-5,
            steps: 10,
            tolerance: 0.05,
        }
    }

    #[test]
    fn a_bound_counts_where_it_limits() {
        // Bounds are 4, 2 and 1; at the smallest rate the sharpness is below its own.
        let edge = family(&[Some(3.0), Some(1.98), Some(1.04)]);
        assert_eq!(edge.limited(), [0.99, 1.04]);
        assert!(edge.bears_out(0.05) && !edge.bears_out(0.03));
        let flat = family(&[Some(3.0), Some(1.5), Some(1.0)]);
        assert!(!flat.bears_out(0.05));
        let sharp = family(&[Some(4.3), Some(2.0), Some(1.0)]);
        assert!(!sharp.bears_out(0.05));
        // 2/η = 1 is above 0.9: nothing is limited.
        let free = family(&[Some(0.9), Some(0.9), Some(0.8)]);
        assert!(free.limited().is_empty() && !free.bears_out(0.05));
        assert_eq!(family(&[Some(3.0), Some(1.98), None]).limited(), [0.99]);
        assert!(!family(&[None, None, None]).bears_out(0.05));
    }

    #[test]
    fn a_verdict_has_its_numbers_and_a_table_its_dashes() {
        let families = [
            family(&[Some(3.0), Some(1.98), None]),
            family(&[Some(3.2), Some(2.02), None]),
        ];
        let found = kind().verdict(&families);
        assert_eq!(found.answer, Answer::Shown);
        for words in [
            "For 2 of 2 seeds",
            "Of 4 solutions 3 are",
            "and 1 within 5 % above",
            "a·η/2 is 1.000 ± 0.014 (2",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let rows = kind().table(&families).rows;
        assert_eq!(
            rows[1][..6],
            ["1", "2.00", "2.00 ± 0.03", "1.000 ± 0.014", "0.001", "2 of 2"]
        );
        assert_eq!(rows[2][..7], ["2", "1.00", "–", "–", "–", "0 of 2", "–"]);
    }

    #[test]
    fn what_cannot_be_tried_is_told_by_its_name() {
        let recipe = Recipe::named("sharpness-by-rate").unwrap();
        assert!(kind().check(&recipe).is_ok());
        let rates = |learning_rates: &[f64]| SharpnessByRate {
            learning_rates: learning_rates.to_vec(),
            ..kind()
        };
        let wrong = [
            ("learning-rates", rates(&[])),
            ("learning-rates", rates(&[1.0, 0.5])),
            ("learning-rate", rates(&[-1.0, 0.5])),
            ("loss", SharpnessByRate { loss: 0.0, ..kind() }),
            ("steps", SharpnessByRate { steps: 0, ..kind() }),
        ];
        for (name, kind) in wrong {
            let message = kind.check(&recipe).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
