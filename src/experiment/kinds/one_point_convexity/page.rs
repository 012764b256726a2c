//! The page of one-point convexity along a run: charts by epoch, what is found of every trial, and the verdict.

use super::{OnePointConvexity, Snapshot, Trial};
use crate::experiment::averages::EPOCH_AXIS;
use crate::experiment::kinds::convexity::{Bounds, Count, PRODUCT_AXIS, bounds_series, chart};
use crate::experiment::kinds::curves::columns;
use crate::experiment::outcome::{Answer, Figure, Series, Table, Verdict, significant};

impl OnePointConvexity {
    pub(super) fn figures(&self, trials: &[Trial], [foot, foot_around]: &[String; 2]) -> Vec<Figure> {
        let of_trials = match trials.len() {
            1 => "1 trial".to_owned(),
            count => format!("{count} trials"),
        };
        let marks = || vec![(self.first as f64, "the claim begins".to_owned())];
        let products = by_epoch(trials, |snapshot| vec![snapshot.product()]);
        let cosines = by_epoch(trials, |snapshot| vec![snapshot.passes.alignment.cosine]);
        let around = by_epoch(trials, |snapshot| snapshot.passes.around.clone());
        let norms = by_epoch(trials, |snapshot| snapshot.passes.norms.clone());
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
        figures.push(chart(
            "step-sizes",
            "The largest step sizes that lead nearer to the end w_T, and the learning rate in use".to_owned(),
            (EPOCH_AXIS, "step size η"),
            steps_series(&of_trials, trials),
            Vec::new(),
            foot,
        ));
        figures
    }

    pub(super) fn table(&self, trials: &[Trial]) -> Table {
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
            for largest in [Snapshot::largest_step, Snapshot::largest_step_of_sgd] {
                cells.extend([
                    significant(least(snapshots, largest), 3),
                    below(snapshots, largest).text(),
                ]);
            }
            cells
        };
        let from = format!("from {}", self.first);
        Table {
            caption: format!(
                "Epochs with a positive inner product of the negative gradient at w_t and w_T − w_t, of all and from \
                 epoch {first} on, the smallest of those and the smallest cosine; the same for gradients at points \
                 within {radius} of w_t; {radius} as a share of the weights' length; mean length of a minibatch's \
                 gradient in the first half of training and in the second; the longest step, rate times length \
                 ({alone}); the largest step size that still leads nearer to w_T (Theorem 3), the least of \
                 all epochs, and the epochs with a learning rate below their own; the same of a minibatch's step, on \
                 average",
                first = self.first,
                radius = self.radius,
                alone = alone(trials),
            ),
            header: columns(&format!(
                "seed | positive | {from} | smallest | smallest cosine | around, {from} | smallest around | radius | \
                 gradient, first half | gradient, second half | longest step | useful step | rate below it | useful \
                 step of SGD | rate below it"
            )),
            rows: trials.iter().map(row).collect(),
        }
    }

    pub(super) fn verdict(&self, trials: &[Trial]) -> Verdict {
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
            .flat_map(|trial| trial.snapshots.iter().flat_map(|snapshot| &snapshot.passes.norms))
            .copied()
            .collect();
        let norms = Bounds::of(&norms);
        let steps: Vec<f64> = trials.iter().map(|trial| longest_step(&trial.snapshots)).collect();
        let nearer = |largest: fn(&Snapshot) -> f64| {
            let counts = trials.iter().map(|trial| below(&trial.snapshots, largest));
            counts.fold(Count::default(), Count::and).text()
        };
        Verdict {
            answer: Answer::of(whole + whole_around, trials.len() + measured.len()),
            measured: format!(
                "From epoch {} on the inner product is positive at {} epochs, at all of them in {whole} of {} trials \
                 (from epoch 0 on: at {}); the smallest is {}, the smallest cosine {:.4}.{around} A minibatch's \
                 gradient is from {:.3} to {:.3} long, {:.3} on average; the longest step, rate times length, is \
                 {:.3}. The learning rate is below Theorem 3's largest useful step at {} epochs, and below that of a \
                 minibatch's step on average at {} ({}).",
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
                nearer(Snapshot::largest_step),
                nearer(Snapshot::largest_step_of_sgd),
                alone(trials),
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
        let cosines: Vec<f64> = counted
            .iter()
            .map(|snapshot| snapshot.passes.alignment.cosine)
            .collect();
        let around: Vec<f64> = counted
            .iter()
            .flat_map(|snapshot| snapshot.passes.around.iter().copied())
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
    snapshots.iter().map(Snapshot::product)
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
        .flat_map(|snapshot| snapshot.passes.norms.iter().copied())
        .collect();
    Bounds::of(&norms).mean
}

/// What is said of steps that are the learning rate times a gradient.
fn alone(trials: &[Trial]) -> String {
    let momentum = trials.first().map_or(0.0, |trial| trial.momentum);
    if momentum > 0.0 {
        format!(
            "of the learning rate alone: the run has momentum {momentum}, with which its steps are up to {} times as \
             long, and Theorem 3 says nothing of them",
            significant(1.0 / (1.0 - momentum), 3)
        )
    } else {
        "without momentum".to_owned()
    }
}

/// The longest step of SGD without momentum at any of the snapshots.
fn longest_step(snapshots: &[Snapshot]) -> f64 {
    let steps: Vec<f64> = snapshots
        .iter()
        .map(|snapshot| snapshot.rate * Bounds::of(&snapshot.passes.norms).maximum)
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
        .filter(|snapshot| !snapshot.passes.around.is_empty())
        .map(|snapshot| snapshot.length)
        .collect();
    let lengths = Bounds::of(&lengths);
    let [least, most] = [lengths.maximum, lengths.minimum].map(|length| 100.0 * radius / length);
    format!("the radius is from {least:.1} to {most:.1} % of the weights' length")
}

/// The least of the largest useful steps at some snapshots.
fn least(snapshots: &[Snapshot], largest: fn(&Snapshot) -> f64) -> f64 {
    let steps: Vec<f64> = snapshots.iter().map(largest).collect();
    Bounds::of(&steps).minimum
}

/// At how many snapshots the learning rate is below the largest useful step.
fn below(snapshots: &[Snapshot], largest: fn(&Snapshot) -> f64) -> Count {
    Count::of(snapshots.iter().map(|snapshot| largest(snapshot) - snapshot.rate))
}

/// The least of the largest useful steps of all trials by epoch, and dashed the learning rate.
fn steps_series(of_trials: &str, trials: &[Trial]) -> Vec<Series> {
    let curve = |label: String, value: fn(&Snapshot) -> f64, dashed: bool| Series {
        label,
        points: by_epoch(trials, |snapshot| vec![value(snapshot)])
            .into_iter()
            .map(|(epoch, bounds)| (epoch as f64, bounds.minimum))
            .collect(),
        dashed,
    };
    vec![
        curve(
            format!("largest useful step, least of {of_trials}"),
            Snapshot::largest_step,
            false,
        ),
        curve(
            format!("the same of a minibatch's step on average, least of {of_trials}"),
            Snapshot::largest_step_of_sgd,
            false,
        ),
        curve("learning rate in use".to_owned(), |snapshot| snapshot.rate, true),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::Passes;
    use super::*;
    use crate::landscape::Alignment;
    use crate::objective::BatchNormPolicy;

    /// Of a gradient whose square is 2, so that the largest useful step is the inner product.
    fn snapshot(product: f64, norms: &[f64], rate: f64, around: &[f64]) -> Snapshot {
        Snapshot {
            passes: Passes {
                alignment: Alignment {
                    product,
                    cosine: product / 4.0,
                    largest_step: product,
                },
                norms: norms.to_vec(),
                around: around.to_vec(),
            },
            rate,
            length: 10.0,
            batch_size: 5,
            images: 10,
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
            momentum: 0.0,
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
            // −1, 2 and 1 beside 0.5, 0.5 and 0.1; with squares of 5, 4 and 26 for 2 it is −0.4, 1 and 0.08.
            "largest useful step at 2 of 3 epochs",
            "step on average at 1 of 3 (without momentum).",
        ] {
            assert!(verdict.measured.contains(words), "{words} in {}", verdict.measured);
        }
        let mut with_momentum = good();
        with_momentum.momentum = 0.9;
        let told = kind.verdict(&[with_momentum]).measured;
        let words = "(of the learning rate alone: the run has momentum 0.9, with which its steps are up to 10.0 times";
        assert!(told.contains(words), "{words} in {told}");
        // One point around, or one epoch, that is not one point convex.
        let beside = trial(2, 1.0, [0.0, 2.0]);
        assert_eq!(kind.verdict(&[beside]).answer, Answer::PartlyShown);
        let bad = || trial(3, f64::NAN, [-1.0, 2.0]);
        assert_eq!(kind.verdict(&[good(), bad()]).answer, Answer::PartlyShown);
        assert_eq!(kind.verdict(&[bad()]).answer, Answer::NotShown);
        let table = kind.table(&[good()]);
        assert_eq!(
            table.rows[0],
            columns(
                "1 | 2 of 3 | 2 of 2 | 1.00 | 0.2500 | 4 of 4 | 0.500 | 5.0–5.0 % | 2.000 | 5.000 | 1.500 | -1.00 | \
                 2 of 3 | -0.400 | 1 of 3"
            )
        );
        assert_eq!(table.header.len(), table.rows[0].len());
    }

    #[test]
    fn a_last_batch_counts_by_its_images() {
        let mut short = snapshot(2.0, &[1.0, 3.0], 0.5, &[]);
        (short.batch_size, short.images) = (4, 5);
        // Four images of 1 and one of 9.
        assert!((short.largest_step_of_sgd() - 4.0 / 2.6).abs() < 1e-12);
    }

    #[test]
    fn charts_have_the_bounds_over_trials_at_every_epoch() {
        let trials = [trial(1, 1.0, [0.5, 2.0]), trial(2, -3.0, [1.0, 1.0])];
        let products = by_epoch(&trials, |snapshot| vec![snapshot.product()]);
        assert_eq!(products[2], (2, Bounds::of(&[1.0, -3.0])));
        let steps = steps_series("2 trials", &trials);
        assert_eq!(steps[0].points, [(0.0, -1.0), (1.0, 2.0), (2.0, -3.0)]);
        assert_eq!((steps[1].points[1], steps[2].points[2]), ((1.0, 1.0), (2.0, 0.1)));
        let kind = kind();
        let feet = [String::new(), String::new()];
        let names = |trials: &[Trial]| -> Vec<String> {
            let figures = kind.figures(trials, &feet);
            figures.into_iter().map(|figure| figure.name).collect()
        };
        assert_eq!(
            names(&trials),
            [
                "inner-products",
                "cosines",
                "neighbourhood",
                "gradient-norms",
                "step-sizes",
            ]
        );
        let mut alone = trial(1, 1.0, [0.5, 2.0]);
        for snapshot in &mut alone.snapshots {
            snapshot.passes.around.clear();
        }
        assert_eq!(
            names(&[alone]),
            ["inner-products", "cosines", "gradient-norms", "step-sizes"]
        );
    }
}
