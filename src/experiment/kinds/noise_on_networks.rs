//! What the experiments with noise on networks share: the minimum that they start from, the dynamics from a point on,
//! curves with errors, and whether values of several seeds can be told apart.

mod walk;

use std::cmp::Ordering;

use serde::Deserialize;

pub(super) use self::walk::{Record, Walked, looks};
use super::dynamical_stability::{check_end, every};
use super::student::student;
use crate::curvature::Estimate;
use crate::dynamics::indicators::WithError;
use crate::dynamics::network::Settings;
use crate::error::{Error, Result};
use crate::experiment::descent::{self, Descended, Descent, Method};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::Series;
use crate::objective::Objective;
use crate::training::End;

/// Gradients that a product with the Hessian takes.
pub(super) const PRODUCT: f64 = 3.0;

/// Where dynamics start: the minimum that gradient descent finds from a seed's weights.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Minimum {
    /// η of gradient descent.
    pub learning_rate: f64,
    /// The train loss at which it is there.
    pub loss: f64,
    /// Its steps at most: where it has made them, it is as near as it comes.
    pub steps: usize,
}

impl Minimum {
    /// Checks its numbers.
    pub(super) fn check(&self) -> Result<()> {
        self.method().check()?;
        check_end(self.loss, ("steps", self.steps))
    }

    fn method(&self) -> Method {
        Method::GradientDescent {
            learning_rate: self.learning_rate,
        }
    }

    /// The way down, with its steps at most.
    pub(super) fn way(&self) -> (Method, usize) {
        (self.method(), self.steps)
    }

    /// What is written of it beside its way.
    pub(super) fn setting(&self) -> [String; 2] {
        ["is there at a train loss of".to_owned(), self.loss.to_string()]
    }

    /// Finds it, or finds it found before.
    ///
    /// # Errors
    /// Where gradient descent diverges, and as [`Laboratory::descend`].
    pub(super) fn find(&self, objective: &Objective, seed: u64, laboratory: &mut Laboratory) -> Result<Descended> {
        let way = Descent {
            method: self.method(),
            loss: self.loss,
            steps: self.steps,
            every: every(self.steps),
            sharpness_every: None,
            non_uniformity_every: None,
            seed,
        };
        let what = format!("{} (seed {seed})", self.method().name());
        let found = laboratory.descend(objective, &descent::start(objective, seed)?, &way, &what)?;
        match found.record.end {
            End::Diverged => Err(Error::Request(format!(
                "gradient descent with a learning rate of {} diverges from the weights of seed {seed}, so that there \
                 is no minimum to start from; give `minimum` a lower one",
                self.learning_rate
            ))),
            _ => Ok(found),
        }
    }
}

/// What is written of the settings of dynamics.
pub(super) fn settings(walk: &Settings) -> Vec<[String; 2]> {
    let images = match walk.hessian_images {
        usize::MAX => "all train images".to_owned(),
        images => format!("the first {images} train images"),
    };
    vec![
        [
            "learning rate η of the dynamics".to_owned(),
            walk.learning_rate.to_string(),
        ],
        ["noise".to_owned(), walk.sigma.name(walk.batch_size)],
        ["Hessian".to_owned(), format!("of {images}")],
    ]
}

/// Whether the mean of some differences lies above 0 or below, by Student's interval of 95 %. Nothing where it may be
/// either: of a single difference, or where one is not a number.
pub(super) fn side(differences: &[f64]) -> Option<Ordering> {
    let Estimate {
        samples,
        mean,
        standard_error,
    } = Estimate::of(differences)?;
    let reach = student(samples.saturating_sub(1)) * standard_error?;
    if mean > reach {
        Some(Ordering::Greater)
    } else if mean < -reach {
        Some(Ordering::Less)
    } else {
        None
    }
}

/// The mean over seeds with its standard error; none of one seed. NaN where one value is.
pub(super) fn over_seeds(values: &[f64]) -> WithError {
    Estimate::of(values).map_or((f64::NAN, None), |found| (found.mean, found.standard_error))
}

/// `0.123 ± 0.004`: a value with its standard error, where it has one.
pub(super) fn error_text((value, error): WithError, digits: usize) -> String {
    match error {
        _ if value.is_nan() => "–".to_owned(),
        Some(error) if error.is_finite() => format!("{value:.digits$} ± {error:.digits$}"),
        _ => format!("{value:.digits$}"),
    }
}

/// A curve with a bar of one standard error up and down at every point. On a `logarithmic` axis, a bar that would reach
/// below 0 is drawn upwards alone.
pub(super) fn curve_with_errors(
    label: &str,
    points: impl IntoIterator<Item = (f64, WithError)>,
    dashed: bool,
    logarithmic: bool,
) -> Series {
    let points: Vec<(f64, WithError)> = points.into_iter().collect();
    let bar = |&(x, (value, error)): &(f64, WithError)| {
        let error = error.filter(|error| (value + error).is_finite())?;
        let low = match logarithmic && value > 0.0 && value <= error {
            true => value,
            false => value - error,
        };
        Some((x, [low, value + error]))
    };
    let curve = Series {
        label: label.to_owned(),
        points: points.iter().map(|&(x, (value, _))| (x, value)).collect(),
        dashed,
    };
    curve.with_bars(points.iter().filter_map(bar))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_told_apart_by_students_interval() {
        // Mean 2 and standard error 1/√3: 3.46 of them for three values, of which 4.30 are asked.
        assert_eq!(side(&[1.0, 2.0, 3.0]), None);
        assert_eq!(side(&[1.5, 2.0, 2.5]), Some(Ordering::Greater));
        assert_eq!(side(&[-1.5, -2.0, -2.5]), Some(Ordering::Less));
        assert_eq!(side(&[5.0]), None);
        assert_eq!(side(&[]), None);
        assert_eq!(side(&[1.0, f64::NAN, 1.0]), None);
        // Of many, about two standard errors are enough, and 1.9 are not.
        let around = |mean: f64| -> Vec<f64> { (0..50).map(|i| mean + if i % 2 == 0 { 1.0 } else { -1.0 }).collect() };
        let error = (50.0_f64 / (50.0 * 49.0)).sqrt();
        assert_eq!(side(&around(2.1 * error)), Some(Ordering::Greater));
        assert_eq!(side(&around(1.9 * error)), None);
    }

    #[test]
    fn curves_have_bars_where_there_are_errors() {
        let points = [(0.0, (2.0, Some(0.5))), (1.0, (1.0, Some(3.0))), (2.0, (4.0, None))];
        let linear = curve_with_errors("a", points, false, false);
        // The curve, a gap and a bar, and a gap and a bar.
        assert_eq!(linear.points.len(), 9);
        assert_eq!(linear.points[..3], [(0.0, 2.0), (1.0, 1.0), (2.0, 4.0)]);
        assert!(linear.points[3].0.is_nan() && linear.points[6].0.is_nan());
        assert_eq!(linear.points[4..6], [(0.0, 1.5), (0.0, 2.5)]);
        assert_eq!(linear.points[7..], [(1.0, -2.0), (1.0, 4.0)]);
        let logarithmic = curve_with_errors("a", points, true, true);
        assert!(logarithmic.points.iter().all(|point| point.1 > 0.0 || point.0.is_nan()) && logarithmic.dashed);
        assert_eq!(logarithmic.points[7..], [(1.0, 1.0), (1.0, 4.0)]);
        // Where nothing is known there is no bar.
        let lost = curve_with_errors("a", [(0.0, (f64::NAN, Some(1.0)))], false, false);
        assert!(lost.points.len() == 1 && lost.points[0].1.is_nan());
    }

    #[test]
    fn a_value_is_written_with_its_error_or_as_a_dash() {
        assert_eq!(error_text(over_seeds(&[1.0, 3.0, 2.0, 2.0]), 2), "2.00 ± 0.41");
        assert_eq!(error_text(over_seeds(&[1.0]), 1), "1.0");
        assert_eq!(error_text(over_seeds(&[1.0, f64::NAN]), 1), "–");
        assert_eq!(error_text(over_seeds(&[]), 1), "–");
    }

    #[test]
    fn a_minimum_is_asked_for_with_numbers_that_can_be() {
        let minimum = Minimum {
            learning_rate: 0.1,
            loss: 0.01,
            steps: 100,
        };
        assert!(minimum.check().is_ok());
        for wrong in [
            Minimum {
                learning_rate: 0.0,
                ..minimum
            },
            Minimum { loss: 0.0, ..minimum },
            Minimum { steps: 0, ..minimum },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert_eq!(minimum.way().1, 100);
    }
}
