//! The smallest network with an asymmetric valley: logistic regression with a weight and a bias.

use serde::Deserialize;

use super::Experiment;
use super::asymmetric_direction::{flat_side, interval, number};
use super::checks::check_width;
use crate::error::Result;
use crate::experiment::laboratory::Laboratory;
use crate::experiment::logistic::{self, LogisticRun};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Series, Table, Verdict, median, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::asymmetry::{ASYMMETRIC, Certificate, Profile};

/// How far lines reach from the average on either side.
const REACH: f64 = 0.5 * (logistic::POINTS - 1) as f64 * logistic::SPACING;

/// The loss of two parameters along directions from U(0, 1)² (NeurIPS Appendix A), one a seed. It needs no run: samples,
/// start and direction are drawn from the seed, and all else is as published.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Logistic {
    /// Length of the interval that a certificate is about, at least, in units of the parameters.
    pub width: f64,
    /// Curves that are drawn, those of the first seeds.
    #[serde(default = "usual_curves")]
    pub curves: usize,
}

fn usual_curves() -> usize {
    6
}

/// The certificates of one seed.
struct Found {
    /// The position of lowest loss, of those measured.
    lowest: f64,
    /// Around the average, from where the paper draws the curve.
    average: Option<Certificate>,
    /// Around the lowest position: what the definition, which is about a minimum, asks for.
    minimum: Option<Certificate>,
}

impl Found {
    fn of(run: &LogisticRun, width: f64) -> Result<Self> {
        let slopes = slopes(run);
        let around = |centre: f64| -> Result<Option<Certificate>> {
            let positions: Vec<f64> = run.positions.iter().map(|position| position - centre).collect();
            // The loss is convex, so between two positions the slope does lie between theirs.
            let profile = Profile::new(&positions, &run.losses)?.with_slopes(&slopes)?;
            Ok(Certificate::of(&profile, width))
        };
        let curve = run.positions.iter().zip(&run.losses);
        let lowest = curve
            .min_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0.0, |(&position, _)| position);
        Ok(Self {
            lowest,
            average: around(0.0)?,
            minimum: around(lowest)?,
        })
    }
}

/// Slopes dL/dl of the loss at every position.
fn slopes(run: &LogisticRun) -> Vec<f64> {
    let [along_weight, along_bias] = run.direction;
    run.positions
        .iter()
        .map(|l| {
            let point = [run.average[0] + l * along_weight, run.average[1] + l * along_bias];
            let [by_weight, by_bias] = logistic::gradient(&run.samples, point);
            by_weight * along_weight + by_bias * along_bias
        })
        .collect()
}

/// c, or 0 where there is no certificate.
fn ratios(certificates: &[Option<Certificate>]) -> Vec<f64> {
    let ratio = |found: &Option<Certificate>| found.map_or(0.0, |certificate| certificate.c);
    certificates.iter().map(ratio).collect()
}

fn above(ratios: &[f64], limit: f64) -> usize {
    ratios.iter().filter(|&&c| c > limit).count()
}

/// Flat side, and the certificate as NeurIPS writes it.
fn cells(certificate: Option<&Certificate>) -> [String; 2] {
    [certificate.map_or("", flat_side).to_owned(), interval(certificate)]
}

impl Experiment for Logistic {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_width(self.width, REACH)
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut table = Table {
            caption: "Certificates (r̄, r, p, c) of the train loss along U(0, 1)² directions, around the average and \
                      around the lowest position l on the line"
                .to_owned(),
            header: [
                "seed",
                "flat side of the average",
                "around the average",
                "lowest at",
                "flat side of the lowest",
                "around the lowest",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: Vec::new(),
        };
        let (mut averages, mut minima, mut distances, mut series) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, &seed) in recipe.seeds.iter().enumerate() {
            laboratory.report("logistic regression", index as f64 / recipe.seeds.len() as f64)?;
            let run = logistic::run(seed);
            let found = Found::of(&run, self.width)?;
            let [side, certificate] = cells(found.average.as_ref());
            let [lowest_side, lowest_certificate] = cells(found.minimum.as_ref());
            table.rows.push(vec![
                seed.to_string(),
                side,
                certificate,
                format!("{:+.1}", found.lowest),
                lowest_side,
                lowest_certificate,
            ]);
            if index < self.curves {
                series.push(Series {
                    label: format!("seed {seed}"),
                    points: run.positions.iter().copied().zip(run.losses).collect(),
                    dashed: false,
                });
            }
            averages.push(found.average);
            minima.push(found.minimum);
            distances.push(found.lowest.abs());
        }
        let [around, exact] = [ratios(&averages), ratios(&minima)];
        let seeds = recipe.seeds.len();
        let mut outcome = Outcome::empty();
        if !series.is_empty() {
            outcome.figures.push(figure(series));
        }
        outcome.tables.push(table);
        outcome.verdict = Verdict {
            answer: Answer::of(above(&exact, ASYMMETRIC), seeds),
            measured: format!(
                "Around the average c > 1 for {} and c > {ASYMMETRIC} for {} of {seeds} seeds, over an interval at \
                 least {} long; for {} of them c is infinite, as the loss still falls on the flat side: after {} steps \
                 the average is {} away from the lowest position on the line. Around that position, c > 1 for {} and \
                 c > {ASYMMETRIC} for {} of {seeds} seeds, with a median c of {}.",
                above(&around, 1.0),
                above(&around, ASYMMETRIC),
                self.width,
                above(&around, f64::MAX),
                logistic::STEPS,
                spread_text(&distances, 1),
                above(&exact, 1.0),
                above(&exact, ASYMMETRIC),
                number(median(&exact)),
            ),
        };
        Ok(outcome)
    }
}

fn figure(series: Vec<Series>) -> Figure {
    Figure {
        name: "curves".to_owned(),
        title: "Logistic regression along U(0, 1)² directions".to_owned(),
        content: Content::Chart {
            x_label: "position l from the average along u, |u| = 1".to_owned(),
            y_label: "train cross-entropy loss".to_owned(),
            series,
            marks: vec![(0.0, "average".to_owned())],
            footnote: format!(
                "weight and bias · {} samples of each class · {} steps at learning rate {} · valleyscope {}",
                logistic::PER_CLASS,
                logistic::STEPS,
                logistic::LEARNING_RATE,
                env!("CARGO_PKG_VERSION")
            ),
        },
        place: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_curve() {
        let run = logistic::run(4);
        let slopes = slopes(&run);
        for (index, pair) in run.losses.windows(2).enumerate() {
            // Of a convex function, the difference lies between the slopes at the two ends.
            let difference = (pair[1] - pair[0]) / logistic::SPACING;
            assert!((slopes[index] - 1e-12..=slopes[index + 1] + 1e-12).contains(&difference));
        }
    }

    #[test]
    fn a_certificate_around_the_lowest_position_is_finite() {
        for seed in logistic::SEEDS {
            let run = logistic::run(seed);
            let found = Found::of(&run, 2.0).unwrap();
            let least = run.losses.iter().copied().fold(f64::INFINITY, f64::min);
            let place = run.positions.iter().position(|&l| l == found.lowest).unwrap();
            assert_eq!(run.losses[place], least);
            assert!(
                found.minimum.is_none_or(|certificate| certificate.c.is_finite()),
                "{seed}"
            );
        }
        assert_eq!(ratios(&[None]), [0.0]);
        assert_eq!(above(&[0.0, 2.0, f64::INFINITY], ASYMMETRIC), 1);
    }
}
