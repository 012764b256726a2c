//! Gradient descent with noise of several shapes and one size, started at a sharp minimum: which one ends at the flat
//! one?

use serde::Deserialize;

use super::Experiment;
use crate::dynamics::noise::Noise;
use crate::dynamics::proportion::Proportion;
use crate::dynamics::race::{BORDER, COMPARED, LEARNING_RATE, MAGNITUDE, Run, STEPS, Settings, seen};
use crate::dynamics::surface::Samples;
use crate::error::{Error, Result};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{
    Answer, Content, Figure, Map, Outcome, Series, Table, Verdict, Way, median, spread_text,
};
use crate::experiment::recipe::Recipe;
use crate::landscape::Scale;

/// Points of a drawn trajectory, as many as in the published figure.
const DRAWN: usize = 100;
/// Nodes of the drawn surface along each axis.
const NODES: usize = 161;

/// Runs over two weights (Zhu et al. Fig. 2 and 9), one a seed and dynamics. They need no run of a network; all that is
/// not named here is as published.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoiseRace {
    /// What is compared.
    #[serde(default = "those_of_the_figure")]
    pub dynamics: Vec<Noise>,
    /// How the surface's samples are drawn.
    #[serde(default)]
    pub samples: Samples,
    /// Steps of a run.
    #[serde(default = "usual_steps")]
    pub steps: usize,
}

fn those_of_the_figure() -> Vec<Noise> {
    COMPARED.to_vec()
}

fn usual_steps() -> usize {
    STEPS
}

/// What the paper claims of its Fig. 2: whatever ranks higher escapes more often. It says nothing of equals.
fn rank(noise: Noise) -> u8 {
    match noise {
        Noise::Gd | Noise::GldConstant | Noise::GldDynamic | Noise::GldDiagonal => 0,
        Noise::Sgd | Noise::GldLeading | Noise::GldHessian => 1,
        Noise::GldFirstEigenvector => 2,
    }
}

/// The runs of one dynamics.
struct Tally {
    noise: Noise,
    /// Runs that end at the flat minimum.
    ends: Proportion,
    /// First steps there, of those runs that ever are.
    arrivals: Vec<f64>,
    /// Tr(H·C) before the first step, one a seed.
    indicators: Vec<f64>,
    /// The run of the first seed.
    first: Option<Run>,
}

impl Tally {
    fn new(noise: Noise) -> Self {
        Self {
            noise,
            ends: Proportion::default(),
            arrivals: Vec::new(),
            indicators: Vec::new(),
            first: None,
        }
    }

    fn add(&mut self, run: Run) {
        self.ends.all += 1;
        self.ends.count += usize::from(run.ends_flat());
        self.arrivals.extend(run.arrival().map(|step| step as f64));
        self.indicators.extend(run.indicator.first());
        self.first.get_or_insert(run);
    }

    fn row(&self) -> Vec<String> {
        let [low, high] = self.ends.interval().map(|bound| format!("{:.1}", 100.0 * bound));
        let arrived = self.arrivals.len();
        vec![
            self.noise.name().to_owned(),
            format!("{} of {}", self.ends.count, self.ends.all),
            format!("{low} to {high}"),
            format!("{arrived} of {}", self.ends.all),
            match arrived {
                0 => "none".to_owned(),
                _ => format!("{:.0}", median(&self.arrivals)),
            },
            spread_text(&self.indicators, 3),
        ]
    }

    /// The first run's indicator by step.
    fn indicator(&self) -> Series {
        let steps = self.first.iter().flat_map(|run| run.indicator.iter().enumerate());
        Series {
            label: self.noise.name().to_owned(),
            points: steps.map(|(step, &value)| (step as f64, value)).collect(),
            dashed: false,
        }
    }

    /// Where the first run leads, every so many steps and at the end.
    fn way(&self, stride: usize) -> Way {
        let run = self.first.as_ref().map_or(&[][..], |run| run.trajectory.as_slice());
        let is_drawn = |step: usize| step.is_multiple_of(stride) || step + 1 == run.len();
        let points = run.iter().enumerate().filter(|(step, _)| is_drawn(*step));
        Way {
            label: self.noise.name().to_owned(),
            points: points.map(|(_, w)| *w).collect(),
        }
    }

    /// A bar from 0 to the share in percent, at `place` on the horizontal axis, with its interval in the middle.
    fn bar(&self, place: usize) -> Series {
        let share = 100.0 * self.ends.share();
        let [low, high] = self.ends.interval().map(|bound| 100.0 * bound);
        let (left, right) = (place as f64 - 0.4, place as f64 + 0.4);
        Series {
            label: format!("{}: {}", self.noise.name(), self.ends),
            points: vec![(left, 0.0), (left, share), (right, share), (right, 0.0)],
            dashed: false,
        }
        .with_bars([(place as f64, [low, high])])
    }
}

impl Experiment for NoiseRace {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        let ranks = || self.dynamics.iter().map(|&noise| rank(noise));
        if ranks().min() == ranks().max() {
            return Err(Error::option(
                "dynamics",
                "",
                "name two at least of which one escapes more often in the paper, such as gd and gld-hessian",
            ));
        }
        Ok(())
    }

    /// Makes it for every seed and dynamics; trajectories and indicators are drawn of the first seed.
    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let mut tallies = Vec::new();
        for (index, &noise) in self.dynamics.iter().enumerate() {
            let mut tally = Tally::new(noise);
            for (place, &seed) in recipe.seeds.iter().enumerate() {
                let done = index as f64 + place as f64 / recipe.seeds.len() as f64;
                laboratory.report(noise.name(), done / self.dynamics.len() as f64)?;
                tally.add(Run::make(Settings {
                    samples: self.samples,
                    steps: self.steps,
                    ..Settings::published(noise, seed)
                })?);
            }
            tallies.push(tally);
        }
        let first = recipe.seeds.first().copied().unwrap_or_default();
        Ok(Outcome {
            figures: self.figures(&tallies, first),
            tables: vec![table(&tallies)],
            verdict: verdict(&tallies),
        })
    }
}

impl NoiseRace {
    /// Shares of all seeds; trajectories over the surface, and indicators, of the `first`.
    fn figures(&self, tallies: &[Tally], first: u64) -> Vec<Figure> {
        let footnote = format!(
            "from (1, 1) · rate {LEARNING_RATE} · E|ε|² = {MAGNITUDE} · {} steps · samples {} · valleyscope {}",
            self.steps,
            self.samples.name(),
            env!("CARGO_PKG_VERSION")
        );
        let figure = |name: &str, title: &str, content: Content| Figure {
            name: name.to_owned(),
            title: title.to_owned(),
            content,
            place: None,
        };
        let chart = |[x_label, y_label]: [&str; 2], series: Vec<Series>| Content::Chart {
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            series,
            marks: Vec::new(),
            footnote: footnote.clone(),
        };
        vec![
            figure(
                "success",
                "Runs that end at the flat minimum",
                chart(
                    [
                        "dynamics, in the order of the legend",
                        "share of runs and its interval (%)",
                    ],
                    tallies.iter().enumerate().map(|(place, one)| one.bar(place)).collect(),
                ),
            ),
            figure(
                "trajectories",
                "From the sharp minimum to the flat one, or not: one run",
                Content::Map(Box::new(self.map(tallies, first, &footnote))),
            ),
            figure(
                "indicator",
                "How fast the noise leaves a minimum where the run is: one run",
                chart(
                    ["step", "Tr(H·Σ), loss a step"],
                    tallies.iter().map(Tally::indicator).collect(),
                ),
            ),
        ]
    }

    /// The surface of the first seed with its minima, and the runs over it.
    fn map(&self, tallies: &[Tally], first: u64, footnote: &str) -> Map {
        // The samples are the same whatever the noise.
        let settings = Settings {
            samples: self.samples,
            ..Settings::published(Noise::Gd, first)
        };
        let surface = settings.surface();
        let range = seen(tallies.iter().filter_map(|one| one.first.as_ref()));
        let [sharp, flat] = surface.minima();
        let place = |name: &str, at: [f64; 2]| (name.to_owned(), at);
        let stride = (self.steps / DRAWN).max(1);
        Map {
            axes: ["w₁", "w₂"].map(str::to_owned),
            spans: [range; 2],
            columns: NODES,
            values: surface.field(range, NODES).values,
            // On a logarithmic one both minima would be pits: what is sharp and what is flat is seen on this.
            scale: Scale::Linear,
            ways: tallies.iter().map(|one| one.way(stride)).collect(),
            places: vec![place("sharp minimum", sharp), place("flat minimum", flat)],
            footnote: format!("seed {first} · {footnote}"),
        }
    }
}

fn table(tallies: &[Tally]) -> Table {
    Table {
        caption: format!("Runs from the sharp minimum; both weights are below {BORDER} at the flat one"),
        header: [
            "dynamics",
            "end at the flat minimum",
            "Wilson's interval of 95 % (%)",
            "are there after any step",
            "first step there, median",
            "Tr(H·Σ) at the start",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: tallies.iter().map(Tally::row).collect(),
    }
}

fn verdict(tallies: &[Tally]) -> Verdict {
    let (mut shown, mut reversed, mut open) = (0, Vec::new(), Vec::new());
    for better in tallies {
        for worse in tallies.iter().filter(|worse| rank(worse.noise) < rank(better.noise)) {
            let names = format!("{} over {}", better.noise.name(), worse.noise.name());
            if better.ends.is_above(worse.ends) {
                shown += 1;
            } else if worse.ends.is_above(better.ends) {
                reversed.push(names);
            } else {
                open.push(names);
            }
        }
    }
    let all = shown + reversed.len() + open.len();
    let told = |words: &str, names: &[String]| match names {
        [] => String::new(),
        _ => format!(" {words}: {}.", names.join(", ")),
    };
    let shares: Vec<String> = tallies
        .iter()
        .map(|one| format!("{} {}", one.noise.name(), one.ends))
        .collect();
    Verdict {
        answer: Answer::of(shown, all),
        measured: format!(
            "So many runs end at the flat minimum, with Wilson's intervals of 95 %: {}. Of the {all} orders in the \
             claim {shown} are shown by intervals that lie apart.{}{}",
            shares.join(", "),
            told("The other way round", &reversed),
            told("Not told apart by so many runs", &open)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(noise: Noise, count: usize) -> Tally {
        Tally {
            ends: Proportion { count, all: 100 },
            ..Tally::new(noise)
        }
    }

    #[test]
    fn a_verdict_is_by_intervals_that_lie_apart() {
        let of = |shares: [usize; 3]| {
            let noises = [Noise::Gd, Noise::GldHessian, Noise::GldFirstEigenvector];
            verdict(&[0, 1, 2].map(|index| tally(noises[index], shares[index])))
        };
        assert_eq!(of([0, 30, 60]).answer, Answer::Shown);
        let found = of([0, 30, 40]);
        assert_eq!(found.answer, Answer::PartlyShown);
        assert!(
            found.measured.contains("GD 0 of 100 (0 to 4 %)")
                && found.measured.contains("Of the 3 orders in the claim 2 are")
                && found
                    .measured
                    .contains("so many runs: GLD 1st eigvec(H) over GLD Hessian."),
            "{}",
            found.measured
        );
        let found = of([60, 30, 0]);
        assert_eq!(found.answer, Answer::NotShown);
        assert!(
            found.measured.contains("The other way round: GLD Hessian over GD, "),
            "{}",
            found.measured
        );
        assert!(!found.measured.contains("told apart"));
    }

    #[test]
    fn bars_and_curves_have_ascending_positions() {
        let mut tally = tally(Noise::GldHessian, 30);
        tally.add(Run::make(Settings::published(Noise::GldHessian, 1)).unwrap());
        let bar = tally.bar(2);
        assert!(bar.points[..4].is_sorted_by(|first, second| first.0 <= second.0));
        let [low, high] = tally.ends.interval();
        assert_eq!(bar.points[5..], [(2.0, 100.0 * low), (2.0, 100.0 * high)]);
        let race = NoiseRace {
            dynamics: those_of_the_figure(),
            samples: Samples::Code,
            steps: STEPS,
        };
        let figures = race.figures(&[tally], 1);
        let counts = figures.iter().map(|figure| match &figure.content {
            Content::Chart { series, .. } => series[0].points.len(),
            Content::Map(map) => map.ways[0].points.len(),
            _ => 0,
        });
        assert_eq!(counts.collect::<Vec<_>>(), [7, DRAWN + 1, STEPS]);
    }

    #[test]
    fn a_run_is_drawn_on_its_own_surface_from_its_start_to_its_end() {
        let race = NoiseRace {
            dynamics: those_of_the_figure(),
            samples: Samples::Paper,
            steps: 230,
        };
        let settings = Settings {
            samples: race.samples,
            steps: race.steps,
            ..Settings::published(Noise::GldHessian, 3)
        };
        let run = Run::make(settings).unwrap();
        let mut tally = Tally::new(Noise::GldHessian);
        tally.add(run.clone());
        let map = race.map(&[tally, Tally::new(Noise::Gd)], 3, "foot");
        let [way, none] = &map.ways[..] else {
            panic!("two ways");
        };
        // Every second step.
        assert_eq!((way.points.len(), none.points.len()), (116, 0));
        assert_eq!(way.points[0], run.trajectory[0]);
        assert_eq!(way.points[115], run.trajectory[230]);
        // Every third one, and the last.
        let mut tally = Tally::new(Noise::GldHessian);
        tally.add(run.clone());
        let points = tally.way(3).points;
        assert_eq!((points.len(), points.last()), (78, run.trajectory.last()));
        let (surface, field) = (settings.surface(), map.field().unwrap());
        assert_eq!(field.values[0], surface.value([field.first.0, field.second.0]));
        assert_eq!([map.places[0].1, map.places[1].1], surface.minima());
    }
}
