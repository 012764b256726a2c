//! What the experiments on one-point convexity share: gradients at the snapshots of runs, counts of the inner products
//! found there, and their bounds; and the chart that most other kinds draw, too.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::experiment::laboratory::{Laboratory, Trained};
use crate::experiment::outcome::{Content, Figure, Series};
use crate::landscape::{Alignment, GradientPass};
use crate::objective::{BatchNormPolicy, Solution, loss_value};
use crate::random::{Purpose, Random};

/// Vertical axis of inner products.
pub(super) const PRODUCT_AXIS: &str = "inner product of −gradient and way";

/// The batch-norm policy of gradients where a recipe names none: each minibatch's own statistics, as in training.
pub(super) fn batch() -> BatchNormPolicy {
    BatchNormPolicy::Batch
}

/// Gradients of the train loss along a run, one after another.
pub(super) struct Gradients<'a> {
    trained: &'a Trained,
    policy: BatchNormPolicy,
    /// What whoever waits is told.
    what: String,
    done: usize,
    /// How many there will be.
    all: usize,
}

impl<'a> Gradients<'a> {
    /// None yet of `all`; `name` is the run's.
    pub(super) fn new(trained: &'a Trained, name: &str, policy: BatchNormPolicy, all: usize) -> Self {
        Self {
            trained,
            policy,
            what: format!("{name} (seed {}): gradients", trained.folder.record().options.seed),
            done: 0,
            all,
        }
    }

    /// At a point, over the minibatches that training goes through after `epoch` epochs, unaugmented; on the first
    /// `samples` train images alone, over minibatches drawn from them alike.
    ///
    /// # Errors
    /// When the device fails; [`crate::error::Error::Cancelled`].
    pub(super) fn at(
        &mut self,
        point: &Solution,
        epoch: usize,
        samples: usize,
        laboratory: &mut Laboratory,
    ) -> Result<GradientPass> {
        let objective = &self.trained.objective;
        let options = &self.trained.folder.record().options;
        let images = self.images(samples);
        let order = Random::new(options.seed, Purpose::Shuffle, (epoch + 1) as u32).permutation(images);
        let (what, done, all) = (&self.what, self.done as f64, self.all.max(1) as f64);
        let mut report = |share: f64| laboratory.report(what, (done + share) / all).is_ok();
        let pass = GradientPass::at(objective, point, self.policy, &order, options.batch_size, &mut report)?;
        self.done += 1;
        Ok(pass)
    }

    /// What is found by so many `passes` at the snapshot after `epoch` epochs, or around it: now, and kept, or where it
    /// was found before. `how` says what it depends on beside the snapshot, the `ends` `[d]` of ways from there, and
    /// the minibatches.
    ///
    /// # Errors
    /// What finding it meets, and [`crate::error::Error::File`].
    pub(super) fn kept<T: Serialize + DeserializeOwned>(
        &mut self,
        (here, epoch): (&Solution, usize),
        ends: &[&[f32]],
        (how, passes): (&str, usize),
        laboratory: &mut Laboratory,
        find: impl FnOnce(&mut Self, &mut Laboratory) -> Result<T>,
    ) -> Result<T> {
        let (trained, before) = (self.trained, self.done);
        let options = &trained.folder.record().options;
        let made = format!(
            "{how}; bn {}, minibatches of {} in the order of seed {} after epoch {epoch}",
            self.policy, options.batch_size, options.seed
        );
        let mut numbers: Vec<&[u8]> = vec![
            bytemuck::cast_slice(&here.parameters),
            bytemuck::cast_slice(&here.statistics),
        ];
        numbers.extend(ends.iter().map(|&end| bytemuck::cast_slice::<f32, u8>(end)));
        let found = laboratory.remember(&trained.objective, &made, &numbers, |laboratory| find(self, laboratory))?;
        // What is only read took no gradient.
        self.done = before + passes;
        Ok(found)
    }

    /// The inner products of the negative gradient at the snapshot after `epoch` epochs, on the first `samples` train
    /// images, with the ways from there to some `ends` `[d]`; kept.
    ///
    /// # Errors
    /// As [`Self::at`] and [`Self::kept`], and when the snapshot cannot be read.
    pub(super) fn products(
        &mut self,
        epoch: usize,
        samples: usize,
        ends: &[&[f32]],
        laboratory: &mut Laboratory,
    ) -> Result<Vec<f64>> {
        let here = self.trained.snapshot(epoch)?;
        let how = format!("inner products, {} images", self.images(samples));
        let Products(products) = self.kept((&here, epoch), ends, (&how, 1), laboratory, |gradients, laboratory| {
            let pass = gradients.at(&here, epoch, samples, laboratory)?;
            let product = |end: &&[f32]| Alignment::new(&pass.gradient, &here.parameters, end).product;
            Ok(Products(ends.iter().map(product).collect()))
        })?;
        Ok(products)
    }

    /// How many of `samples` train images there are.
    pub(super) fn images(&self, samples: usize) -> usize {
        self.trained.objective.data().train.len().min(samples)
    }
}

impl Drop for Gradients<'_> {
    fn drop(&mut self) {
        self.trained.objective.release_gradients();
    }
}

/// Inner products as they are kept.
#[derive(Serialize, Deserialize)]
struct Products(#[serde(with = "loss_value::list")] Vec<f64>);

/// How many of some inner products are positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) positive: usize,
    pub(super) all: usize,
}

impl Count {
    /// Of these; one that is not a number is not positive.
    pub(super) fn of(products: impl IntoIterator<Item = f64>) -> Self {
        let mut count = Self::default();
        products.into_iter().for_each(|product| count.enter(product));
        count
    }

    /// One more.
    pub(super) fn enter(&mut self, product: f64) {
        self.positive += usize::from(product > 0.0);
        self.all += 1;
    }

    /// Of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            positive: self.positive + other.positive,
            all: self.all + other.all,
        }
    }

    /// Whether there are any, and all are positive.
    pub(super) fn is_whole(self) -> bool {
        self.all > 0 && self.positive == self.all
    }

    /// The share that is positive, 0..1; NaN of nothing.
    pub(super) fn share(self) -> f64 {
        self.positive as f64 / self.all as f64
    }

    /// `3 of 4`.
    pub(super) fn text(self) -> String {
        format!("{} of {}", self.positive, self.all)
    }
}

/// Mean, smallest and largest of some values; all NaN where there is none, or one is NaN: a bound that leaves one out
/// is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) mean: f64,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
}

impl Bounds {
    pub(super) fn of(values: &[f64]) -> Self {
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            return Self {
                mean: f64::NAN,
                minimum: f64::NAN,
                maximum: f64::NAN,
            };
        }
        Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            minimum: values.iter().copied().fold(f64::INFINITY, f64::min),
            maximum: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// Bounds by epoch as curves: the mean, and dashed the smallest and the largest of `what`.
pub(super) fn bounds_series(what: &str, rows: &[(usize, Bounds)]) -> Vec<Series> {
    let curve = |label: String, value: fn(&Bounds) -> f64, dashed: bool| Series {
        label,
        points: rows
            .iter()
            .map(|(epoch, bounds)| (*epoch as f64, value(bounds)))
            .collect(),
        dashed,
    };
    vec![
        curve(format!("mean of {what}"), |bounds| bounds.mean, false),
        curve("smallest".to_owned(), |bounds| bounds.minimum, true),
        curve("largest".to_owned(), |bounds| bounds.maximum, true),
    ]
}

/// A chart: the name of its files, its title, its axes, curves, marks and foot.
pub(super) fn chart(
    name: &str,
    title: String,
    (x_label, y_label): (&str, &str),
    series: Vec<Series>,
    marks: Vec<(f64, String)>,
    footnote: &str,
) -> Figure {
    Figure {
        name: name.to_owned(),
        title,
        content: Content::Chart {
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            series,
            marks,
            footnote: footnote.to_owned(),
        },
        place: None,
    }
}

/// How gradients were taken, in a line.
pub(super) fn footnote(trained: &Trained, policy: BatchNormPolicy, samples: usize, seeds: &[u64]) -> String {
    let record = trained.folder.record();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!(
        "{} · {} ({} train images) · bn {policy} (batch {}) · gradients without weight decay · seeds {} · {} · \
         valleyscope {}",
        record.model,
        record.data,
        trained.objective.data().train.len().min(samples),
        record.options.batch_size,
        seeds.join(", "),
        record.device,
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_all_values_or_none() {
        let bounds = Bounds::of(&[1.0, -2.0, 4.0]);
        assert_eq!((bounds.mean, bounds.minimum, bounds.maximum), (1.0, -2.0, 4.0));
        let infinite = Bounds::of(&[1.0, f64::INFINITY]);
        assert_eq!((infinite.minimum, infinite.maximum), (1.0, f64::INFINITY));
        for values in [&[1.0, f64::NAN, 2.0][..], &[]] {
            let none = Bounds::of(values);
            assert!(none.mean.is_nan() && none.minimum.is_nan() && none.maximum.is_nan());
        }
        let series = bounds_series("3 trials", &[(5, bounds), (6, bounds)]);
        assert_eq!(series[0].points, [(5.0, 1.0), (6.0, 1.0)]);
        assert!(series[0].label == "mean of 3 trials" && !series[0].dashed);
        assert!(series[1].points[0].1 == -2.0 && series[2].points[1].1 == 4.0 && series[2].dashed);
    }

    #[test]
    fn what_is_zero_or_not_a_number_is_not_positive() {
        let count = Count::of([1.0, 0.0, -1.0, f64::NAN, f64::INFINITY]);
        assert_eq!((count.text(), count.share()), ("2 of 5".to_owned(), 0.4));
        assert!(!count.is_whole() && !Count::default().is_whole() && Count::default().share().is_nan());
        let whole = Count::of([0.5]);
        assert!(whole.is_whole() && !whole.and(count).is_whole());
        assert_eq!(whole.and(count), Count { positive: 3, all: 6 });
    }
}
