//! SGD on a function of one number that is flat on one side and sharp on the other: where is the mean of its iterates?

use serde::Deserialize;

use super::Experiment;
use crate::error::{Error, Result};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Series, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::oscillation::{Oscillation as Simulation, Settings};

/// Simulations of SGD in one dimension (arXiv Fig. 5, 6, 23 and 24, NeurIPS Fig. 5; Theorem 2). They need no run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Oscillation {
    /// What is simulated, each with every seed of the experiment.
    #[serde(default = "all")]
    pub cases: Vec<Preset>,
}

fn all() -> Vec<Preset> {
    Preset::ALL.to_vec()
}

/// A function, a learning rate and a start. The paper prints pictures without the numbers behind them; ours are those of
/// [`Settings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// An asymmetric valley at a rate at which SGD oscillates (Fig. 5).
    LargeRate,
    /// The same at a rate too small to reach the minimum from the flat side (arXiv Fig. 6, right).
    SmallRateFromFlat,
    /// The same from the sharp side (arXiv Fig. 6, left).
    SmallRateFromSharp,
    /// Two flat sides (arXiv Fig. 23).
    SymmetricFlat,
    /// Two sharp sides (arXiv Fig. 24).
    SymmetricSharp,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::LargeRate,
        Self::SmallRateFromFlat,
        Self::SmallRateFromSharp,
        Self::SymmetricFlat,
        Self::SymmetricSharp,
    ];

    /// For people.
    fn name(self) -> &'static str {
        match self {
            Self::LargeRate => "Large rate",
            Self::SmallRateFromFlat => "Small rate, from the flat side",
            Self::SmallRateFromSharp => "Small rate, from the sharp side",
            Self::SymmetricFlat => "Two flat sides",
            Self::SymmetricSharp => "Two sharp sides",
        }
    }

    fn settings(self, seed: u64) -> Settings {
        match self {
            Self::LargeRate => Settings::large_rate(seed),
            Self::SmallRateFromFlat => Settings::small_rate_from_flat(seed),
            Self::SmallRateFromSharp => Settings::small_rate_from_sharp(seed),
            Self::SymmetricFlat => Settings::symmetric_flat(seed),
            Self::SymmetricSharp => Settings::symmetric_sharp(seed),
        }
    }

    /// What the paper says of it, of one simulation.
    fn promise(self) -> &'static str {
        match self {
            Self::LargeRate => "its rounds' means are at least c₀ on average",
            Self::SmallRateFromFlat => "the mean is on the flat side",
            Self::SmallRateFromSharp => "the mean is nearer to the minimum than from the flat side",
            Self::SymmetricFlat => "every iterate stays on the side of the start",
            Self::SymmetricSharp => "the mean is less than a step from the minimum",
        }
    }

    /// Whether a simulation kept it.
    fn is_kept(self, found: &Simulation) -> Result<bool> {
        let Settings {
            valley,
            learning_rate,
            start,
            seed,
            ..
        } = found.settings;
        Ok(match self {
            // Theorem 2 bounds the expectation of a round's mean.
            Self::LargeRate => bound(found).is_some_and(|bound| {
                let sum: f64 = found.rounds.iter().map(|round| round.mean).sum();
                sum >= bound * found.rounds.len() as f64
            }),
            Self::SmallRateFromFlat => found.mean > 0.0,
            Self::SmallRateFromSharp => {
                let flat = Simulation::simulate(Settings::small_rate_from_flat(seed))?;
                found.mean.abs() < flat.mean.abs()
            }
            Self::SymmetricFlat => found.iterates.iter().all(|&w| w * start > 0.0),
            Self::SymmetricSharp => found.mean.abs() < learning_rate * valley.sharp,
        })
    }

    fn figure(self, found: &Simulation) -> Figure {
        let settings = &found.settings;
        let curve = |label: &str, points: Vec<(f64, f64)>| Series {
            label: label.to_owned(),
            points,
            dashed: false,
        };
        let level = |label: String, value: f64| Series {
            label,
            points: vec![(0.0, value), (settings.steps as f64, value)],
            dashed: true,
        };
        let iterates = found.iterates.iter().enumerate();
        let mut series = vec![curve("iterates", iterates.map(|(step, &w)| (step as f64, w)).collect())];
        if !found.rounds.is_empty() {
            let rounds = found.rounds.iter();
            let ends = rounds.flat_map(|round| [round.start, round.end].map(|step| (step as f64, round.mean)));
            series.push(curve("mean of each round", ends.collect()));
        }
        series.push(level(format!("mean of all iterates: {:.3}", found.mean), found.mean));
        if let Some(bound) = bound(found) {
            series.push(level(format!("Theorem 2's bound c₀: {bound:.3}"), bound));
        }
        Figure {
            name: self.name().to_lowercase().replace(',', "").replace(' ', "-"),
            title: self.name().to_owned(),
            content: Content::Chart {
                x_label: "step".to_owned(),
                y_label: "w (minimum at 0)".to_owned(),
                series,
                marks: Vec::new(),
                footnote: format!(
                    "slopes −{} and {} · noise up to {} · learning rate {} · seed {} · valleyscope {}",
                    settings.valley.sharp,
                    settings.valley.flat,
                    settings.noise,
                    settings.learning_rate,
                    settings.seed,
                    env!("CARGO_PKG_VERSION")
                ),
            },
            place: None,
        }
    }
}

/// Theorem 2's c₀ where there are rounds for it to be about.
fn bound(found: &Simulation) -> Option<f64> {
    found.bound.filter(|_| !found.rounds.is_empty())
}

/// What the simulations of one preset amount to.
#[derive(Default)]
struct Tally {
    /// Mean of all iterates, one a seed.
    means: Vec<f64>,
    /// c₀, where there are rounds for it to be about.
    bound: Option<f64>,
    /// How many those are, and how many have a mean that is no less.
    rounds: usize,
    above: usize,
    /// Simulations that went as the paper says.
    kept: usize,
}

impl Tally {
    fn add(&mut self, preset: Preset, found: &Simulation) -> Result<()> {
        self.means.push(found.mean);
        if let Some(bound) = bound(found) {
            self.rounds += found.rounds.len();
            self.above += found.rounds.iter().filter(|round| round.mean >= bound).count();
            self.bound = Some(bound);
        }
        self.kept += usize::from(preset.is_kept(found)?);
        Ok(())
    }

    fn positive(&self) -> usize {
        self.means.iter().filter(|&&mean| mean > 0.0).count()
    }

    fn row(&self, preset: Preset) -> Vec<String> {
        let all = self.means.len();
        let settings = preset.settings(0);
        vec![
            preset.name().to_owned(),
            format!("−{}, {}", settings.valley.sharp, settings.valley.flat),
            settings.learning_rate.to_string(),
            settings.steps.to_string(),
            spread_text(&self.means, 4),
            format!("{} of {all}", self.positive()),
            self.bound.map_or("none".to_owned(), |bound| format!("{bound:.4}")),
            format!("{} of {}", self.above, self.rounds),
            format!("{}: {} of {all}", preset.promise(), self.kept),
        ]
    }

    fn sentence(&self, preset: Preset) -> String {
        let all = self.means.len();
        let rounds = self.bound.map_or(String::new(), |bound| {
            format!(
                ", {:.0} % of {} rounds have a mean of at least c₀ = {bound:.3}",
                100.0 * self.above as f64 / self.rounds as f64,
                self.rounds
            )
        });
        format!(
            "{}: the mean is {}, above 0 for {} of {all} seeds{rounds}; {} for {}.",
            preset.name(),
            spread_text(&self.means, 3),
            self.positive(),
            preset.promise(),
            self.kept
        )
    }
}

impl Experiment for Oscillation {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        match self.cases.is_empty() {
            true => Err(Error::option("cases", "[]", "name one at least")),
            false => Ok(()),
        }
    }

    /// Makes it for every case and seed; figures are of the first seed.
    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut outcome = Outcome::empty();
        let mut table = Table {
            caption: "SGD on functions with their minimum at 0; positive w is the flat side, or the start's".to_owned(),
            header: [
                "case",
                "slopes",
                "learning rate",
                "steps",
                "mean of w",
                "mean above 0",
                "c₀",
                "rounds whose mean is at least c₀",
                "as the paper says",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: Vec::new(),
        };
        let (mut kept, mut sentences) = (0, Vec::new());
        for (index, &preset) in self.cases.iter().enumerate() {
            laboratory.report(preset.name(), index as f64 / self.cases.len() as f64)?;
            let mut tally = Tally::default();
            for (place, &seed) in recipe.seeds.iter().enumerate() {
                let found = Simulation::simulate(preset.settings(seed))?;
                if place == 0 {
                    outcome.figures.push(preset.figure(&found));
                }
                tally.add(preset, &found)?;
            }
            table.rows.push(tally.row(preset));
            sentences.push(tally.sentence(preset));
            kept += tally.kept;
        }
        outcome.tables.push(table);
        outcome.verdict = Verdict {
            answer: Answer::of(kept, self.cases.len() * recipe.seeds.len()),
            measured: format!("Positive w is the flat side, or the start's. {}", sentences.join(" ")),
        };
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_goes_as_the_paper_says_and_is_drawn_step_by_step() {
        for preset in Preset::ALL {
            let mut tally = Tally::default();
            for seed in 1..=20 {
                let found = Simulation::simulate(preset.settings(seed)).unwrap();
                tally.add(preset, &found).unwrap();
                let Content::Chart { series, .. } = preset.figure(&found).content else {
                    panic!("a chart");
                };
                for one in series {
                    assert!(one.points.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", one.label);
                }
            }
            assert_eq!(tally.kept, 20, "{preset:?}");
            assert_eq!(tally.bound.is_some(), preset == Preset::LargeRate);
            assert_eq!(
                tally.positive(),
                if preset == Preset::SmallRateFromSharp { 0 } else { 20 }
            );
        }
    }
}
