//! What the experiments on dynamical stability share: checks, charts by step, and what is said of how they were made.

use super::checks::check_positive;
use crate::error::{Error, Result};
use crate::experiment::descent::{Method, Record};
use crate::experiment::outcome::{Series, spread_text};
use crate::objective::Objective;

/// Horizontal axis of what changes with the steps.
pub(super) const STEP_AXIS: &str = "step";
/// Vertical axis of the sharpness.
pub(super) const SHARPNESS_AXIS: &str = "sharpness a = λ_max(H)";
/// Vertical axis of the non-uniformity.
pub(super) const NON_UNIFORMITY_AXIS: &str = "non-uniformity s = λ_max(Σ)^½";

/// Share by which a bound may be exceeded where a recipe names none. A descent that is stopped at a train loss above 0
/// still swings about the edge of stability, and its curvature with it.
const TOLERANCE: f64 = 0.05;

/// Gradients that a sharpness takes: some twenty products, of three each.
pub(super) const SHARPNESS: f64 = 60.0;
/// The same on the way, where it is sought less far.
pub(super) const ROUGH_SHARPNESS: f64 = 20.0;
/// Gradients that a non-uniformity takes: in each of some ten steps two products with the Hessian of every image.
pub(super) const NON_UNIFORMITY: f64 = 60.0;

/// Steps that a curve by step has points for, about.
const RECORDED: usize = 500;

/// What a descent of so many steps at most records.
pub(super) fn every(steps: usize) -> usize {
    steps.div_ceil(RECORDED).max(1)
}

/// The tolerance where a recipe names none.
pub(super) fn usual_tolerance() -> f64 {
    TOLERANCE
}

/// Refuses a share that is not from 0 to 1.
pub(super) fn check_tolerance(tolerance: f64) -> Result<()> {
    match (0.0..=1.0).contains(&tolerance) {
        true => Ok(()),
        false => Err(Error::option("tolerance", tolerance, "it must be from 0 to 1")),
    }
}

/// Refuses an end that is never reached, and no steps.
pub(super) fn check_end(loss: f64, (name, steps): (&str, usize)) -> Result<()> {
    check_positive("loss", loss)?;
    match steps {
        0 => Err(Error::option(name, steps, "it must be at least 1")),
        _ => Ok(()),
    }
}

/// Refuses a list that is empty, or not in rising order.
pub(super) fn check_rising<T: PartialOrd>(name: &str, values: &[T]) -> Result<()> {
    match !values.is_empty() && values.windows(2).all(|pair| pair[0] < pair[1]) {
        true => Ok(()),
        false => Err(Error::option(name, "", "name one at least, in rising order")),
    }
}

/// What is written of the network and of one way down.
pub(super) fn settings(model: &str, data: &str, ways: &[(Method, usize)]) -> Vec<[String; 2]> {
    let mut rows = vec![["network".to_owned(), format!("{model} on {data}")]];
    rows.extend(
        ways.iter()
            .map(|(method, steps)| [method.name(), format!("{steps} steps at most")]),
    );
    rows
}

/// How something was made, in a line.
pub(super) fn footnote(objective: &Objective, how: &str, seeds: &[u64]) -> String {
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!(
        "{} · {} ({} train images) · {how} · seeds {} · {} · valleyscope {}",
        objective.graph().name,
        objective.data().name,
        objective.data().train.len(),
        seeds.join(", "),
        objective.device_name(),
        env!("CARGO_PKG_VERSION")
    )
}

/// Vertical axis of the train loss.
pub(super) fn loss_axis(objective: &Objective) -> String {
    format!("train {}", objective.graph().loss.axis())
}

/// What a descent recorded, as a curve.
pub(super) fn curve(label: String, record: &Record, points: fn(&Record) -> &Vec<(f64, f64)>) -> Series {
    Series {
        label,
        points: points(record).clone(),
        dashed: false,
    }
}

/// Mean and standard deviation, and a dash, as the paper has it, where there is nothing.
pub(super) fn text(values: &[f64], digits: usize) -> String {
    match values.is_empty() {
        true => "–".to_owned(),
        false => spread_text(values, digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        assert!(check_tolerance(0.05).is_ok() && check_tolerance(-0.1).is_err() && check_tolerance(f64::NAN).is_err());
        assert!(check_end(1e-4, ("steps", 1)).is_ok() && check_end(0.0, ("steps", 1)).is_err());
        let message = check_end(1e-4, ("start-steps", 0)).unwrap_err().to_string();
        assert!(message.starts_with("start-steps"), "{message}");
        assert!(check_rising("batch-sizes", &[1, 4]).is_ok() && check_rising("batch-sizes", &[4, 4]).is_err());
        assert!(check_rising::<f64>("learning-rates", &[]).is_err());
        assert!(check_rising("learning-rates", &[0.1, f64::NAN]).is_err());
    }

    #[test]
    fn curves_have_some_hundred_points_and_numbers_their_spread() {
        assert_eq!((every(1), every(500), every(501), every(20_000)), (1, 1, 2, 40));
        assert_eq!(text(&[], 2), "–");
        assert_eq!(text(&[1.0, 3.0], 1), "2.0 ± 1.4");
        let ways = [(Method::GradientDescent { learning_rate: 0.5 }, 100)];
        let rows = settings("mlp:5", "builtin", &ways);
        assert_eq!(rows[0], ["network", "mlp:5 on builtin"]);
        assert_eq!(rows[1], ["GD, η = 0.5", "100 steps at most"]);
    }
}
