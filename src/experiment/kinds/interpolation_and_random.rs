//! Directions that are half the way from SGD to the average and half random: on which side of the valley along them
//! does the average lie (the verification of Theorem 2)?

use std::sync::Arc;

use serde::Deserialize;

use super::asymmetric_direction::interval;
use super::checks::{check_count, check_positive, check_solution, check_width};
use super::curves::{LOSS_AXIS, RAY_AXIS, columns, deviation_series, lowest, mean_series, series};
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Measured, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::asymmetry::{Band, Certificate, Profile, Side};
use crate::landscape::line::positions;
use crate::landscape::{Curve, Line, LineRecord, direction};
use crate::objective::BatchNormPolicy;

/// A seed bears the claim out where this share of its directions does: the paper tells of its ten for a network only
/// that they are similar.
const MOST: f64 = 0.8;

/// Lines through the average along u = u_inter + u_rand, scaled to unit length, where u_inter points from SGD to the
/// average and u_rand is random with entries of U(0, 1), both of unit length (arXiv Fig. 9 and 28–30, NeurIPS Fig. 8).
///
/// Along one of them the average lies on the flat side where both hold: the direction is asymmetric at the minimum of
/// the train loss on the line, with its flat side that of +u, away from SGD; and the average lies beyond the minimum,
/// on that side of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InterpolationAndRandom {
    /// The run.
    pub run: String,
    /// Random directions for each seed of the experiment; 10 in the paper.
    #[serde(default = "usual_draws")]
    pub draws: u64,
    /// Positions reach from −reach to reach, the average at 0.
    pub reach: f64,
    /// Number of points on each line.
    #[serde(default = "usual_points")]
    pub points: usize,
    /// Length of the interval that a certificate is about, at least.
    pub width: f64,
    /// Batch-norm policy: recomputed at every point, as between the two solutions. With the average's statistics held
    /// the loss is another function, whose flat side may be the other.
    #[serde(default = "recompute")]
    pub batch_norm: BatchNormPolicy,
}

fn usual_draws() -> u64 {
    10
}

fn usual_points() -> usize {
    31
}

fn recompute() -> BatchNormPolicy {
    BatchNormPolicy::Recompute
}

/// What was found along one direction. Positions are those on the line, the average at 0.
struct Found {
    /// Where SGD lies as seen from the line.
    sgd: f64,
    /// Where the train loss is lowest.
    lowest: f64,
    /// Around the measured position of lowest train loss.
    certificate: Option<Certificate>,
}

impl Found {
    fn of(curve: &Curve, sgd: f64, width: f64) -> Result<Self> {
        let certificate = match curve.minimum(Part::Train) {
            Some(minimum) => Certificate::of(&around(curve, minimum.position)?, width),
            None => None,
        };
        Ok(Self {
            sgd,
            lowest: lowest(curve, Part::Train).unwrap_or(f64::NAN),
            certificate,
        })
    }

    /// Whether the flat side is the one away from SGD.
    fn is_flat_away(&self) -> bool {
        self.certificate
            .is_some_and(|certificate| certificate.is_asymmetric() && certificate.flat == Side::Positive)
    }

    /// Whether the average lies on the flat side.
    fn is_on_flat_side(&self) -> bool {
        self.is_flat_away() && self.lowest < 0.0
    }

    fn row(&self, seed: u64, draw: u64) -> Vec<String> {
        let side = self.certificate.map_or("", |certificate| match certificate.flat {
            Side::Positive => "away from SGD",
            Side::Negative => "towards SGD",
        });
        let on_it = if self.is_on_flat_side() { "yes" } else { "no" };
        vec![
            seed.to_string(),
            draw.to_string(),
            format!("{:+.3}", self.sgd),
            format!("{:+.3}", self.lowest),
            side.to_owned(),
            interval(self.certificate.as_ref()),
            on_it.to_owned(),
        ]
    }
}

impl Experiment for InterpolationAndRandom {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_positive("reach", self.reach)?;
        Kind::check_points(self.points, [-self.reach, self.reach])?;
        check_width(self.width, self.reach)?;
        check_count("draws", self.draws)?;
        check_solution(recipe, &self.run, Which::Sgd)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        vec![Efforts::of(recipe).lines(&self.run, self.draws, self.points, self.batch_norm)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: "Along u_inter + u_rand, with SWA at 0: where SGD projects to, where the train loss is lowest, \
                      and the certificate around that minimum"
                .to_owned(),
            header: columns("seed | direction | SGD | lowest | flat side | (r̄, r, p, c) | SWA on it"),
            rows: Vec::new(),
        };
        let (mut all, mut shown) = (Vec::new(), 0);
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let [swa, sgd] = [trained.solution(Which::Swa)?, trained.solution(Which::Sgd)?];
            let graph = trained.objective.graph();
            let (mut found, mut records) = (Vec::new(), Vec::new());
            for draw in 1..=self.draws {
                let sum = direction::interpolation_and_random(graph, &sgd.parameters, &swa.parameters, draw)?;
                let cancelled = || Error::Request("the two directions cancel: there is no line to measure".to_owned());
                let unit = direction::normalised(sum).ok_or_else(cancelled)?;
                let projected = projection(&swa.parameters, &sgd.parameters, &unit);
                let record = laboratory.line(
                    &trained.objective,
                    Measured {
                        line: Line::ray(swa.clone(), Arc::new(unit)),
                        origin: format!("SWA, {}", trained.folder.path().display()),
                        label: format!("SGD → SWA + uniform (seed {draw})"),
                        policy: self.batch_norm,
                        positions: positions(-self.reach, self.reach, self.points),
                        seed,
                    },
                )?;
                let one = Found::of(&record.curve, projected, self.width)?;
                table.rows.push(one.row(seed, draw));
                found.push(one);
                records.push(record);
            }
            let on_flat_side = found.iter().filter(|one| one.is_on_flat_side()).count();
            shown += usize::from(on_flat_side as f64 >= MOST * found.len() as f64);
            outcome.figures.extend(self.figures(&records, &found, seed)?);
            all.extend(found);
        }
        outcome.tables.push(table);
        let count = |holds: fn(&Found) -> bool| all.iter().filter(|one| holds(one)).count();
        let values = |value: fn(&Found) -> f64| -> Vec<f64> { all.iter().map(value).collect() };
        outcome.verdict = Verdict {
            answer: Answer::of(shown, recipe.seeds.len()),
            measured: format!(
                "SWA lies on the flat side along {} of {} directions, and along {:.0} % of them at least for {shown} \
                 of {} seeds; along {} the flat side is the one away from SGD. With SWA at 0, SGD projects to {} and \
                 the train loss is lowest at {}.",
                count(Found::is_on_flat_side),
                all.len(),
                100.0 * MOST,
                recipe.seeds.len(),
                count(Found::is_flat_away),
                spread_text(&values(|one| one.sgd), 3),
                spread_text(&values(|one| one.lowest), 3),
            ),
        };
        Ok(outcome)
    }
}

impl InterpolationAndRandom {
    /// The first direction with both solutions marked, and the mean of all.
    fn figures(&self, records: &[LineRecord], found: &[Found], seed: u64) -> Result<Vec<Figure>> {
        let (Some(record), Some(first)) = (records.first(), found.first()) else {
            return Ok(Vec::new());
        };
        let band = |part| {
            let profiles: Vec<Profile> = records.iter().map(|record| Profile::of(&record.curve, part)).collect();
            Band::of(&profiles, self.width)
        };
        let (train, test) = (band(Part::Train)?, band(Part::Test)?);
        let [above, below] = deviation_series(&train);
        let sgd = found.iter().map(|one| one.sgd).sum::<f64>() / found.len() as f64;
        let chart = |series, sgd| Content::Chart {
            x_label: RAY_AXIS.to_owned(),
            y_label: LOSS_AXIS.to_owned(),
            series,
            marks: vec![(sgd, "SGD".to_owned()), (0.0, "SWA".to_owned())],
            footnote: record.provenance.footnote(),
        };
        let one = Part::BOTH.map(|part| series(part.name(), &record.curve, part)).to_vec();
        let mean = format!("train, mean of {}", records.len());
        let several = vec![
            mean_series(&mean, &train),
            mean_series("test, mean", &test),
            above,
            below,
        ];
        Ok(vec![
            Figure {
                name: format!("interpolation-and-random-seed{seed}"),
                title: format!(
                    "Along the first of {} directions u_inter + u_rand, seed {seed}",
                    records.len()
                ),
                content: chart(one, first.sgd),
                place: None,
            },
            Figure {
                name: format!("mean-seed{seed}"),
                title: format!("Along {} directions u_inter + u_rand, seed {seed}", records.len()),
                content: chart(several, sgd),
                place: None,
            },
        ])
    }
}

/// Position on the line through `origin` along a unit vector that another point projects to.
fn projection(origin: &[f32], point: &[f32], unit: &[f32]) -> f64 {
    let steps = point
        .iter()
        .zip(origin)
        .map(|(&to, &from)| f64::from(to) - f64::from(from));
    steps.zip(unit).map(|(step, &u)| step * f64::from(u)).sum()
}

/// The train loss with a position of the curve moved to 0.
fn around(curve: &Curve, centre: f64) -> Result<Profile> {
    let (places, losses): (Vec<f64>, Vec<f64>) = curve
        .losses(Part::Train)
        .map(|(position, loss)| (position - centre, loss))
        .unzip();
    Profile::new(&places, &losses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Measurement, Quality};

    fn curve(loss: impl Fn(f64) -> f64) -> Curve {
        let quality = |loss| Quality { loss, accuracy: 0.5 };
        let positions = positions(-1.0, 1.0, 41);
        let measured = |&l: &f64| {
            Some(Measurement {
                train: quality(loss(l)),
                test: quality(loss(l) + 1.0),
            })
        };
        Curve {
            values: positions.iter().map(measured).collect(),
            positions,
        }
    }

    #[test]
    fn the_average_lies_on_the_flat_side_only_beyond_the_minimum() {
        // Steep towards SGD, flat away from it.
        let valley = |lowest: f64| curve(move |l| (-4.0 * (l - lowest)).max(l - lowest));
        let found = |lowest| Found::of(&valley(lowest), -0.2, 0.3).unwrap();
        assert!(found(-0.1).is_on_flat_side() && found(-0.1).is_flat_away());
        assert!(!found(0.1).is_on_flat_side() && found(0.1).is_flat_away());
        let turned = Found::of(&curve(|l| (-(l + 0.1)).max(4.0 * (l + 0.1))), -0.2, 0.3).unwrap();
        assert!(!turned.is_flat_away() && !turned.is_on_flat_side());
        assert_eq!(turned.row(1, 2)[6], "no");
    }

    #[test]
    fn a_point_projects_to_its_position_on_the_line() {
        let projected = projection(&[1.0, 1.0, 1.0], &[1.0, 3.0, 6.0], &[0.0, 1.0, 0.0]);
        assert!((projected - 2.0).abs() < 1e-12);
    }
}
