//! The numbers along a run as they are drawn and told: with their errors and their gaps, and beside them what SGD's
//! stability allows (Wu, Ma and E, 2018, (9)).

use crate::curvature::along_run::Allowed;
use crate::engine::AlongRunView;
use crate::experiment::outcome::significant;
use crate::training::EpochMetrics;

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
                let error = found
                    .standard_error
                    .map(|error| format!(" ± {}", significant(error, few)));
                let limit = match found.converged {
                    true => "",
                    false => ", not converged: it may be another",
                };
                let value = significant(found.value, digits);
                format!("{value}{} loss/weight²{limit}", error.unwrap_or_default())
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
    use crate::training::TrainingOptions;

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
    fn an_epoch_is_told_with_its_formulas() {
        let mut whole = epoch(2, Some(5.0), None);
        whole.non_uniformity = NonUniformity::of(&[9.0], false).map(Ok);
        let view = view(vec![epoch(0, Some(5.0), Some(2.0)), epoch(1, None, None), whole]);
        let options = TrainingOptions {
            batch_size: 4,
            ..TrainingOptions::default()
        };
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
        // From all images at once there is no error to tell.
        let whole = told(2);
        assert!(
            whole.contains("s = λ_max(Σ)^½: 3.000 loss/weight², not converged: it may be another"),
            "{whole}"
        );
        assert!(told(3).contains("a = λ_max(H): not measured yet") && !told(3).contains("not trained"));
        assert!(told(9).contains("not trained yet"));
    }
}
