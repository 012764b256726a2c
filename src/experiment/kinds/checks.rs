//! Checks of what recipes ask for, made before anything is trained.

use super::Kind;
use crate::error::{Error, Result};
use crate::experiment::laboratory::Which;
use crate::experiment::recipe::Recipe;

/// More directions, rays or points around a solution than anybody waits for.
const MOST_DRAWS: u64 = 5000;
/// More points than are needed where every position of a curve is compared with every other.
const MOST_COMPARED: usize = 2000;

/// Refuses a number of things to draw that is 0 or too large.
pub(super) fn check_count(name: &str, count: u64) -> Result<()> {
    match (1..=MOST_DRAWS).contains(&count) {
        true => Ok(()),
        false => Err(Error::option(name, count, format!("it must be from 1 to {MOST_DRAWS}"))),
    }
}

/// Refuses a length or loss that is not above 0.
pub(super) fn check_positive(name: &str, value: f64) -> Result<()> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(Error::option(name, value, "it must be a finite number above 0")),
    }
}

/// Refuses a rise of the train loss, as a multiple of that at a minimum, that would be there from the start.
pub(super) fn check_burst(burst: f64) -> Result<()> {
    match burst.is_finite() && burst > 1.0 {
        true => Ok(()),
        false => Err(Error::option("burst", burst, "it must be a finite number above 1")),
    }
}

/// Refuses the length of an interval that no certificate can have, as distances are measured up to `reach`.
pub(super) fn check_width(width: f64, reach: f64) -> Result<()> {
    check_positive("width", width)?;
    match width <= reach {
        true => Ok(()),
        false => Err(Error::option(
            "width",
            width,
            format!("an interval of distances up to {reach} is no longer than that"),
        )),
    }
}

/// Refuses more points than the search of the best shift can compare with each other.
pub(super) fn check_compared(points: usize) -> Result<()> {
    match points <= MOST_COMPARED {
        true => Ok(()),
        false => Err(Error::option(
            "points",
            points,
            format!("shifts compare every point with every other; it must be at most {MOST_COMPARED}"),
        )),
    }
}

/// Refuses an evaluation on no images.
pub(super) fn check_samples(samples: usize) -> Result<()> {
    match samples {
        0 => Err(Error::option("samples", samples, "it must be at least 1")),
        _ => Ok(()),
    }
}

/// Refuses a run that will not have the solution that is measured. Whether there is such a run is checked elsewhere.
pub(super) fn check_solution(recipe: &Recipe, run: &str, solution: Which) -> Result<()> {
    let Some(stage) = recipe.runs.get(run) else {
        return Ok(());
    };
    let options = stage.options(0);
    let (needs_average, needs_sgd) = match solution {
        Which::Last => (false, false),
        Which::Swa => (true, false),
        Which::Sgd => (true, true),
    };
    if needs_average && !options.averages() {
        return Err(Kind::lacks(run, "average; give it swa-start above 0"));
    }
    if needs_sgd && options.sgd_epochs == 0 {
        return Err(Kind::lacks(run, "SGD from its average; give it sgd-epochs above 0"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        assert!(check_count("draws", 0).is_err() && check_count("draws", 1).is_ok());
        let told = check_count("candidates", MOST_DRAWS + 1).unwrap_err().to_string();
        assert!(
            told.contains("candidates = 5001") && told.contains("from 1 to 5000"),
            "{told}"
        );
        assert!(check_samples(0).is_err() && check_samples(usize::MAX).is_ok());
        assert!(check_positive("reach", f64::NAN).is_err() && check_positive("reach", 0.0).is_err());
        assert!(check_positive("reach", 0.5).is_ok());
        for burst in [0.0, 1.0, f64::NAN, f64::INFINITY] {
            assert!(
                check_burst(burst).unwrap_err().to_string().starts_with("burst"),
                "{burst}"
            );
        }
        assert!(check_burst(1.5).is_ok());
        assert!(check_compared(MOST_COMPARED).is_ok() && check_compared(MOST_COMPARED + 1).is_err());
    }

    #[test]
    fn an_interval_is_no_longer_than_what_is_measured() {
        assert!(check_width(1.0, 3.0).is_ok() && check_width(3.0, 3.0).is_ok());
        for width in [0.0, -1.0, 3.5, f64::NAN, f64::INFINITY] {
            assert!(check_width(width, 3.0).is_err(), "{width}");
        }
    }

    /// A recipe with a run that is trained in some way, of which SGD from the average is measured.
    fn told(training: &str) -> String {
        let text = format!(
            "name = \"a\"\ntitle = \"b\"\nfigures = []\nclaim = \"c.\"\n\n[runs.first]\nmodel = \"mlp:8\"\n\
             data = \"builtin\"\nepochs = 4\n{training}\n[measure.interpolation]\nrun = \"first\"\n"
        );
        match Recipe::parse(&text, Path::new("a.toml")) {
            Ok(_) => "good".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_run_without_the_solution_is_refused_before_it_is_trained() {
        assert_eq!(told("swa-start = 2\nsgd-epochs = 1"), "good");
        assert!(told("swa-start = 0").contains("the run `first` has no average; give it swa-start"));
        let without = told("swa-start = 2\nsgd-epochs = 0");
        assert!(
            without.contains("the run `first` has no SGD from its average; give it sgd-epochs"),
            "{without}"
        );
    }

    #[test]
    fn only_what_is_measured_is_asked_for() {
        let recipe = Recipe::named("minima-spectrum").unwrap();
        // Averaged, and SGD does not go on from the average.
        assert!(check_solution(&recipe, "after-2", Which::Last).is_ok());
        assert!(check_solution(&recipe, "after-2", Which::Swa).is_ok());
        assert!(check_solution(&recipe, "after-2", Which::Sgd).is_err());
        let recipe = Recipe::named("one-point-convexity").unwrap();
        assert!(check_solution(&recipe, "sgd", Which::Last).is_ok());
        assert!(check_solution(&recipe, "sgd", Which::Swa).is_err());
    }
}
