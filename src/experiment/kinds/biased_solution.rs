//! Solutions beside the minimum, on the flat side of asymmetric directions: what Theorem 1 says that they gain, and
//! what they do.

use serde::Deserialize;

use super::asymmetric_direction::{flat_side, interval, number};
use super::curves::{LOSS_AXIS, RAY_AXIS, check_draws, check_positive, columns, series};
use super::effort::Efforts;
use super::shift::{is_within, joined};
use super::{Experiment, Kind};
use crate::data::Part;
use crate::error::Result;
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Trained, Which};
use crate::experiment::outcome::{
    Answer, Content, Figure, Outcome, PlaceView, Series, Table, Verdict, median, spread_text,
};
use crate::experiment::recipe::Recipe;
use crate::landscape::asymmetry::{Certificate, Profile, Side};
use crate::landscape::bias::{self, BiasedDirection, MeasuredGain, PredictedGain};
use crate::landscape::line::positions;
use crate::landscape::shift::LEAST_SHARE;
use crate::landscape::{Curve, DirectionKind, LineRecord, Provenance, Shift, ShiftGap};
use crate::objective::BatchNormPolicy;

/// The smallest p that is used, as a share of the sharp side's slope: Definition 1 wants p > 0, and where the flat side
/// falls it holds for every such p.
const FLATTEST: f64 = 1e-3;
/// Share of the farthest bias that is taken: all of it but rounding, with which it would leave the interval.
const FARTHEST: f64 = 1.0 - 1e-9;
/// A gain may be missed by this share of the loss through rounding.
const ROUNDING: f64 = 1e-9;
/// Names that are nearer to each other than this share of the reach would be written over each other.
const TOUCHING: f64 = 0.02;

/// Theorem 1 along random directions: with the curves of a network what Fig. 1(b) of both versions sketches. Directions
/// of U(0, 1) are far from orthogonal, which the theorem asks of several: it is taken for each alone, k = 1.
///
/// Assumption 1 needs a shift δ̄ from r to r̄ of the certificate, and is about the gap ξ that this shift leaves. δ̄ is
/// the length of the shift that lays the test loss best over the train loss, where that is such a length, and halfway
/// between r and r̄ elsewhere. ξ is compared wherever the proof reads the losses, which is within ±r̄.
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

fn sgd() -> Which {
    Which::Sgd
}

fn uniform() -> DirectionKind {
    DirectionKind::Uniform
}

fn usual_draws() -> u64 {
    5
}

fn usual_points() -> usize {
    81
}

/// A biased solution along one asymmetric direction.
struct Biased {
    certificate: Certificate,
    /// The shift that lays the test loss best over the train loss.
    best: Shift,
    /// Whether its length lies between r and r̄, and so is δ̄.
    is_shift_inside: bool,
    /// p, c, r, r̄, δ̄, and the farthest l for which the proof holds.
    direction: BiasedDirection,
    /// With the gap ξ that a shift by δ̄ leaves.
    predicted: PredictedGain,
    /// With the gap that the best shift leaves, whatever its length: not what the theorem asks for.
    predicted_at_best: PredictedGain,
    /// What the mean of the train loss over shifts by +δ̄ and −δ̄ falls by.
    measured: MeasuredGain,
    /// What the test loss falls by; nothing where it is not finite.
    observed: Option<f64>,
}

impl Biased {
    /// Along a measured line; nothing where it is not asymmetric within `reach`, over at least `width`, or its losses
    /// cannot be compared.
    fn of(curve: &Curve, reach: f64, width: f64) -> Result<Option<Self>> {
        let [train, test] = Part::BOTH.map(|part| curve.losses(part).collect::<Vec<(f64, f64)>>());
        let within = train
            .iter()
            .copied()
            .filter(|&(position, _)| is_within(position, reach));
        let (places, losses): (Vec<f64>, Vec<f64>) = within.unzip();
        let found = Certificate::of(&Profile::new(&places, &losses)?, width);
        let Some(certificate) = found.filter(Certificate::is_asymmetric) else {
            return Ok(None);
        };
        let (inner, outer) = (certificate.from, certificate.to);
        let gap = ShiftGap::new(&train, &test, (-outer, outer))?;
        let Some(best) = gap.best() else {
            return Ok(None);
        };
        let is_shift_inside = inner < best.delta.abs() && best.delta.abs() < outer;
        let (delta, xi) = match is_shift_inside {
            true => (best.delta.abs(), best.gap),
            false => {
                let halfway = 0.5 * (inner + outer);
                let Some(xi) = smaller_gap(&gap, halfway) else {
                    return Ok(None);
                };
                (halfway, xi)
            }
        };
        let p = certificate.p.max(FLATTEST * certificate.sharp);
        let direction = BiasedDirection {
            p,
            c: certificate.sharp / p,
            inner,
            outer,
            delta,
            l: FARTHEST * (outer - delta).min(delta - inner),
        };
        let towards = towards(&certificate);
        Ok(Some(Self {
            certificate,
            best,
            is_shift_inside,
            direction,
            predicted: PredictedGain::new(&[direction], xi)?,
            predicted_at_best: PredictedGain::new(&[direction], best.gap)?,
            measured: bias::measured_gain(&train, delta, towards * direction.l)?,
            observed: bias::observed_gain(&test, towards * direction.l).ok(),
        }))
    }

    /// (c − 1)·l·p/2: the theorem's bound but for ξ.
    fn without_gap(&self) -> f64 {
        (self.direction.c - 1.0) * self.direction.l * self.direction.p / 2.0
    }

    /// 4ξ/((c − 1)·p), which l has to exceed.
    fn least_bias(&self) -> f64 {
        self.predicted.terms.iter().map(|term| term.lower).sum()
    }

    /// How many times too large ξ is for l.
    fn excess(&self) -> f64 {
        self.least_bias() / self.direction.l
    }

    /// Whether the theorem says something of it.
    fn is_covered(&self) -> bool {
        self.predicted.is_valid()
    }

    /// Whether it would, were the best shift's gap that of δ̄.
    fn is_covered_at_best(&self) -> bool {
        self.predicted_at_best.is_valid()
    }

    /// Whether the gain is the theorem's bound at least.
    fn is_bound_kept(&self) -> bool {
        self.measured.gain >= self.predicted.gain - self.rounding()
    }

    /// Whether it is as much without ξ: what the proof shows of every certificate.
    fn is_proof_kept(&self) -> bool {
        self.measured.gain >= self.without_gap() - self.rounding()
    }

    fn rounding(&self) -> f64 {
        ROUNDING * self.measured.at_minimum.abs()
    }

    fn is_test_lower(&self) -> bool {
        self.observed.is_some_and(|gain| gain > 0.0)
    }

    fn row(&self, seed: u64, draw: u64) -> Vec<String> {
        let chosen = if self.is_shift_inside { "|δ|" } else { "halfway" };
        vec![
            seed.to_string(),
            draw.to_string(),
            flat_side(&self.certificate).to_owned(),
            interval(Some(&self.certificate)),
            format!("{:+.3}", towards(&self.certificate) * self.best.delta),
            number(self.best.gap),
            format!("{:.3}, {chosen}", self.direction.delta),
            number(self.predicted.xi),
            number(self.least_bias()),
            format!("{:.3}", self.direction.l),
            format!("{:+.4}", self.without_gap()),
            format!("{:+.4}", self.predicted.gain),
            format!("{:+.4}", self.measured.gain),
            self.observed.map_or("unknown".to_owned(), |gain| format!("{gain:+.4}")),
        ]
    }
}

/// The sign of positions on the flat side.
fn towards(certificate: &Certificate) -> f64 {
    match certificate.flat {
        Side::Positive => 1.0,
        Side::Negative => -1.0,
    }
}

/// The gap left by a shift of this length, to the side on which it leaves less; nothing where too little can be
/// compared.
fn smaller_gap(gap: &ShiftGap, length: f64) -> Option<f64> {
    let shifts = [length, -length].into_iter().filter_map(|delta| gap.at(delta));
    shifts
        .filter(|shift| shift.share >= LEAST_SHARE)
        .map(|shift| shift.gap)
        .reduce(f64::min)
}

impl Experiment for BiasedSolution {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_positive("reach", self.reach)?;
        Kind::check_points(self.points, [-self.reach, self.reach])?;
        check_positive("width", self.width)?;
        check_draws(self.draws)
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
                let Some(biased) = Biased::of(&record.curve, self.reach, self.width)? else {
                    table.rows.push(nothing(seed, draw, table.header.len()));
                    continue;
                };
                table.rows.push(biased.row(seed, draw));
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
        let whole: Vec<(f64, f64)> = record.curve.losses(Part::Train).collect();
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
        let kept = count(|one| one.is_covered() && one.is_bound_kept());
        let mut measured = format!(
            "Along {all} of {directions} directions the train loss is asymmetric (c > 1) over an interval at least {} \
             long.",
            self.width
        );
        if all > 0 {
            let lengths: Vec<f64> = found.iter().map(|one| one.best.delta.abs()).collect();
            measured += &format!(
                " The shift that lays the test loss best over the train loss, |δ| = {}, lies between r and r̄, as \
                 Assumption 1 asks, for {} of them. Theorem 1 covers {} of them, with a gain of its bound at least for \
                 {kept}{}. Were the gap of the best shift, whatever its length, that of δ̄, it would cover {}. Without \
                 ξ the gain over ±δ̄ is (c − 1)·l·p/2 at least, as the proof has it, for {} of {all}; the test loss is \
                 lower at the biased solution than at the minimum for {}.",
                spread_text(&lengths, 3),
                count(|one| one.is_shift_inside),
                count(Biased::is_covered),
                too_large(found),
                count(Biased::is_covered_at_best),
                count(Biased::is_proof_kept),
                count(Biased::is_test_lower),
            );
        }
        Verdict {
            answer: Answer::of(kept, all),
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
    use proptest::prelude::*;

    use super::*;
    use crate::objective::{Measurement, Quality};

    const REACH: f64 = 1.0;

    /// Train and test loss from −2 to 2, in steps of 0.05.
    fn curve(train: impl Fn(f64) -> f64, test: impl Fn(f64) -> f64) -> Curve {
        let quality = |loss| Quality { loss, accuracy: 0.5 };
        let positions = positions(-2.0 * REACH, 2.0 * REACH, 81);
        let measured = |&l: &f64| {
            Some(Measurement {
                train: quality(train(l)),
                test: quality(test(l)),
            })
        };
        Curve {
            values: positions.iter().map(measured).collect(),
            positions,
        }
    }

    fn found(train: impl Fn(f64) -> f64, test: impl Fn(f64) -> f64) -> Option<Biased> {
        Biased::of(&curve(train, test), REACH, 0.3).unwrap()
    }

    /// Slope 0.2 for l > 0 and 1.2 for l < 0: p = 0.2 and c = 6.
    fn valley(l: f64) -> f64 {
        (0.2 * l).max(-1.2 * l)
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
    fn a_valley_that_is_shifted_as_the_theorem_asks_gains_its_bound() {
        let biased = found(valley, |l| valley(l - 0.6) + 0.5).unwrap();
        assert!(biased.is_shift_inside && (biased.direction.delta - 0.6).abs() < 1e-6);
        assert!((biased.direction.l - 0.4).abs() < 1e-6 && biased.predicted.xi < 1e-6);
        // (6 − 1)·0.4·0.2/2
        assert!((biased.without_gap() - 0.2).abs() < 1e-6);
        assert!((biased.measured.gain - 0.2).abs() < 1e-6 && biased.measured.l > 0.0);
        assert!(biased.is_covered() && biased.is_bound_kept() && biased.is_proof_kept());
        // The test loss at −0.6 and at −0.2 of the valley.
        assert!((biased.observed.unwrap() - 0.48).abs() < 1e-6 && biased.is_test_lower());
        let verdict = kind().verdict(&[biased], 2);
        assert_eq!(verdict.answer, Answer::Shown);
        assert!(
            verdict.measured.contains("Along 1 of 2 directions"),
            "{}",
            verdict.measured
        );
        assert!(!verdict.measured.contains("too large"), "{}", verdict.measured);
    }

    #[test]
    fn a_mirrored_valley_gains_as_much_on_its_other_side() {
        let biased = found(|l| valley(-l), |l| valley(-l - 0.6)).unwrap();
        assert!(biased.measured.l < 0.0 && (biased.measured.gain - 0.2).abs() < 1e-6);
        assert!((biased.observed.unwrap() - 0.48).abs() < 1e-6);
        let row = biased.row(1, 2);
        assert_eq!((row[2].as_str(), row[4].as_str(), row.len()), ("−u", "+0.600", 14));
        assert!(row[6].ends_with("|δ|"), "{}", row[6]);
    }

    #[test]
    fn a_shift_shorter_than_the_interval_s_begin_is_not_what_the_theorem_asks_for() {
        // Nothing within 0.5, then slopes 0.2 and 2: the interval is from 0.5 to 1, and a shift by 0.1 is too short.
        let loss = |l: f64| (0.2 * (l - 0.5)).max(-2.0 * (l + 0.5)).max(0.0);
        let biased = found(loss, move |l| loss(l - 0.1)).unwrap();
        assert!((biased.certificate.from - 0.5).abs() < 1e-9 && (biased.best.delta - 0.1).abs() < 1e-6);
        assert!(!biased.is_shift_inside && (biased.direction.delta - 0.75).abs() < 1e-6);
        // A shift by 0.75 leaves a difference of 1 at −1; the best one leaves nothing.
        assert!(!biased.is_covered() && biased.is_covered_at_best() && biased.is_proof_kept());
        assert!(biased.excess() > 1.0 && biased.predicted.xi > 0.5 && biased.best.gap < 1e-6);
        let verdict = kind().verdict(&[biased], 1);
        assert_eq!(verdict.answer, Answer::NotShown);
        for words in [
            "for 0 of them",
            "covers 0 of them",
            "too large for it",
            "would cover 1",
            "for 1 of 1",
        ] {
            assert!(verdict.measured.contains(words), "{words}: {}", verdict.measured);
        }
    }

    #[test]
    fn a_flat_side_that_falls_has_a_small_p_above_0() {
        let biased = found(|l| (-0.1 * l).max(-2.0 * l), |l| (-0.1 * l).max(-2.0 * l)).unwrap();
        assert!((biased.direction.p - 0.002).abs() < 1e-9 && (biased.direction.c - 1000.0).abs() < 1e-6);
        assert!(biased.is_proof_kept());
    }

    #[test]
    fn what_is_not_asymmetric_has_no_biased_solution_and_no_figure() {
        assert!(found(f64::abs, f64::abs).is_none());
        let verdict = kind().verdict(&[], 3);
        assert_eq!(verdict.answer, Answer::NotShown);
        assert!(verdict.measured.starts_with("Along 0 of 3 directions"));
        assert!(gains(&[], String::new()).is_none());
        assert_eq!(nothing(1, 2, 14).len(), kind().table().header.len());
    }

    #[test]
    fn gains_are_drawn_by_ascending_bound() {
        let many: Vec<Biased> = [0.6, 0.3, 0.8]
            .into_iter()
            .filter_map(|shift| found(valley, move |l| valley(l - shift)))
            .collect();
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

    proptest! {
        #[test]
        fn the_proof_holds_wherever_there_is_a_certificate(
            slopes in proptest::collection::vec((0.0_f64..1.0, 0.5_f64..6.0), 40),
            shift in -0.5_f64..0.5,
            flip in proptest::bool::ANY,
        ) {
            // Flat and sharp sides of 40 pieces each; a few of either rise as fast as the other side.
            let side = |pick: fn(&(f64, f64)) -> f64| -> Vec<f64> {
                let mut height = 0.0;
                slopes.iter().map(|pair| { height += 0.05 * pick(pair); height }).collect()
            };
            let (flat, sharp) = (side(|pair| pair.0 - 0.2), side(|pair| pair.1));
            let loss = |l: f64| {
                let l = if flip { -l } else { l };
                let place = (l.abs() / 0.05).round() as usize;
                let heights = if l > 0.0 { &flat } else { &sharp };
                place.checked_sub(1).map_or(0.0, |index| heights[index.min(39)])
            };
            if let Some(biased) = found(loss, |l| loss(l) + shift * l) {
                prop_assert!(biased.is_proof_kept(), "{:?} {:?}", biased.direction, biased.measured);
                prop_assert!(!biased.is_covered() || (biased.is_bound_kept() && biased.predicted.gain > -1e-12));
                prop_assert!(biased.is_covered() || biased.excess() >= 1.0);
                prop_assert!(biased.direction.c > 1.0 && biased.direction.p > 0.0);
            }
        }
    }
}
