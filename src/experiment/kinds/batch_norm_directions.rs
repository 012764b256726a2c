//! Directions on batch-norm parameters alone and on the others alone: which are more asymmetric?

use serde::Deserialize;

use super::asymmetric_direction::{number, row};
use super::checks::{check_count, check_positive, check_solution, check_width};
use super::curves::RAY_AXIS;
use super::defaults::{sgd, usual_draws, usual_points};
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::Result;
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Which};
use crate::experiment::outcome::{
    Answer, Content, Figure, Outcome, PlaceView, Series, Table, Verdict, median, spread_text,
};
use crate::experiment::recipe::Recipe;
use crate::landscape::asymmetry::{ASYMMETRIC, Certificate, Profile};
use crate::landscape::line::positions;
use crate::landscape::{DirectionKind, Provenance};
use crate::objective::BatchNormPolicy;

/// What is compared.
const KINDS: [DirectionKind; 2] = [DirectionKind::BatchNorm, DirectionKind::NonBatchNorm];

/// Random directions of U(0, 1) on batch norm's scales and shifts, and of U(0, 1) on all else, through one solution
/// (arXiv Fig. 12 and 32–34).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BatchNormDirections {
    /// The run.
    pub run: String,
    /// The solution they go through.
    #[serde(default = "sgd")]
    pub solution: Which,
    /// Directions drawn of either kind for each seed of the experiment.
    #[serde(default = "usual_draws")]
    pub draws: u64,
    /// Positions reach from −reach to reach.
    pub reach: f64,
    /// Number of points on each.
    #[serde(default = "usual_points")]
    pub points: usize,
    /// Length of the interval that a certificate is about, at least.
    pub width: f64,
    /// Batch-norm policy.
    #[serde(default)]
    pub batch_norm: BatchNormPolicy,
}

impl Experiment for BatchNormDirections {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_positive("reach", self.reach)?;
        Kind::check_points(self.points, [-self.reach, self.reach])?;
        check_width(self.width, self.reach)?;
        check_count("draws", self.draws)?;
        check_solution(recipe, &self.run, self.solution)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        vec![Efforts::of(recipe).lines(&self.run, 2 * self.draws, self.points, self.batch_norm)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: format!(
                "Certificates of the train loss along directions from {} on batch-norm parameters alone and on the \
                 others alone: distances and slopes, c = sharp / p",
                self.solution.name()
            ),
            header: ["kind", "seed", "direction", "flat side", "(r̄, r, p, c)", "(r, p, c, ζ)"]
                .map(str::to_owned)
                .to_vec(),
            rows: Vec::new(),
        };
        // Of either kind: c of every direction, and the median of each seed.
        let (mut all, mut medians) = <([Vec<f64>; 2], [Vec<f64>; 2])>::default();
        let (mut shown, mut share, mut footnote) = (0, 0.0, String::new());
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let graph = trained.objective.graph();
            share = graph.batch_norm_parameter_count() as f64 / graph.parameter_count() as f64;
            let mut records = Vec::new();
            for (index, kind) in KINDS.into_iter().enumerate() {
                let mut ratios = Vec::new();
                for draw in 1..=self.draws {
                    let along = positions(-self.reach, self.reach, self.points);
                    let record =
                        laboratory.random_ray(&trained, self.solution, (kind, draw), self.batch_norm, along)?;
                    let certificate = Certificate::of(&Profile::of(&record.curve, Part::Train), self.width);
                    let mut cells = row(seed, draw, certificate.as_ref());
                    cells.insert(0, kind.to_string());
                    table.rows.push(cells);
                    // Where no interval rises on one side throughout, nothing is asymmetric.
                    ratios.push(certificate.map_or(0.0, |certificate| certificate.c));
                    // The first of each is drawn, whatever it shows.
                    if draw == 1 {
                        let common = Provenance {
                            origin: self.solution.name().to_owned(),
                            seed: None,
                            ..record.provenance.clone()
                        };
                        footnote = common.footnote();
                        records.push(record);
                    }
                }
                medians[index].push(median(&ratios));
                all[index].extend(ratios);
            }
            shown += usize::from(medians[0].last() > medians[1].last());
            outcome.figures.push(Figure {
                name: format!("directions-seed{seed}"),
                title: format!("The first direction of each kind, seed {seed}"),
                content: Content::Lines {
                    axis: RAY_AXIS.to_owned(),
                    records,
                },
                place: trained.place(
                    self.solution,
                    PlaceView::Comparison(KINDS.map(|kind| (kind, 1))),
                    self.batch_norm,
                    self.reach,
                ),
            });
        }
        outcome.figures.extend(ranks(&all, footnote));
        outcome.tables.push(table);
        outcome.verdict = Verdict {
            answer: Answer::of(shown, recipe.seeds.len()),
            measured: format!(
                "For {shown} of {} seeds the median c of {} directions on batch norm's parameters ({:.1} % of all) is \
                 larger than that of as many on the others: {} against {}. c > {ASYMMETRIC} over an interval at least \
                 {} long for {:.0} % of the batch-norm directions and {:.0} % of the others; the largest c are {} and \
                 {}.",
                recipe.seeds.len(),
                self.draws,
                100.0 * share,
                ratios_text(&medians[0]),
                ratios_text(&medians[1]),
                self.width,
                percentage(&all[0]),
                percentage(&all[1]),
                number(largest(&all[0])),
                number(largest(&all[1])),
            ),
        };
        Ok(outcome)
    }
}

/// Mean and standard deviation of those that are finite, and how many are not.
fn ratios_text(ratios: &[f64]) -> String {
    let infinite = ratios.iter().filter(|c| !c.is_finite()).count();
    match infinite {
        0 => spread_text(ratios, 1),
        _ if infinite == ratios.len() => "∞".to_owned(),
        _ => format!("{} (and ∞ for {infinite})", spread_text(ratios, 1)),
    }
}

/// Percentage of clearly asymmetric directions.
fn percentage(ratios: &[f64]) -> f64 {
    let asymmetric = ratios.iter().filter(|&&c| c > ASYMMETRIC).count();
    100.0 * asymmetric as f64 / ratios.len() as f64
}

fn largest(ratios: &[f64]) -> f64 {
    ratios.iter().copied().fold(0.0, f64::max)
}

/// c of all directions of either kind in ascending order; nothing where none is finite.
fn ranks(all: &[Vec<f64>; 2], footnote: String) -> Option<Figure> {
    let series = |(kind, ratios): (DirectionKind, &Vec<f64>)| {
        let mut sorted = ratios.clone();
        sorted.sort_by(f64::total_cmp);
        Series {
            label: format!("{kind} directions"),
            points: (1_u32..).map(f64::from).zip(sorted).collect(),
            dashed: false,
        }
    };
    let finite = all.iter().flatten().any(|c| c.is_finite());
    finite.then(|| Figure {
        name: "certificates".to_owned(),
        title: "c of every direction of either kind".to_owned(),
        content: Content::Chart {
            x_label: "direction, by rank of c".to_owned(),
            y_label: "c, sharp slope over flat slope".to_owned(),
            series: KINDS.into_iter().zip(all).map(series).collect(),
            marks: Vec::new(),
            footnote,
        },
        place: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinite_ratios_are_counted_and_not_averaged() {
        assert_eq!(ratios_text(&[1.0, 3.0]), "2.0 ± 1.4");
        assert_eq!(ratios_text(&[1.0, f64::INFINITY, 3.0]), "2.0 ± 1.4 (and ∞ for 1)");
        assert_eq!(ratios_text(&[f64::INFINITY; 2]), "∞");
        assert_eq!(percentage(&[1.0, 2.0, 2.5, f64::INFINITY]), 50.0);
        assert_eq!(largest(&[1.0, f64::INFINITY]), f64::INFINITY);
    }

    #[test]
    fn directions_are_ranked_by_their_c() {
        let Some(Figure {
            content: Content::Chart { series, .. },
            ..
        }) = ranks(&[vec![3.0, 1.0], vec![f64::INFINITY, 2.0]], String::new())
        else {
            panic!("a chart");
        };
        assert_eq!(series[0].points, [(1.0, 1.0), (2.0, 3.0)]);
        assert_eq!(series[1].points, [(1.0, 2.0), (2.0, f64::INFINITY)]);
        assert_eq!(series[1].label, "non-bn directions");
        assert!(ranks(&[vec![f64::INFINITY], vec![]], String::new()).is_none());
    }
}
