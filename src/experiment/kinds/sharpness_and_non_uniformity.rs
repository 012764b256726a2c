//! Many solutions, of several learning rates, batch sizes and initial weights: is their non-uniformity proportional to
//! their sharpness, and do the flatter ones generalise better?

mod figures;

use serde::Deserialize;

use super::Experiment;
use super::checks::check_positive;
use super::convexity::Bounds;
use super::correlation::{FEWEST, Interval, Line, RESAMPLES, correlation, rank_correlation};
use super::dynamical_stability::{NON_UNIFORMITY, SHARPNESS, check_end, check_rising, footnote, settings};
use super::solved::{Found, Solved, methods, on_images};
use crate::error::Result;
use crate::experiment::cost::Descents;
use crate::experiment::descent::{self, Method};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Outcome, Verdict, significant};
use crate::experiment::recipe::Recipe;
use crate::training::End;

/// How far from 1 the slope of log s on log a may be where they are roughly proportional.
const NEAR: f64 = 0.2;
/// The least correlation of log s and log a where they are.
const STRONG: f64 = 0.8;

/// Sharpness, non-uniformity and test accuracy of the solutions of all combinations of learning rates, batch sizes and
/// initial scales (Wu et al. Fig. 7, the last column of Fig. 8, and with one rate Fig. 6).
///
/// Descents start from v times a seed's usual initial weights. Those of a linear layer and its biases are then
/// U[−v/√n_in, v/√n_in], as in the paper. Those of a k×k convolution are normal with a deviation of v·√(2/(k²·n_out)),
/// and its biases are 0, while PyTorch's are U[−v/(k·√n_in), v/(k·√n_in)]: of the same deviation where their v is
/// √(6·n_in/n_out) times as large.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharpnessAndNonUniformity {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Learning rates η, in rising order.
    pub learning_rates: Vec<f64>,
    /// Batch sizes B of SGD, in rising order, each below the number of train images. Gradient descent comes last by
    /// itself.
    pub batch_sizes: Vec<usize>,
    /// v, by which the usual initial weights are multiplied, in rising order.
    pub initial_scales: Vec<f64>,
    /// Train loss at which a descent has arrived.
    pub loss: f64,
    /// Steps at most.
    pub steps: usize,
}

/// What one combination came to from one seed's weights.
struct Tried {
    seed: u64,
    /// v.
    scale: f64,
    found: Found,
}

/// What all solutions say of the claim.
#[derive(Debug, Default, PartialEq)]
struct Relations {
    /// Log s by log a, where its slope has an interval.
    line: Option<Line>,
    slope: Option<Interval>,
    /// Pearson's, of log s and log a.
    correlation: Option<Interval>,
    /// Spearman's, of a and the test accuracy.
    generalisation: Option<Interval>,
}

impl Relations {
    /// Of what stands start by start. A non-uniformity whose search was cut off is too small, and left out.
    fn of(tried: &[Tried]) -> Self {
        let seed = first_seed(tried);
        let logarithms = by_start(tried, |solved| {
            let known = solved.non_uniformity.converged;
            known.then(|| (solved.sharpness.value.ln(), solved.non_uniformity.value.ln()))
        });
        let accuracies = by_start(tried, |solved| Some((solved.sharpness.value, solved.accuracy)));
        let slope = Interval::of(&logarithms, |x, y| Line::through(x, y).slope, seed);
        let (x, y): (Vec<f64>, Vec<f64>) = logarithms.iter().flatten().copied().unzip();
        Self {
            line: slope.map(|_| Line::through(&x, &y)),
            slope,
            correlation: Interval::of(&logarithms, correlation, seed),
            generalisation: Interval::of(&accuracies, rank_correlation, seed),
        }
    }

    /// The parts of the claim: a slope near 1, a strong correlation, and accuracies that fall with the sharpness. Each
    /// holds where all of its interval says so: of few starts none does.
    fn parts(&self) -> [bool; 3] {
        let holds = |interval: Option<Interval>, low: f64, high: f64| {
            interval.is_some_and(|interval| interval.is_within(low, high))
        };
        [
            holds(self.slope, 1.0 - NEAR, 1.0 + NEAR),
            holds(self.correlation, STRONG, 1.0),
            self.generalisation.is_some_and(|interval| interval.high < 0.0),
        ]
    }

    fn answer(&self) -> Answer {
        let parts = self.parts();
        Answer::of(parts.iter().filter(|&&part| part).count(), parts.len())
    }
}

/// Those that have arrived.
fn solutions(tried: &[Tried]) -> impl Iterator<Item = &Solved> {
    tried.iter().filter_map(|one| one.found.solution.as_ref())
}

/// A pair of numbers of every solution that has them, together with those from the same weights, a seed's times v.
fn by_start(tried: &[Tried], pair: fn(&Solved) -> Option<(f64, f64)>) -> Vec<Vec<(f64, f64)>> {
    let starts = tried.chunk_by(|one, next| (one.seed, one.scale) == (next.seed, next.scale));
    starts
        .map(|start| solutions(start).filter_map(pair).collect())
        .collect()
}

/// The seed of the resamples.
fn first_seed(tried: &[Tried]) -> u64 {
    tried.first().map_or(0, |one| one.seed)
}

impl Experiment for SharpnessAndNonUniformity {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_rising("learning-rates", &self.learning_rates)?;
        check_rising("batch-sizes", &self.batch_sizes)?;
        check_rising("initial-scales", &self.initial_scales)?;
        for &scale in &self.initial_scales {
            check_positive("initial-scales", scale)?;
        }
        for (method, _) in self.ways() {
            method.check()?;
        }
        check_end(self.loss, ("steps", self.steps))
    }

    fn descents(&self) -> Option<Descents<'_>> {
        let ways: Vec<(Method, usize)> = std::iter::repeat_n(self.ways(), self.initial_scales.len())
            .flatten()
            .collect();
        Some(Descents {
            model: &self.model,
            data: &self.data,
            gradients: ways.len() as f64 * (SHARPNESS + NON_UNIFORMITY),
            ways,
        })
    }

    fn settings(&self) -> Vec<[String; 2]> {
        let mut rows = settings(&self.model, &self.data, &self.ways());
        rows.push([
            "each from the usual initial weights times".to_owned(),
            list(&self.initial_scales),
        ]);
        rows.push(["has arrived at a train loss of".to_owned(), self.loss.to_string()]);
        rows
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let objective = laboratory.objective(&self.model, &self.data)?;
        let images = objective.data().train.len();
        let mut all = Vec::new();
        for &learning_rate in &self.learning_rates {
            all.extend(on_images(learning_rate, &self.batch_sizes, images)?);
        }
        let until = (self.loss, self.steps);
        let mut tried = Vec::new();
        for &seed in &recipe.seeds {
            let usual = descent::start(&objective, seed)?;
            for &scale in &self.initial_scales {
                let mut start = usual.clone();
                for weight in &mut start.parameters {
                    *weight *= scale as f32;
                }
                let from = format!("seed {seed}, v = {scale}");
                for &bounds in &all {
                    let found = Found::by(bounds, until, (&start, seed, &from), &objective, laboratory)?;
                    tried.push(Tried { seed, scale, found });
                }
            }
        }
        let relations = Relations::of(&tried);
        let how = format!(
            "η = {}; v = {}; to a train loss of {}",
            list(&self.learning_rates),
            list(&self.initial_scales),
            self.loss
        );
        let foot = footnote(&objective, &how, &recipe.seeds);
        Ok(Outcome {
            figures: figures::figures(&tried, relations.line, &foot),
            tables: vec![figures::table(&tried, self.loss)],
            verdict: self.verdict(&tried, &relations),
        })
    }
}

impl SharpnessAndNonUniformity {
    /// All descents from one seed's weights, with their steps at most.
    fn ways(&self) -> Vec<(Method, usize)> {
        let rates = self.learning_rates.iter();
        let all = rates.flat_map(|&learning_rate| methods(learning_rate, &self.batch_sizes));
        all.map(|method| (method, self.steps)).collect()
    }

    fn verdict(&self, tried: &[Tried], relations: &Relations) -> Verdict {
        let ended = |end: End| tried.iter().filter(|one| one.found.end == end).count();
        let (arrived, diverged) = (ended(End::Loss), ended(End::Diverged));
        let counted = format!(
            "Of {} descents {arrived} arrive and are counted (diverged: {diverged}, not there after {} steps: {}).",
            tried.len(),
            self.steps,
            tried.len() - arrived - diverged,
        );
        let starts = by_start(tried, |solved| Some((solved.sharpness.value, solved.accuracy)));
        let said = match starts.iter().filter(|start| !start.is_empty()).count() < FEWEST {
            true => format!(
                "Solutions from fewer than {FEWEST} starts, a seed and a v each, say nothing: name more `seeds` or \
                 `initial-scales`."
            ),
            false => told(tried, relations),
        };
        Verdict {
            answer: relations.answer(),
            measured: format!("{counted} {said}"),
        }
    }
}

/// What was measured of each part of the claim, and over which range.
fn told(tried: &[Tried], relations: &Relations) -> String {
    let range = |value: fn(&Solved) -> f64| Bounds::of(&solutions(tried).map(value).collect::<Vec<_>>());
    let known = solutions(tried).filter(|solved| solved.non_uniformity.converged);
    let ratios = known.map(|solved| solved.non_uniformity.value / solved.sharpness.value);
    let ratio = Bounds::of(&ratios.collect::<Vec<_>>());
    let sharpness = range(|solved| solved.sharpness.value);
    let accuracy = range(|solved| 100.0 * solved.accuracy);
    let interval = |found: Option<Interval>| found.map_or_else(|| "–".to_owned(), |found| found.to_string());
    let [is_near, is_strong, is_falling] = relations.parts().map(|holds| match holds {
        true => "shown",
        false => "not shown",
    });
    let rough = solutions(tried)
        .filter(|solved| !solved.non_uniformity.converged)
        .count();
    let unsure = match rough {
        0 => String::new(),
        _ => format!(" The non-uniformity of {rough} has not converged, and is left out."),
    };
    format!(
        "Their sharpness a is {} to {}, and s/a {:.2} to {:.2}. The slope of log s by log a is {}; that it is within \
         {NEAR} of 1, as of what is proportional, is {is_near}. The correlation of both is {}; that it is {STRONG} or \
         more is {is_strong}. Test accuracies are {:.1} to {:.1} %, and their rank correlation with a is {}; that it \
         is below 0, so that flatter solutions generalise better, is {is_falling}. In brackets are intervals of 95 %, \
         and shown is what holds for all of one: percentiles of {RESAMPLES} resamples, drawn with seed {}, of whole \
         starts, a seed and a v each, as solutions from one start are not independent.{unsure}",
        significant(sharpness.minimum, 3),
        significant(sharpness.maximum, 3),
        ratio.minimum,
        ratio.maximum,
        interval(relations.slope),
        interval(relations.correlation),
        accuracy.minimum,
        accuracy.maximum,
        interval(relations.generalisation),
        first_seed(tried),
    )
}

/// Numbers with commas between them.
fn list(numbers: &[f64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
    numbers.join(", ")
}

#[cfg(test)]
mod tests;
