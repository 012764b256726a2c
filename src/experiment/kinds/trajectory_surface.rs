//! The loss along one direction through every epoch of SGD: from when on does the valley keep its shape?

use std::sync::Arc;

use serde::Deserialize;

use super::checks::check_samples;
use super::correlation::correlation;
use super::defaults::{all_images, uniform, usual_points};
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Trained, Which};
use crate::experiment::outcome::{
    Answer, Content, Figure, Outcome, PlaceView, Series, Table, Verdict, median, spread_text,
};
use crate::experiment::recipe::Recipe;
use crate::landscape::line::positions;
use crate::landscape::survey::{SurveyRequest, TOLERANCE};
use crate::landscape::{
    DirectionKind, Grid, Provenance, Quantity, SurfaceRecord, Survey, Through, Trajectory, direction,
};
use crate::objective::{BatchNormPolicy, Measurement, Objective};

/// Share of the epochs within which the paper's surface is stable: 40 of 200.
const EARLY: f64 = 0.2;
/// The change of shape to the opposite one, which is the largest.
const OPPOSITE: f64 = 2.0;

/// L̂(w_t + l·u) for all epochs t of the main phase along one random direction (arXiv Fig. 7, NeurIPS Fig. 6). The epochs
/// of SGD from the average are left out, as they begin elsewhere.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrajectorySurface {
    /// The run.
    pub run: String,
    /// How the direction is drawn.
    #[serde(default = "uniform")]
    pub direction: DirectionKind,
    /// Seed of the direction, the same for every run.
    #[serde(default = "first_draw")]
    pub draw: u64,
    /// Positions l, first and last.
    pub range: [f64; 2],
    /// Number of positions.
    #[serde(default = "usual_points")]
    pub points: usize,
    /// Batch-norm policy; `running` has the statistics of each epoch's own snapshot.
    #[serde(default)]
    pub batch_norm: BatchNormPolicy,
    /// Images used of each split, from its start; without, all.
    #[serde(default = "all_images")]
    pub samples: usize,
    /// Error allowed where nothing is evaluated, as a share of the range of heights; 0 evaluates every point.
    #[serde(default = "usual_tolerance")]
    pub tolerance: f64,
    /// The curve of an epoch is stable where its shape differs from that of the epoch before by no more than this, from 0
    /// for the same shape to 2 for the opposite one.
    #[serde(default = "usual_threshold")]
    pub threshold: f64,
}

fn first_draw() -> u64 {
    1
}

fn usual_tolerance() -> f64 {
    TOLERANCE
}

fn usual_threshold() -> f64 {
    0.25
}

impl Experiment for TrajectorySurface {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, _recipe: &Recipe) -> Result<()> {
        Kind::check_points(self.points, self.range)?;
        check_samples(self.samples)?;
        if !(0.0..1.0).contains(&self.tolerance) {
            return Err(Error::option(
                "tolerance",
                self.tolerance,
                "it is a share of the range of losses, from 0 up to 1",
            ));
        }
        if !(self.threshold > 0.0 && self.threshold < OPPOSITE) {
            return Err(Error::option(
                "threshold",
                self.threshold,
                format!("a change of shape goes from 0 to {OPPOSITE}; it must be between the two"),
            ));
        }
        Ok(())
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let efforts = Efforts::of(recipe);
        let points = (efforts.epochs(&self.run) + 1.0) * self.points as f64;
        vec![efforts.points(&self.run, points, self.batch_norm, self.samples)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: "Change of the shape of the log train loss along the direction from one epoch to the next"
                .to_owned(),
            header: [
                "seed",
                "median in the first fifth",
                "median after it",
                "stable from epoch",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: Vec::new(),
        };
        let (mut early, mut late, mut stable, mut in_time) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let record = self.surface(&trained, seed, laboratory)?;
            let changes = changes(&record.grid);
            let fifth = (EARLY * changes.len() as f64).ceil() as usize;
            let (before, after) = changes.split_at(fifth.min(changes.len()));
            let from = stable_from(&changes, self.threshold);
            table.rows.push(vec![
                seed.to_string(),
                format!("{:.2}", median(before)),
                format!("{:.2}", median(after)),
                from.map_or("none".to_owned(), |epoch| epoch.to_string()),
            ]);
            early.push(median(before));
            late.push(median(after));
            in_time += usize::from(from.is_some_and(|epoch| epoch <= fifth));
            stable.extend(from.map(|epoch| epoch as f64));
            let footnote = record.provenance.footnote();
            outcome.figures.push(Figure {
                name: format!("surface-seed{seed}"),
                title: format!("Loss along one direction through training, seed {seed}"),
                content: Content::Surface(Box::new(record)),
                place: trained.place(
                    Which::Last,
                    PlaceView::Training(self.direction, self.draw),
                    self.batch_norm,
                    self.range[1],
                ),
            });
            outcome.figures.push(self.chart(seed, &changes, footnote));
        }
        outcome.tables.push(table);
        outcome.verdict = Verdict {
            answer: Answer::of(in_time, recipe.seeds.len()),
            measured: format!(
                "Stable means that from an epoch to the end the log loss along the direction is correlated by {:.3} or \
                 more with that of the next epoch (a change of shape of at most {}). {} of {} seeds become \
                 stable{}, {in_time} of them within the first fifth of training; the median change is {} in that fifth \
                 and {} after it.",
                1.0 - 0.5 * self.threshold.powi(2),
                self.threshold,
                stable.len(),
                recipe.seeds.len(),
                match stable.is_empty() {
                    true => String::new(),
                    false => format!(", from epoch {} on", spread_text(&stable, 0)),
                },
                spread_text(&early, 2),
                spread_text(&late, 2),
            ),
        };
        Ok(outcome)
    }
}

impl TrajectorySurface {
    /// Measures the surface of one run.
    fn surface(&self, trained: &Trained, seed: u64, laboratory: &mut Laboratory) -> Result<SurfaceRecord> {
        let objective = &trained.objective;
        let graph = objective.graph();
        let last = trained.folder.record().options.epochs;
        let label = format!("{} (seed {})", self.direction, self.draw);
        let mut record = SurfaceRecord {
            provenance: Provenance {
                run: Some(trained.folder.path().display().to_string()),
                ..Provenance::new(
                    objective,
                    "every epoch",
                    &label,
                    self.batch_norm,
                    self.samples,
                    Some(seed),
                )
            },
            label: format!("{label} through training"),
            axes: ["position l of w_t + l·u", "epoch t"].map(str::to_owned),
            grid: Grid::new(
                positions(self.range[0], self.range[1], self.points),
                (0..=last).map(|epoch| epoch as f64).collect(),
            ),
            ..SurfaceRecord::default()
        };
        let request = SurveyRequest {
            slice: Through {
                trajectory: Arc::new(Trajectory::new(graph.clone(), trained.folder.clone(), last + 1)),
                direction: Arc::new(direction::random(graph, self.direction, self.draw)?),
            },
            grid: record.grid.clone(),
            policy: self.batch_norm,
            samples: self.samples,
            tolerance: self.tolerance,
        };
        let Provenance {
            train_images,
            test_images,
            ..
        } = record.provenance;
        let made = format!(
            "surface through training, bn {}, {train_images} train and {test_images} test images, tolerance {}",
            self.batch_norm, self.tolerance
        );
        let (run, along) = (trained.checksum()?.to_le_bytes(), request.slice.direction.clone());
        let numbers: [&[u8]; 3] = [
            &run,
            bytemuck::cast_slice(along.as_slice()),
            bytemuck::cast_slice(&record.grid.first),
        ];
        let what = record.label.clone();
        record.grid.values = laboratory.remember(objective, &made, &numbers, |laboratory| {
            measure(objective, request, &what, laboratory)
        })?;
        Ok(record)
    }

    fn chart(&self, seed: u64, changes: &[f64], footnote: String) -> Figure {
        let epoch = |index: usize| (index + 1) as f64;
        Figure {
            name: format!("changes-seed{seed}"),
            title: format!("Change of the curve's shape from epoch to epoch, seed {seed}"),
            content: Content::Chart {
                x_label: "epoch t".to_owned(),
                y_label: "change since epoch t − 1 (0 same, 2 opposite)".to_owned(),
                series: vec![
                    Series {
                        label: "change of shape".to_owned(),
                        points: (0..).map(epoch).zip(changes.iter().copied()).collect(),
                        dashed: false,
                    },
                    Series {
                        label: format!("stable up to {}", self.threshold),
                        points: vec![(1.0, self.threshold), (epoch(changes.len()), self.threshold)],
                        dashed: true,
                    },
                ],
                marks: Vec::new(),
                footnote,
            },
            place: None,
        }
    }
}

/// The values at the nodes of a surface, where they are measured.
fn measure(
    objective: &Objective,
    request: SurveyRequest<Through>,
    what: &str,
    laboratory: &mut Laboratory,
) -> Result<Vec<Option<Measurement>>> {
    let every = request.grid.values.len().max(1) as f64;
    let mut survey = Survey::new(objective, request)?;
    let finished = survey.run(objective, |survey| {
        // Of an adaptive surface nobody knows how many nodes there will be: this is at worst.
        let done = survey.measured().0 as f64 / every;
        laboratory.report(what, done).is_ok()
    })?;
    match finished {
        true => Ok(survey.grid().values),
        false => Err(Error::Cancelled),
    }
}

/// Change of shape from each row of a surface to the next, nodes between measured ones included.
fn changes(grid: &Grid) -> Vec<f64> {
    let field = grid.field(Quantity::TrainLoss);
    let rows: Vec<&[f64]> = field.values.chunks(field.columns.max(1)).collect();
    rows.windows(2).map(|pair| change(pair[0], pair[1])).collect()
}

/// Root mean square of the difference of two curves' logarithms, each with mean 0 and root mean square 1: √(2·(1 − ρ)) of
/// their correlation ρ. Positions at which either is not finite or not above 0 are left out; NaN where the curves have no
/// shape.
fn change(before: &[f64], after: &[f64]) -> f64 {
    let logarithms = before.iter().zip(after).map(|(a, b)| (a.ln(), b.ln()));
    let (first, second): (Vec<f64>, Vec<f64>) = logarithms.filter(|(a, b)| a.is_finite() && b.is_finite()).unzip();
    (2.0 * (1.0 - correlation(&first, &second))).sqrt()
}

/// The first epoch from which every later change is within the threshold, where the last one is: entry i is the change
/// from epoch i to epoch i + 1.
fn stable_from(changes: &[f64], threshold: f64) -> Option<usize> {
    let calm = changes.iter().rev().take_while(|change| **change <= threshold).count();
    (calm > 0).then(|| changes.len() - calm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_change_of_shape_that_can_be() {
        let recipe = Recipe::named("trajectory-surface").unwrap();
        let Kind::TrajectorySurface(surface) = recipe.measure.clone() else {
            panic!("a surface");
        };
        assert!(surface.check(&recipe).is_ok());
        for threshold in [0.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
            let wrong = TrajectorySurface {
                threshold,
                ..surface.clone()
            };
            let told = wrong.check(&recipe).unwrap_err().to_string();
            assert!(told.contains("threshold"), "{told}");
        }
    }

    #[test]
    fn a_shape_does_not_change_by_scale_or_power() {
        let curve: [f64; 4] = [8.0, 1.0, 2.0, 32.0];
        let powered = curve.map(|loss| 3.0 * loss.powi(2));
        assert!(change(&curve, &powered) < 1e-7);
        let opposite = curve.map(f64::recip);
        assert!((change(&curve, &opposite) - 2.0).abs() < 1e-12);
        // Uncorrelated logarithms.
        let (first, second) = ([1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 2.0, 2.0]);
        assert!((change(&first, &second) - 2.0_f64.sqrt()).abs() < 1e-12);
        let gap = [8.0, 1.0, f64::NAN, 2.0, f64::INFINITY, 32.0];
        assert!(change(&gap, &[8.0, 1.0, 5.0, 2.0, 7.0, 32.0]) < 1e-7);
        assert!(change(&first, &[1.0; 4]).is_nan() && change(&[], &[]).is_nan());
    }

    #[test]
    fn a_surface_is_stable_after_its_last_change() {
        assert_eq!(stable_from(&[0.5, 0.1, 0.4, 0.2, 0.1], 0.25), Some(3));
        assert_eq!(stable_from(&[0.1, 0.2], 0.25), Some(0));
        assert_eq!(stable_from(&[0.1, 0.3], 0.25), None);
        assert_eq!(stable_from(&[0.1, f64::NAN], 0.25), None);
        assert_eq!(stable_from(&[], 0.25), None);
    }
}
