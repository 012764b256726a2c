//! From a minimum that one method has found, on with others: which of them leave it, and where do they go?

use serde::Deserialize;

use super::Experiment;
use super::checks::check_burst;
use super::convexity::chart;
use super::curves::columns;
use super::dynamical_stability::{
    NON_UNIFORMITY, ROUGH_SHARPNESS, SHARPNESS, SHARPNESS_AXIS, check_end, check_tolerance, curve, every, footnote,
    loss_axis, settings, text, usual_tolerance,
};
use crate::curvature::{NonUniformity, Sgd, Sharpness};
use crate::error::{Error, Result};
use crate::experiment::cost::Descents;
use crate::experiment::descent::{self, Descended, Descent, Method, Record};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, significant};
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

/// What is measured at a point.
#[derive(Clone, Copy)]
struct Measured {
    sharpness: Sharpness,
    non_uniformity: NonUniformity,
    accuracy: f64,
}

impl Measured {
    fn of(laboratory: &mut Laboratory, objective: &Objective, descended: &Descended, what: &str) -> Result<Self> {
        let solution = &descended.solution;
        Ok(Self {
            sharpness: laboratory.sharpness(objective, solution, what)?,
            non_uniformity: laboratory.non_uniformity(objective, solution, what)?,
            accuracy: descent::test_accuracy(objective, solution)?,
        })
    }

    /// Whether both are within the bounds, exceeded by a share at most.
    fn is_within(&self, bounds: Sgd, tolerance: f64) -> bool {
        self.sharpness.value <= (1.0 + tolerance) * bounds.sharpness_bound()
            && self.non_uniformity.value <= (1.0 + tolerance) * bounds.non_uniformity_bound()
    }
}

/// What a method came to from one minimum.
struct Switched {
    bounds: Sgd,
    /// Whether the minimum is beyond a bound.
    leaves: bool,
    /// Whether it was left.
    left: bool,
    record: Record,
    /// Where it ended, unless it diverged.
    end: Option<Measured>,
}

impl Switched {
    /// Whether it left for a flatter place that is within its bounds.
    fn has_settled(&self, start: &Measured, tolerance: f64) -> bool {
        self.left
            && self
                .end
                .is_some_and(|end| end.sharpness.value < start.sharpness.value && end.is_within(self.bounds, tolerance))
    }
}

/// The minimum of one seed, and what became of it.
struct Minimum {
    seed: u64,
    steps: usize,
    loss: f64,
    measured: Measured,
    switched: Vec<Switched>,
}

/// How much of the claim is borne out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    /// Starts that found no minimum, so that nothing of the claim could be looked at.
    lost_starts: usize,
    /// Switches, and those that went as the bounds say.
    switches: usize,
    predicted: usize,
    /// Those of them that left, and those that settled at a flatter place within their bounds.
    left: usize,
    settled: usize,
}

impl Count {
    fn of(minima: &[Minimum], lost_starts: usize, tolerance: f64) -> Self {
        let mut count = Self {
            lost_starts,
            ..Self::default()
        };
        for minimum in minima {
            for switched in &minimum.switched {
                count.switches += 1;
                count.predicted += usize::from(switched.leaves == switched.left);
                count.left += usize::from(switched.left);
                count.settled += usize::from(switched.has_settled(&minimum.measured, tolerance));
            }
        }
        count
    }

    /// Where nothing has left, no escape was seen, however well that was foretold.
    fn answer(&self) -> Answer {
        match self.left {
            0 => Answer::NotShown,
            left => Answer::of(self.predicted + self.settled, self.switches + left + self.lost_starts),
        }
    }
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

    fn figures(&self, objective: &Objective, minima: &[Minimum], foot: &str) -> Vec<Figure> {
        let Some(first) = minima.first() else {
            return Vec::new();
        };
        let curves = |points: fn(&Record) -> &Vec<(f64, f64)>| -> Vec<Series> {
            let each = self.switches.iter().zip(&first.switched);
            each.map(|(method, switched)| curve(method.name(), &switched.record, points))
                .collect()
        };
        let after = format!("After {}, seed {}", self.start.name(), first.seed);
        let loss_axis = loss_axis(objective);
        [
            (
                "losses",
                "train loss",
                loss_axis.as_str(),
                curves(|record| &record.losses),
            ),
            (
                "sharpness",
                "sharpness",
                SHARPNESS_AXIS,
                curves(|record| &record.sharpness),
            ),
            (
                "distances",
                "distance travelled",
                "distance |w − w₀|",
                curves(|record| &record.distances),
            ),
        ]
        .into_iter()
        .map(|(name, title, axis, series)| {
            let axes = ("step after the switch", axis);
            chart(name, format!("{after}: {title}"), axes, series, Vec::new(), foot)
        })
        .collect()
    }

    /// The minima, as in the paper's Table 3.
    fn starts(&self, minima: &[Minimum]) -> Table {
        let row = |minimum: &Minimum| {
            vec![
                minimum.seed.to_string(),
                minimum.steps.to_string(),
                significant(minimum.loss, 3),
                significant(minimum.measured.sharpness.value, 4),
                significant(minimum.measured.non_uniformity.value, 4),
                format!("{:.1}", 100.0 * minimum.measured.accuracy),
            ]
        };
        Table {
            caption: format!("Minima that {} finds", self.start.name()),
            header: columns("seed | steps | train loss | sharpness a | non-uniformity s | test accuracy (%)"),
            rows: minima.iter().map(row).collect(),
        }
    }

    fn table(&self, minima: &[Minimum]) -> Table {
        let row = |index: usize, method: Method| {
            let all: Vec<&Switched> = minima.iter().map(|minimum| &minimum.switched[index]).collect();
            let count = |is: fn(&Switched) -> bool| {
                let counted = all.iter().filter(|switched| is(switched)).count();
                format!("{counted} of {}", all.len())
            };
            let ends = |value: fn(&Measured) -> f64| -> Vec<f64> {
                all.iter()
                    .filter_map(|switched| switched.end.as_ref().map(value))
                    .collect()
            };
            let records = |value: fn(&Record) -> f64| -> Vec<f64> {
                all.iter().map(|switched| value(&switched.record)).collect()
            };
            let bound = |bound: Option<f64>| match bound {
                Some(bound) if bound.is_finite() => significant(bound, 3),
                _ => "none".to_owned(),
            };
            let bounds = all.first().map(|switched| switched.bounds);
            // Where one has diverged, so has the largest loss.
            let highest = records(|record| record.highest).into_iter().fold(0.0, f64::max);
            vec![
                method.name(),
                bound(bounds.map(Sgd::sharpness_bound)),
                bound(bounds.map(Sgd::non_uniformity_bound)),
                count(|switched| switched.leaves),
                count(|switched| switched.left),
                count(|switched| switched.end.is_none()),
                significant(highest, 2),
                text(&ends(|end| end.sharpness.value), 2),
                text(&ends(|end| end.non_uniformity.value), 2),
                text(&records(Record::distance), 2),
                text(&ends(|end| 100.0 * end.accuracy), 1),
            ]
        };
        let switches = self.switches.iter().enumerate();
        Table {
            caption: format!(
                "What goes on for {} steps: a minimum is left where the train loss has been {} times as large",
                self.steps, self.burst
            ),
            header: columns(
                "method | 2/η | bound of s | minimum beyond a bound | left | diverged | largest train loss | sharpness \
                 after | non-uniformity after | distance | test accuracy after (%)",
            ),
            rows: switches.map(|(index, &method)| row(index, method)).collect(),
        }
    }

    fn verdict(&self, minima: &[Minimum], none: &[String]) -> Verdict {
        let count = Count::of(minima, none.len(), self.tolerance);
        let of = |value: fn(&Measured) -> f64| -> Vec<f64> { minima.iter().map(|one| value(&one.measured)).collect() };
        let one = |index: usize, method: Method| {
            let all = minima.iter().map(|minimum| &minimum.switched[index]);
            let left = all.clone().filter(|switched| switched.left).count();
            let ends = all.filter_map(|switched| Some(switched.end?.sharpness.value));
            let after: Vec<f64> = ends.collect();
            format!(
                "{}: left {left} of {}, sharpness after {}",
                method.name(),
                minima.len(),
                text(&after, 2)
            )
        };
        let switches = self.switches.iter().enumerate();
        let each: Vec<String> = switches.map(|(index, &method)| one(index, method)).collect();
        Verdict {
            answer: count.answer(),
            measured: format!(
                "{}The minima have sharpness {} and non-uniformity {}. Of {} switches {} went as the bounds say: \
                 away where the minimum is beyond one, and otherwise not. Of {} that left, {} settled at a flatter \
                 place within their bounds (up to {:.0} % beyond). {}.",
                none.concat(),
                text(&of(|measured| measured.sharpness.value), 2),
                text(&of(|measured| measured.non_uniformity.value), 2),
                count.switches,
                count.predicted,
                count.left,
                count.settled,
                100.0 * self.tolerance,
                each.join("; "),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::Estimate;
    use crate::training::End;

    fn measured(sharpness: f64, non_uniformity: f64) -> Measured {
        Measured {
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
        }
    }

    fn kind() -> Escape {
        Escape {
            model: "mlp:5".to_owned(),
            data: "builtin".to_owned(),
            start: Method::GradientDescent { learning_rate: 0.2 },
            loss: 1e-4,
            start_steps: 100,
            switches: vec![
                Method::GradientDescent { learning_rate: 0.2 },
                Method::GradientDescent { learning_rate: 0.5 },
            ],
            steps: 10,
            sharpness_every: 5,
            burst: 10.0,
            tolerance: 0.05,
        }
    }

    fn switched(learning_rate: f64, (leaves, left): (bool, bool), end: Option<Measured>) -> Switched {
        let highest = if left { 0.1 } else { 1e-4 };
        Switched {
            bounds: Sgd::new(learning_rate, 100, 100).unwrap(),
            leaves,
            left,
            record: Record {
                end: End::Steps,
                steps: 10,
                loss: 1e-4,
                highest,
                losses: vec![(0.0, 1e-4), (5.0, highest), (10.0, 1e-4)],
                distances: vec![(0.0, 0.0), (10.0, 0.5)],
                sharpness: vec![(0.0, 8.0), (10.0, 4.0)],
            },
            end,
        }
    }

    /// Sharpness 8: stable for a rate of 0.2 (2/η = 10), and not for 0.5 (4).
    fn minimum(seed: u64, switched: Vec<Switched>) -> Minimum {
        Minimum {
            seed,
            steps: 70,
            loss: 1e-4,
            measured: measured(8.0, 30.0),
            switched,
        }
    }

    #[test]
    fn what_leaves_is_to_be_predicted_and_to_settle_where_it_is_flatter() {
        let stays = switched(0.2, (false, false), Some(measured(8.1, 30.0)));
        let settles = switched(0.5, (true, true), Some(measured(4.1, 15.0)));
        let good = minimum(1, vec![stays, settles]);
        assert!(!good.switched[0].has_settled(&good.measured, 0.05));
        assert!(good.switched[1].has_settled(&good.measured, 0.05));
        assert!(!good.switched[1].has_settled(&good.measured, 0.0));
        let goes = switched(0.2, (false, true), Some(measured(9.0, 30.0)));
        let diverges = switched(0.5, (true, true), None);
        let bad = minimum(2, vec![goes, diverges]);
        let count = Count::of(&[good, bad], 0, 0.05);
        let expected = Count {
            lost_starts: 0,
            switches: 4,
            predicted: 3,
            left: 3,
            settled: 1,
        };
        assert_eq!((&count, count.answer()), (&expected, Answer::PartlyShown));
        assert_eq!(Count::of(&[], 1, 0.05).answer(), Answer::NotShown);
    }

    #[test]
    fn the_claim_is_shown_where_something_left_and_every_start_found_a_minimum() {
        let stays = || switched(0.2, (false, false), Some(measured(8.1, 30.0)));
        let settles = || switched(0.5, (true, true), Some(measured(3.9, 15.0)));
        let both = [minimum(1, vec![stays(), settles()])];
        assert_eq!(Count::of(&both, 0, 0.05).answer(), Answer::Shown);
        assert_eq!(Count::of(&both, 1, 0.05).answer(), Answer::PartlyShown);
        let count = Count::of(&[minimum(1, vec![stays()])], 0, 0.05);
        assert_eq!((count.predicted, count.answer()), (1, Answer::NotShown));
    }

    #[test]
    fn bounds_are_of_both_numbers() {
        let point = measured(8.0, 30.0);
        let bounds = |learning_rate, batch_size| Sgd::new(learning_rate, batch_size, 100).unwrap();
        // 2/η = 10, and for s √(B·99/(100 − B))/0.2: 10.2 for 4, 49.7 for 50.
        assert!(point.is_within(bounds(0.2, 100), 0.0) && point.is_within(bounds(0.2, 50), 0.0));
        assert!(!point.is_within(bounds(0.2, 4), 0.0) && !point.is_within(bounds(0.5, 100), 0.0));
        assert!(point.is_within(bounds(0.2, 4), 2.0));
    }

    #[test]
    fn a_page_has_every_method_and_the_first_seeds_curves() {
        let all = || {
            let stays = switched(0.2, (false, false), Some(measured(8.1, 30.0)));
            let lost = switched(0.5, (true, true), None);
            [minimum(1, vec![stays, lost])]
        };
        let found = kind().verdict(&all(), &[]);
        for words in [
            "sharpness 8.00 and non-uniformity 30.00",
            "Of 2 switches 2 went",
            "Of 1 that left, 0 settled",
            "GD, η = 0.2: left 0 of 1, sharpness after 8.10; GD, η = 0.5: left 1 of 1, sharpness after –.",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let rows = kind().table(&all()).rows;
        assert_eq!(
            rows[0][..6],
            ["GD, η = 0.2", "10.0", "none", "0 of 1", "0 of 1", "0 of 1"]
        );
        assert_eq!(rows[1][3..8], ["1 of 1", "1 of 1", "1 of 1", "0.10", "–"]);
        assert_eq!(kind().starts(&all()).rows[0][..3], ["1", "70", "0.000100"]);
        let none = kind().verdict(&[], &["The start does not arrive. ".to_owned()]);
        assert!(none.answer == Answer::NotShown && none.measured.starts_with("The start does not arrive. The minima"));
    }

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
