//! The loss along random rays from two solutions, which makes one look wider than the other, beside the line between
//! the two, which shows that they lie in one basin.

use std::sync::Arc;

use serde::Deserialize;

use super::bump::{BUMP, bump, bumps_text, height_text};
use super::checks::{check_count, check_positive, check_samples, check_solution};
use super::curves::{LOSS_AXIS, columns};
use super::defaults::{all_images, many_draws};
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Measured, Trained, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Series, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::line::positions;
use crate::landscape::{DirectionKind, Line, LineRecord, direction};
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
    #[serde(default = "many_draws")]
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

fn usual_points() -> usize {
    13
}

fn usual_rise() -> f64 {
    0.1
}

/// How far it is until a loss has risen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    /// So far.
    At(f64),
    /// Farther than the ray goes.
    Beyond,
    /// A loss before that is not a number, or the solution's own is not finite.
    Unknown,
}

/// Curves along the rays from one solution.
struct Rays {
    name: String,
    /// Distances and the means of the losses there.
    mean: Vec<(f64, f64)>,
    /// Of the mean loss.
    width: Width,
    /// Of each ray.
    widths: Vec<Width>,
    footnote: String,
}

impl Experiment for RandomRays {
    fn runs(&self) -> Vec<&str> {
        vec![&self.wider.run, &self.narrower.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_positive("reach", self.reach)?;
        Kind::check_points(self.points, [0.0, self.reach])?;
        check_count("draws", self.draws)?;
        check_positive("rise", self.rise)?;
        check_samples(self.samples)?;
        for end in [&self.wider, &self.narrower] {
            check_solution(recipe, &end.run, end.solution)?;
        }
        Ok(())
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
                 bump between the two as a share of the basin's height",
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
                height_text(height),
            ]);
            wider_rays += of_rays;
            wider += usize::from(looks_wider);
            shown += usize::from(looks_wider && height <= BUMP);
            bumps.push(height);
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
                 two is {} of the basin's height, so that for {shown} of {seeds} seeds what looks wider lies in the \
                 same basin (a bump of up to {:.0} % counts as none).",
                self.draws,
                self.rise,
                self.distances(&widths[0]),
                names[0],
                self.distances(&widths[1]),
                names[1],
                names[0],
                self.draws * seeds as u64,
                bumps_text(&bumps),
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

    /// Mean and standard deviation of distances, and how many are beyond the reach or unknown.
    fn distances(&self, widths: &[Width]) -> String {
        let mut known = Vec::new();
        for &width in widths {
            if let Width::At(distance) = width {
                known.push(distance);
            }
        }
        let mut parts = Vec::new();
        if !known.is_empty() {
            parts.push(spread_text(&known, 2));
        }
        let others = [
            (Width::Beyond, format!("beyond {}", self.reach)),
            (Width::Unknown, "unknown".to_owned()),
        ];
        for (which, name) in others {
            match widths.iter().filter(|&&width| width == which).count() {
                0 => {}
                all if all == widths.len() => parts.push(name),
                some => parts.push(format!("{name} for {some}")),
            }
        }
        parts.join(", ")
    }

    fn rays(&self, trained: &Trained, end: &End, seed: u64, laboratory: &mut Laboratory) -> Result<Rays> {
        let name = self.name(end);
        let origin = trained.solution(end.solution)?;
        let (mut curves, mut widths, mut footnote) = (Vec::new(), Vec::new(), String::new());
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
            curves.push(losses);
            footnote = record.provenance.footnote();
        }
        // Not a band's mean, which is unknown wherever a loss is infinite.
        let mean = mean(&curves);
        Ok(Rays {
            width: width(&mean, self.rise),
            name,
            mean,
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
                    .map(|rays| Series {
                        label: format!("from {}", rays.name),
                        points: rays.mean.clone(),
                        dashed: false,
                    })
                    .to_vec(),
                marks: Vec::new(),
                footnote: both[0].footnote.clone(),
            },
            place: None,
        }
    }
}

/// Whether the first width is the larger; one beyond reach is larger than any within, and of one that is unknown
/// nothing is told.
fn is_wider(first: Width, second: Width) -> bool {
    match (first, second) {
        (Width::At(first), Width::At(second)) => first > second,
        (Width::Beyond, Width::At(_)) => true,
        _ => false,
    }
}

/// The first distance at which a curve from a solution on, linear between its points, is higher by `rise` than at its
/// first. A loss that has become infinite has risen, at its own distance: nothing is known of where before it did.
fn width(points: &[(f64, f64)], rise: f64) -> Width {
    let Some(level) = points
        .first()
        .map(|first| first.1 + rise)
        .filter(|level| level.is_finite())
    else {
        return Width::Unknown;
    };
    for pair in points.windows(2) {
        let ((near, below), (far, above)) = (pair[0], pair[1]);
        if above.is_nan() {
            return Width::Unknown;
        }
        if above >= level {
            let share = (level - below) / (above - below);
            return Width::At(if above.is_finite() {
                near + (far - near) * share
            } else {
                far
            });
        }
    }
    Width::Beyond
}

/// The mean loss of several rays, which are measured at the same distances: infinite where one is, and not a number
/// where one is not.
fn mean(rays: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let at = |(index, &(distance, _)): (usize, &(f64, f64))| {
        let losses = rays.iter().map(|ray| ray.get(index).map_or(f64::NAN, |point| point.1));
        (distance, losses.sum::<f64>() / rays.len() as f64)
    };
    rays.first().into_iter().flatten().enumerate().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_where_the_loss_has_risen() {
        let points = [(0.0, 1.0), (1.0, 1.0), (2.0, 2.0), (3.0, 1.5), (4.0, 5.0)];
        let widths = [0.5, 1.0, 2.5, 4.5].map(|rise| width(&points, rise));
        assert_eq!(
            widths,
            [
                Width::At(1.5),
                Width::At(2.0),
                Width::At(3.0 + 2.0 / 3.5),
                Width::Beyond
            ]
        );
        // A loss that is not a number may have risen, and after the rise it changes nothing.
        assert_eq!(width(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)], 1.0), Width::Unknown);
        assert_eq!(width(&[(0.0, 1.0), (1.0, 3.0), (2.0, f64::NAN)], 1.0), Width::At(0.5));
        for lost in [f64::NAN, f64::INFINITY] {
            assert_eq!(width(&[(0.0, lost), (1.0, 3.0)], 1.0), Width::Unknown);
        }
        assert_eq!(width(&[], 1.0), Width::Unknown);
    }

    #[test]
    fn a_loss_that_explodes_has_risen() {
        let exploding = [(0.0, 1.0), (1.0, 1.2), (2.0, f64::INFINITY), (3.0, f64::INFINITY)];
        assert_eq!(width(&exploding, 1.0), Width::At(2.0));
        let calm = [(0.0, 1.0), (1.0, 1.2), (2.0, 1.4), (3.0, 2.0)];
        assert!(is_wider(width(&calm, 1.0), width(&exploding, 1.0)));
        assert!(!is_wider(width(&exploding, 1.0), width(&calm, 1.0)));
        // So has the mean of rays of which one explodes.
        let mean = mean(&[exploding.to_vec(), calm.to_vec()]);
        assert_eq!(mean[..2], [(0.0, 1.0), (1.0, 1.2)]);
        assert_eq!((mean[2], width(&mean, 1.0)), ((2.0, f64::INFINITY), Width::At(2.0)));
    }

    #[test]
    fn what_does_not_rise_within_reach_is_the_wider() {
        let [two, one] = [2.0, 1.0].map(Width::At);
        assert!(is_wider(two, one) && is_wider(Width::Beyond, one));
        assert!(!is_wider(one, one) && !is_wider(Width::Beyond, Width::Beyond) && !is_wider(one, Width::Beyond));
        for other in [one, Width::Beyond, Width::Unknown] {
            assert!(!is_wider(Width::Unknown, other) && !is_wider(other, Width::Unknown));
        }
    }

    #[test]
    fn distances_name_those_that_have_none() {
        let Kind::RandomRays(rays) = Recipe::named("random-rays").unwrap().measure else {
            panic!("random rays");
        };
        let [two, one] = [2.0, 1.0].map(Width::At);
        assert_eq!(rays.distances(&[two, two]), "2.00 ± 0.00");
        assert_eq!(rays.distances(&[Width::Beyond]), "beyond 6");
        assert_eq!(
            rays.distances(&[one, Width::Beyond, Width::Unknown]),
            "1.00, beyond 6 for 1, unknown for 1"
        );
    }
}
