//! Solutions beside the minimum, on the flat side of asymmetric directions: what Theorem 1 says that they gain, and
//! what they do.

use serde::Deserialize;

use super::asymmetric_direction::{flat_side, interval, number};
use super::checks::{check_compared, check_count, check_positive, check_solution, check_width};
use super::curves::{LOSS_AXIS, RAY_AXIS, columns, series};
use super::defaults::{sgd, uniform, usual_draws};
use super::effort::Efforts;
use super::shift::joined;
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::Result;
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Trained, Which};
use crate::experiment::outcome::{
    Answer, Content, Figure, Outcome, PlaceView, Series, Table, Verdict, median, spread_text,
};
use crate::experiment::recipe::Recipe;
use crate::landscape::bias::{self, Biased};
use crate::landscape::line::{is_within, positions};
use crate::landscape::{BiasedDirection, Curve, DirectionKind, LineRecord, Provenance, ShiftGap};
use crate::objective::BatchNormPolicy;

/// Names that are nearer to each other than this share of the reach would be written over each other.
const TOUCHING: f64 = 0.02;

/// Theorem 1 along random directions: with the curves of a network what Fig. 1(b) of both versions sketches. Directions
/// of U(0, 1) are far from orthogonal, which the theorem asks of several: it is taken for each alone, k = 1.
///
/// The certificate of a train loss proves what its mean over shifts gains, which is a check of the program and no
/// finding. What the claim is about, and what answers, is the test loss at the biased solution.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BiasedSolution {
    /// The run.
    pub run: String,
    /// The solution that the directions go through: a minimum of the train loss in the paper.
    #[serde(default = "sgd")]
    pub solution: Which,
    /// How the directions are drawn.
    #[serde(default = "uniform")]
    pub direction: DirectionKind,
    /// Directions drawn for each seed of the experiment.
    #[serde(default = "usual_draws")]
    pub draws: u64,
    /// Certificates are searched from −reach to reach. Lines are measured twice as far, so that a test loss that is
    /// shifted by as much can still be compared.
    pub reach: f64,
    /// Number of points on each line.
    #[serde(default = "usual_points")]
    pub points: usize,
    /// Length of the interval that a certificate is about, at least.
    pub width: f64,
}

fn usual_points() -> usize {
    81
}

impl Experiment for BiasedSolution {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_positive("reach", self.reach)?;
        Kind::check_points(self.points, [-self.reach, self.reach])?;
        check_compared(self.points)?;
        check_width(self.width, self.reach)?;
        check_count("draws", self.draws)?;
        check_solution(recipe, &self.run, self.solution)
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        vec![Efforts::of(recipe).lines(&self.run, self.draws, self.points, BatchNormPolicy::Running)]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut outcome = Outcome::empty();
        let mut table = self.table();
        let (mut all, mut directions, mut footnote) = (Vec::new(), 0, String::new());
        for &seed in &recipe.seeds {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let mut largest: Option<(f64, Figure)> = None;
            for draw in 1..=self.draws {
                let along = positions(-2.0 * self.reach, 2.0 * self.reach, self.points);
                let record = laboratory.random_ray(
                    &trained,
                    self.solution,
                    (self.direction, draw),
                    BatchNormPolicy::Running,
                    along,
                )?;
                directions += 1;
                let [train, test] = losses(&record.curve);
                let Some(biased) = Biased::of(&train, &test, self.reach, self.width)? else {
                    table.rows.push(nothing(seed, draw, table.header.len()));
                    continue;
                };
                table.rows.push(row(&biased, seed, draw));
                let gain = biased.without_gap();
                if largest.as_ref().is_none_or(|(known, _)| gain > *known) {
                    largest = Some((gain, self.picture(&biased, &record, &trained, draw)?));
                }
                let common = Provenance {
                    origin: self.solution.name().to_owned(),
                    seed: None,
                    ..record.provenance
                };
                footnote = common.footnote();
                all.push(biased);
            }
            outcome.figures.extend(largest.map(|(_, figure)| figure));
        }
        outcome.figures.extend(gains(&all, footnote));
        outcome.tables.push(table);
        outcome.verdict = self.verdict(&all, directions);
        Ok(outcome)
    }
}

impl BiasedSolution {
    fn table(&self) -> Table {
        Table {
            caption: format!(
                "Along {} directions from {}: the certificate of the train loss within ±{}; the shift δ that lays the \
                 test loss best over it, above 0 towards the flat side, and the gap ξ_δ that it leaves; δ̄, which is \
                 |δ| where that lies between r and r̄ and halfway between them elsewhere, and the gap ξ that a shift \
                 by δ̄ leaves; 4ξ/((c − 1)·p), which the bias has to exceed, and the bias l, as far as the proof \
                 reaches; then what is gained at l towards the flat side: (c − 1)·l·p/2, that less 2ξ (Theorem 1's \
                 bound), by the mean of the train loss over shifts by ±δ̄, and by the test loss",
                self.direction,
                self.solution.name(),
                self.reach
            ),
            header: columns(
                "seed | direction | flat side | (r̄, r, p, c) | δ | ξ_δ | δ̄ | ξ | l above | l | bound without ξ | \
                 Theorem 1's bound | gain over ±δ̄ | gain of the test loss",
            ),
            rows: Vec::new(),
        }
    }

    /// Fig. 1(b) with the curves of a network: the minimum, the biased solution, and the loss under both shifts.
    fn picture(&self, biased: &Biased, record: &LineRecord, trained: &Trained, draw: u64) -> Result<Figure> {
        let seed = trained.folder.record().options.seed;
        let BiasedDirection { outer, delta, .. } = biased.direction;
        let (l, best) = (biased.measured.l, biased.best.delta);
        let gap = ShiftGap::along(&record.curve, (-outer, outer))?;
        let [whole, _] = losses(&record.curve);
        let mut train = series("train", &record.curve, Part::Train);
        train.points.retain(|&(position, _)| is_within(position, self.reach));
        let expected = |&(position, _): &(f64, f64)| {
            let mean = bias::measured_gain(&whole, delta, position);
            (position, mean.map_or(f64::NAN, |mean| mean.at_biased))
        };
        let mean = Series {
            label: format!("train, mean of shifts by ±{delta:.3}"),
            points: train.points.iter().map(expected).collect(),
            dashed: false,
        };
        let test = Series {
            label: format!("test, raised and shifted by δ = {best:+.3}"),
            points: joined(&gap.shifted(best), self.reach),
            dashed: true,
        };
        let mut marks = vec![(0.0, "minimum".to_owned()), (l, "biased".to_owned())];
        for (position, name) in [(delta, "+shift"), (-delta, "−shift")] {
            if (position - l).abs() > TOUCHING * self.reach {
                marks.push((position, name.to_owned()));
            }
        }
        Ok(Figure {
            name: format!("biased-seed{seed}"),
            title: format!("A biased solution along {}, seed {seed}", record.label),
            content: Content::Chart {
                x_label: RAY_AXIS.to_owned(),
                y_label: LOSS_AXIS.to_owned(),
                series: vec![train, test, mean],
                marks,
                footnote: record.provenance.footnote(),
            },
            place: trained.place(
                self.solution,
                PlaceView::Direction(self.direction, draw),
                BatchNormPolicy::Running,
                self.reach,
            ),
        })
    }

    fn verdict(&self, found: &[Biased], directions: usize) -> Verdict {
        let all = found.len();
        let count = |holds: fn(&Biased) -> bool| found.iter().filter(|one| holds(one)).count();
        let shown = count(|one| one.is_covered() && one.is_test_lower());
        let mut measured = format!(
            "Along {all} of {directions} directions the train loss is asymmetric (c > 1) over an interval at least {} \
             long.",
            self.width
        );
        if all > 0 {
            let lengths: Vec<f64> = found.iter().map(|one| one.best.delta.abs()).collect();
            measured += &format!(
                " The shift that lays the test loss best over the train loss, |δ| = {}, lies between r and r̄, as \
                 Assumption 1 asks, for {} of them. Theorem 1 covers {} of them, and the test loss, one draw of what \
                 it is about, is lower at the biased solution than at the minimum for {shown} of these{}. Of all {all}, \
                 covered or not, the test loss is lower there for {}. Were the gap of the best shift, whatever its \
                 length, that of δ̄, the theorem would cover {}. That the train loss gains (c − 1)·l·p/2 at least over \
                 shifts by ±δ̄ follows from its certificate and only checks the program: it is so for {} of {all}.",
                spread_text(&lengths, 3),
                count(|one| one.is_shift_inside),
                count(Biased::is_covered),
                too_large(found),
                count(Biased::is_test_lower),
                count(Biased::is_covered_at_best),
                count(Biased::is_proof_kept),
            );
        }
        Verdict {
            answer: Answer::of(shown, all),
            measured,
        }
    }
}

/// By how much ξ is too large where the theorem says nothing.
fn too_large(found: &[Biased]) -> String {
    let excesses: Vec<f64> = found
        .iter()
        .filter(|one| !one.is_covered())
        .map(Biased::excess)
        .collect();
    let Some(least) = excesses.iter().copied().reduce(f64::min) else {
        return String::new();
    };
    format!(
        "; elsewhere the gap ξ that a shift by δ̄ leaves is too large for it, {} times in the median and {} at least",
        number(median(&excesses)),
        number(least)
    )
}

/// Train and test loss.
fn losses(curve: &Curve) -> [Vec<(f64, f64)>; 2] {
    Part::BOTH.map(|part| curve.losses(part).collect())
}

/// A row of the table.
fn row(biased: &Biased, seed: u64, draw: u64) -> Vec<String> {
    let chosen = if biased.is_shift_inside { "|δ|" } else { "halfway" };
    vec![
        seed.to_string(),
        draw.to_string(),
        flat_side(&biased.certificate).to_owned(),
        interval(Some(&biased.certificate)),
        format!("{:+.3}", biased.shift_to_flat_side()),
        number(biased.best.gap),
        format!("{:.3}, {chosen}", biased.direction.delta),
        number(biased.predicted.xi),
        number(biased.least_bias()),
        format!("{:.3}", biased.direction.l),
        format!("{:+.4}", biased.without_gap()),
        format!("{:+.4}", biased.predicted.gain),
        format!("{:+.4}", biased.measured.gain),
        biased
            .observed
            .map_or("unknown".to_owned(), |gain| format!("{gain:+.4}")),
    ]
}

/// A row where there is no biased solution.
fn nothing(seed: u64, draw: u64, columns: usize) -> Vec<String> {
    let mut row = vec![seed.to_string(), draw.to_string(), String::new(), "none".to_owned()];
    row.resize(columns, String::new());
    row
}

/// What is gained against what the proof says without ξ.
fn gains(found: &[Biased], footnote: String) -> Option<Figure> {
    let mut sorted: Vec<&Biased> = found.iter().collect();
    sorted.sort_by(|a, b| a.without_gap().total_cmp(&b.without_gap()));
    let curve = |label: &str, dashed: bool, gain: fn(&Biased) -> Option<f64>| Series {
        label: label.to_owned(),
        points: sorted
            .iter()
            .filter_map(|one| Some((one.without_gap(), gain(one)?)))
            .collect(),
        dashed,
    };
    (!found.is_empty()).then(|| Figure {
        name: "gains".to_owned(),
        title: "What the flat side gains, and what it must".to_owned(),
        content: Content::Chart {
            x_label: "(c − 1)·l·p/2: the bound without ξ".to_owned(),
            y_label: "gain in cross-entropy loss".to_owned(),
            series: vec![
                curve("mean of the train loss over shifts by ±δ", false, |one| {
                    Some(one.measured.gain)
                }),
                curve("test loss", false, |one| one.observed),
                curve("the bound", true, |one| Some(one.without_gap())),
            ],
            marks: Vec::new(),
            footnote,
        },
        place: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: f64 = 1.0;

    fn found(train: impl Fn(f64) -> f64, test: impl Fn(f64) -> f64) -> Biased {
        let curve = |loss: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
            let places = positions(-2.0 * REACH, 2.0 * REACH, 81);
            places.into_iter().map(|l| (l, loss(l))).collect()
        };
        Biased::of(&curve(&train), &curve(&test), REACH, 0.3).unwrap().unwrap()
    }

    /// Slope 0.2 for l > 0 and 1.2 for l < 0.
    fn valley(l: f64) -> f64 {
        (0.2 * l).max(-1.2 * l)
    }

    /// The same, moved; the theorem covers it where that is by more than 0 and less than 1.
    fn moved(shift: f64) -> Biased {
        found(valley, move |l| valley(l - shift))
    }

    fn kind() -> BiasedSolution {
        BiasedSolution {
            run: "first".to_owned(),
            solution: Which::Sgd,
            direction: DirectionKind::Uniform,
            draws: 1,
            reach: REACH,
            points: 81,
            width: 0.3,
        }
    }

    #[test]
    fn the_test_loss_decides_where_the_theorem_says_something() {
        let verdict = |found: &[Biased]| kind().verdict(found, 2);
        let shown = verdict(&[moved(0.6)]);
        assert_eq!(shown.answer, Answer::Shown);
        for words in ["Along 1 of 2 directions", "covers 1 of them", "for 1 of these"] {
            assert!(shown.measured.contains(words), "{words}: {}", shown.measured);
        }
        assert!(!shown.measured.contains("too large"), "{}", shown.measured);
        // The bound of the train curve is kept in either, and proves nothing of the test loss.
        assert!(moved(-0.6).is_covered() && moved(-0.6).is_proof_kept());
        assert_eq!(verdict(&[moved(-0.6)]).answer, Answer::NotShown);
        assert_eq!(verdict(&[moved(0.6), moved(-0.6)]).answer, Answer::PartlyShown);
    }

    #[test]
    fn what_the_theorem_does_not_cover_is_not_shown() {
        // Nothing within 0.5, then slopes 0.2 and 2: a shift by 0.1 is too short for the interval from 0.5 to 1.
        let loss = |l: f64| (0.2 * (l - 0.5)).max(-2.0 * (l + 0.5)).max(0.0);
        let verdict = kind().verdict(&[found(loss, move |l| loss(l - 0.1))], 1);
        assert_eq!(verdict.answer, Answer::NotShown);
        for words in [
            "for 0 of them",
            "covers 0 of them",
            "too large for it",
            "would cover 1",
            "so for 1 of 1",
        ] {
            assert!(verdict.measured.contains(words), "{words}: {}", verdict.measured);
        }
    }

    #[test]
    fn a_row_tells_positions_towards_the_flat_side() {
        let row = row(&found(|l| valley(-l), |l| valley(-l - 0.6)), 1, 2);
        assert_eq!((row[2].as_str(), row[4].as_str()), ("−u", "+0.600"));
        assert_eq!(row.len(), kind().table().header.len());
        assert!(row[6].ends_with("|δ|"), "{}", row[6]);
    }

    #[test]
    fn what_is_not_asymmetric_has_no_biased_solution_and_no_figure() {
        let verdict = kind().verdict(&[], 3);
        assert_eq!(verdict.answer, Answer::NotShown);
        assert!(verdict.measured.starts_with("Along 0 of 3 directions"));
        assert!(gains(&[], String::new()).is_none());
        assert_eq!(nothing(1, 2, 14).len(), kind().table().header.len());
    }

    #[test]
    fn gains_are_drawn_by_ascending_bound() {
        let many = [0.6, 0.3, 0.8].map(moved);
        let Content::Chart { series, .. } = gains(&many, String::new()).unwrap().content else {
            panic!("a chart");
        };
        for one in &series {
            assert_eq!(one.points.len(), 3);
            assert!(
                one.points.windows(2).all(|pair| pair[0].0 <= pair[1].0),
                "{}",
                one.label
            );
        }
        for ((bound, gain), (_, least)) in series[0].points.iter().zip(&series[2].points) {
            assert!(*gain >= least - 1e-9 && bound == least);
        }
    }
}
