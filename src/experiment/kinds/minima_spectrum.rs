//! The step is shrunk after different numbers of epochs: which minimum does SGD then settle in, and how far is it?

use std::sync::Arc;

use serde::Deserialize;

use super::checks::check_samples;
use super::convexity::{Bounds, Count, Gradients, batch, chart, footnote};
use super::correlation::rank_correlation;
use super::curves::{LOSS_AXIS, columns};
use super::defaults::usual_samples;
use super::effort::Efforts;
use super::{Experiment, Kind};
use crate::error::{Error, Result};
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Trained, Which};
use crate::experiment::outcome::{Answer, Figure, Outcome, Series, Table, Verdict, spread_text};
use crate::experiment::recipe::Recipe;
use crate::landscape::direction;
use crate::objective::{BatchNormPolicy, Measurement, Solution};

/// Fewest minima that have an order worth the name.
const FEWEST: usize = 3;

/// Rank correlation with the epoch from which a row of minima counts as ordered. Six minima in a random order reach it
/// in 21 cases of 720.
const ORDERED: f64 = 0.8;

/// Horizontal axis of the charts.
const AXIS: &str = "epoch after which the step is shrunk";

/// Minima that SGD settles in when its step is shrunk early or late: their losses, their distance from the initial
/// weights, and whether the way to each was one point convex (Kleinberg et al. 2018, Section 5.4, Fig. 6).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MinimaSpectrum {
    /// The run with a large step.
    pub run: String,
    /// Runs with a small one, each from that run after some epoch (`from-epoch`); their ends are the minima.
    pub minima: Vec<String>,
    /// Batch-norm policy of the gradients; with `batch` they are those that training follows.
    #[serde(default = "batch")]
    pub batch_norm: BatchNormPolicy,
    /// Train images for the gradients, from the first. Losses are of all images.
    #[serde(default = "usual_samples")]
    pub samples: usize,
}

/// A run with a small step and where it ends.
struct Branch {
    /// Epochs with the large step before it.
    after: usize,
    name: String,
    trained: Trained,
    end: Arc<Solution>,
}

impl Branch {
    /// Its weights there `[d]`.
    fn end(&self) -> &[f32] {
        &self.end.parameters
    }
}

/// A minimum.
struct Minimum {
    /// Epochs with the large step before the step was shrunk.
    after: usize,
    measured: Measurement,
    /// From the initial weights.
    distance: f64,
    /// Epochs on the way from the initial weights with a positive inner product of −∇L and the way to the minimum.
    way: Count,
}

/// The minima of one seed, by the epoch after which the step was shrunk.
struct Spectrum {
    seed: u64,
    minima: Vec<Minimum>,
}

impl Experiment for MinimaSpectrum {
    fn runs(&self) -> Vec<&str> {
        let names = std::iter::once(&self.run).chain(&self.minima);
        names.map(String::as_str).collect()
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_samples(self.samples)?;
        if self.minima.len() < FEWEST {
            return Err(Error::option(
                "minima",
                self.minima.len(),
                format!(
                    "name {FEWEST} runs at least, each from `{}` after another epoch",
                    self.run
                ),
            ));
        }
        let from_run = |name: &&String| {
            let stage = recipe.runs.get(name.as_str());
            stage.is_some_and(|stage| stage.from.as_ref() == Some(&self.run))
        };
        match self.minima.iter().find(|name| !from_run(name)) {
            None => Ok(()),
            Some(name) => Err(Kind::lacks(
                name,
                &format!(
                    "start on the way of `{0}`; give it from = \"{0}\" and a from-epoch",
                    self.run
                ),
            )),
        }
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let efforts = Efforts::of(recipe);
        let after = |name: &String| {
            let from_epoch = recipe.runs.get(name).and_then(|stage| stage.from_epoch);
            from_epoch.map_or(efforts.epochs(&self.run), |epoch| epoch as f64)
        };
        let together = self.minima.iter().map(after).fold(0.0, f64::max);
        let ways = self.minima.iter().map(|name| (name, efforts.epochs(name)));
        std::iter::once((&self.run, together))
            .chain(ways)
            .map(|(run, points)| efforts.gradients(run, points, self.batch_norm, self.samples))
            .collect()
    }

    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let (mut spectra, mut foot) = (Vec::new(), String::new());
        for &seed in &recipe.seeds {
            let long = laboratory.trained(recipe, &self.run, seed)?;
            foot = footnote(&long, self.batch_norm, self.samples, &recipe.seeds);
            let mut branches = Vec::new();
            for name in &self.minima {
                branches.push(self.branch(name, &long, seed, recipe, laboratory)?);
            }
            branches.sort_by_key(|branch| branch.after);
            let ways = self.ways(&long, &branches, laboratory)?;
            let initial = long.snapshot(0)?;
            let minimum = |(branch, way): (&Branch, Count)| -> Result<Minimum> {
                let measured = branch.trained.folder.record().results.last;
                Ok(Minimum {
                    after: branch.after,
                    measured: measured.ok_or_else(|| Kind::lacks(&branch.name, "measured last iterate"))?,
                    distance: direction::distance(&initial.parameters, &branch.end.parameters),
                    way,
                })
            };
            let minima = branches.iter().zip(ways).map(minimum).collect::<Result<_>>()?;
            spectra.push(Spectrum { seed, minima });
        }
        Ok(Outcome {
            figures: figures(&spectra, &foot),
            tables: vec![table(&spectra)],
            verdict: verdict(&spectra),
        })
    }
}

impl MinimaSpectrum {
    fn branch(
        &self,
        name: &str,
        long: &Trained,
        seed: u64,
        recipe: &Recipe,
        laboratory: &mut Laboratory,
    ) -> Result<Branch> {
        let trained = laboratory.trained(recipe, name, seed)?;
        // The laboratory opens each model on each data set once.
        if !Arc::ptr_eq(&long.objective, &trained.objective) {
            return Err(Error::Request(format!(
                "the runs `{}` and `{name}` differ in model or data: their losses cannot be compared",
                self.run
            )));
        }
        let after = recipe.runs.get(name).and_then(|stage| stage.from_epoch);
        Ok(Branch {
            after: after.unwrap_or(long.epochs()),
            name: name.to_owned(),
            end: trained.solution(Which::Last)?,
            trained,
        })
    }

    /// On the way from the initial weights to every minimum, with the large step and then with the small one: at how
    /// many epochs the negative gradient has a positive inner product with the way that is left.
    fn ways(&self, long: &Trained, branches: &[Branch], laboratory: &mut Laboratory) -> Result<Vec<Count>> {
        let mut ways = vec![Count::default(); branches.len()];
        let together = branches.iter().map(|branch| branch.after).max().unwrap_or(0);
        let mut gradients = Gradients::new(long, &self.run, self.batch_norm, together);
        for epoch in 0..together {
            // By rising epochs, so that those still on this way are the last ones.
            let first = branches.partition_point(|branch| branch.after <= epoch);
            let ends: Vec<&[f32]> = branches[first..].iter().map(Branch::end).collect();
            let products = gradients.products(epoch, self.samples, &ends, laboratory)?;
            for (way, product) in ways[first..].iter_mut().zip(products) {
                way.enter(product);
            }
        }
        for (way, branch) in ways.iter_mut().zip(branches) {
            let epochs = branch.trained.epochs();
            let mut gradients = Gradients::new(&branch.trained, &branch.name, self.batch_norm, epochs);
            for epoch in 0..epochs {
                let products = gradients.products(epoch, self.samples, &[branch.end()], laboratory)?;
                products.into_iter().for_each(|product| way.enter(product));
            }
        }
        Ok(ways)
    }
}

/// A value of every minimum of a seed.
fn values(spectrum: &Spectrum, value: fn(&Minimum) -> f64) -> Vec<f64> {
    spectrum.minima.iter().map(value).collect()
}

fn train_loss(minimum: &Minimum) -> f64 {
    minimum.measured.train.loss
}

fn test_loss(minimum: &Minimum) -> f64 {
    minimum.measured.test.loss
}

fn distance(minimum: &Minimum) -> f64 {
    minimum.distance
}

fn after(minimum: &Minimum) -> f64 {
    minimum.after as f64
}

/// A value's mean over the seeds as a curve over the epoch after which the step was shrunk.
fn series(label: &str, spectra: &[Spectrum], value: fn(&Minimum) -> f64) -> Series {
    let first = spectra.iter().take(1).flat_map(|spectrum| &spectrum.minima);
    let mean = |index: usize| {
        let found = spectra.iter().filter_map(|spectrum| spectrum.minima.get(index));
        Bounds::of(&found.map(value).collect::<Vec<_>>()).mean
    };
    Series {
        label: label.to_owned(),
        points: first
            .enumerate()
            .map(|(index, minimum)| (after(minimum), mean(index)))
            .collect(),
        dashed: false,
    }
}

fn figures(spectra: &[Spectrum], foot: &str) -> Vec<Figure> {
    let over = match spectra.len() {
        1 => String::new(),
        count => format!(", mean of {count} seeds"),
    };
    vec![
        chart(
            "losses",
            format!("Losses of the minima{over}"),
            (AXIS, LOSS_AXIS),
            vec![series("train", spectra, train_loss), series("test", spectra, test_loss)],
            Vec::new(),
            foot,
        ),
        chart(
            "distances",
            format!("Distances of the minima from the initial weights{over}"),
            (AXIS, "distance from the initial weights"),
            vec![series("distance", spectra, distance)],
            Vec::new(),
            foot,
        ),
    ]
}

fn table(spectra: &[Spectrum]) -> Table {
    let row = |(seed, minimum): (u64, &Minimum)| {
        let Measurement { train, test } = minimum.measured;
        vec![
            seed.to_string(),
            minimum.after.to_string(),
            format!("{:.4}", train.loss),
            format!("{:.4}", test.loss),
            format!("{:.2} %", 100.0 * train.accuracy),
            format!("{:.2} %", 100.0 * test.accuracy),
            format!("{:.3}", minimum.distance),
            minimum.way.text(),
        ]
    };
    Table {
        caption:
            "Minima by the epoch after which the step is shrunk, batch-norm statistics recomputed; their distance \
                  from the initial weights, and at how many epochs on the whole way the negative gradient has a \
                  positive inner product with the way that is left"
                .to_owned(),
        header: columns(
            "seed | step shrunk after | train loss | test loss | train accuracy | test accuracy | distance | positive \
             on the way",
        ),
        rows: spectra
            .iter()
            .flat_map(|spectrum| spectrum.minima.iter().map(move |minimum| (spectrum.seed, minimum)))
            .map(row)
            .collect(),
    }
}

fn verdict(spectra: &[Spectrum]) -> Verdict {
    let ordered = |value: fn(&Minimum) -> f64, sign: f64| {
        let in_order = |spectrum: &&Spectrum| {
            sign * rank_correlation(&values(spectrum, after), &values(spectrum, value)) >= ORDERED
        };
        spectra.iter().filter(in_order).count()
    };
    // Of the minimum after the fewest epochs with the large step, and of that after the most.
    let ends = |value: fn(&Minimum) -> f64| {
        let of = |end: fn(&[f64]) -> Option<&f64>| {
            let found: Vec<f64> = spectra
                .iter()
                .filter_map(|spectrum| end(&values(spectrum, value)).copied())
                .collect();
            spread_text(&found, 3)
        };
        format!("from {} to {}", of(<[f64]>::first), of(<[f64]>::last))
    };
    let (train, test, distances) = (
        ordered(train_loss, -1.0),
        ordered(test_loss, -1.0),
        ordered(distance, 1.0),
    );
    let convex = spectra
        .iter()
        .filter(|spectrum| spectrum.minima.iter().all(|minimum| minimum.way.is_whole()))
        .count();
    let ways = || spectra.iter().flat_map(|spectrum| &spectrum.minima);
    let together = ways().map(|minimum| minimum.way).fold(Count::default(), Count::and);
    let whole = ways().filter(|minimum| minimum.way.is_whole()).count();
    let seeds = spectra.len();
    Verdict {
        answer: Answer::of(train + test + distances + convex, 4 * seeds),
        measured: format!(
            "The later the step is shrunk, the lower is the train loss for {train} of {seeds} seeds, the lower the \
             test loss for {test}, and the larger the distance from the initial weights for {distances} (a rank \
             correlation with the epoch of {ORDERED} or more). From the earliest to the latest the train loss goes {}, \
             the test loss {}, the distance {}. On the way to a minimum the negative gradient points towards it at {} \
             epochs, at all of them for {whole} of {} minima and for all minima of {convex} of {seeds} seeds.",
            ends(train_loss),
            ends(test_loss),
            ends(distance),
            together.text(),
            ways().count(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Quality;

    /// Train loss, test loss, distance and positive inner products of each minimum, as the paper has them.
    const GOOD: [[f64; 4]; 3] = [[0.5, 0.6, 1.0, 4.0], [0.4, 0.5, 2.0, 4.0], [0.2, 0.4, 3.0, 4.0]];

    fn spectrum(seed: u64, minima: [[f64; 4]; 3]) -> Spectrum {
        let minimum = |(index, [train, test, distance, positive]): (usize, [f64; 4])| {
            let quality = |loss| Quality { loss, accuracy: 0.5 };
            Minimum {
                after: 10 * index,
                measured: Measurement {
                    train: quality(train),
                    test: quality(test),
                },
                distance,
                way: Count {
                    positive: positive as usize,
                    all: 4,
                },
            }
        };
        Spectrum {
            seed,
            minima: minima.into_iter().enumerate().map(minimum).collect(),
        }
    }

    #[test]
    fn each_part_of_the_claim_counts() {
        let found = verdict(&[spectrum(1, GOOD)]);
        assert_eq!(found.answer, Answer::Shown);
        for words in [
            "train loss for 1 of 1 seeds",
            "loss goes from 0.500 to 0.200",
            "test loss from 0.600 to 0.400",
            "distance from 1.000 to 3.000",
            "at 12 of 12 epochs",
            "for 3 of 3 minima",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        // A test loss that rises, a distance out of order, one epoch that points away.
        let bad = spectrum(2, [[0.5, 0.6, 3.0, 4.0], [0.4, 0.7, 2.0, 4.0], [0.2, 0.8, 3.5, 3.0]]);
        let found = verdict(&[spectrum(1, GOOD), bad]);
        assert_eq!(found.answer, Answer::PartlyShown);
        for words in [
            "lower is the train loss for 2 of 2",
            "test loss for 1,",
            "weights for 1 (",
            "at 23 of 24 epochs",
            "for 5 of 6 minima and for all minima of 1 of 2 seeds",
        ] {
            assert!(found.measured.contains(words), "{words} in {}", found.measured);
        }
        let worst = spectrum(3, [[0.2, 0.6, 3.0, 4.0], [0.4, 0.7, 2.0, 4.0], [0.5, 0.8, 1.0, 3.0]]);
        assert_eq!(verdict(&[worst]).answer, Answer::NotShown);
    }

    #[test]
    fn charts_and_table_go_by_the_epoch_of_shrinking() {
        let spectra = [
            spectrum(1, GOOD),
            spectrum(2, [[0.7, 0.6, 1.0, 4.0], [0.5, 0.5, 2.0, 4.0], [0.4, 0.4, 5.0, 1.0]]),
        ];
        let curve = series("distance", &spectra, distance);
        assert_eq!(curve.points, [(0.0, 1.0), (10.0, 2.0), (20.0, 4.0)]);
        let table = table(&spectra);
        assert_eq!(table.rows.len(), 6);
        assert_eq!(
            table.rows[5],
            columns("2 | 20 | 0.4000 | 0.4000 | 50.00 % | 50.00 % | 5.000 | 1 of 4")
        );
        assert_eq!(table.header.len(), table.rows[5].len());
        assert_eq!(figures(&spectra, "").len(), 2);
    }
}
