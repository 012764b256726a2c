//! The line from one solution of a run to another: are they in one basin, and on which side of it?

use serde::Deserialize;

use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::Result;
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Measured, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, PlaceView, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::line::positions;
use crate::landscape::{Curve, Line};
use crate::objective::BatchNormPolicy;

/// A loss between the ends that is higher than both by this share of the curve's range is a bump.
pub(super) const BUMP: f64 = 0.02;

/// From the average (0) to SGD (1), statistics recomputed at every point (arXiv Fig. 8 and 25–27, NeurIPS Fig. 7), and
/// the accuracies of both on train and test images (Table 1 of both versions).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Interpolation {
    /// The run.
    pub run: String,
    /// Positions, first and last.
    #[serde(default = "usual_range")]
    pub range: [f64; 2],
    /// Number of points.
    #[serde(default = "usual_points")]
    pub points: usize,
}

fn usual_range() -> [f64; 2] {
    [-2.0, 3.0]
}

fn usual_points() -> usize {
    41
}

impl Experiment for Interpolation {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, _recipe: &Recipe) -> Result<()> {
        Kind::check_points(self.points, self.range)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        vec![Efforts::of(recipe).lines(&self.run, 1, self.points, BatchNormPolicy::Recompute)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: "Solutions, batch-norm statistics recomputed, their train and test accuracies (Table 1), and \
                      where the losses between them are lowest (SWA is 0, SGD is 1)"
                .to_owned(),
            header: [
                "seed",
                "SWA train loss",
                "SGD train loss",
                "SWA test loss",
                "SGD test loss",
                "SWA train accuracy",
                "SWA test accuracy",
                "SGD train accuracy",
                "SGD test accuracy",
                "train lowest at",
                "test lowest at",
                "bump",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: Vec::new(),
        };
        let (mut shifts, mut gains, mut shown) = (Vec::new(), Vec::new(), 0);
        // As Table 1 has it: SGD ahead on train images, and behind on test images.
        let (mut ahead, mut behind) = (0, 0);
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let [from, to] = [trained.solution(Which::Swa)?, trained.solution(Which::Sgd)?];
            let record = laboratory.line(
                &trained.objective,
                Measured {
                    line: Line::segment(from, to),
                    origin: format!("SWA, {}", trained.folder.path().display()),
                    label: "SWA → SGD".to_owned(),
                    policy: BatchNormPolicy::Recompute,
                    positions: positions(self.range[0], self.range[1], self.points),
                    seed,
                },
            )?;
            let results = trained.folder.record().results;
            let (Some(swa), Some(sgd)) = (results.swa, results.sgd) else {
                return Err(Kind::lacks(&self.run, "SWA and SGD; give it swa-start and sgd-epochs"));
            };
            let curve = &record.curve;
            let lowest = |part| curve.minimum(part).map_or(f64::NAN, |minimum| minimum.position);
            let (train, test, bump) = (lowest(Part::Train), lowest(Part::Test), bump(curve));
            table.rows.push(vec![
                seed.to_string(),
                format!("{:.4}", swa.train.loss),
                format!("{:.4}", sgd.train.loss),
                format!("{:.4}", swa.test.loss),
                format!("{:.4}", sgd.test.loss),
                format!("{:.2} %", 100.0 * swa.train.accuracy),
                format!("{:.2} %", 100.0 * swa.test.accuracy),
                format!("{:.2} %", 100.0 * sgd.train.accuracy),
                format!("{:.2} %", 100.0 * sgd.test.accuracy),
                format!("{train:+.2}"),
                format!("{test:+.2}"),
                bump_text(bump),
            ]);
            shifts.push(test - train);
            gains.push(sgd.test.loss - swa.test.loss);
            ahead += usize::from(sgd.train.accuracy > swa.train.accuracy);
            behind += usize::from(sgd.test.accuracy < swa.test.accuracy);
            let higher_train = swa.train.loss > sgd.train.loss;
            shown += usize::from(higher_train && swa.test.loss < sgd.test.loss && bump <= BUMP);
            outcome.figures.push(Figure {
                name: format!("interpolation-seed{seed}"),
                title: format!("SWA to SGD, seed {seed}"),
                content: Content::Interpolation {
                    names: ["SWA", "SGD"].map(str::to_owned),
                    record: Box::new(record),
                },
                place: trained.place(
                    Which::Swa,
                    PlaceView::Interpolation,
                    BatchNormPolicy::Recompute,
                    self.range[1],
                ),
            });
        }
        outcome.tables.push(table);
        outcome.verdict = Verdict {
            answer: Answer::of(shown, recipe.seeds.len()),
            measured: format!(
                "For {shown} of {} seeds SWA has the higher train loss and the lower test loss with no bump between it \
                 and SGD. The test loss is lowest {} of the way from SWA to SGD away from where the train loss is \
                 (negative: nearer to SWA); SWA's test loss is lower than SGD's by {}. SGD has the higher train \
                 accuracy for {ahead} and the lower test accuracy for {behind} of the seeds.",
                recipe.seeds.len(),
                spread_text(&shifts, 2),
                spread_text(&gains, 4),
            ),
        };
        Ok(outcome)
    }
}

/// How far the train loss between the ends rises over the line that joins them, as a share of the curve's range.
pub(super) fn bump(curve: &Curve) -> f64 {
    let losses: Vec<(f64, f64)> = curve.losses(Part::Train).filter(|(_, loss)| loss.is_finite()).collect();
    let at = |position: f64| curve.at(position).map_or(f64::NAN, |value| value.train.loss);
    let (start, end) = (at(0.0), at(1.0));
    let (low, high) = losses
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, loss)| {
            (low.min(*loss), high.max(*loss))
        });
    let over = losses
        .iter()
        .filter(|(position, _)| (0.0..=1.0).contains(position))
        .map(|(position, loss)| loss - (start + position * (end - start)))
        .fold(0.0, f64::max);
    over / (high - low).max(f64::MIN_POSITIVE)
}

/// A bump for a table.
pub(super) fn bump_text(bump: f64) -> String {
    if bump > BUMP {
        format!("{:.1} %", 100.0 * bump)
    } else {
        "none".to_owned()
    }
}
