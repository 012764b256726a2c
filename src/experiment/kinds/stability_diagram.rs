//! Solutions of SGD with batches of several sizes: are their sharpness and their non-uniformity within the bounds of
//! dynamical stability?

mod figures;

use serde::Deserialize;

use super::Experiment;
use super::curves::columns;
use super::dynamical_stability::{
    NON_UNIFORMITY, SHARPNESS, check_end, check_rising, check_tolerance, footnote, settings, text, usual_tolerance,
};
use super::solved::{COLUMNS, Found, methods, on_images};
use crate::error::Result;
use crate::experiment::cost::Descents;
use crate::experiment::descent::{self, Method};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Outcome, Table, Verdict};
use crate::experiment::recipe::Recipe;

/// Sharpness and non-uniformity of the solutions of SGD and gradient descent with one learning rate (Wu et al. Fig. 5
/// and 6), beside what (9) allows them (Fig. 3).
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
    /// Those of them whose search for it converged: one that was cut off found too little, and keeps no bound.
    known: usize,
    within_non_uniformity: usize,
    /// Neighbouring batch sizes of one seed that have both arrived, with a non-uniformity that is known, and those of
    /// which the smaller one has the smaller non-uniformity.
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
                    let is_known = found.known_non_uniformity().is_some();
                    count.known += usize::from(is_known);
                    count.within_non_uniformity += usize::from(is_known && share <= 1.0 + tolerance);
                }
            }
            for pair in family.found.windows(2) {
                if let (Some(smaller), Some(larger)) = (pair[0].known_non_uniformity(), pair[1].known_non_uniformity())
                {
                    count.pairs += 1;
                    count.ordered += usize::from(smaller < larger);
                }
            }
        }
        count
    }

    /// Without a known non-uniformity of SGD, or neighbours to compare, nothing of the claim has been looked at.
    fn answer(&self) -> Answer {
        if self.known == 0 || self.pairs == 0 {
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
        let all = on_images(self.learning_rate, &self.batch_sizes, images)?;
        let mut families = Vec::new();
        for &seed in &recipe.seeds {
            let start = descent::start(&objective, seed)?;
            let (until, from) = ((self.loss, self.steps), format!("seed {seed}"));
            let mut family = Family {
                seed,
                found: Vec::new(),
            };
            for &bounds in &all {
                let found = Found::by(bounds, until, (&start, seed, &from), &objective, laboratory)?;
                family.found.push(found);
            }
            families.push(family);
        }
        let how = format!("η = {} to a train loss of {}", self.learning_rate, self.loss);
        let foot = footnote(&objective, &how, &recipe.seeds);
        Ok(Outcome {
            figures: self.figures(&families, images, &foot)?,
            tables: vec![self.table(&families)],
            verdict: self.verdict(&families),
        })
    }
}

impl StabilityDiagram {
    /// All descents of one seed, with their steps at most.
    fn ways(&self) -> Vec<(Method, usize)> {
        methods(self.learning_rate, &self.batch_sizes)
            .map(|method| (method, self.steps))
            .collect()
    }

    fn table(&self, families: &[Family]) -> Table {
        let row = |seed: u64, found: &Found| {
            let mut row = vec![seed.to_string(), found.name()];
            row.extend(found.row());
            row
        };
        Table {
            caption: format!(
                "Solutions at a train loss of {} with η = {}; the bound of s is √(B(n − 1)/(n − B))/η",
                self.loss, self.learning_rate
            ),
            header: columns(&format!("seed | method | {COLUMNS}")),
            rows: families
                .iter()
                .flat_map(|family| family.found.iter().map(|found| row(family.seed, found)))
                .collect(),
        }
    }

    fn verdict(&self, families: &[Family]) -> Verdict {
        let count = Count::of(families, self.tolerance);
        let methods = families.first().map_or(0, |family| family.found.len());
        let shares: Vec<String> = (0..methods)
            .filter(|&index| families[0].found[index].bounds.non_uniformity_bound().is_finite())
            .map(|index| {
                let of = |family: &Family| {
                    let found = &family.found[index];
                    found.known_non_uniformity().and(found.non_uniformity_share())
                };
                let shares: Vec<f64> = families.iter().filter_map(of).collect();
                format!("{} for {}", text(&shares, 2), families[0].found[index].name())
            })
            .collect();
        Verdict {
            answer: count.answer(),
            measured: format!(
                "Of {} solutions {} have a sharpness of at most 2/η, and of {} of SGD {} a non-uniformity within its \
                 bound, both within {:.0} % (the search for it converged in {}; where it did not, it counts as not \
                 within). Of {} pairs of neighbouring batch sizes that both arrive and have a known non-uniformity \
                 the smaller has the smaller one in {}. As a share of its bound the non-uniformity is {}. That bound \
                 follows from a condition that is sufficient for stability: SGD can be stable beyond it.",
                count.solutions,
                count.within_sharpness,
                count.bounded,
                count.within_non_uniformity,
                100.0 * self.tolerance,
                count.known,
                count.pairs,
                count.ordered,
                shares.join(", "),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
