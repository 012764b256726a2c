//! Along a run, at every epoch: does the negative gradient point to where the run ends, and around it, too?

use serde::Deserialize;

use super::Experiment;
use super::ball::in_ball;
use super::checks::{check_count, check_positive, check_samples};
use super::convexity::{Bounds, Count, Gradients, PRODUCT_AXIS, batch, bounds_series, chart, footnote};
use super::curves::columns;
use super::defaults::usual_samples;
use super::effort::Efforts;
use crate::error::{Error, Result};
use crate::experiment::averages::EPOCH_AXIS;
use crate::experiment::cost::Effort;
use crate::experiment::laboratory::{Laboratory, Trained, Which};
use crate::experiment::outcome::{Answer, Figure, Outcome, Table, Verdict, significant};
use crate::experiment::recipe::Recipe;
use crate::landscape::{Alignment, direction};
use crate::objective::BatchNormPolicy;
use crate::training::schedule;

/// The inner product of −∇L(w_t) and w_T − w_t at every epoch t of the main phase of several trials, one a seed; the
/// same with the gradients at points of a ball around w_t; and the lengths of minibatch gradients (Kleinberg et al.
/// 2018, Sections 5.1 and 5.2, Fig. 5).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnePointConvexity {
    /// The run.
    pub run: String,
    /// First epoch t that the claim is about: the paper leaves out "the starting period", and draws t ≥ 5.
    #[serde(default = "usual_first")]
    pub first: usize,
    /// Batch-norm policy of the gradients; with `batch` they are those that training follows.
    #[serde(default = "batch")]
    pub batch_norm: BatchNormPolicy,
    /// Radius of the ball around w_t, a length in parameter space; 0.5 in the paper.
    #[serde(default = "usual_radius")]
    pub radius: f64,
    /// Points of each ball, uniform in it; 100 in the paper.
    #[serde(default = "usual_draws")]
    pub draws: u64,
    /// Trials, from the first, around which points are drawn; one in the paper.
    #[serde(default = "usual_neighbourhoods")]
    pub neighbourhoods: usize,
    /// Train images for the gradients at those points, from the first; those at w_t itself take all.
    #[serde(default = "usual_samples")]
    pub samples: usize,
}

fn usual_first() -> usize {
    5
}

fn usual_radius() -> f64 {
    0.5
}

fn usual_draws() -> u64 {
    8
}

fn usual_neighbourhoods() -> usize {
    1
}

/// What is found at w_t.
struct Snapshot {
    /// Of −∇L(w_t) and w_T − w_t.
    alignment: Alignment,
    /// Lengths of the minibatches' gradients.
    norms: Vec<f64>,
    /// Learning rate of the epoch that begins here.
    rate: f64,
    /// ‖w_t‖.
    length: f64,
    /// Inner products with the gradients at points around; none where they are not measured.
    around: Vec<f64>,
}

/// A trial: what is found at every epoch but the last, where the way to the end is none.
struct Trial {
    seed: u64,
    snapshots: Vec<Snapshot>,
}

impl Experiment for OnePointConvexity {
    fn runs(&self) -> Vec<&str> {
        vec![&self.run]
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        check_positive("radius", self.radius)?;
        check_count("draws", self.draws)?;
        check_samples(self.samples)?;
        let epochs = recipe.runs.get(&self.run).map_or(0, |stage| stage.options(0).epochs);
        match self.first < epochs {
            true => Ok(()),
            false => Err(Error::option(
                "first",
                self.first,
                format!("it must be below the {epochs} epochs of the run `{}`", self.run),
            )),
        }
    }

    fn efforts<'a>(&'a self, recipe: &'a Recipe) -> Vec<Effort<'a>> {
        let efforts = Efforts::of(recipe);
        let epochs = efforts.epochs(&self.run);
        let seeds = recipe.seeds.len();
        // Around some of the seeds' trajectories only.
        let around = seeds.min(self.neighbourhoods) as f64 / seeds.max(1) as f64 * self.draws as f64;
        vec![
            efforts.gradients(&self.run, epochs, self.batch_norm, usize::MAX),
            efforts.gradients(&self.run, around * epochs, self.batch_norm, self.samples),
        ]
    }

    /// Makes it, with a trial for every seed.
    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        let (mut trials, mut feet) = (Vec::new(), [String::new(), String::new()]);
        for (index, &seed) in recipe.seeds.iter().enumerate() {
            let trained = laboratory.trained(recipe, &self.run, seed)?;
            let draws = if index < self.neighbourhoods { self.draws } else { 0 };
            let snapshots = self.snapshots(&trained, draws, laboratory)?;
            trials.push(Trial { seed, snapshots });
            let foot = |samples| footnote(&trained, self.batch_norm, samples, &recipe.seeds);
            feet = [usize::MAX, self.samples].map(foot);
        }
        Ok(Outcome {
            figures: self.figures(&trials, &feet),
            tables: vec![self.table(&trials)],
            verdict: self.verdict(&trials),
        })
    }
}

impl OnePointConvexity {
    fn snapshots(&self, trained: &Trained, draws: u64, laboratory: &mut Laboratory) -> Result<Vec<Snapshot>> {
        let (epochs, options) = (trained.epochs(), &trained.folder.record().options);
        let end = trained.solution(Which::Last)?;
        let all = epochs.saturating_mul((draws as usize).saturating_add(1));
        let mut gradients = Gradients::new(trained, &self.run, self.batch_norm, all);
        let mut snapshots = Vec::with_capacity(epochs);
        for epoch in 0..epochs {
            let here = trained.snapshot(epoch)?;
            let pass = gradients.at(&here, epoch, usize::MAX, laboratory)?;
            let mut around = Vec::new();
            for draw in 1..=draws {
                // Other points at every epoch.
                let number = (epoch as u64).wrapping_mul(draws).wrapping_add(draw);
                let beside = here.moved(&in_ball(here.parameters.len(), self.radius, number), 1.0);
                let pass = gradients.at(&beside, epoch, self.samples, laboratory)?;
                // As in the paper, with the way from w_t itself and not from the point beside it.
                around.push(Alignment::new(&pass.gradient, &here.parameters, &end.parameters).product);
            }
            snapshots.push(Snapshot {
                alignment: Alignment::new(&pass.gradient, &here.parameters, &end.parameters),
                norms: pass.norms,
                rate: schedule::learning_rate(options, epoch + 1),
                length: direction::dot(&here.parameters, &here.parameters).sqrt(),
                around,
            });
        }
        Ok(snapshots)
    }

    fn figures(&self, trials: &[Trial], [foot, foot_around]: &[String; 2]) -> Vec<Figure> {
        let of_trials = match trials.len() {
            1 => "1 trial".to_owned(),
            count => format!("{count} trials"),
        };
        let marks = || vec![(self.first as f64, "the claim begins".to_owned())];
        let products = by_epoch(trials, |snapshot| vec![snapshot.alignment.product]);
        let cosines = by_epoch(trials, |snapshot| vec![snapshot.alignment.cosine]);
        let around = by_epoch(trials, |snapshot| snapshot.around.clone());
        let norms = by_epoch(trials, |snapshot| snapshot.norms.clone());
        let mut figures = vec![
            chart(
                "inner-products",
                "Negative gradient at w_t, and the way from there to the end w_T".to_owned(),
                (EPOCH_AXIS, PRODUCT_AXIS),
                bounds_series(&of_trials, &products),
                marks(),
                foot,
            ),
            chart(
                "cosines",
                "Angle between the negative gradient at w_t and the way to the end w_T".to_owned(),
                (EPOCH_AXIS, "cosine of the angle between −gradient and way"),
                bounds_series(&of_trials, &cosines),
                marks(),
                foot,
            ),
        ];
        if !around.is_empty() {
            figures.push(chart(
                "neighbourhood",
                format!("Negative gradients within {} of w_t, and the way to w_T", self.radius),
                (EPOCH_AXIS, PRODUCT_AXIS),
                bounds_series(&format!("{} points", self.draws), &around),
                marks(),
                foot_around,
            ));
        }
        figures.push(chart(
            "gradient-norms",
            "Lengths of minibatch gradients".to_owned(),
            (EPOCH_AXIS, "length of a minibatch's gradient"),
            bounds_series("all minibatches", &norms),
            Vec::new(),
            foot,
        ));
        figures
    }

    fn table(&self, trials: &[Trial]) -> Table {
        let row = |trial: &Trial| {
            let snapshots = &trial.snapshots;
            let found = Found::of(snapshots, self.first);
            let half = snapshots.len().div_ceil(2);
            let [early, late] = [&snapshots[..half], &snapshots[half..]].map(mean_norm);
            let mut cells = vec![
                trial.seed.to_string(),
                Count::of(products(snapshots)).text(),
                found.along.text(),
                significant(found.smallest, 3),
                format!("{:.4}", found.smallest_cosine),
            ];
            cells.extend(match found.around.all {
                0 => [String::new(), String::new()],
                _ => [found.around.text(), significant(found.smallest_around, 3)],
            });
            cells.extend([
                share_of_lengths(self.radius, snapshots),
                format!("{early:.3}"),
                format!("{late:.3}"),
                format!("{:.3}", longest_step(snapshots)),
            ]);
            cells
        };
        let from = format!("from {}", self.first);
        Table {
            caption: format!(
                "Epochs with a positive inner product of the negative gradient at w_t and w_T − w_t, of all and from \
                 epoch {first} on, the smallest of those and the smallest cosine; the same for gradients at points \
                 within {radius} of w_t; {radius} as a share of the weights' length; mean length of a minibatch's \
                 gradient in the first half of training and in the second; the longest step, rate times length \
                 (without momentum)",
                first = self.first,
                radius = self.radius,
            ),
            header: columns(&format!(
                "seed | positive | {from} | smallest | smallest cosine | around, {from} | smallest around | radius | \
                 gradient, first half | gradient, second half | longest step"
            )),
            rows: trials.iter().map(row).collect(),
        }
    }

    fn verdict(&self, trials: &[Trial]) -> Verdict {
        let found: Vec<Found> = trials
            .iter()
            .map(|trial| Found::of(&trial.snapshots, self.first))
            .collect();
        let total = |count: fn(&Found) -> Count| found.iter().map(count).fold(Count::default(), Count::and);
        let least = |value: fn(&Found) -> f64| Bounds::of(&found.iter().map(value).collect::<Vec<_>>()).minimum;
        let whole = found.iter().filter(|found| found.along.is_whole()).count();
        let measured: Vec<&Found> = found.iter().filter(|found| found.around.all > 0).collect();
        let whole_around = measured.iter().filter(|found| found.around.is_whole()).count();
        let everywhere = trials
            .iter()
            .map(|trial| Count::of(products(&trial.snapshots)))
            .fold(Count::default(), Count::and);
        let smallest_around: Vec<f64> = measured.iter().map(|found| found.smallest_around).collect();
        let around = match measured.len() {
            0 => String::new(),
            count => format!(
                " So it is with the gradients at {} points within {} of w_t in {count} of the trials ({}; the smallest \
                 is {}).",
                total(|found| found.around).text(),
                self.radius,
                lengths_text(self.radius, trials),
                significant(Bounds::of(&smallest_around).minimum, 3),
            ),
        };
        let norms: Vec<f64> = trials
            .iter()
            .flat_map(|trial| trial.snapshots.iter().flat_map(|snapshot| &snapshot.norms))
            .copied()
            .collect();
        let norms = Bounds::of(&norms);
        let steps: Vec<f64> = trials.iter().map(|trial| longest_step(&trial.snapshots)).collect();
        Verdict {
            answer: Answer::of(whole + whole_around, trials.len() + measured.len()),
            measured: format!(
                "From epoch {} on the inner product is positive at {} epochs, at all of them in {whole} of {} trials \
                 (from epoch 0 on: at {}); the smallest is {}, the smallest cosine {:.4}.{around} A minibatch's \
                 gradient is from {:.3} to {:.3} long, {:.3} on average; the longest step, rate times length, is {:.3}.",
                self.first,
                total(|found| found.along).text(),
                trials.len(),
                everywhere.text(),
                significant(least(|found| found.smallest), 3),
                least(|found| found.smallest_cosine),
                norms.minimum,
                norms.maximum,
                norms.mean,
                Bounds::of(&steps).maximum,
            ),
        }
    }
}

/// What the claim is about in a trial: the epochs from the first that counts.
struct Found {
    along: Count,
    smallest: f64,
    smallest_cosine: f64,
    around: Count,
    smallest_around: f64,
}

impl Found {
    fn of(snapshots: &[Snapshot], first: usize) -> Self {
        let counted = snapshots.get(first..).unwrap_or_default();
        let along: Vec<f64> = products(counted).collect();
        let cosines: Vec<f64> = counted.iter().map(|snapshot| snapshot.alignment.cosine).collect();
        let around: Vec<f64> = counted
            .iter()
            .flat_map(|snapshot| snapshot.around.iter().copied())
            .collect();
        Self {
            smallest: Bounds::of(&along).minimum,
            along: Count::of(along),
            smallest_cosine: Bounds::of(&cosines).minimum,
            smallest_around: Bounds::of(&around).minimum,
            around: Count::of(around),
        }
    }
}

fn products(snapshots: &[Snapshot]) -> impl Iterator<Item = f64> {
    snapshots.iter().map(|snapshot| snapshot.alignment.product)
}

/// Bounds over all trials at every epoch at which there is something.
fn by_epoch(trials: &[Trial], values: impl Fn(&Snapshot) -> Vec<f64>) -> Vec<(usize, Bounds)> {
    let epochs = trials.iter().map(|trial| trial.snapshots.len()).max().unwrap_or(0);
    let at = |epoch: usize| {
        let snapshots = trials.iter().filter_map(|trial| trial.snapshots.get(epoch));
        let values: Vec<f64> = snapshots.flat_map(&values).collect();
        (!values.is_empty()).then(|| (epoch, Bounds::of(&values)))
    };
    (0..epochs).filter_map(at).collect()
}

fn mean_norm(snapshots: &[Snapshot]) -> f64 {
    let norms: Vec<f64> = snapshots
        .iter()
        .flat_map(|snapshot| snapshot.norms.iter().copied())
        .collect();
    Bounds::of(&norms).mean
}

/// The longest step of SGD without momentum at any of the snapshots.
fn longest_step(snapshots: &[Snapshot]) -> f64 {
    let steps: Vec<f64> = snapshots
        .iter()
        .map(|snapshot| snapshot.rate * Bounds::of(&snapshot.norms).maximum)
        .collect();
    Bounds::of(&steps).maximum
}

/// A radius as a share of ‖w_t‖, from the longest to the shortest.
fn share_of_lengths(radius: f64, snapshots: &[Snapshot]) -> String {
    let shares: Vec<f64> = snapshots
        .iter()
        .map(|snapshot| 100.0 * radius / snapshot.length)
        .collect();
    let shares = Bounds::of(&shares);
    format!("{:.1}–{:.1} %", shares.minimum, shares.maximum)
}

/// The same over all trials around which points were drawn, in words.
fn lengths_text(radius: f64, trials: &[Trial]) -> String {
    let lengths: Vec<f64> = trials
        .iter()
        .flat_map(|trial| &trial.snapshots)
        .filter(|snapshot| !snapshot.around.is_empty())
        .map(|snapshot| snapshot.length)
        .collect();
    let lengths = Bounds::of(&lengths);
    let [least, most] = [lengths.maximum, lengths.minimum].map(|length| 100.0 * radius / length);
    format!("the radius is from {least:.1} to {most:.1} % of the weights' length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(product: f64, norms: &[f64], rate: f64, around: &[f64]) -> Snapshot {
        Snapshot {
            alignment: Alignment {
                product,
                cosine: product / 4.0,
            },
            norms: norms.to_vec(),
            rate,
            length: 10.0,
            around: around.to_vec(),
        }
    }

    fn kind() -> OnePointConvexity {
        OnePointConvexity {
            run: "run".to_owned(),
            first: 1,
            batch_norm: BatchNormPolicy::Batch,
            radius: 0.5,
            draws: 2,
            neighbourhoods: 1,
            samples: 10,
        }
    }

    fn trial(seed: u64, last: f64, around: [f64; 2]) -> Trial {
        Trial {
            seed,
            snapshots: vec![
                snapshot(-1.0, &[1.0, 3.0], 0.5, &[-1.0, -1.0]),
                snapshot(2.0, &[2.0, 2.0], 0.5, &[1.0, 3.0]),
                snapshot(last, &[4.0, 6.0], 0.1, &around),
            ],
        }
    }

    #[test]
    fn the_claim_is_about_the_epochs_from_the_first_that_counts() {
        let kind = kind();
        let good = || trial(1, 1.0, [0.5, 2.0]);
        let verdict = kind.verdict(&[good()]);
        assert_eq!(verdict.answer, Answer::Shown);
        for words in [
            "positive at 2 of 2 epochs",
            "in 1 of 1 trials",
            "from epoch 0 on: at 2 of 3",
            "the smallest is 1.00",
            "at 4 of 4 points within 0.5",
            "from 5.0 to 5.0 % of",
            "the smallest is 0.500",
            "from 1.000 to 6.000 long, 3.000 on average",
            "rate times length, is 1.500",
        ] {
            assert!(verdict.measured.contains(words), "{words} in {}", verdict.measured);
        }
        // One point around, or one epoch, that is not one point convex.
        let beside = trial(2, 1.0, [0.0, 2.0]);
        assert_eq!(kind.verdict(&[beside]).answer, Answer::PartlyShown);
        let bad = || trial(3, f64::NAN, [-1.0, 2.0]);
        assert_eq!(kind.verdict(&[good(), bad()]).answer, Answer::PartlyShown);
        assert_eq!(kind.verdict(&[bad()]).answer, Answer::NotShown);
        let table = kind.table(&[good()]);
        assert_eq!(
            table.rows[0],
            columns("1 | 2 of 3 | 2 of 2 | 1.00 | 0.2500 | 4 of 4 | 0.500 | 5.0–5.0 % | 2.000 | 5.000 | 1.500")
        );
        assert_eq!(table.header.len(), table.rows[0].len());
    }

    #[test]
    fn charts_have_the_bounds_over_trials_at_every_epoch() {
        let trials = [trial(1, 1.0, [0.5, 2.0]), trial(2, -3.0, [1.0, 1.0])];
        let products = by_epoch(&trials, |snapshot| vec![snapshot.alignment.product]);
        assert_eq!(products[2], (2, Bounds::of(&[1.0, -3.0])));
        let kind = kind();
        let feet = [String::new(), String::new()];
        let names = |trials: &[Trial]| -> Vec<String> {
            let figures = kind.figures(trials, &feet);
            figures.into_iter().map(|figure| figure.name).collect()
        };
        assert_eq!(
            names(&trials),
            ["inner-products", "cosines", "neighbourhood", "gradient-norms"]
        );
        let mut alone = trial(1, 1.0, [0.5, 2.0]);
        for snapshot in &mut alone.snapshots {
            snapshot.around.clear();
        }
        assert_eq!(names(&[alone]), ["inner-products", "cosines", "gradient-norms"]);
    }
}
