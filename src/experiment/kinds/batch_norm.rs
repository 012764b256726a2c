//! What averaging gains with batch norm, and without.

use serde::Deserialize;

use super::Experiment;
use super::checks::check_solution;
use super::effort::Efforts;
use crate::error::{Error, Result};
use crate::experiment::averages::{self, EpochAccuracies, SGD};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Table, Verdict, spread, spread_text};
use crate::experiment::recipe::Recipe;

/// Two networks that differ in batch norm, both averaged from an epoch; test accuracy by epoch (arXiv Fig. 14).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BatchNorm {
    /// The run with batch norm.
    pub with: String,
    /// The run without.
    pub without: String,
}

/// Index of the average among the accuracies of an epoch.
const AVERAGE: usize = 1;

impl Experiment for BatchNorm {
    fn runs(&self) -> Vec<&str> {
        vec![&self.with, &self.without]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_solution(recipe, &self.with, Which::Swa)?;
        check_solution(recipe, &self.without, Which::Swa)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let efforts = Efforts::of(recipe);
        vec![efforts.averages(&self.with, 1), efforts.averages(&self.without, 1)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let (mut starts, mut footnote) = (Vec::new(), String::new());
        for &seed in &recipe.seeds {
            for (name, has_batch_norm, runs) in [(&self.with, true, &mut with), (&self.without, false, &mut without)] {
                let trained = laboratory.trained(recipe, name, seed)?;
                let graph = trained.objective.graph();
                if (graph.statistics_count() > 0) != has_batch_norm {
                    let what = if has_batch_norm { "no batch norm" } else { "batch norm" };
                    return Err(Error::Request(format!("the network of the run `{name}` has {what}")));
                }
                runs.push(averages::follow(laboratory, &trained, name, &[averages::all(graph)])?);
                starts.push(trained.folder.record().options.swa_start);
                if has_batch_norm {
                    footnote = averages::footnote(&trained, &recipe.seeds);
                }
            }
        }
        let mut outcome = Outcome::empty();
        outcome.tables.push(table(&recipe.seeds, &with, &without));
        outcome.verdict = verdict(&with, &without);
        outcome.figures.push(Figure {
            name: "batch-norm".to_owned(),
            title: "Averaging with batch norm and without".to_owned(),
            content: Content::Chart {
                x_label: averages::EPOCH_AXIS.to_owned(),
                y_label: averages::ACCURACY_AXIS.to_owned(),
                series: vec![
                    averages::series("SGD, with batch norm", &with, SGD),
                    averages::series("average, with batch norm", &with, AVERAGE),
                    averages::series("SGD, without", &without, SGD),
                    averages::series("average, without", &without, AVERAGE),
                ],
                marks: averages::marks(&starts),
                footnote: format!("{footnote}; without batch norm from the run `{}`", self.without),
            },
            place: None,
        });
        Ok(outcome)
    }
}

/// What averaging gains over SGD in late epochs, in percentage points.
fn gain(rows: &[EpochAccuracies]) -> f64 {
    100.0 * (averages::late(rows, AVERAGE) - averages::late(rows, SGD))
}

fn table(seeds: &[u64], with: &[Vec<EpochAccuracies>], without: &[Vec<EpochAccuracies>]) -> Table {
    let mut rows = Vec::new();
    for ((seed, with), without) in seeds.iter().zip(with).zip(without) {
        for (name, run) in [("with", with), ("without", without)] {
            let mut cells = vec![seed.to_string(), name.to_owned()];
            for accuracy in [averages::final_accuracy, averages::late] {
                cells.extend([SGD, AVERAGE].map(|number| format!("{:.2}", 100.0 * accuracy(run, number))));
            }
            cells.push(format!("{:+.2}", gain(run)));
            rows.push(cells);
        }
    }
    Table {
        caption: "Test accuracy in %, batch-norm statistics recomputed, at the last epoch and as the mean over the \
                  later half of the averaged epochs"
            .to_owned(),
        header: [
            "seed",
            "batch norm",
            "SGD, last epoch",
            "average, last epoch",
            "SGD, late epochs",
            "average, late epochs",
            "gain in late epochs (points)",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows,
    }
}

fn verdict(with: &[Vec<EpochAccuracies>], without: &[Vec<EpochAccuracies>]) -> Verdict {
    let gains = |runs: &[Vec<EpochAccuracies>]| -> Vec<f64> { runs.iter().map(|rows| gain(rows)).collect() };
    let [with, without] = [with, without].map(gains);
    let differences: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
    let larger = differences.iter().filter(|&&difference| difference > 0.0).count();
    let pairs = with.iter().zip(&without);
    // A loss that is smaller with batch norm is no gain.
    let shown = pairs
        .filter(|&(&with, &without)| without > 0.0 && with > without)
        .count();
    let (change_with, change_without) = (
        change(&with, ["raises", "lowers"]),
        change(&without, ["raises", "lowers"]),
    );
    let difference = change(&differences, ["higher", "lower"]);
    Verdict {
        answer: Answer::of(shown, differences.len()),
        measured: format!(
            "Averaging {} test accuracy by {} percentage points with batch norm, and {} it by {} without (means over \
             the later half of the averaged epochs). With batch norm the change is {} by {}, and for {larger} of {} \
             seeds it is the higher one; both are gains and the one with batch norm is the larger for {shown}.",
            change_with.0,
            change_with.1,
            change_without.0,
            change_without.1,
            difference.0,
            difference.1,
            differences.len(),
        ),
    }
}

/// The word for a change upwards or for one downwards, whichever the mean is, and how large it is: a gain below 0 is
/// told as a loss.
fn change(values: &[f64], [up, down]: [&'static str; 2]) -> (&'static str, String) {
    if spread(values).0 < 0.0 {
        let lost: Vec<f64> = values.iter().map(|value| -value).collect();
        return (down, spread_text(&lost, 2));
    }
    (up, spread_text(values, 2))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    #[test]
    fn the_network_that_gains_more_decides() {
        let run = |sgd: f64, average: f64| {
            vec![EpochAccuracies {
                epoch: 1,
                accuracies: vec![sgd, average],
            }]
        };
        let (much, little) = (run(0.5, 0.75), run(0.5, 0.625));
        assert_eq!(gain(&much), 25.0);
        assert_eq!(verdict(from_ref(&much), from_ref(&little)).answer, Answer::Shown);
        assert_eq!(verdict(from_ref(&little), from_ref(&much)).answer, Answer::NotShown);
        // The claim is of two gains: losing less is not one, nor is gaining with batch norm alone.
        let (less, none) = (run(0.5, 0.375), run(0.5, 0.25));
        for (with, without) in [(&less, &none), (&much, &none)] {
            assert_eq!(verdict(from_ref(with), from_ref(without)).answer, Answer::NotShown);
        }
        let measured = verdict(from_ref(&less), from_ref(&none)).measured;
        for words in ["lowers test accuracy by 12.50", "lowers it by 25.00", "higher by 12.50"] {
            assert!(measured.contains(words), "{words}: {measured}");
        }
        assert!(!measured.contains('-'), "{measured}");
    }
}
