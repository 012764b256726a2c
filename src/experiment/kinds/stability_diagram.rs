//! Solutions of SGD with batches of several sizes: are their sharpness and their non-uniformity within the bounds of
//! dynamical stability?

use serde::Deserialize;

use super::Experiment;
use super::convexity::chart;
use super::curves::columns;
use super::dynamical_stability::{
    NON_UNIFORMITY, NON_UNIFORMITY_AXIS, SHARPNESS, SHARPNESS_AXIS, check_end, check_rising, check_tolerance, every,
    footnote, settings, text, usual_tolerance,
};
use crate::curvature::{NonUniformity, Sgd, Sharpness};
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::{self, Descent, Method};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, significant};
use crate::experiment::recipe::Recipe;
use crate::training::End;

/// Sharpness and non-uniformity of the solutions of SGD and gradient descent with one learning rate (Wu et al. Fig. 5
/// and 6), beside what (9) allows them.
///
/// The bound of the non-uniformity is necessary for the condition (8), which is sufficient for stability. In more than
/// one dimension SGD can be stable beyond it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StabilityDiagram {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// η.
    pub learning_rate: f64,
    /// Batch sizes B of SGD, in rising order, each below the number of train images. Gradient descent comes last by
    /// itself.
    pub batch_sizes: Vec<usize>,
    /// Train loss at which a descent has arrived.
    pub loss: f64,
    /// Steps at most.
    pub steps: usize,
    /// Share by which a bound may be exceeded and count as kept.
    #[serde(default = "usual_tolerance")]
    pub tolerance: f64,
}

/// What one method came to from one seed's weights.
struct Found {
    /// B; of gradient descent the number of train images.
    batch_size: usize,
    bounds: Sgd,
    end: End,
    steps: usize,
    /// Of a solution that has arrived.
    solution: Option<Solved>,
}

struct Solved {
    sharpness: Sharpness,
    non_uniformity: NonUniformity,
    accuracy: f64,
}

impl Found {
    /// s as a share of its bound; 0 for gradient descent, which has none.
    fn non_uniformity_share(&self) -> Option<f64> {
        let solution = self.solution.as_ref()?;
        Some(solution.non_uniformity.value / self.bounds.non_uniformity_bound())
    }

    /// a as a share of 2/η.
    fn sharpness_share(&self) -> Option<f64> {
        let solution = self.solution.as_ref()?;
        Some(solution.sharpness.value / self.bounds.sharpness_bound())
    }

    fn name(&self, images: usize) -> String {
        match self.batch_size == images {
            true => "GD".to_owned(),
            false => format!("B = {}", self.batch_size),
        }
    }
}

/// The solutions of one seed, by rising batch size.
struct Family {
    seed: u64,
    found: Vec<Found>,
}

/// How much of the claim all solutions bear out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    solutions: usize,
    within_sharpness: usize,
    /// Solutions of SGD, whose non-uniformity has a bound.
    bounded: usize,
    within_non_uniformity: usize,
    /// Neighbouring batch sizes of one seed that have both arrived, and those of which the smaller one has the smaller
    /// non-uniformity.
    pairs: usize,
    ordered: usize,
}

impl Count {
    fn of(families: &[Family], tolerance: f64) -> Self {
        let mut count = Self::default();
        for family in families {
            for found in &family.found {
                if let Some(share) = found.sharpness_share() {
                    count.solutions += 1;
                    count.within_sharpness += usize::from(share <= 1.0 + tolerance);
                }
                if let Some(share) = found.non_uniformity_share()
                    && found.bounds.non_uniformity_bound().is_finite()
                {
                    count.bounded += 1;
                    count.within_non_uniformity += usize::from(share <= 1.0 + tolerance);
                }
            }
            for pair in family.found.windows(2) {
                if let (Some(smaller), Some(larger)) = (&pair[0].solution, &pair[1].solution) {
                    count.pairs += 1;
                    count.ordered += usize::from(smaller.non_uniformity.value < larger.non_uniformity.value);
                }
            }
        }
        count
    }

    /// Without a solution of SGD, or neighbours to compare, nothing of the claim has been looked at.
    fn answer(&self) -> Answer {
        if self.bounded == 0 || self.pairs == 0 {
            return Answer::NotShown;
        }
        let shown = self.within_sharpness + self.within_non_uniformity + self.ordered;
        Answer::of(shown, self.solutions + self.bounded + self.pairs)
    }
}

impl Experiment for StabilityDiagram {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_rising("batch-sizes", &self.batch_sizes)?;
        for (method, _) in self.ways() {
            method.check()?;
        }
        check_end(self.loss, ("steps", self.steps))?;
        check_tolerance(self.tolerance)
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let ways = self.ways();
        Some(Descents {
            model: &self.model,
            data: &self.data,
            gradients: ways.len() as f64 * (SHARPNESS + NON_UNIFORMITY),
            ways,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &self.ways());
        rows.push(["has arrived at a train loss of".to_owned(), self.loss.to_string()]);
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let images = objective.data().train.len();
        if let Some(size) = self.batch_sizes.iter().find(|&&size| size >= images) {
            return Err(Error::option(
                "batch-sizes",
                size,
                format!("it must be below {images}, the number of train images; gradient descent comes by itself"),
            ));
        }
        let mut families = Vec::new();
        for &seed in &recipe.seeds {
            let start = descent::start(&objective, seed)?;
            let mut found = Vec::new();
            for (method, steps) in self.ways() {
                let Some(bounds) = method.stability(images)? else {
                    continue;
                };
                let (batch_size, every) = match method {
                    // An epoch.
                    Method::Sgd { batch_size, .. } => (batch_size, images.div_ceil(batch_size)),
                    Method::GradientDescent { .. } | Method::LimitedBfgs { .. } => (images, every(steps)),
                };
                let what = format!("{} (seed {seed})", method.name());
                let way = Descent {
                    method,
                    loss: self.loss,
                    steps,
                    every,
                    sharpness_every: None,
                    seed,
                };
                let descended = laboratory.descend(&objective, &start, &way, &what)?;
                let solution = match descended.record.has_arrived() {
                    true => Some(Solved {
                        sharpness: laboratory.sharpness(&objective, &descended.solution, &what)?,
                        non_uniformity: laboratory.non_uniformity(&objective, &descended.solution, &what)?,
                        accuracy: descent::test_accuracy(&objective, &descended.solution)?,
                    }),
                    false => None,
                };
                found.push(Found {
                    batch_size,
                    bounds,
                    end: descended.record.end,
                    steps: descended.record.steps,
                    solution,
                });
            }
            families.push(Family { seed, found });
        }
        let how = format!("η = {} to a train loss of {}", self.learning_rate, self.loss);
        let foot = footnote(&objective, &how, &recipe.seeds);
        Ok(Outcome {
            figures: self.figures(&families, images, &foot),
            tables: vec![self.table(&families, images)],
            verdict: self.verdict(&families, images),
        })
    }
}

impl StabilityDiagram {
    /// All descents of one seed, with their steps at most.
    fn ways(&self) -> Vec<(Method, usize)> {
        let learning_rate = self.learning_rate;
        let sgd = |&batch_size: &usize| Method::Sgd {
            learning_rate,
            batch_size,
        };
        let batches = self.batch_sizes.iter().map(sgd);
        let whole = std::iter::once(Method::GradientDescent { learning_rate });
        batches.chain(whole).map(|method| (method, self.steps)).collect()
    }

    fn figures(&self, families: &[Family], images: usize, foot: &str) -> Vec<Figure> {
        let edge = 2.0 / self.learning_rate;
        let methods = families.first().map_or(0, |family| family.found.len());
        let diagram = (0..methods).map(|index| {
            let all: Vec<&Found> = families.iter().map(|family| &family.found[index]).collect();
            let (bound, name) = (all[0].bounds.non_uniformity_bound(), all[0].name(images));
            let dots = all.iter().filter_map(|found| {
                let solved = found.solution.as_ref()?;
                Some((solved.sharpness.value, solved.non_uniformity.value))
            });
            let (label, points) = match bound.is_finite() {
                true => (format!("{name}, and its bound"), vec![(0.0, bound), (edge, bound)]),
                false => (name, Vec::new()),
            };
            let line = Series {
                label,
                points,
                dashed: true,
            };
            line.with_dots(dots)
        });
        let by_batch = |value: fn(&Found) -> Option<f64>| -> Vec<Series> {
            let curve = |family: &Family| Series {
                label: format!("seed {}", family.seed),
                points: family
                    .found
                    .iter()
                    .filter_map(|found| Some(((found.batch_size as f64).log10(), value(found)?)))
                    .collect(),
                dashed: false,
            };
            families.iter().map(curve).collect()
        };
        let bound = |label: &str, value: fn(Sgd) -> f64| {
            let found: &[Found] = families.first().map_or(&[][..], |family| family.found.as_slice());
            let points = found
                .iter()
                .map(|found| ((found.batch_size as f64).log10(), value(found.bounds)));
            Series {
                label: label.to_owned(),
                points: points.filter(|(_, bound)| bound.is_finite()).collect(),
                dashed: true,
            }
        };
        let mut non_uniformity = vec![bound("bound", Sgd::non_uniformity_bound)];
        non_uniformity.extend(by_batch(|found| Some(found.solution.as_ref()?.non_uniformity.value)));
        let mut sharpness = vec![bound("2/η", Sgd::sharpness_bound)];
        sharpness.extend(by_batch(|found| Some(found.solution.as_ref()?.sharpness.value)));
        let batch_axis = "log₁₀ of the batch size B";
        vec![
            chart(
                "diagram",
                format!("Sharpness and non-uniformity of solutions, η = {}", self.learning_rate),
                (SHARPNESS_AXIS, NON_UNIFORMITY_AXIS),
                diagram.collect(),
                vec![(edge, "2/η".to_owned())],
                foot,
            ),
            chart(
                "non-uniformity",
                "Non-uniformity of solutions by batch size".to_owned(),
                (batch_axis, NON_UNIFORMITY_AXIS),
                non_uniformity,
                Vec::new(),
                foot,
            ),
            chart(
                "sharpness",
                "Sharpness of solutions by batch size".to_owned(),
                (batch_axis, SHARPNESS_AXIS),
                sharpness,
                Vec::new(),
                foot,
            ),
        ]
    }

    fn table(&self, families: &[Family], images: usize) -> Table {
        let row = |seed: u64, found: &Found| {
            let bound = found.bounds.non_uniformity_bound();
            let known = |value: fn(&Solved) -> String| found.solution.as_ref().map_or("–".to_owned(), value);
            let share = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{share:.3}"));
            vec![
                seed.to_string(),
                found.name(images),
                format!("{} after {} steps", found.end.name(), found.steps),
                known(|solved| significant(solved.sharpness.value, 4)),
                known(|solved| significant(solved.sharpness.residual, 1)),
                share(found.sharpness_share()),
                known(|solved| match solved.non_uniformity.converged {
                    true => significant(solved.non_uniformity.value, 4),
                    false => format!("{} (not converged)", significant(solved.non_uniformity.value, 4)),
                }),
                match bound.is_finite() {
                    true => significant(bound, 4),
                    false => "none".to_owned(),
                },
                match bound.is_finite() {
                    true => share(found.non_uniformity_share()),
                    false => "–".to_owned(),
                },
                known(|solved| format!("{:.1}", 100.0 * solved.accuracy)),
            ]
        };
        Table {
            caption: format!(
                "Solutions at a train loss of {} with η = {}; the bound of s is √(B(n − 1)/(n − B))/η",
                self.loss, self.learning_rate
            ),
            header: columns(
                "seed | method | end | sharpness a | residual of a | a·η/2 | non-uniformity s | bound of s | s over \
                 its bound | test accuracy (%)",
            ),
            rows: families
                .iter()
                .flat_map(|family| family.found.iter().map(|found| row(family.seed, found)))
                .collect(),
        }
    }

    fn verdict(&self, families: &[Family], images: usize) -> Verdict {
        let count = Count::of(families, self.tolerance);
        let methods = families.first().map_or(0, |family| family.found.len());
        let shares: Vec<String> = (0..methods)
            .filter(|&index| families[0].found[index].bounds.non_uniformity_bound().is_finite())
            .map(|index| {
                let of = |family: &Family| family.found[index].non_uniformity_share();
                let shares: Vec<f64> = families.iter().filter_map(of).collect();
                format!("{} for {}", text(&shares, 2), families[0].found[index].name(images))
            })
            .collect();
        Verdict {
            answer: count.answer(),
            measured: format!(
                "Of {} solutions {} have a sharpness of at most 2/η, and of {} of SGD {} a non-uniformity within its \
                 bound, both within {:.0} %. Of {} pairs of neighbouring batch sizes that both arrive the smaller \
                 has the smaller non-uniformity in {}. As a share of its bound the non-uniformity is {}. That bound \
                 follows from a condition that is sufficient for stability: SGD can be stable beyond it.",
                count.solutions,
                count.within_sharpness,
                count.bounded,
                count.within_non_uniformity,
                100.0 * self.tolerance,
                count.pairs,
                count.ordered,
                shares.join(", "),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::Estimate;
    use crate::experiment::outcome::Content;

    const IMAGES: usize = 100;

    fn found(batch_size: usize, solution: Option<(f64, f64)>) -> Found {
        Found {
            batch_size,
            bounds: Sgd::new(0.5, batch_size, IMAGES).unwrap(),
            end: if solution.is_some() { End::Loss } else { End::Diverged },
            steps: 12,
            solution: solution.map(|(sharpness, non_uniformity)| Solved {
                sharpness: Sharpness {
                    value: sharpness,
                    residual: 0.001,
                    converged: true,
                },
                non_uniformity: NonUniformity {
                    value: non_uniformity,
                    standard_error: None,
                    squared: Estimate::of(&[non_uniformity.powi(2)]).unwrap(),
                    converged: true,
                },
                accuracy: 0.2,
            }),
        }
    }

    fn kind() -> StabilityDiagram {
        StabilityDiagram {
            model: "mlp:5".to_owned(),
            data: "builtin".to_owned(),
            learning_rate: 0.5,
            batch_sizes: vec![1, 25],
            loss: 1e-4,
            steps: 100,
            tolerance: 0.05,
        }
    }

    /// Bounds: 2/η = 4, and of s 2·√(B·99/(100 − B)): 2 for B = 1, 11.49 for B = 25.
    fn families() -> [Family; 2] {
        let first = vec![
            found(1, Some((0.5, 2.05))),
            found(25, Some((3.0, 12.5))),
            found(IMAGES, Some((4.3, 12.0))),
        ];
        let second = vec![
            found(1, None),
            found(25, Some((4.1, 9.0))),
            found(IMAGES, Some((3.9, 14.0))),
        ];
        [Family { seed: 1, found: first }, Family { seed: 2, found: second }]
    }

    #[test]
    fn solutions_count_by_bounds_and_neighbours_by_order() {
        let count = Count::of(&families(), 0.05);
        let expected = Count {
            solutions: 5,
            within_sharpness: 4,
            bounded: 3,
            within_non_uniformity: 2,
            pairs: 3,
            ordered: 2,
        };
        assert_eq!(count, expected);
        assert_eq!(count.answer(), Answer::PartlyShown);
        let [_, second] = families();
        assert_eq!(Count::of(&[second], 0.05).answer(), Answer::Shown);
        // Those on both sides of one that has not arrived are no neighbours.
        let apart = |has_sgd: bool| Family {
            seed: 1,
            found: vec![
                found(1, has_sgd.then_some((0.5, 1.0))),
                found(25, None),
                found(IMAGES, Some((3.9, 14.0))),
            ],
        };
        let count = Count::of(&[apart(true)], 0.05);
        assert_eq!((count.solutions, count.bounded, count.pairs), (2, 1, 0));
        assert_eq!((count.within_sharpness, count.answer()), (2, Answer::NotShown));
        // Gradient descent alone says nothing of SGD.
        let count = Count::of(&[apart(false)], 0.05);
        assert_eq!((count.within_sharpness, count.bounded), (1, 0));
        assert_eq!(count.answer(), Answer::NotShown);
        let verdict = kind().verdict(&families(), IMAGES);
        for words in [
            "Of 5 solutions 4 have",
            "of 3 of SGD 2 a",
            "Of 3 pairs",
            "in 2. As a share",
            "1.02 for B = 1",
            "0.94 ± 0.22 for B = 25",
        ] {
            assert!(verdict.measured.contains(words), "{words} in {}", verdict.measured);
        }
    }

    #[test]
    fn a_diagram_has_every_solution_as_a_dot_under_its_bound() {
        let figures = kind().figures(&families(), IMAGES, "");
        let Content::Chart { series, marks, .. } = &figures[0].content else {
            panic!("a chart");
        };
        assert_eq!(marks, &[(4.0, "2/η".to_owned())]);
        let labels: Vec<&str> = series.iter().map(|series| series.label.as_str()).collect();
        assert_eq!(labels, ["B = 1, and its bound", "B = 25, and its bound", "GD"]);
        assert_eq!(series[0].points[..2], [(0.0, 2.0), (4.0, 2.0)]);
        assert_eq!(series[0].points[3..], [(0.5, 2.05)]);
        assert_eq!((series[1].points.len(), series[1].points[5]), (6, (4.1, 9.0)));
        assert_eq!(series[2].points[0], (4.3, 12.0));
        let Content::Chart { series, .. } = &figures[1].content else {
            panic!("a chart");
        };
        // Gradient descent has no bound, and the second seed's smallest batches no solution.
        assert_eq!(
            series.iter().map(|series| series.points.len()).collect::<Vec<_>>(),
            [2, 3, 2]
        );
        let rows = kind().table(&families(), IMAGES).rows;
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[3][1..4], ["B = 1", "diverged after 12 steps", "–"]);
        assert_eq!(rows[5][7..9], ["none", "–"]);
    }

    #[test]
    fn what_cannot_be_tried_is_told_by_its_name() {
        let recipe = Recipe::named("stability-diagram").unwrap();
        assert!(kind().check(&recipe).is_ok());
        assert_eq!(kind().ways().len(), 3);
        for (name, kind) in [
            (
                "batch-sizes",
                StabilityDiagram {
                    batch_sizes: vec![4, 4],
                    ..kind()
                },
            ),
            (
                "batch-size",
                StabilityDiagram {
                    batch_sizes: vec![0, 4],
                    ..kind()
                },
            ),
            (
                "learning-rate",
                StabilityDiagram {
                    learning_rate: f64::NAN,
                    ..kind()
                },
            ),
            (
                "tolerance",
                StabilityDiagram {
                    tolerance: -1.0,
                    ..kind()
                },
            ),
        ] {
            let message = kind.check(&recipe).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
