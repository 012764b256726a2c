//! Which parameters gain from being averaged: batch norm's, as many others, or all.

use serde::Deserialize;

use super::checks::check_solution;
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::error::{Error, Result};
use crate::experiment::averages::{self, EpochAccuracies, SGD};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Table, Verdict, spread, spread_text};
use crate::experiment::recipe::Recipe;

/// Averages of some parameters only, the others from the current iterate; test accuracy by epoch (arXiv Fig. 13).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AveragedParameters {
    /// The run; its network has batch norm, and it is averaged.
    pub run: String,
    /// How often as many other parameters are drawn for each seed; their mean accuracy is shown.
    #[serde(default = "usual_draws")]
    pub draws: u32,
}

fn usual_draws() -> u32 {
    3
}

/// More draws than tell anything new.
const MOST_DRAWS: u32 = 50;

// Beside SGD itself, where the accuracies of an epoch are when the draws are pooled.
const BATCH_NORM: usize = 1;
const OTHERS: usize = 2;
const ALL: usize = 3;

/// Names of the four, in the order of those numbers.
const NAMES: [&str; 4] = ["SGD", "batch norm averaged", "as many others averaged", "all averaged"];

impl Experiment for AveragedParameters {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        if !(1..=MOST_DRAWS).contains(&self.draws) {
            return Err(Error::option(
                "draws",
                self.draws,
                format!("it must be from 1 to {MOST_DRAWS}"),
            ));
        }
        check_solution(recipe, &self.run, Which::Swa)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        vec![Efforts::of(recipe).averages(&self.run, 2 + self.draws)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let (mut runs, mut marks, mut footnote, mut share) = (Vec::new(), Vec::new(), String::new(), 0.0);
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let graph = trained.objective.graph();
            if graph.batch_norm_parameter_count() == 0 {
                return Err(Kind::lacks(
                    &self.run,
                    "batch norm, whose parameters are to be averaged",
                ));
            }
            let mut masks = vec![averages::batch_norm(graph), averages::all(graph)];
            masks.extend((0..self.draws).map(|draw| averages::as_many_others(graph, seed, draw)));
            let rows = averages::follow(laboratory, &trained, &self.run, &masks)?;
            runs.push(rows.into_iter().map(pooled).collect::<Vec<_>>());
            marks = averages::marks(&[trained.folder.record().options.swa_start]);
            footnote = averages::footnote(&trained, &recipe.seeds);
            share = 100.0 * graph.batch_norm_parameter_count() as f64 / graph.parameter_count() as f64;
        }
        let mut outcome = Outcome::empty();
        outcome.tables.push(table(&recipe.seeds, &runs, self.draws));
        outcome.verdict = verdict(&runs, share);
        outcome.figures.push(Figure {
            name: "averaged-parameters".to_owned(),
            title: "Averages of some parameters only".to_owned(),
            content: Content::Chart {
                x_label: averages::EPOCH_AXIS.to_owned(),
                y_label: averages::ACCURACY_AXIS.to_owned(),
                series: NAMES
                    .iter()
                    .enumerate()
                    .map(|(number, name)| averages::series(name, &runs, number))
                    .collect(),
                marks,
                footnote,
            },
            place: None,
        });
        Ok(outcome)
    }
}

/// The draws differ by chance only: their mean stands for them.
fn pooled(row: EpochAccuracies) -> EpochAccuracies {
    let accuracies = match row.accuracies.as_slice() {
        [sgd, batch_norm, all, draws @ ..] => vec![*sgd, *batch_norm, spread(draws).0, *all],
        before_averaging => before_averaging.to_vec(),
    };
    EpochAccuracies {
        epoch: row.epoch,
        accuracies,
    }
}

fn table(seeds: &[u64], runs: &[Vec<EpochAccuracies>], draws: u32) -> Table {
    let columns = |when: &str| NAMES.map(|name| format!("{name}, {when}"));
    let mut header = vec!["seed".to_owned()];
    header.extend(columns("last epoch"));
    header.extend(columns("late epochs"));
    let row = |(seed, rows): (&u64, &Vec<EpochAccuracies>)| {
        let percent = |accuracy: f64| format!("{:.2}", 100.0 * accuracy);
        let mut cells = vec![seed.to_string()];
        cells.extend((0..NAMES.len()).map(|number| percent(averages::final_accuracy(rows, number))));
        cells.extend((0..NAMES.len()).map(|number| percent(averages::late(rows, number))));
        cells
    };
    Table {
        caption: format!(
            "Test accuracy in %, batch-norm statistics recomputed, at the last epoch and as the mean over the later half \
             of the averaged epochs; as many others are the mean of {draws} draws"
        ),
        header,
        rows: seeds.iter().zip(runs).map(row).collect(),
    }
}

fn verdict(runs: &[Vec<EpochAccuracies>], share: f64) -> Verdict {
    let ordered = |accuracy: fn(&[EpochAccuracies], usize) -> f64| {
        let in_order = |rows: &&Vec<EpochAccuracies>| {
            let [sgd, others, batch_norm, all] = [SGD, OTHERS, BATCH_NORM, ALL].map(|number| accuracy(rows, number));
            sgd < batch_norm && others < batch_norm && batch_norm < all
        };
        runs.iter().filter(in_order).count()
    };
    // In percentage points.
    let difference = |a: usize, b: usize| {
        let values: Vec<f64> = runs
            .iter()
            .map(|rows| 100.0 * (averages::late(rows, a) - averages::late(rows, b)))
            .collect();
        spread_text(&values, 2)
    };
    let late = ordered(averages::late);
    Verdict {
        answer: Answer::of(late, runs.len()),
        measured: format!(
            "Averaging batch norm alone ({share:.1} % of the parameters) changes SGD's test accuracy by {} percentage \
             points, averaging as many others by {}, and averaging all by {} (means over the later half of the averaged \
             epochs). Batch norm alone is ahead of the others by {} and behind all by {}. It gains over SGD, and the \
             order others < batch norm < all holds, for {late} of {} seeds over those epochs, and for {} at the last \
             epoch.",
            difference(BATCH_NORM, SGD),
            difference(OTHERS, SGD),
            difference(ALL, SGD),
            difference(BATCH_NORM, OTHERS),
            difference(ALL, BATCH_NORM),
            runs.len(),
            ordered(averages::final_accuracy),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, accuracies: &[f64]) -> EpochAccuracies {
        EpochAccuracies {
            epoch,
            accuracies: accuracies.to_vec(),
        }
    }

    #[test]
    fn draws_are_pooled_and_what_comes_before_averaging_stays() {
        assert_eq!(pooled(row(3, &[0.5])), row(3, &[0.5]));
        let measured = row(4, &[0.5, 0.625, 0.75, 0.25, 0.5]);
        assert_eq!(pooled(measured), row(4, &[0.5, 0.625, 0.375, 0.75]));
    }

    #[test]
    fn the_order_is_judged_by_late_epochs() {
        let in_order = vec![row(1, &[0.5, 0.5, 0.5, 0.5]), row(2, &[0.5, 0.7, 0.6, 0.8])];
        let reversed = vec![row(1, &[0.5, 0.5, 0.5, 0.5]), row(2, &[0.5, 0.6, 0.7, 0.8])];
        assert_eq!(
            verdict(&[in_order.clone(), in_order.clone()], 1.0).answer,
            Answer::Shown
        );
        assert_eq!(verdict(&[in_order, reversed.clone()], 1.0).answer, Answer::PartlyShown);
        assert_eq!(verdict(&[reversed], 1.0).answer, Answer::NotShown);
        // In order, but batch norm alone loses: there is no gain to compare.
        let lost = vec![row(2, &[0.75, 0.7, 0.6, 0.8])];
        assert_eq!(verdict(&[lost], 1.0).answer, Answer::NotShown);
    }
}
