//! Random directions through a solution, and how asymmetric the loss is along them (Definition 1).

use serde::Deserialize;

use super::Kind;
use super::curves::{RAY_AXIS, check_draws};
use crate::data::Part;
use crate::error::Result;
use crate::experiment::laboratory::{Laboratory, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, PlaceView, Table, Verdict};
use crate::experiment::recipe::Recipe;
use crate::landscape::DirectionKind;
use crate::landscape::asymmetry::{ASYMMETRIC, Certificate, Draw, Profile, Side, Summary};
use crate::landscape::line::positions;
use crate::objective::BatchNormPolicy;

/// Directions of a kind through a solution (arXiv Fig. 2 and 15–19, NeurIPS Fig. 2).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AsymmetricDirection {
    /// The run.
    pub run: String,
    /// The solution they go through.
    #[serde(default)]
    pub solution: Which,
    /// How the directions are drawn.
    #[serde(default = "uniform")]
    pub direction: DirectionKind,
    /// Directions drawn for each seed of the experiment.
    #[serde(default = "usual_draws")]
    pub draws: u64,
    /// Positions reach from −reach to reach.
    pub reach: f64,
    /// Number of points on each.
    #[serde(default = "usual_points")]
    pub points: usize,
    /// Length of the interval that a certificate is about, at least.
    pub width: f64,
}

fn uniform() -> DirectionKind {
    DirectionKind::Uniform
}

fn usual_draws() -> u64 {
    5
}

fn usual_points() -> usize {
    41
}

impl AsymmetricDirection {
    /// Makes it for every seed.
    pub(super) fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        Kind::check_points(self.points, [-self.reach, self.reach])?;
        check_draws(self.draws)?;
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: format!(
                "Certificates of the train loss along {} directions from {}: distances and slopes, c = sharp / p",
                self.direction,
                self.solution.name()
            ),
            header: ["seed", "direction", "flat side", "(r̄, r, p, c)", "(r, p, c, ζ)"]
                .map(str::to_owned)
                .to_vec(),
            rows: Vec::new(),
        };
        let (mut all, mut shown) = (Vec::new(), 0);
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let mut draws = Vec::new();
            let mut best: Option<(f64, Figure)> = None;
            for draw in 1..=self.draws {
                let along = positions(-self.reach, self.reach, self.points);
                let record = laboratory.random_ray(
                    &trained,
                    self.solution,
                    (self.direction, draw),
                    BatchNormPolicy::Running,
                    along,
                )?;
                let certificate = Certificate::of(&Profile::of(&record.curve, Part::Train), self.width);
                table.rows.push(row(seed, draw, certificate.as_ref()));
                let c = certificate.as_ref().map_or(0.0, |certificate| certificate.c);
                if best.as_ref().is_none_or(|(known, _)| c > *known) {
                    let figure = Figure {
                        name: format!("direction-seed{seed}"),
                        title: format!("The most asymmetric of {} directions, seed {seed}", self.draws),
                        content: Content::Lines {
                            axis: RAY_AXIS.to_owned(),
                            records: vec![record],
                        },
                        place: trained.place(
                            self.solution,
                            PlaceView::Direction(self.direction, draw),
                            BatchNormPolicy::Running,
                            self.reach,
                        ),
                    };
                    best = Some((c, figure));
                }
                draws.push(Draw {
                    seed: draw,
                    certificate,
                });
            }
            outcome.figures.extend(best.map(|(_, figure)| figure));
            shown += usize::from(Summary::of(&draws, 1).share > 0.0);
            all.extend(draws);
        }
        outcome.tables.push(table);
        let summary = Summary::of(&all, 3);
        outcome.verdict = Verdict {
            answer: Answer::of(shown, recipe.seeds.len()),
            measured: format!(
                "c > {ASYMMETRIC} over an interval at least {} long for {:.0} % of {} directions, and for one at least \
                 at {shown} of {} solutions; the largest c is {}.",
                self.width,
                100.0 * summary.share,
                summary.draws,
                recipe.seeds.len(),
                summary
                    .best
                    .first()
                    .and_then(|draw| draw.certificate.as_ref())
                    .map_or("none".to_owned(), |certificate| number(certificate.c)),
            ),
        };
        Ok(outcome)
    }
}

/// A row of a table: seed, direction, flat side, and the certificate as both versions of the paper write it.
pub(super) fn row(seed: u64, draw: u64, certificate: Option<&Certificate>) -> Vec<String> {
    let mut row = vec![seed.to_string(), draw.to_string()];
    match certificate {
        Some(certificate) => {
            let side = match certificate.flat {
                Side::Positive => "+u",
                Side::Negative => "−u",
            };
            let (end, start, p, c) = certificate.published();
            let (r, _, _, zeta) = certificate.preprint();
            row.push(side.to_owned());
            row.push(format!("({end:.2}, {start:.2}, {}, {})", number(p), number(c)));
            row.push(format!("({r:.2}, {}, {}, {zeta:.2})", number(p), number(c)));
        }
        None => row.extend(["", "none", "none"].map(str::to_owned)),
    }
    row
}

/// Three significant digits.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "∞".to_owned();
    }
    crate::experiment::outcome::significant(value, 3)
}
