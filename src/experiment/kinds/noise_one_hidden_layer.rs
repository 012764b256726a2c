//! Networks with one hidden layer of several widths: how many times faster the noise of SGD leaves a minimum than
//! isotropic noise of the same size.

use serde::Deserialize;

use super::Experiment;
use super::checks::check_positive;
use super::convexity::chart;
use super::curves::columns;
use super::dynamical_stability::{STEP_AXIS, check_rising};
use super::noise_on_networks::{error_text, over_seeds};
use crate::dynamics::one_hidden_layer::{Adam, Alignment, CLIP, OneHiddenLayer, Sample, samples};
use crate::error::{Error, Result};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, significant};
use crate::experiment::recipe::Recipe;

/// More points than anybody waits for: every look compares each with every other.
const MOST_POINTS: usize = 20_000;
/// Wider layers than anybody waits for.
const WIDEST: usize = 65_536;

/// Two-dimensional points, fitted by networks with one hidden layer and fixed outputs (Zhu et al. Fig. 4). They need no
/// run of a network of the program.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoiseOneHiddenLayer {
    /// Hidden units of each network, in rising order.
    #[serde(default = "usual_widths")]
    pub hidden: Vec<usize>,
    /// Points that are fitted.
    #[serde(default = "usual_points")]
    pub points: usize,
    /// δ: outputs are clipped to [δ, 1 − δ].
    #[serde(default = "usual_clip")]
    pub clip: f64,
    /// Adam's.
    #[serde(default = "usual_rate")]
    pub learning_rate: f64,
    /// Steps on all points.
    pub steps: usize,
    /// Steps from one look at the noise to the next.
    pub every: usize,
}

fn usual_widths() -> Vec<usize> {
    vec![32, 128, 512]
}

fn usual_points() -> usize {
    1000
}

fn usual_clip() -> f64 {
    CLIP
}

fn usual_rate() -> f64 {
    1e-3
}

/// What is known after some steps.
#[derive(Clone, Copy, Debug)]
struct Look {
    step: usize,
    loss: f64,
    accuracy: f64,
    alignment: Alignment,
}

/// The looks of one width, and of one seed each.
struct Width {
    hidden: usize,
    seeds: Vec<Vec<Look>>,
}

impl Width {
    /// A value of every seed at one of the looks.
    fn at(&self, index: usize, value: fn(&Look) -> f64) -> Vec<f64> {
        let looks = self.seeds.iter().filter_map(|looks| looks.get(index));
        looks.map(value).collect()
    }

    fn last(&self, value: fn(&Look) -> f64) -> Vec<f64> {
        self.seeds.iter().filter_map(|looks| looks.last()).map(value).collect()
    }

    /// Means over the seeds, by step.
    fn curve(&self, what: &str, value: fn(&Look) -> f64, dashed: bool) -> Series {
        let looks = self.seeds.first().into_iter().flatten().enumerate();
        let points = looks.map(|(index, look)| (look.step as f64, over_seeds(&self.at(index, value)).0));
        Series {
            label: format!("{} hidden units: {what}", self.hidden),
            points: points.collect(),
            dashed,
        }
    }
}

fn ratio(look: &Look) -> f64 {
    look.alignment.ratio()
}

fn aligned(look: &Look) -> f64 {
    look.alignment.aligned
}

fn isotropic(look: &Look) -> f64 {
    look.alignment.isotropic
}

impl Experiment for NoiseOneHiddenLayer {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        check_rising("hidden", &self.hidden)?;
        if self.hidden.len() < 2 || self.hidden.iter().any(|width| !(1..=WIDEST).contains(width)) {
            let reason = format!("name two widths at least, from 1 to {WIDEST}");
            return Err(Error::option("hidden", "", reason));
        }
        if !(1..=MOST_POINTS).contains(&self.points) {
            return Err(Error::option(
                "points",
                self.points,
                format!("it must be from 1 to {MOST_POINTS}"),
            ));
        }
        if !(self.clip > 0.0 && self.clip < 0.5) {
            return Err(Error::option("clip", self.clip, "it must lie between 0 and 0.5"));
        }
        check_positive("learning-rate", self.learning_rate)?;
        for (name, value) in [("steps", self.steps), ("every", self.every)] {
            if value == 0 {
                return Err(Error::option(name, value, "it must be at least 1"));
            }
        }
        Ok(())
    }

    fn settings(&self) -> Vec<[String; 2]> {
        vec![
            [
                "points".to_owned(),
                format!("{} of U(−2, 2)², labelled by x₀ ≥ x₁", self.points),
            ],
            ["outputs".to_owned(), format!("clipped to [{0}, 1 − {0}]", self.clip)],
            [
                "Adam".to_owned(),
                format!(
                    "learning rate {}, {} steps on all points",
                    self.learning_rate, self.steps
                ),
            ],
        ]
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut widths: Vec<Width> = Vec::new();
        for &hidden in &self.hidden {
            let mut seeds = Vec::new();
            for &seed in &recipe.seeds {
                seeds.push(self.fit(hidden, seed, laboratory)?);
            }
            widths.push(Width { hidden, seeds });
        }
        let all: Vec<String> = recipe.seeds.iter().map(u64::to_string).collect();
        let foot = format!(
            "{} points · δ = {} · Adam, learning rate {} · seeds {} · valleyscope {}",
            self.points,
            self.clip,
            self.learning_rate,
            all.join(", "),
            env!("CARGO_PKG_VERSION")
        );
        Ok(Outcome {
            figures: figures(&widths, &foot),
            tables: vec![table(&widths)],
            verdict: verdict(&widths, recipe.seeds.len()),
        })
    }
}

impl NoiseOneHiddenLayer {
    /// Fits a network and looks at its noise.
    fn fit(&self, hidden: usize, seed: u64, laboratory: &mut Laboratory) -> Result<Vec<Look>> {
        let points = samples(self.points, seed);
        let mut network = OneHiddenLayer::new(hidden, self.clip, seed);
        let mut adam = Adam::new(&network, self.learning_rate);
        let what = format!("{hidden} hidden units (seed {seed})");
        let mut looks = Vec::new();
        for step in 0..=self.steps {
            if step.is_multiple_of(self.every) || step == self.steps {
                laboratory.report(&what, step as f64 / self.steps as f64)?;
                looks.push(look(&network, &points, step));
            }
            if step < self.steps {
                adam.step(&mut network, &points);
            }
        }
        Ok(looks)
    }
}

fn look(network: &OneHiddenLayer, points: &[Sample], step: usize) -> Look {
    Look {
        step,
        loss: network.loss(points),
        accuracy: network.accuracy(points),
        alignment: network.alignment(points),
    }
}

fn figures(widths: &[Width], foot: &str) -> Vec<Figure> {
    let seeds = widths.first().map_or(0, |width| width.seeds.len());
    let over = match seeds {
        1 => "one seed".to_owned(),
        count => format!("mean of {count} seeds"),
    };
    let curves = |what: &str, value: fn(&Look) -> f64, dashed: bool| -> Vec<Series> {
        widths.iter().map(|width| width.curve(what, value, dashed)).collect()
    };
    let noise = [
        curves("Tr(HΣ)", aligned, false),
        curves("Tr(H)·Tr(Σ)/D", isotropic, true),
    ];
    vec![
        chart(
            "traces",
            format!("How fast SGD's noise leaves (solid) and isotropic noise of its size (dashed): {over}"),
            (STEP_AXIS, "Tr(HΣ) and Tr(H)·Tr(Σ)/D"),
            noise.concat(),
            Vec::new(),
            foot,
        ),
        chart(
            "ratio",
            format!("How many times faster SGD's noise leaves than isotropic noise: {over}"),
            (STEP_AXIS, "Tr(HΣ)·D/(Tr(H)·Tr(Σ))"),
            curves("ratio", ratio, false),
            Vec::new(),
            foot,
        ),
    ]
}

fn table(widths: &[Width]) -> Table {
    let row = |width: &Width| {
        let (mean, error) = over_seeds(&width.last(aligned));
        vec![
            width.hidden.to_string(),
            (3 * width.hidden).to_string(),
            error_text(over_seeds(&width.last(|look| look.loss)), 5),
            error_text(over_seeds(&width.last(|look| 100.0 * look.accuracy)), 2),
            match error {
                Some(error) => format!("{} ± {}", significant(mean, 3), significant(error, 2)),
                None => significant(mean, 3),
            },
            error_text(over_seeds(&width.at(0, ratio)), 1),
            error_text(over_seeds(&width.last(ratio)), 1),
        ]
    };
    Table {
        caption: "After the last step; means over the seeds with their standard errors".to_owned(),
        header: columns(
            "hidden units | D | loss | accuracy (%) | Tr(HΣ) | Tr(HΣ)·D/(Tr(H)·Tr(Σ)) at the start | and at the end",
        ),
        rows: widths.iter().map(row).collect(),
    }
}

fn verdict(widths: &[Width], seeds: usize) -> Verdict {
    // Neighbouring widths, at every look of every seed.
    let (mut shown, mut all) = (0, 0);
    for pair in widths.windows(2) {
        for (narrow, wide) in pair[0].seeds.iter().zip(&pair[1].seeds) {
            for (narrow, wide) in narrow.iter().zip(wide) {
                all += 1;
                shown += usize::from(ratio(wide) > ratio(narrow));
            }
        }
    }
    let ends: Vec<String> = widths
        .iter()
        .map(|width| {
            let ratio = error_text(over_seeds(&width.last(ratio)), 0);
            format!("{ratio} with {} hidden units", width.hidden)
        })
        .collect();
    Verdict {
        answer: Answer::of(shown, all),
        measured: format!(
            "Tr(HΣ)·D/(Tr(H)·Tr(Σ)) ends at {}, means of {seeds} seeds with their standard errors. Of two neighbouring \
             widths the larger has the larger ratio at {shown} of {all} looks.",
            ends.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> NoiseOneHiddenLayer {
        NoiseOneHiddenLayer {
            hidden: vec![8, 16],
            points: 100,
            clip: CLIP,
            learning_rate: 1e-3,
            steps: 10,
            every: 4,
        }
    }

    fn width(hidden: usize, ratios: [[f64; 2]; 2]) -> Width {
        let look = |(index, ratio): (usize, f64)| Look {
            step: 10 * index,
            loss: 0.001,
            accuracy: 0.99,
            alignment: Alignment {
                aligned: 2.0 * ratio,
                isotropic: 2.0,
            },
        };
        let seeds: [Vec<Look>; 2] = ratios.map(|ratios| ratios.into_iter().enumerate().map(look).collect());
        Width {
            hidden,
            seeds: seeds.to_vec(),
        }
    }

    #[test]
    fn a_verdict_is_by_every_look_of_every_seed() {
        let narrow = || width(8, [[5.0, 7.0], [6.0, 9.0]]);
        let found = verdict(&[narrow(), width(16, [[10.0, 15.0], [12.0, 17.0]])], 2);
        assert_eq!(found.answer, Answer::Shown, "{}", found.measured);
        for words in ["8 ± 1 with 8 hidden units, 16 ± 1 with 16", "at 4 of 4 looks"] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let found = verdict(&[narrow(), width(16, [[4.0, 15.0], [f64::NAN, 17.0]])], 2);
        assert_eq!(found.answer, Answer::PartlyShown);
        assert!(found.measured.contains("at 2 of 4 looks"), "{}", found.measured);
        let found = verdict(&[narrow(), width(16, [[4.0, 5.0], [6.0, 1.0]])], 2);
        assert_eq!(found.answer, Answer::NotShown);
    }

    #[test]
    fn figures_have_a_curve_for_every_width_and_the_table_a_row() {
        let widths = [
            width(8, [[5.0, 7.0], [6.0, 9.0]]),
            width(16, [[10.0, 15.0], [12.0, 17.0]]),
        ];
        let curve = widths[0].curve("ratio", ratio, false);
        assert_eq!(curve.points, [(0.0, 5.5), (10.0, 8.0)]);
        assert_eq!(figures(&widths, "").len(), 2);
        let table = table(&widths);
        assert_eq!(
            table.rows[1],
            columns("16 | 48 | 0.00100 ± 0.00000 | 99.00 ± 0.00 | 32.0 ± 2.0 | 11.0 ± 1.0 | 16.0 ± 1.0")
        );
        assert_eq!(table.rows[1].len(), table.header.len());
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        let recipe = Recipe::named("noise-one-hidden-layer").unwrap();
        let told = |kind: NoiseOneHiddenLayer| kind.check(&recipe).unwrap_err().to_string();
        assert!(kind().check(&recipe).is_ok());
        for hidden in [vec![], vec![8], vec![16, 8], vec![0, 8]] {
            let kind = NoiseOneHiddenLayer { hidden, ..kind() };
            assert!(told(kind).starts_with("hidden"));
        }
        assert!(told(NoiseOneHiddenLayer { clip: 0.5, ..kind() }).starts_with("clip"));
        assert!(told(NoiseOneHiddenLayer { points: 0, ..kind() }).starts_with("points"));
        assert!(told(NoiseOneHiddenLayer { steps: 0, ..kind() }).starts_with("steps"));
    }
}
