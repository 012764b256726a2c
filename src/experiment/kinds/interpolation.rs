//! The line from one solution of a run to another: are they in one basin, and on which side of it?

use serde::Deserialize;

use super::bump::{BUMP, bump, bump_text, check_between};
use super::checks::check_solution;
use super::defaults::usual_points;
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

impl Experiment for Interpolation {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        Kind::check_points(self.points, self.range)?;
        check_between(self.range)?;
        check_solution(recipe, &self.run, Which::Sgd)
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
        let (mut shifts, mut gains, mut shown) = (Vec::<Option<f64>>::new(), Vec::new(), 0);
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
            let bump = bump(curve);
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
                lowest_text(curve, Part::Train),
                lowest_text(curve, Part::Test),
                bump_text(bump),
            ]);
            shifts.push(curve.shift());
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
                 and SGD. {} SGD's test loss less SWA's is {}. SGD has the higher train accuracy for {ahead} and the \
                 lower test accuracy for {behind} of the seeds.",
                recipe.seeds.len(),
                shifts_text(&shifts),
                spread_text(&gains, 4),
            ),
        };
        Ok(outcome)
    }
}

/// Where a loss is lowest, for a table; the valley's floor may lie beyond what was measured.
fn lowest_text(curve: &Curve, part: Part) -> String {
    curve.minimum(part).map_or("none".to_owned(), |minimum| {
        let edge = if minimum.at_edge { " (the edge)" } else { "" };
        format!("{:+.2}{edge}", minimum.position)
    })
}

/// How far the two minima lie apart, of the seeds that tell.
fn shifts_text(shifts: &[Option<f64>]) -> String {
    let known: Vec<f64> = shifts.iter().copied().flatten().collect();
    let unknown = match shifts.len() - known.len() {
        0 => String::new(),
        count => format!(" For {count} of the seeds a loss is lowest at the edge, and there is nothing to tell."),
    };
    if known.is_empty() {
        return unknown.trim_start().to_owned();
    }
    format!(
        "The test loss is lowest {} of the way from SWA to SGD away from where the train loss is (negative: nearer to \
         SWA).{unknown}",
        spread_text(&known, 2)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Measurement, Quality};

    /// Parabolas with their lowest losses at two positions.
    fn curve(train: f64, test: f64) -> Curve {
        let positions = positions(-2.0, 3.0, 41);
        let quality = |loss| Quality { loss, accuracy: 0.5 };
        let measured = |&position: &f64| {
            Some(Measurement {
                train: quality((position - train).powi(2)),
                test: quality((position - test).powi(2)),
            })
        };
        Curve {
            values: positions.iter().map(measured).collect(),
            positions,
        }
    }

    #[test]
    fn a_minimum_at_the_edge_is_no_minimum_to_measure_a_shift_from() {
        let (inside, outside) = (curve(0.5, -0.25), curve(0.5, -4.0));
        assert_eq!((inside.shift(), outside.shift()), (Some(-0.75), None));
        assert_eq!(lowest_text(&inside, Part::Test), "-0.25");
        assert_eq!(lowest_text(&outside, Part::Test), "-2.00 (the edge)");
        let told = shifts_text(&[inside.shift(), outside.shift()]);
        assert!(
            told.contains("lowest -0.75 of the way") && told.contains("For 1 of the seeds"),
            "{told}"
        );
        let told = shifts_text(&[None, None]);
        assert!(
            told.starts_with("For 2 of the seeds") && !told.contains("NaN"),
            "{told}"
        );
        assert!(!shifts_text(&[Some(0.5)]).contains("edge"));
    }
}
