//! What experiments take, in words.

use crate::app::source::duration;
use crate::experiment::cost::{Cost, Estimate};
use crate::experiment::recipe::Recipe;

/// Text without the mark that puts a bar over a letter, which the window's fonts have not: r̄ is written r¯.
pub fn legible(text: &str) -> String {
    text.replace('\u{304}', "¯")
}

/// Seconds that are estimated.
fn about(seconds: f64) -> String {
    match seconds < 1.0 {
        true => duration(seconds),
        false => format!("≈ {}", duration(seconds)),
    }
}

/// Whether there is nothing that takes long: no run to train, and no descent.
fn is_nothing(recipe: &Recipe, estimate: Estimate) -> bool {
    recipe.runs.is_empty() && estimate == Estimate::default()
}

/// What all of an experiment will take.
pub fn total(recipe: &Recipe, estimate: Estimate) -> String {
    match is_nothing(recipe, estimate) {
        true => "seconds".to_owned(),
        false => about(estimate.training + estimate.measuring),
    }
}

/// The same with its parts; `known` is nothing while it is being found out, and nothing within where it cannot be told.
pub fn estimate(recipe: &Recipe, known: Option<Option<Estimate>>) -> String {
    let estimate = match known {
        None => return "finding out what it takes …".to_owned(),
        Some(None) => return "what it takes cannot be told: its data cannot be opened here".to_owned(),
        Some(Some(estimate)) => estimate,
    };
    let total = total(recipe, estimate);
    let (training, measuring) = (duration(estimate.training), duration(estimate.measuring));
    if is_nothing(recipe, estimate) {
        format!("{total}, there is nothing to train")
    } else if estimate.training == 0.0 {
        format!("{total}, its runs are there")
    } else if estimate.measuring == 0.0 {
        format!("{total} of training")
    } else {
        format!("{total}: {training} of training, {measuring} of measuring")
    }
}

/// What it took to make one, from nothing.
pub fn cost(cost: Cost) -> String {
    let measuring = format!("{} of measuring", duration(cost.measuring));
    let mut text = match cost.training > 0.0 {
        true => format!("took {} of training, {measuring}", duration(cost.training)),
        false => format!("took {measuring}"),
    };
    if let Some(bytes) = cost.memory {
        text += &format!(", {:.0} MiB at most", bytes as f64 / f64::from(1 << 20));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_experiment_will_take_is_told_with_its_parts() {
        let (trains, simulates) = (
            Recipe::named("interpolation").unwrap(),
            Recipe::named("oscillation").unwrap(),
        );
        let told = |training: f64, measuring: f64| {
            let estimate = Estimate { training, measuring };
            super::estimate(&trains, Some(Some(estimate)))
        };
        assert_eq!(told(75.0, 40.0), "≈ 2 min: 75 s of training, 40 s of measuring");
        assert_eq!(told(0.0, 12.2), "≈ 12 s, its runs are there");
        assert_eq!(told(30.0, 0.0), "≈ 30 s of training");
        assert_eq!(told(0.0, 0.2), "under 1 s, its runs are there");
        assert_eq!(
            estimate(&simulates, Some(Some(Estimate::default()))),
            "seconds, there is nothing to train"
        );
        let descends = Recipe::named("sharpness-by-rate").unwrap();
        let takes = Estimate {
            training: 75.0,
            measuring: 40.0,
        };
        assert_eq!(
            estimate(&descends, Some(Some(takes))),
            "≈ 2 min: 75 s of training, 40 s of measuring"
        );
        assert!(estimate(&trains, None).starts_with("finding out"));
        assert!(estimate(&trains, Some(None)).contains("cannot be told"));
    }

    #[test]
    fn what_an_experiment_took_is_told_with_its_parts() {
        let mut taken = Cost {
            training: 75.0,
            measuring: 0.25,
            memory: Some(3 << 20),
        };
        assert_eq!(
            cost(taken),
            "took 75 s of training, under 1 s of measuring, 3 MiB at most"
        );
        (taken.training, taken.memory) = (0.0, None);
        assert_eq!(cost(taken), "took under 1 s of measuring");
    }
}
