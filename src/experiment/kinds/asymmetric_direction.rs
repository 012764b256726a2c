//! Random directions through a solution, and how asymmetric the loss is along them (Definition 1).

use serde::Deserialize;

use super::checks::{check_count, check_positive, check_solution, check_width};
use super::curves::RAY_AXIS;
use super::defaults::{uniform, usual_draws, usual_points};
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::Result;
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Trained, Which};
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, PlaceView, Table, Verdict};
use crate::experiment::recipe::Recipe;
use crate::landscape::DirectionKind;
use crate::landscape::asymmetry::{ASYMMETRIC, Certificate, Draw, Profile, Side, SlopeSource, Summary};
use crate::landscape::line::positions;
use crate::objective::BatchNormPolicy;

/// Directions of a kind through a solution (arXiv Fig. 2 and 15–19, NeurIPS Fig. 2). Certificates are found from
/// differences of losses; that of the most asymmetric direction of each seed is searched again with exact slopes.
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

/// The most asymmetric direction of a seed by differences.
struct Best {
    c: f64,
    draw: u64,
    profile: Profile,
    figure: Figure,
}

/// What exact slopes say of a direction, beside what differences do.
struct Compared {
    draw: u64,
    differences: Option<Certificate>,
    exact: Option<Certificate>,
    /// Whether the certificate from differences holds for the exact slopes; nothing where there is none.
    holds: Option<bool>,
}

impl Compared {
    fn of(draw: u64, profile: Profile, slopes: &[f64], width: f64) -> Result<Self> {
        let differences = Certificate::of(&profile, width);
        let profile = profile.with_slopes(slopes)?;
        let of_exact = |found: Certificate| Certificate {
            slopes: SlopeSource::Exact,
            ..found
        };
        Ok(Self {
            draw,
            differences,
            exact: Certificate::of(&profile, width),
            holds: differences.map(|found| of_exact(found).holds(&profile)),
        })
    }

    /// Whether the direction is clearly asymmetric by exact slopes.
    fn is_clear(&self) -> bool {
        self.exact.is_some_and(|certificate| certificate.c > ASYMMETRIC)
    }

    fn row(&self, seed: u64) -> Vec<String> {
        let holds = match self.holds {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        vec![
            seed.to_string(),
            self.draw.to_string(),
            interval(self.differences.as_ref()),
            interval(self.exact.as_ref()),
            holds.to_owned(),
        ]
    }
}

impl Experiment for AsymmetricDirection {
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
        let efforts = Efforts::of(recipe);
        vec![
            efforts.lines(&self.run, self.draws, self.points, BatchNormPolicy::Running),
            // Exact slopes along one direction of each seed.
            efforts.gradients(&self.run, self.points as f64, BatchNormPolicy::Running, usize::MAX),
        ]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
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
        let mut exact = Table {
            caption: format!(
                "The most asymmetric direction of each seed, from exact slopes ⟨∇L̂(w + l·u), u⟩ at the same \
                 positions: (r̄, r, p, c), and whether what differences say, which are means of the slopes over 1/{} of \
                 the line, holds for the slopes themselves",
                self.points - 1
            ),
            header: ["seed", "direction", "from differences", "from exact slopes", "holds"]
                .map(str::to_owned)
                .to_vec(),
            rows: Vec::new(),
        };
        let (mut all, mut compared) = (Vec::new(), Vec::new());
        let (mut by_differences, mut shown) = (0, 0);
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let mut draws = Vec::new();
            let mut best: Option<Best> = None;
            for draw in 1..=self.draws {
                let along = positions(-self.reach, self.reach, self.points);
                let record = laboratory.random_ray(
                    &trained,
                    self.solution,
                    (self.direction, draw),
                    BatchNormPolicy::Running,
                    along,
                )?;
                let profile = Profile::of(&record.curve, Part::Train);
                let certificate = Certificate::of(&profile, self.width);
                table.rows.push(row(seed, draw, certificate.as_ref()));
                let c = certificate.as_ref().map_or(0.0, |certificate| certificate.c);
                if best.as_ref().is_none_or(|known| c > known.c) {
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
                    best = Some(Best {
                        c,
                        draw,
                        profile,
                        figure,
                    });
                }
                draws.push(Draw {
                    seed: draw,
                    certificate,
                });
            }
            if let Some(best) = best {
                outcome.figures.push(best.figure);
                let found = self.compared(&trained, best.draw, best.profile, laboratory)?;
                exact.rows.push(found.row(seed));
                shown += usize::from(found.is_clear());
                compared.push(found);
            }
            by_differences += usize::from(Summary::of(&draws, 1).share > 0.0);
            all.extend(draws);
        }
        outcome.tables.extend([table, exact]);
        let summary = Summary::of(&all, 3);
        outcome.verdict = Verdict {
            answer: Answer::of(shown, recipe.seeds.len()),
            measured: format!(
                "By differences c > {ASYMMETRIC} over an interval at least {} long for {:.0} % of {} directions, and \
                 for one at least at {by_differences} of {} solutions; the largest c is {}. From exact slopes along \
                 the most asymmetric direction of each the largest is {}, c > {ASYMMETRIC} is so at {shown} of the \
                 solutions, and what differences say holds for {} of {} of these directions.",
                self.width,
                100.0 * summary.share,
                summary.draws,
                recipe.seeds.len(),
                summary
                    .best
                    .first()
                    .and_then(|draw| draw.certificate.as_ref())
                    .map_or("none".to_owned(), |certificate| number(certificate.c)),
                compared
                    .iter()
                    .filter_map(|found| Some(found.exact?.c))
                    .max_by(f64::total_cmp)
                    .map_or("none".to_owned(), number),
                compared.iter().filter(|found| found.holds == Some(true)).count(),
                compared.len(),
            ),
        };
        Ok(outcome)
    }
}

impl AsymmetricDirection {
    /// Searches the certificate of a direction again, with exact slopes.
    fn compared(
        &self,
        trained: &Trained,
        draw: u64,
        profile: Profile,
        laboratory: &mut Laboratory,
    ) -> Result<Compared> {
        let line = trained.ray(self.solution, self.direction, draw)?;
        let positions: Vec<f64> = profile.positions().collect();
        let slopes = laboratory.slopes(&trained.objective, &line, &positions, BatchNormPolicy::Running)?;
        Compared::of(draw, profile, &slopes, self.width)
    }
}

/// A row of a table: seed, direction, flat side, and the certificate as both versions of the paper write it.
pub(super) fn row(seed: u64, draw: u64, certificate: Option<&Certificate>) -> Vec<String> {
    let (side, preprint) = match certificate {
        Some(certificate) => {
            let (r, p, c, zeta) = certificate.preprint();
            let preprint = format!("({r:.2}, {}, {}, {zeta:.2})", number(p), number(c));
            (flat_side(certificate), preprint)
        }
        None => ("", "none".to_owned()),
    };
    vec![
        seed.to_string(),
        draw.to_string(),
        side.to_owned(),
        interval(certificate),
        preprint,
    ]
}

/// The flat side, for a table.
pub(super) fn flat_side(certificate: &Certificate) -> &'static str {
    match certificate.flat {
        Side::Positive => "+u",
        Side::Negative => "−u",
    }
}

/// (r̄, r, p, c), for a table.
pub(super) fn interval(certificate: Option<&Certificate>) -> String {
    certificate.map_or("none".to_owned(), |certificate| {
        let (end, start, p, c) = certificate.published();
        format!("({end:.2}, {start:.2}, {}, {})", number(p), number(c))
    })
}

/// Three significant digits; what is not finite by its name.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "unknown".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    crate::experiment::outcome::significant(value, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_hold_for_exact_slopes_only_where_those_are_no_worse_than_their_means() {
        // Slopes from 4 to 8 where differences have their mean, 6, and from 0.25 to 0.75 where they have 0.5.
        let positions = [-2.0, -1.0, 0.0, 1.0, 2.0];
        let profile = || Profile::new(&positions, &[8.0, 2.0, 0.0, 0.5, 1.0]).unwrap();
        let bent = Compared::of(3, profile(), &[-8.0, -4.0, 0.0, 0.25, 0.75], 0.5).unwrap();
        assert_eq!(bent.differences.unwrap().published(), (2.0, 1.0, 0.5, 12.0));
        assert_eq!(bent.exact.unwrap().published(), (2.0, 1.0, 0.75, 16.0 / 3.0));
        assert!(bent.holds == Some(false) && bent.is_clear());
        assert_eq!(
            bent.row(1),
            ["1", "3", "(2.00, 1.00, 0.500, 12.0)", "(2.00, 1.00, 0.750, 5.33)", "no"]
        );
        let straight = Compared::of(3, profile(), &[-6.0, -6.0, 0.0, 0.5, 0.5], 0.5).unwrap();
        assert_eq!((straight.exact.unwrap().c, straight.holds), (12.0, Some(true)));
        // Differences of 0.5 and 6 hide a flat side that rises as fast as the other at one end.
        let hidden = Compared::of(3, profile(), &[-8.0, -4.0, 0.0, -3.0, 4.0], 0.5).unwrap();
        assert!(hidden.differences.unwrap().c > ASYMMETRIC && !hidden.is_clear());
        // A side that does not rise has no certificate to compare.
        let falling = Profile::new(&[-1.0, 0.0, 1.0], &[0.0, 1.0, 0.0]).unwrap();
        let none = Compared::of(1, falling, &[1.0, 0.0, -1.0], 0.5).unwrap();
        assert!(none.holds.is_none() && !none.is_clear());
        assert_eq!(none.row(2), ["2", "1", "none", "none", ""]);
    }

    #[test]
    fn a_row_writes_a_certificate_as_both_versions_do() {
        let profile = Profile::new(&[-2.0, 0.0, 2.0], &[1.0, 0.0, 8.0]).unwrap();
        let found = Certificate::of(&profile, 1.0);
        assert_eq!(
            row(1, 2, found.as_ref()),
            ["1", "2", "−u", "(2.00, 0.00, 0.500, 8.00)", "(2.00, 0.500, 8.00, 0.00)"]
        );
        assert_eq!(row(1, 2, None), ["1", "2", "", "none", "none"]);
    }

    #[test]
    fn a_number_that_is_not_finite_has_its_own_name() {
        let written = [1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(number);
        assert_eq!(written, ["1.50", "∞", "−∞", "unknown"]);
    }
}
