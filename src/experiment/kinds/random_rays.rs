//! The loss along random rays from two solutions, which makes one look wider than the other, beside the line between
//! the two, which shows that they lie in one basin.

use std::sync::Arc;

use serde::Deserialize;

use super::curves::{LOSS_AXIS, all_images, check_draws, check_positive, check_samples, columns, mean_series};
use super::effort::Efforts;
use super::interpolation::{BUMP, bump};
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Measured, Trained, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::line::positions;
use crate::landscape::{Band, DirectionKind, Line, LineRecord, Profile, direction};
use crate::objective::BatchNormPolicy;

/// Positions of the line between the two solutions, first and last, as in the paper's interpolations.
const BETWEEN: [f64; 2] = [-2.0, 3.0];
/// Number of points on it.
pub(super) const BETWEEN_POINTS: usize = 41;

/// A solution of a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct End {
    /// The run.
    pub run: String,
    /// Which of its solutions.
    pub solution: Which,
}

/// Mean train loss along the same Gaussian unit rays from two solutions, and the interpolation between the two (arXiv
/// Fig. 11 and 31, NeurIPS Fig. 9 and 10).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RandomRays {
    /// The solution that looks wider in the paper: the average, or that of small batches.
    pub wider: End,
    /// The other.
    pub narrower: End,
    /// Rays from either, the same from both.
    #[serde(default = "usual_draws")]
    pub draws: u64,
    /// Length of a ray.
    pub reach: f64,
    /// Number of points on each.
    #[serde(default = "usual_points")]
    pub points: usize,
    /// The width of a solution is the distance at which the mean loss is higher than at the solution by this.
    #[serde(default = "usual_rise")]
    pub rise: f64,
    /// Batch-norm policy along the rays; between the two solutions statistics are recomputed.
    #[serde(default)]
    pub batch_norm: BatchNormPolicy,
    /// Images used of each split along the rays, from its start; all unless given.
    #[serde(default = "all_images")]
    pub samples: usize,
}

fn usual_draws() -> u64 {
    20
}

fn usual_points() -> usize {
    13
}

fn usual_rise() -> f64 {
    0.1
}

/// Curves along the rays from one solution.
struct Rays {
    name: String,
    band: Band,
    /// Of the mean loss; nothing where it does not rise so far within reach.
    width: Option<f64>,
    /// Of each ray.
    widths: Vec<Option<f64>>,
    footnote: String,
}

impl Experiment for RandomRays {
    fn runs(&self) -> Vec<&str> {
        vec![&self.wider.run, &self.narrower.run]
    }

    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_positive("reach", self.reach)?;
        Kind::check_points(self.points, [0.0, self.reach])?;
        check_draws(self.draws)?;
        check_positive("rise", self.rise)?;
        check_samples(self.samples)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let efforts = Efforts::of(recipe);
        let points = self.draws as f64 * self.points as f64;
        vec![
            efforts.points(&self.wider.run, points, self.batch_norm, self.samples),
            efforts.points(&self.narrower.run, points, self.batch_norm, self.samples),
            efforts.lines(&self.wider.run, 1, BETWEEN_POINTS, BatchNormPolicy::Recompute),
        ]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let names = [&self.wider, &self.narrower].map(|end| self.name(end));
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: format!(
                "Distance along {} Gaussian rays at which the train loss is {} higher than at the solution (of the \
                 mean loss; mean and standard deviation of the rays), the rays along which {} is the wider, and the \
                 bump between the two as a share of the interpolation's range",
                self.draws, self.rise, names[0]
            ),
            header: columns(&format!(
                "seed | {0} | {1} | {0}, rays | {1}, rays | {0} wider | bump",
                names[0], names[1]
            )),
            rows: Vec::new(),
        };
        let (mut widths, mut bumps) = ([Vec::new(), Vec::new()], Vec::new());
        let (mut wider_rays, mut wider, mut shown) = (0, 0, 0);
        for &seed in &recipe.seeds {
            let runs = [
                laboratory.trained(recipe, &self.wider.run, seed)?,
                laboratory.trained(recipe, &self.narrower.run, seed)?,
            ];
            // The laboratory opens each model on each data set once.
            if !Arc::ptr_eq(&runs[0].objective, &runs[1].objective) {
                return Err(Error::Request(format!(
                    "the runs `{}` and `{}` differ in model or data: no line joins them",
                    self.wider.run, self.narrower.run
                )));
            }
            let first = self.rays(&runs[0], &self.wider, seed, laboratory)?;
            let second = self.rays(&runs[1], &self.narrower, seed, laboratory)?;
            let record = self.between(&runs, seed, laboratory)?;
            let height = bump(&record.curve);
            let looks_wider = is_wider(first.width, second.width);
            let pairs = first.widths.iter().zip(&second.widths);
            let of_rays = pairs.filter(|&(&first, &second)| is_wider(first, second)).count();
            table.rows.push(vec![
                seed.to_string(),
                self.distances(&[first.width]),
                self.distances(&[second.width]),
                self.distances(&first.widths),
                self.distances(&second.widths),
                format!("{of_rays} of {}", self.draws),
                format!("{:.1} %", 100.0 * height),
            ]);
            wider_rays += of_rays;
            wider += usize::from(looks_wider);
            shown += usize::from(looks_wider && height <= BUMP);
            bumps.push(100.0 * height);
            widths[0].push(first.width);
            widths[1].push(second.width);
            outcome.figures.push(self.figure([&first, &second], seed));
            outcome.figures.push(Figure {
                name: format!("interpolation-seed{seed}"),
                title: format!("{} to {}, seed {seed}", names[0], names[1]),
                content: Content::Interpolation {
                    names: names.clone(),
                    record: Box::new(record),
                },
                place: None,
            });
        }
        outcome.tables.push(table);
        let seeds = recipe.seeds.len();
        outcome.verdict = Verdict {
            answer: Answer::of(shown, seeds),
            measured: format!(
                "The mean train loss along {} random rays rises by {} at a distance of {} from {} and of {} from {}: \
                 {} looks wider for {wider} of {seeds} seeds and along {wider_rays} of {} rays. The bump between the \
                 two is {} % of the interpolation's range, so that for {shown} of {seeds} seeds what looks wider lies \
                 in the same basin (a bump of up to {:.0} % counts as none).",
                self.draws,
                self.rise,
                self.distances(&widths[0]),
                names[0],
                self.distances(&widths[1]),
                names[1],
                names[0],
                self.draws * seeds as u64,
                spread_text(&bumps, 1),
                100.0 * BUMP,
            ),
        };
        Ok(outcome)
    }
}

impl RandomRays {
    /// What a solution is called: by its run, too, where there are two.
    fn name(&self, end: &End) -> String {
        match self.wider.run == self.narrower.run {
            true => end.solution.name().to_owned(),
            false => format!("{} of {}", end.solution.name(), end.run),
        }
    }

    /// Mean and standard deviation of distances; the reach where one is beyond it.
    fn distances(&self, widths: &[Option<f64>]) -> String {
        let known: Option<Vec<f64>> = widths.iter().copied().collect();
        known.map_or_else(|| format!("beyond {}", self.reach), |known| spread_text(&known, 2))
    }

    fn rays(&self, trained: &Trained, end: &End, seed: u64, laboratory: &mut Laboratory) -> Result<Rays> {
        let name = self.name(end);
        let origin = trained.solution(end.solution)?;
        let (mut profiles, mut widths, mut footnote) = (Vec::new(), Vec::new(), String::new());
        for draw in 1..=self.draws {
            let unit = direction::random(trained.objective.graph(), DirectionKind::Gaussian, draw)?;
            let what = Measured {
                line: Line::ray(origin.clone(), Arc::new(unit)),
                origin: format!("{name}, {}", trained.folder.path().display()),
                label: format!("ray {draw} of {} from {name}", self.draws),
                policy: self.batch_norm,
                positions: positions(0.0, self.reach, self.points),
                seed,
            };
            let record = laboratory.line_on(&trained.objective, what, self.samples)?;
            let losses: Vec<(f64, f64)> = record.curve.losses(Part::Train).collect();
            widths.push(width(&losses, self.rise));
            profiles.push(Profile::of(&record.curve, Part::Train));
            footnote = record.provenance.footnote();
        }
        // A ray has one side only, and so no certificate.
        let band = Band::of(&profiles, self.reach)?;
        Ok(Rays {
            width: width(&mean_series(&name, &band).points, self.rise),
            name,
            band,
            widths,
            footnote,
        })
    }

    fn between(&self, runs: &[Trained; 2], seed: u64, laboratory: &mut Laboratory) -> Result<LineRecord> {
        let from = runs[0].solution(self.wider.solution)?;
        let to = runs[1].solution(self.narrower.solution)?;
        let name = self.name(&self.wider);
        let what = Measured {
            line: Line::segment(from, to),
            label: format!("{name} → {}", self.name(&self.narrower)),
            origin: format!("{name}, {}", runs[0].folder.path().display()),
            policy: BatchNormPolicy::Recompute,
            positions: positions(BETWEEN[0], BETWEEN[1], BETWEEN_POINTS),
            seed,
        };
        laboratory.line(&runs[0].objective, what)
    }

    fn figure(&self, both: [&Rays; 2], seed: u64) -> Figure {
        Figure {
            name: format!("rays-seed{seed}"),
            title: format!("Mean train loss along {} random rays, seed {seed}", self.draws),
            content: Content::Chart {
                x_label: "distance l along w + l·u, |u| = 1".to_owned(),
                y_label: LOSS_AXIS.to_owned(),
                series: both
                    .map(|rays| mean_series(&format!("from {}", rays.name), &rays.band))
                    .to_vec(),
                marks: Vec::new(),
                footnote: both[0].footnote.clone(),
            },
            place: None,
        }
    }
}

/// Whether the first width is the larger; one beyond reach is larger than any within.
fn is_wider(first: Option<f64>, second: Option<f64>) -> bool {
    first.unwrap_or(f64::INFINITY) > second.unwrap_or(f64::INFINITY)
}

/// The first distance at which a curve from a solution on, linear between its points, is higher by `rise` than at its
/// first. Nothing where it is not; losses that are not finite are passed over.
fn width(points: &[(f64, f64)], rise: f64) -> Option<f64> {
    let level = points
        .first()
        .map(|first| first.1 + rise)
        .filter(|level| level.is_finite())?;
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(_, loss)| loss.is_finite()).collect();
    let pair = finite.windows(2).find(|pair| pair[1].1 >= level)?;
    let ((near, below), (far, above)) = (pair[0], pair[1]);
    Some(near + (far - near) * (level - below) / (above - below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_where_the_loss_has_risen() {
        let points = [(0.0, 1.0), (1.0, 1.0), (2.0, 2.0), (3.0, 1.5), (4.0, 5.0)];
        assert_eq!((width(&points, 0.5), width(&points, 1.0)), (Some(1.5), Some(2.0)));
        assert_eq!(
            (width(&points, 2.5), width(&points, 4.5)),
            (Some(3.0 + 2.0 / 3.5), None)
        );
        // A lower loss on the way changes nothing, a lost one is bridged, and a lost start has no width.
        assert_eq!(width(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)], 1.0), Some(1.0));
        assert_eq!(width(&[(0.0, f64::NAN), (1.0, 3.0)], 1.0), None);
        assert_eq!(width(&[], 1.0), None);
    }

    #[test]
    fn what_does_not_rise_within_reach_is_the_wider() {
        assert!(is_wider(Some(2.0), Some(1.0)) && is_wider(None, Some(1.0)));
        assert!(!is_wider(Some(1.0), Some(1.0)) && !is_wider(None, None) && !is_wider(Some(1.0), None));
    }
}
