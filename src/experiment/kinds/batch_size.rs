//! From a solution of large batches to the one that small batches make of it: one basin, and another side of it?

use std::sync::Arc;

use serde::Deserialize;

use super::bump::{BUMP, bump, bump_text, bumps_text, check_between};
use super::defaults::few_points;
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Measured, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::Line;
use crate::landscape::line::positions;
use crate::objective::{BatchNormPolicy, Measurement};

/// From the last iterate of large batches (0) to that of small batches (1), statistics recomputed at every point (arXiv
/// Fig. 10).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BatchSize {
    /// The run with large batches.
    pub large: String,
    /// The run with small batches; for the paper's experiment it starts from the other.
    pub small: String,
    /// Positions, first and last.
    #[serde(default = "usual_range")]
    pub range: [f64; 2],
    /// Number of points.
    #[serde(default = "few_points")]
    pub points: usize,
}

fn usual_range() -> [f64; 2] {
    [-0.5, 1.5]
}

/// How many seeds bear out each part of the claim, and all of them.
#[derive(Default)]
struct Count {
    worse_train: usize,
    better_test: usize,
    no_bump: usize,
    all: usize,
}

impl Experiment for BatchSize {
    fn runs(&self) -> Vec<&str> {
        vec![&self.large, &self.small]
    }

    fn check(&self, _recipe: &Recipe) -> Result<()> {
        Kind::check_points(self.points, self.range)?;
        check_between(self.range)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        vec![Efforts::of(recipe).lines(&self.small, 1, self.points, BatchNormPolicy::Recompute)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let names = ["large batches", "small batches"].map(str::to_owned);
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: "Last iterates, batch-norm statistics recomputed, and the bump between them: how far the train \
                      loss rises above the straight line that joins them, as a share of the basin's height"
                .to_owned(),
            header: [
                "seed",
                "large: train loss",
                "small: train loss",
                "large: test loss",
                "small: test loss",
                "large: train accuracy",
                "small: train accuracy",
                "large: test accuracy",
                "small: test accuracy",
                "bump",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: Vec::new(),
        };
        let (mut pairs, mut bumps, mut count) = (Vec::new(), Vec::new(), Count::default());
        for &seed in &recipe.seeds {
            let large = laboratory.trained(recipe, &self.large, seed)?;
            let small = laboratory.trained(recipe, &self.small, seed)?;
            // The laboratory opens each model on each data set once.
            if !Arc::ptr_eq(&large.objective, &small.objective) {
                return Err(Error::Request(format!(
                    "the runs `{}` and `{}` differ in model or data: no line joins them",
                    self.large, self.small
                )));
            }
            let record = laboratory.line(
                &large.objective,
                Measured {
                    line: Line::segment(large.solution(Which::Last)?, small.solution(Which::Last)?),
                    origin: format!("large batches, {}", large.folder.path().display()),
                    label: "large batches → small batches".to_owned(),
                    policy: BatchNormPolicy::Recompute,
                    positions: positions(self.range[0], self.range[1], self.points),
                    seed,
                },
            )?;
            let last = |name: &str, measured: Option<Measurement>| {
                measured.ok_or_else(|| Kind::lacks(name, "measured last iterate"))
            };
            let pair = [
                last(&self.large, large.folder.record().results.last)?,
                last(&self.small, small.folder.record().results.last)?,
            ];
            let height = bump(&record.curve);
            table.rows.push(row(seed, &pair, height));
            count.enter(&pair, height);
            pairs.push(pair);
            bumps.push(height);
            outcome.figures.push(Figure {
                name: format!("batch-size-seed{seed}"),
                title: format!("Large batches to small batches, seed {seed}"),
                content: Content::Interpolation {
                    names: names.clone(),
                    record: Box::new(record),
                },
                place: None,
            });
        }
        outcome.tables.push(table);
        let percent = |accuracy: fn(&Measurement) -> f64, which: usize| {
            let values: Vec<f64> = pairs.iter().map(|pair| 100.0 * accuracy(&pair[which])).collect();
            spread_text(&values, 2)
        };
        let (train, test) = (|m: &Measurement| m.train.accuracy, |m: &Measurement| m.test.accuracy);
        let all = recipe.seeds.len();
        outcome.verdict = Verdict {
            answer: Answer::of(count.all, all),
            measured: format!(
                "For {} of {all} seeds small batches have the lower train accuracy and the higher test accuracy with \
                 no bump on the way ({} of {all}, {} of {all} and {} of {all} each for itself). Train accuracy is {} % \
                 after large batches and {} % after small ones, test accuracy {} % and {} %; the bump is {} of the \
                 basin's height (up to {:.0} % counts as none).",
                count.all,
                count.worse_train,
                count.better_test,
                count.no_bump,
                percent(train, 0),
                percent(train, 1),
                percent(test, 0),
                percent(test, 1),
                bumps_text(&bumps),
                100.0 * BUMP,
            ),
        };
        Ok(outcome)
    }
}

impl Count {
    fn enter(&mut self, [large, small]: &[Measurement; 2], bump: f64) {
        let worse_train = small.train.accuracy < large.train.accuracy;
        let better_test = small.test.accuracy > large.test.accuracy;
        let no_bump = bump <= BUMP;
        self.worse_train += usize::from(worse_train);
        self.better_test += usize::from(better_test);
        self.no_bump += usize::from(no_bump);
        self.all += usize::from(worse_train && better_test && no_bump);
    }
}

fn row(seed: u64, [large, small]: &[Measurement; 2], bump: f64) -> Vec<String> {
    let loss = |value: f64| format!("{value:.4}");
    let percent = |value: f64| format!("{:.2} %", 100.0 * value);
    vec![
        seed.to_string(),
        loss(large.train.loss),
        loss(small.train.loss),
        loss(large.test.loss),
        loss(small.test.loss),
        percent(large.train.accuracy),
        percent(small.train.accuracy),
        percent(large.test.accuracy),
        percent(small.test.accuracy),
        bump_text(bump),
    ]
}
