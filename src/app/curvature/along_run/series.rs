//! The numbers along a run as they are drawn and told: with their errors and their gaps, and what SGD's stability
//! allows at every epoch (Wu, Ma and E, 2018, (9)).

use crate::curvature::Sgd;
use crate::engine::AlongRunView;
use crate::experiment::outcome::significant;
use crate::training::{EpochMetrics, TrainingOptions, schedule};

/// Digits of a number that is told, and of its error.
const DIGITS: [usize; 2] = [4, 2];

/// A number of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub epoch: usize,
    pub value: f64,
    /// What it may be off by; 0 where it is exact.
    pub error: f64,
}

/// One number along the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series<'a> {
    /// In rising order, split where an epoch has none. Epochs that are not measured yet are passed over.
    pub stretches: Vec<Vec<Value>>,
    /// Epochs that have none, and why.
    pub lost: Vec<(usize, &'a str)>,
}

impl<'a> Series<'a> {
    /// From epochs in rising order, each with its number and what that may be off by, or why there is none.
    fn collect(measured: impl Iterator<Item = (usize, Result<(f64, f64), &'a str>)>) -> Self {
        let mut series = Self::default();
        let mut is_broken = true;
        for (epoch, measured) in measured {
            match measured {
                Err(reason) => series.lost.push((epoch, reason)),
                Ok((value, error)) => {
                    let value = Value { epoch, value, error };
                    match series.stretches.last_mut().filter(|_| !is_broken) {
                        Some(stretch) => stretch.push(value),
                        None => series.stretches.push(vec![value]),
                    }
                }
            }
            is_broken = measured.is_err();
        }
        series
    }

    /// a, each with its residual.
    pub fn sharpness(view: &'a AlongRunView) -> Self {
        Self::collect(view.epochs.iter().map(|known| {
            let sharpness = known.sharpness.as_ref();
            let number = sharpness.map(|found| (found.value, found.residual));
            (known.epoch, number.map_err(String::as_str))
        }))
    }

    /// s, each with its standard error. An epoch without a has none.
    pub fn non_uniformity(view: &'a AlongRunView) -> Self {
        Self::collect(view.epochs.iter().filter_map(|known| {
            let measured = match (&known.sharpness, &known.non_uniformity) {
                (Err(reason), _) | (Ok(_), Some(Err(reason))) => Err(reason.as_str()),
                (Ok(_), Some(Ok(found))) => Ok((found.value, found.standard_error.unwrap_or(0.0))),
                (Ok(_), None) => return None,
            };
            Some((known.epoch, measured))
        }))
    }

    /// The train loss of every epoch, as the weights moved.
    pub fn loss(metrics: &'a [EpochMetrics]) -> Self {
        Self::collect(metrics.iter().map(|row| {
            let loss = row.train_loss;
            let measured = loss.is_finite().then_some((loss, 0.0));
            (row.epoch, measured.ok_or("the loss is not finite"))
        }))
    }

    /// All numbers there are.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        self.stretches.iter().flatten().copied()
    }
}

/// What SGD's stability allows along a run.
#[derive(Clone, Copy)]
pub struct Allowed<'a> {
    pub options: &'a TrainingOptions,
    /// Training images n; 0 while they are not known.
    pub samples: usize,
}

impl Allowed<'_> {
    /// η of the steps that led to the weights after an epoch; of the initial weights, of those that leave them.
    pub fn learning_rate(self, epoch: usize) -> f64 {
        schedule::learning_rate(self.options, epoch.max(1))
    }

    /// SGD as it was at an epoch; nothing where there are fewer than two images.
    fn sgd(self, epoch: usize) -> Option<Sgd> {
        let batch_size = self.options.batch_size.clamp(1, self.samples.max(1));
        Sgd::new(self.learning_rate(epoch), batch_size, self.samples).ok()
    }

    /// 2/η.
    pub fn sharpness(self, epoch: usize) -> Option<f64> {
        self.sgd(epoch).map(Sgd::sharpness_bound)
    }

    /// 2(1 + μ)/η, up to which gradient descent with momentum μ stays; nothing without momentum.
    pub fn heavy_ball(self, epoch: usize) -> Option<f64> {
        let momentum = Some(self.options.momentum).filter(|&momentum| momentum > 0.0)?;
        Some(self.sgd(epoch)?.sharpness_bound_with_momentum(momentum))
    }

    /// (1/η)√(B(n − 1)/(n − B)); nothing where batches are all images, which leave no noise.
    pub fn non_uniformity(self, epoch: usize) -> Option<f64> {
        let bound = self.sgd(epoch)?.non_uniformity_bound();
        bound.is_finite().then_some(bound)
    }

    /// A bound over epochs 0 to `last` as a line: it is the same all through an epoch.
    pub fn line(self, last: usize, bound: fn(Self, usize) -> Option<f64>) -> Vec<[f64; 2]> {
        let mut points: Vec<[f64; 2]> = Vec::new();
        for epoch in 1..=last.max(1) {
            let Some(value) = bound(self, epoch) else { continue };
            match points.last_mut() {
                Some(end) if end[1] == value => end[0] = epoch as f64,
                _ => points.extend([(epoch - 1) as f64, epoch as f64].map(|x| [x, value])),
            }
        }
        points
    }
}

/// All that is known of an epoch, in words with the formulas.
pub fn told(view: &AlongRunView, allowed: Allowed, metrics: &[EpochMetrics], epoch: usize) -> String {
    let mut text = format!("epoch {epoch}, η = {}", significant(allowed.learning_rate(epoch), 3));
    if epoch >= view.request.snapshots {
        text += "\nnot trained yet";
    }
    let known = view.epochs.binary_search_by_key(&epoch, |known| known.epoch);
    let known = known.ok().and_then(|index| view.epochs.get(index));
    let [digits, few] = DIGITS;
    let sharpness = match known.map(|known| &known.sharpness) {
        Some(Ok(found)) => {
            let limit = match found.converged {
                true => "",
                false => ", not converged: it may be larger",
            };
            let (value, residual) = (significant(found.value, digits), significant(found.residual, few));
            format!("{value} loss/weight², within {residual}{limit}")
        }
        Some(Err(reason)) => format!("none: {reason}"),
        None => "not measured yet".to_owned(),
    };
    text += &format!("\na = λ_max(H): {sharpness}");
    let bound = |name: &str, bound: Option<f64>| {
        let bound = bound.map(|bound| format!("\n    {name} = {}", significant(bound, digits)));
        bound.unwrap_or_default()
    };
    text += &bound("at most 2/η", allowed.sharpness(epoch));
    text += &bound("with momentum μ at most 2(1 + μ)/η", allowed.heavy_ball(epoch));
    if view.request.uniformity.is_some() {
        let non_uniformity = match known.and_then(|known| known.non_uniformity.as_ref()) {
            Some(Ok(found)) => {
                let error = significant(found.standard_error.unwrap_or(0.0), few);
                format!("{} ± {error} loss/weight²", significant(found.value, digits))
            }
            Some(Err(reason)) => format!("none: {reason}"),
            None => "not measured yet".to_owned(),
        };
        text += &format!("\ns = λ_max(Σ)^½: {non_uniformity}");
        let most = allowed.non_uniformity(epoch);
        text += &bound("at most (1/η)√(B(n − 1)/(n − B))", most);
    }
    if let Some(row) = epoch.checked_sub(1).and_then(|index| metrics.get(index)) {
        text += &format!("\ntrain loss {:.4}, as the weights moved", row.train_loss);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::{NonUniformity, Sharpness};
    use crate::engine::{AlongRunRequest, EpochCurvature};
    use crate::objective::BatchNormPolicy;

    fn epoch(epoch: usize, sharpness: Option<f64>, non_uniformity: Option<f64>) -> EpochCurvature {
        let found = |value: f64| Sharpness {
            value,
            residual: 0.02,
            converged: true,
        };
        EpochCurvature {
            epoch,
            sharpness: sharpness.map(found).ok_or("diverged".to_owned()),
            non_uniformity: non_uniformity.and_then(|s| Some(Ok(NonUniformity::of(&[s * s, s * s], true)?))),
        }
    }

    fn view(epochs: Vec<EpochCurvature>) -> AlongRunView {
        let request = AlongRunRequest {
            session: 1,
            policy: BatchNormPolicy::Running,
            images: 10,
            seed: 1,
            uniformity: Some(8),
            snapshots: 9,
        };
        AlongRunView {
            epochs,
            problem: None,
            ..AlongRunView::failed(request, String::new())
        }
    }

    /// Three epochs at 0.1, one on the way to 0.05, and one there; then one of SGD at 0.01.
    fn options() -> TrainingOptions {
        TrainingOptions {
            epochs: 5,
            batch_size: 4,
            swa_start: 4,
            sgd_epochs: 1,
            sgd_learning_rate: 0.01,
            ..TrainingOptions::default()
        }
    }

    #[test]
    fn a_curve_breaks_where_an_epoch_has_no_number_and_passes_over_what_is_to_come() {
        let view = view(vec![
            epoch(0, Some(5.0), Some(2.0)),
            epoch(4, Some(6.0), None),
            epoch(5, None, None),
            epoch(6, None, None),
            epoch(8, Some(7.0), Some(3.0)),
        ]);
        let places = |series: &Series| -> Vec<Vec<(usize, f64)>> {
            let place = |value: &Value| (value.epoch, value.value);
            let stretches = series.stretches.iter();
            stretches.map(|stretch| stretch.iter().map(place).collect()).collect()
        };
        let sharpness = Series::sharpness(&view);
        assert_eq!(places(&sharpness), [vec![(0, 5.0), (4, 6.0)], vec![(8, 7.0)]]);
        assert_eq!(sharpness.lost, [(5, "diverged"), (6, "diverged")]);
        assert!(sharpness.values().all(|value| value.error == 0.02));
        let non_uniformity = Series::non_uniformity(&view);
        assert_eq!(places(&non_uniformity), [vec![(0, 2.0)], vec![(8, 3.0)]]);
        assert_eq!(non_uniformity.lost, sharpness.lost);
    }

    #[test]
    fn what_is_allowed_follows_the_schedule() {
        let options = options();
        let allowed = Allowed {
            options: &options,
            samples: 100,
        };
        for (epoch, rate) in [(0, 0.1), (1, 0.1), (2, 0.1), (5, 0.05), (6, 0.01)] {
            assert!((allowed.learning_rate(epoch) - rate).abs() < 1e-12, "epoch {epoch}");
            let near = |bound: Option<f64>, expected: f64| (bound.unwrap() / expected - 1.0).abs() < 1e-12;
            assert!(near(allowed.sharpness(epoch), 2.0 / rate));
            assert!(near(allowed.heavy_ball(epoch), 2.0 * 1.9 / rate));
            assert!(near(
                allowed.non_uniformity(epoch),
                (4.0_f64 * 99.0 / 96.0).sqrt() / rate
            ));
        }
        let plain = TrainingOptions {
            momentum: 0.0,
            batch_size: 200,
            ..options.clone()
        };
        let plain = Allowed {
            options: &plain,
            samples: 100,
        };
        // Batches of all images are gradient descent.
        assert_eq!((plain.heavy_ball(1), plain.non_uniformity(1)), (None, None));
        assert!(plain.sharpness(1).is_some());
        let unknown = Allowed { samples: 0, ..plain };
        assert_eq!((unknown.sharpness(1), unknown.non_uniformity(1)), (None, None));
    }

    #[test]
    fn a_bound_is_level_within_an_epoch() {
        let options = TrainingOptions {
            learning_rate: 0.05,
            ..options()
        };
        let allowed = Allowed {
            options: &options,
            samples: 100,
        };
        let line = allowed.line(6, Allowed::sharpness);
        let expected = [[0.0, 40.0], [5.0, 40.0], [5.0, 200.0], [6.0, 200.0]];
        assert_eq!(line.len(), expected.len());
        for (point, expected) in line.iter().flatten().zip(expected.iter().flatten()) {
            assert!((point - expected).abs() < 1e-9, "{line:?}");
        }
        // A run of initial weights alone has the bound of what comes.
        assert_eq!(allowed.line(0, Allowed::sharpness).len(), 2);
    }

    #[test]
    fn an_epoch_is_told_with_its_formulas() {
        let view = view(vec![epoch(0, Some(5.0), Some(2.0)), epoch(1, None, None)]);
        let options = options();
        let allowed = Allowed {
            options: &options,
            samples: 100,
        };
        let row = EpochMetrics {
            epoch: 1,
            phase: "train".to_owned(),
            learning_rate: 0.1,
            train_loss: 0.75,
            train_accuracy: 0.5,
            test_loss: 0.8,
            test_accuracy: 0.5,
        };
        let told = |epoch: usize| told(&view, allowed, std::slice::from_ref(&row), epoch);
        let first = told(0);
        for part in [
            "epoch 0, η = 0.100",
            "a = λ_max(H): 5.000 loss/weight², within 0.020",
            "at most 2/η = 20.00",
            "2(1 + μ)/η = 38.00",
            "s = λ_max(Σ)^½: 2.000 ± 0 loss/weight²",
            "at most (1/η)√(B(n − 1)/(n − B)) = 20.31",
        ] {
            assert!(first.contains(part), "`{part}` is not in {first}");
        }
        assert!(!first.contains("train loss"));
        assert!(told(1).contains("none: diverged") && told(1).contains("train loss 0.7500"));
        assert!(told(2).contains("a = λ_max(H): not measured yet") && !told(2).contains("not trained"));
        assert!(told(9).contains("not trained yet"));
    }
}
