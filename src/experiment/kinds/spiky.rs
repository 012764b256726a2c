//! SGD on a spiky function of one number: where it ends with noise of several widths, and in stages of less and less.

use serde::Deserialize;

use super::Experiment;
use crate::dynamics::proportion::Proportion;
use crate::dynamics::spiky::{self, MINIMUM, Settings, Smoothed, Trial};
use crate::error::{Error, Result};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::{Answer, Content, Figure, Outcome, Series, Table, Verdict, significant};
use crate::experiment::recipe::Recipe;
use crate::landscape::line::positions;

/// Points of a curve, and positions at which one-point convexity is looked at.
const POINTS: usize = 2001;
/// Bars of a histogram.
const BARS: usize = 32;
/// Bars of starts.
const STARTS: usize = 6;
/// Steps of a trial at most.
const MOST_STEPS: usize = 100_000;
/// How far from the minimum trials may start, at most.
const FURTHEST: f64 = 100.0;

/// Trials of SGD on a spiky function (Kleinberg et al. Fig. 3), one a seed and width. They need no run of a network.
/// The paper prints the picture and not the numbers behind it: function, learning rate and steps are ours.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spiky {
    /// Half-widths of the noise of a step, ascending; 0 is gradient descent.
    pub widths: Vec<f64>,
    /// Which of them suits: enough to leave bad minima, and not too much to stay near the good one.
    pub suitable: f64,
    /// Trials start at −start to start.
    pub start: f64,
    /// Near the minimum is up to this distance.
    pub near: f64,
    /// And close to it up to this one.
    pub close: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Steps of a trial.
    pub steps: usize,
    /// Stages of less and less noise, each started anew in a smaller interval.
    #[serde(default)]
    pub stages: Vec<Stage>,
}

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stage {
    /// Its trials start at −start to start.
    pub start: f64,
    /// Half-width of its noise.
    pub width: f64,
}

/// The trials with one width.
struct Panel {
    name: String,
    smoothed: Smoothed,
    start: f64,
    trials: Vec<Trial>,
}

impl Panel {
    /// How many trials end no further than this from the minimum.
    fn within(&self, distance: f64) -> Proportion {
        Proportion::of(self.trials.iter().map(|trial| trial.last.abs() <= distance))
    }

    /// How many end where descent on the smoothed function leads to the minimum.
    fn home(&self) -> Proportion {
        self.within(self.smoothed.basin())
    }

    fn row(&self, near: f64, close: f64) -> Vec<String> {
        let squares: f64 = self.trials.iter().map(|trial| trial.last * trial.last).sum();
        let slope = |x: f64| self.smoothed.slope(x);
        let constants = |reach: f64| spiky::one_point_constants(slope, MINIMUM, &positions(-reach, reach, POINTS));
        let [inner, outer] = [constants(near), constants(self.start)];
        let step = spiky::largest_useful_step(outer[1], self.start, slope(self.start).abs());
        let minima: Vec<String> = self
            .smoothed
            .minima(self.start)
            .iter()
            .map(|x| format!("±{x:.2}"))
            .collect();
        vec![
            self.name.clone(),
            format!("±{}", self.start),
            if minima.is_empty() {
                "none".to_owned()
            } else {
                minima.join(", ")
            },
            significant(inner[0], 3),
            significant(outer[0], 3),
            significant(step, 3),
            self.home().to_string(),
            self.within(near).to_string(),
            self.within(close).to_string(),
            significant((squares / self.trials.len() as f64).sqrt(), 3),
        ]
    }

    /// How many trials end in each of the bars from −reach to reach.
    fn histogram(&self, reach: f64) -> Series {
        let place = |x: f64| ((x + reach) / (2.0 * reach) * BARS as f64).floor();
        let mut counts = [0_usize; BARS];
        let mut beyond = 0;
        for trial in &self.trials {
            match place(trial.last) {
                bar if (0.0..BARS as f64).contains(&bar) => counts[bar as usize] += 1,
                _ => beyond += 1,
            }
        }
        let edges = positions(-reach, reach, BARS + 1);
        let tops = edges.windows(2).zip(counts).flat_map(|(edge, count)| {
            let top = count as f64;
            [(edge[0], top), (edge[1], top)]
        });
        Series {
            label: match beyond {
                0 => self.name.clone(),
                _ => format!("{} ({beyond} further out)", self.name),
            },
            points: tops.collect(),
            dashed: false,
        }
    }

    /// The share of trials, in percent, that end near the minimum, by how far from it they start.
    fn by_start(&self, near: f64) -> Series {
        let width = self.start / STARTS as f64;
        let bars = (0..STARTS).map(|bar| {
            let inside = |trial: &&Trial| (trial.start.abs() / width) as usize == bar;
            let those = self.trials.iter().filter(inside);
            let share = Proportion::of(those.map(|trial| trial.last.abs() <= near)).share();
            ((bar as f64 + 0.5) * width, 100.0 * share)
        });
        Series {
            label: self.name.clone(),
            points: bars.filter(|(_, share)| share.is_finite()).collect(),
            dashed: false,
        }
    }
}

impl Experiment for Spiky {
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        let distance = |value: f64| value > 0.0 && value <= FURTHEST;
        let within = format!("give a number above 0 and up to {FURTHEST}");
        for (name, value) in [("start", self.start), ("near", self.near), ("close", self.close)]
            .into_iter()
            .chain(self.stages.iter().map(|stage| ("start", stage.start)))
        {
            if !distance(value) {
                return Err(Error::option(name, value, within));
            }
        }
        if !self.widths.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(Error::option("widths", "", "name half-widths in ascending order"));
        }
        let compares = self.widths.len() > 1 || self.stages.len() > 1;
        if !(compares && self.widths.contains(&self.suitable)) {
            return Err(Error::option(
                "suitable",
                self.suitable,
                "it must be one of the widths, and there must be others, or stages",
            ));
        }
        // Up to here a step beyond the spikes leads no further out than it started.
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return Err(Error::option(
                "learning-rate",
                self.learning_rate,
                "it must be above 0 and at most 1",
            ));
        }
        if !(1..=MOST_STEPS).contains(&self.steps) {
            return Err(Error::option(
                "steps",
                self.steps,
                format!("it must be from 1 to {MOST_STEPS}"),
            ));
        }
        Ok(())
    }

    /// Makes it for every seed and width.
    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let widths = self.widths.iter().map(|&width| {
            let name = if width > 0.0 {
                format!("noise {width}")
            } else {
                "no noise".to_owned()
            };
            (name, self.start, width)
        });
        let stages = self.stages.iter().enumerate().map(|(index, stage)| {
            let name = format!("stage {}: noise {}", index + 1, stage.width);
            (name, stage.start, stage.width)
        });
        let all: Vec<(String, f64, f64)> = widths.chain(stages).collect();
        let mut panels = Vec::with_capacity(all.len());
        for (index, (name, start, width)) in all.iter().enumerate() {
            laboratory.report(name, index as f64 / all.len() as f64)?;
            let trial = |&seed: &u64| {
                Trial::make(Settings {
                    learning_rate: self.learning_rate,
                    half_width: *width,
                    start: *start,
                    steps: self.steps,
                    seed,
                    panel: index as u32,
                })
            };
            panels.push(Panel {
                name: name.clone(),
                smoothed: Smoothed::new(*width)?,
                start: *start,
                trials: recipe.seeds.iter().map(trial).collect(),
            });
        }
        let (widths, stages) = panels.split_at(self.widths.len());
        Ok(Outcome {
            figures: self.figures(widths, stages),
            tables: vec![self.table(&panels)],
            verdict: self.verdict(widths, stages),
        })
    }
}

impl Spiky {
    fn table(&self, panels: &[Panel]) -> Table {
        let Self { near, close, .. } = self;
        Table {
            caption: "The function smoothed by the noise, and where trials on the function itself end (with Wilson's \
                      intervals of 95 %)"
                .to_owned(),
            header: [
                "noise".to_owned(),
                "starts".to_owned(),
                "bad minima of the smoothed function among the starts".to_owned(),
                format!("c of one-point convexity on ±{near}"),
                "c on all starts".to_owned(),
                "Theorem 3's largest useful step at the outmost start".to_owned(),
                "end in the smoothed function's basin of 0".to_owned(),
                format!("end up to {near} from 0"),
                format!("end up to {close} from 0"),
                "root mean square of the last iterate".to_owned(),
            ]
            .to_vec(),
            rows: panels.iter().map(|panel| panel.row(*near, *close)).collect(),
        }
    }

    fn figures(&self, widths: &[Panel], stages: &[Panel]) -> Vec<Figure> {
        let footnote = format!(
            "f(x) = x²(1 − {} cos {}x) up to |x| = π · learning rate {} · {} steps · valleyscope {}",
            spiky::DEPTH,
            spiky::FREQUENCY,
            self.learning_rate,
            self.steps,
            env!("CARGO_PKG_VERSION")
        );
        let figure = |name: &str, title: &str, [x_label, y_label]: [&str; 2], series: Vec<Series>| Figure {
            name: name.to_owned(),
            title: title.to_owned(),
            content: Content::Chart {
                x_label: x_label.to_owned(),
                y_label: y_label.to_owned(),
                series,
                marks: Vec::new(),
                footnote: footnote.clone(),
            },
            place: None,
        };
        let places = positions(-self.start, self.start, POINTS);
        let smoothed = |panel: &Panel| Series {
            label: panel.name.clone(),
            points: places.iter().map(|&x| (x, panel.smoothed.value(x))).collect(),
            dashed: false,
        };
        let ends = ["last iterate x (minimum at 0)", "trials"];
        let mut figures = vec![
            figure(
                "histograms",
                "Where SGD ends on the spiky function",
                ends,
                widths
                    .iter()
                    .map(|panel| panel.histogram(4.0 / 3.0 * self.start))
                    .collect(),
            ),
            figure(
                "smoothed",
                "The spiky function, smoothed by the noise",
                ["x", "f convolved with uniform noise"],
                widths.iter().map(smoothed).collect(),
            ),
            figure(
                "by-start",
                &format!("Trials that end up to {} from the minimum", self.near),
                ["distance of the start from the minimum", "share of trials (%)"],
                widths.iter().map(|panel| panel.by_start(self.near)).collect(),
            ),
        ];
        if let Some(first) = stages.first() {
            figures.push(figure(
                "stages",
                "Where SGD ends in stages of less and less noise",
                ends,
                stages.iter().map(|panel| panel.histogram(first.start)).collect(),
            ));
        }
        figures
    }

    fn verdict(&self, widths: &[Panel], stages: &[Panel]) -> Verdict {
        let (near, close) = (self.near, self.close);
        let mut orders: Vec<(String, Proportion, Proportion)> = Vec::new();
        if let Some(suitable) = widths.iter().find(|panel| panel.smoothed.half_width() == self.suitable) {
            for other in widths {
                let width = other.smoothed.half_width();
                if width < self.suitable {
                    let what = format!("leave bad minima: {} over {}", suitable.name, other.name);
                    orders.push((what, suitable.home(), other.home()));
                } else if width > self.suitable {
                    let what = format!(
                        "end up to {near} from the minimum: {} over {}",
                        suitable.name, other.name
                    );
                    orders.push((what, suitable.within(near), other.within(near)));
                }
            }
        }
        for pair in stages.windows(2) {
            let what = format!("end up to {close} from it: {} over {}", pair[1].name, pair[0].name);
            orders.push((what, pair[1].within(close), pair[0].within(close)));
        }
        let shown = orders.iter().filter(|(_, more, less)| more.is_above(*less)).count();
        let sentences: Vec<String> = orders
            .iter()
            .map(|(what, more, less)| {
                let answer = if more.is_above(*less) {
                    "apart"
                } else if less.is_above(*more) {
                    "the other way round"
                } else {
                    "not told apart"
                };
                format!("{what}, {more} against {less}, {answer}")
            })
            .collect();
        Verdict {
            answer: Answer::of(shown, orders.len()),
            measured: format!(
                "Trials that {}. Intervals are Wilson's of 95 %; {shown} of {} orders are shown by intervals that lie \
                 apart.",
                sentences.join("; "),
                orders.len()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(name: &str, width: f64, ends: &[f64]) -> Panel {
        Panel {
            name: name.to_owned(),
            smoothed: Smoothed::new(width).unwrap(),
            start: 3.0,
            trials: ends
                .iter()
                .map(|&last| Trial {
                    start: 1.2 * last,
                    last,
                })
                .collect(),
        }
    }

    fn kind() -> Spiky {
        Spiky {
            widths: vec![0.0, 0.3, 1.0],
            suitable: 0.3,
            start: 3.0,
            near: 1.5,
            close: 0.25,
            learning_rate: 0.0075,
            steps: 200,
            stages: vec![Stage {
                start: 1.5,
                width: 0.15,
            }],
        }
    }

    #[test]
    fn histograms_hold_every_trial_or_say_so() {
        let found = panel("some", 0.3, &[-4.0, -3.99, 0.0, 0.1, 3.99, 4.0, 17.0]).histogram(4.0);
        assert_eq!(found.label, "some (2 further out)");
        assert_eq!(found.points.len(), 2 * BARS);
        assert!(found.points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        let held: f64 = found.points.iter().map(|(_, count)| count).sum();
        assert_eq!(held, 2.0 * 5.0);
        assert_eq!((found.points[0], found.points[BARS]), ((-4.0, 2.0), (0.0, 2.0)));
        // Two of two starts at 0.6, none of one at 2.4, and bars without starts are left out.
        let shares = panel("some", 0.3, &[0.5, -0.5, 2.0]).by_start(1.5).points;
        assert_eq!(shares, [(0.75, 100.0), (2.25, 0.0)]);
    }

    #[test]
    fn a_verdict_compares_what_the_paper_compares() {
        let caught = [1.2; 60];
        let home = [0.4; 60];
        let lost: Vec<f64> = (0..60).map(|index| f64::from(index) - 30.0).collect();
        let found = kind().verdict(
            &[
                panel("no noise", 0.0, &caught),
                panel("noise 0.3", 0.3, &home),
                panel("noise 1", 1.0, &lost),
            ],
            &[panel("stage 1", 0.15, &home), panel("stage 2", 0.05, &[0.1; 60])],
        );
        assert_eq!(found.answer, Answer::Shown, "{}", found.measured);
        assert!(
            found
                .measured
                .contains("leave bad minima: noise 0.3 over no noise, 60 of 60")
                && found.measured.contains("3 of 3 orders"),
            "{}",
            found.measured
        );
        let found = kind().verdict(
            &[
                panel("no noise", 0.0, &home),
                panel("noise 0.3", 0.3, &home),
                panel("noise 1", 1.0, &lost),
            ],
            &[],
        );
        assert_eq!(found.answer, Answer::PartlyShown);
        assert!(found.measured.contains("not told apart"), "{}", found.measured);
    }

    #[test]
    fn what_cannot_be_tried_is_told_by_its_name() {
        let recipe = Recipe::named("spiky").unwrap();
        assert!(kind().check(&recipe).is_ok());
        type Change = fn(&mut Spiky);
        let wrong: [(&str, Change); 8] = [
            ("start", |kind| kind.start = f64::NAN),
            ("near", |kind| kind.near = 0.0),
            ("start", |kind| kind.stages[0].start = -1.0),
            ("widths", |kind| kind.widths = vec![0.3, 0.0]),
            ("suitable", |kind| kind.suitable = 0.2),
            ("suitable", |kind| kind.widths.retain(|&width| width == 0.3)),
            ("learning-rate", |kind| kind.learning_rate = 1.5),
            ("steps", |kind| kind.steps = 0),
        ];
        for (name, change) in wrong {
            let mut kind = kind();
            change(&mut kind);
            let message = kind.check(&recipe).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
