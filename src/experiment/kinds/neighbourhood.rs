//! Points around a solution, and whether one direction is asymmetric at all of them (Assumption 2).

use std::sync::Arc;

use serde::Deserialize;

use super::asymmetric_direction::{number, row};
use super::ball::{across, in_ball};
use super::checks::{check_count, check_positive, check_samples, check_solution, check_width};
use super::curves::{LOSS_AXIS, RAY_AXIS, columns, deviation_series, mean_series, series};
use super::defaults::{all_images, few_points, many_draws, sgd, uniform};
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Measured, Trained, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, PlaceView, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::asymmetry::{ASYMMETRIC, Band, Certificate, Profile};
use crate::landscape::line::positions;
use crate::landscape::{DirectionKind, Line, LineRecord, direction};
use crate::objective::{BatchNormPolicy, Solution};

/// Curves along one asymmetric direction through points around a solution, their mean and spread, and the certificate
/// that holds for all (Fig. 4 of both versions).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Neighbourhood {
    /// The run.
    pub run: String,
    /// The solution: a minimum of the train loss in the paper.
    #[serde(default = "sgd")]
    pub solution: Which,
    /// How the direction is drawn.
    #[serde(default = "uniform")]
    pub direction: DirectionKind,
    /// Directions drawn, of which the most asymmetric at the solution itself is taken.
    #[serde(default = "usual_candidates")]
    pub candidates: u64,
    /// Points around the solution; 100 in the paper.
    #[serde(default = "many_draws")]
    pub draws: u64,
    /// They are uniform in the ball of this radius around it, a length in parameter space; 25 in the paper. In so many
    /// dimensions nearly all of the ball lies next to its surface, so that a parameter changes by radius/√d.
    pub radius: f64,
    /// Positions reach from −reach to reach.
    pub reach: f64,
    /// Number of points on each curve.
    #[serde(default = "few_points")]
    pub points: usize,
    /// Length of the interval that a certificate is about, at least.
    pub width: f64,
    /// Images used of each split, from its start; all unless given.
    #[serde(default = "all_images")]
    pub samples: usize,
}

fn usual_candidates() -> u64 {
    3
}

/// A direction with what was measured along it through the solution itself.
struct Chosen {
    draw: u64,
    unit: Arc<Vec<f32>>,
    record: LineRecord,
    certificate: Option<Certificate>,
}

impl Experiment for Neighbourhood {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_positive("reach", self.reach)?;
        Kind::check_points(self.points, [-self.reach, self.reach])?;
        check_width(self.width, self.reach)?;
        check_count("candidates", self.candidates)?;
        check_count("draws", self.draws)?;
        check_positive("radius", self.radius)?;
        check_samples(self.samples)?;
        check_solution(recipe, &self.run, self.solution)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let points = (self.candidates + self.draws) as f64 * self.points as f64;
        vec![Efforts::of(recipe).points(&self.run, points, BatchNormPolicy::Running, self.samples)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: format!(
                "Certificates of the train loss along a {} direction u: at {} itself, and the one that holds at all of \
                 {} points within {} of it; the standard deviation over those points, as a share of their mean",
                self.direction,
                self.solution.name(),
                self.draws,
                self.radius
            ),
            header: columns("seed | direction | flat side | (r̄, r, p, c) | (r, p, c, ζ) | of | deviation"),
            rows: Vec::new(),
        };
        let (mut certificates, mut deviations) = (Vec::new(), Vec::new());
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let origin = trained.solution(self.solution)?;
            let chosen = self.choose(&trained, &origin, seed, laboratory)?;
            let mut profiles = Vec::new();
            for draw in 1..=self.draws {
                let adjustment = in_ball(chosen.unit.len(), self.radius, draw);
                let point = Arc::new(Solution {
                    parameters: across(&origin.parameters, &adjustment, &chosen.unit),
                    statistics: origin.statistics.clone(),
                });
                let what = format!("point {draw} of {} around {}", self.draws, self.solution.name());
                let record = self.line(&trained, Line::ray(point, chosen.unit.clone()), what, seed, laboratory)?;
                profiles.push(Profile::of(&record.curve, Part::Train));
            }
            let band = Band::of(&profiles, self.width)?;
            let deviation = relative_deviation(&band);
            let mut at_all = row(seed, chosen.draw, band.certificate.as_ref());
            at_all.extend([format!("{} points", self.draws), format!("{:.0} %", 100.0 * deviation)]);
            let mut at_itself = row(seed, chosen.draw, chosen.certificate.as_ref());
            at_itself.extend([self.solution.name().to_owned(), String::new()]);
            table.rows.extend([at_itself, at_all]);
            certificates.push(band.certificate);
            deviations.push(100.0 * deviation);
            outcome.figures.push(self.figure(&band, &trained, &chosen, seed));
        }
        outcome.tables.push(table);
        outcome.verdict = self.verdict(&certificates, &deviations);
        Ok(outcome)
    }
}

impl Neighbourhood {
    /// The most asymmetric of the candidates at the solution.
    fn choose(
        &self,
        trained: &Trained,
        origin: &Arc<Solution>,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<Chosen> {
        let mut best: Option<Chosen> = None;
        for draw in 1..=self.candidates {
            let unit = Arc::new(direction::random(trained.objective.graph(), self.direction, draw)?);
            let what = format!("{} (seed {draw})", self.direction);
            let record = self.line(trained, Line::ray(origin.clone(), unit.clone()), what, seed, laboratory)?;
            let certificate = Certificate::of(&Profile::of(&record.curve, Part::Train), self.width);
            let c = |certificate: Option<Certificate>| certificate.map_or(0.0, |certificate| certificate.c);
            let largest = best.as_ref().map_or(f64::NEG_INFINITY, |known| c(known.certificate));
            if c(certificate) > largest {
                best = Some(Chosen {
                    draw,
                    unit,
                    record,
                    certificate,
                });
            }
        }
        best.ok_or_else(|| Error::option("candidates", self.candidates, "it must be at least 1"))
    }

    fn line(
        &self,
        trained: &Trained,
        line: Line,
        label: String,
        seed: u64,
        laboratory: &mut Laboratory,
    ) -> Result<LineRecord> {
        let what = Measured {
            line,
            origin: format!("{}, {}", self.solution.name(), trained.folder.path().display()),
            label,
            policy: BatchNormPolicy::Running,
            positions: positions(-self.reach, self.reach, self.points),
            seed,
        };
        laboratory.line_on(&trained.objective, what, self.samples)
    }

    fn figure(&self, band: &Band, trained: &Trained, chosen: &Chosen, seed: u64) -> Figure {
        let itself = &chosen.record;
        let [above, below] = deviation_series(band);
        let mean = mean_series(&format!("mean of {} points", band.curves), band);
        Figure {
            name: format!("neighbourhood-seed{seed}"),
            title: format!(
                "Train loss along {} around {}, seed {seed}",
                itself.label,
                self.solution.name()
            ),
            content: Content::Chart {
                x_label: RAY_AXIS.to_owned(),
                y_label: LOSS_AXIS.to_owned(),
                series: vec![
                    mean,
                    above,
                    below,
                    series(self.solution.name(), &itself.curve, Part::Train),
                ],
                marks: Vec::new(),
                footnote: itself.provenance.footnote(),
            },
            place: trained.place(
                self.solution,
                PlaceView::Direction(self.direction, chosen.draw),
                BatchNormPolicy::Running,
                self.reach,
            ),
        }
    }

    fn verdict(&self, certificates: &[Option<Certificate>], deviations: &[f64]) -> Verdict {
        let found = certificates.iter().flatten();
        let shown = found.clone().filter(|certificate| certificate.c > ASYMMETRIC).count();
        let mut largest: Vec<String> = found.map(|certificate| number(certificate.c)).collect();
        if largest.is_empty() {
            largest.push("none".to_owned());
        }
        Verdict {
            answer: Answer::of(shown, certificates.len()),
            measured: format!(
                "For {shown} of {} seeds one certificate with c > {ASYMMETRIC}, over an interval at least {} long, \
                 holds at all of {} points within {} of {} (c = {}). The standard deviation of their losses is {} % of \
                 the mean, averaged over the line.",
                certificates.len(),
                self.width,
                self.draws,
                self.radius,
                self.solution.name(),
                largest.join(", "),
                spread_text(deviations, 0),
            ),
        }
    }
}

/// Standard deviation over the mean, averaged over the positions where both are known.
fn relative_deviation(band: &Band) -> f64 {
    let moments = band.mean.iter().zip(&band.deviation);
    let shares: Vec<f64> = moments
        .filter_map(|(mean, deviation)| Some((*deviation)? / (*mean)?))
        .collect();
    shares.iter().sum::<f64>() / shares.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let recipe = Recipe::named("neighbourhood").unwrap();
        let Kind::Neighbourhood(kind) = recipe.measure.clone() else {
            panic!("a neighbourhood");
        };
        assert!(kind.check(&recipe).is_ok());
        type Change = fn(&mut Neighbourhood);
        let changes: [(&str, Change); 4] = [
            ("candidates", |kind| kind.candidates = 0),
            ("draws", |kind| kind.draws = 1_000_000),
            ("width", |kind| kind.width = 2.5),
            ("radius", |kind| kind.radius = f64::NAN),
        ];
        for (name, change) in changes {
            let mut wrong = kind.clone();
            change(&mut wrong);
            let told = wrong.check(&recipe).unwrap_err().to_string();
            assert!(told.starts_with(name), "{told}");
        }
    }

    #[test]
    fn the_spread_is_relative_to_the_mean() {
        let profiles = [[1.0, 2.0], [3.0, 2.0]].map(|losses| Profile::new(&[0.0, 1.0], &losses).unwrap());
        // One over two, and none.
        assert!((relative_deviation(&Band::of(&profiles, 1.0).unwrap()) - 0.25).abs() < 1e-12);
    }
}
