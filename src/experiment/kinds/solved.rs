//! What SGD and gradient descent come to beside the bounds of dynamical stability: a solution with its curvature, and
//! its row of a table.

use super::dynamical_stability::every;
use crate::curvature::{NonUniformity, Sgd, Sharpness};
use crate::error::{Error, Result};
use crate::experiment::descent::{self, Descent, Method};
use crate::experiment::laboratory::Laboratory;
use crate::experiment::outcome::significant;
use crate::objective::{Objective, Solution};
use crate::training::End;

/// Names of the columns of [`Found::row`].
pub(super) const COLUMNS: &str = "end | sharpness a | residual of a | a·η/2 | non-uniformity s | bound of s | s over \
                                  its bound | test accuracy (%)";

/// What one method came to.
pub(super) struct Found {
    /// The method, as far as stability knows it; gradient descent has batches of all train images.
    pub(super) bounds: Sgd,
    pub(super) end: End,
    pub(super) steps: usize,
    /// Of a solution that has arrived.
    pub(super) solution: Option<Solved>,
}

/// A solution.
pub(super) struct Solved {
    pub(super) sharpness: Sharpness,
    pub(super) non_uniformity: NonUniformity,
    /// On test images, 0..1.
    pub(super) accuracy: f64,
}

/// SGD with batches of several sizes, and gradient descent at last.
pub(super) fn methods(learning_rate: f64, batch_sizes: &[usize]) -> impl Iterator<Item = Method> {
    let sgd = move |&batch_size: &usize| Method::Sgd {
        learning_rate,
        batch_size,
    };
    let whole = std::iter::once(Method::GradientDescent { learning_rate });
    batch_sizes.iter().map(sgd).chain(whole)
}

/// The same on so many train images.
///
/// # Errors
/// Where a batch is of all of them or more; as [`Sgd::new`].
pub(super) fn on_images(learning_rate: f64, batch_sizes: &[usize], images: usize) -> Result<Vec<Sgd>> {
    if let Some(size) = batch_sizes.iter().find(|&&size| size >= images) {
        return Err(Error::option(
            "batch-sizes",
            size,
            format!("it must be below {images}, the number of train images; gradient descent comes by itself"),
        ));
    }
    let sizes = batch_sizes.iter().copied().chain([images]);
    sizes
        .map(|batch_size| Sgd::new(learning_rate, batch_size, images))
        .collect()
}

impl Found {
    /// Descends from weights to a train loss in so many steps at most, with a seed for the batches, and measures the
    /// solution. Both are found again where they were made before. `from` tells whoever waits where it starts.
    ///
    /// # Errors
    /// When the device fails, or something cannot be kept; [`Error::Cancelled`].
    pub(super) fn by(
        bounds: Sgd,
        (loss, steps): (f64, usize),
        (start, seed, from): (&Solution, u64, &str),
        objective: &Objective,
        laboratory: &mut Laboratory,
    ) -> Result<Self> {
        let (learning_rate, batch_size) = (bounds.learning_rate(), bounds.batch_size());
        let (method, every) = match is_whole(bounds) {
            true => (Method::GradientDescent { learning_rate }, every(steps)),
            false => {
                let method = Method::Sgd {
                    learning_rate,
                    batch_size,
                };
                // An epoch.
                (method, bounds.samples().div_ceil(batch_size))
            }
        };
        let what = format!("{} ({from})", method.name());
        let way = Descent {
            method,
            loss,
            steps,
            every,
            sharpness_every: None,
            non_uniformity_every: None,
            seed,
        };
        let descended = laboratory.descend(objective, start, &way, &what)?;
        let solution = match descended.record.has_arrived() {
            true => Some(Solved {
                sharpness: laboratory.sharpness(objective, &descended.solution, &what)?,
                non_uniformity: laboratory.non_uniformity(objective, &descended.solution, &what)?,
                accuracy: descent::test_accuracy(objective, &descended.solution)?,
            }),
            false => None,
        };
        Ok(Self {
            bounds,
            end: descended.record.end,
            steps: descended.record.steps,
            solution,
        })
    }

    /// s as a share of its bound; 0 for gradient descent, which has none.
    pub(super) fn non_uniformity_share(&self) -> Option<f64> {
        let solution = self.solution.as_ref()?;
        Some(solution.non_uniformity.value / self.bounds.non_uniformity_bound())
    }

    /// s, where its search converged: one that was cut off found too little.
    pub(super) fn known_non_uniformity(&self) -> Option<f64> {
        let found = &self.solution.as_ref()?.non_uniformity;
        found.converged.then_some(found.value)
    }

    /// a as a share of 2/η.
    pub(super) fn sharpness_share(&self) -> Option<f64> {
        let solution = self.solution.as_ref()?;
        Some(solution.sharpness.value / self.bounds.sharpness_bound())
    }

    /// `B = 4`, or `GD`.
    pub(super) fn name(&self) -> String {
        match is_whole(self.bounds) {
            true => "GD".to_owned(),
            false => format!("B = {}", self.bounds.batch_size()),
        }
    }

    /// All that is known of it, by [`COLUMNS`].
    pub(super) fn row(&self) -> Vec<String> {
        let bound = self.bounds.non_uniformity_bound();
        let none = || "–".to_owned();
        let known = |value: fn(&Solved) -> String| self.solution.as_ref().map_or_else(none, value);
        let share = |share: Option<f64>| share.map_or_else(none, |share| format!("{share:.3}"));
        vec![
            format!("{} after {} steps", self.end.name(), self.steps),
            known(|solved| significant(solved.sharpness.value, 4)),
            known(|solved| significant(solved.sharpness.residual, 1)),
            share(self.sharpness_share()),
            known(|solved| match solved.non_uniformity.converged {
                true => significant(solved.non_uniformity.value, 4),
                false => format!("{} (not converged)", significant(solved.non_uniformity.value, 4)),
            }),
            match bound.is_finite() {
                true => significant(bound, 4),
                false => "none".to_owned(),
            },
            match bound.is_finite() {
                true => share(self.non_uniformity_share()),
                false => none(),
            },
            known(|solved| format!("{:.1}", 100.0 * solved.accuracy)),
        ]
    }
}

/// Whether a batch is all images.
fn is_whole(bounds: Sgd) -> bool {
    bounds.batch_size() == bounds.samples()
}

#[cfg(test)]
impl Found {
    /// One that never was made: with a sharpness, a non-uniformity and a test accuracy, or diverged.
    pub(super) fn told(bounds: Sgd, solution: Option<[f64; 3]>) -> Self {
        use crate::curvature::Estimate;

        let solved = |[sharpness, non_uniformity, accuracy]: [f64; 3]| Solved {
            sharpness: Sharpness {
                value: sharpness,
                residual: 0.001,
                converged: true,
            },
            non_uniformity: NonUniformity {
                value: non_uniformity,
                standard_error: None,
                squared: Estimate::of(&[non_uniformity.powi(2)]).unwrap(),
                converged: true,
            },
            accuracy,
        };
        Self {
            bounds,
            end: if solution.is_some() { End::Loss } else { End::Diverged },
            steps: 12,
            solution: solution.map(solved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::kinds::curves::columns;

    #[test]
    fn a_row_has_every_number_with_its_share_of_the_bound() {
        // Bounds: 2/η = 4, and of s 2·√(1·99/99) = 2.
        let sgd = Sgd::new(0.5, 1, 100).unwrap();
        let found = Found::told(sgd, Some([3.0, 1.5, 0.25]));
        assert_eq!(found.sharpness_share(), Some(0.75));
        assert_eq!(found.non_uniformity_share(), Some(0.75));
        let row = found.row();
        assert_eq!(row.len(), columns(COLUMNS).len());
        assert_eq!(
            row,
            columns("arrived after 12 steps | 3.000 | 0.001 | 0.750 | 1.500 | 2.000 | 0.750 | 25.0")
        );
        let whole = Found::told(Sgd::new(0.5, 100, 100).unwrap(), Some([3.0, 1.5, 0.25]));
        assert_eq!((whole.name().as_str(), found.name().as_str()), ("GD", "B = 1"));
        assert_eq!(whole.non_uniformity_share(), Some(0.0));
        assert_eq!(whole.row()[5..7], ["none", "–"]);
        let lost = Found::told(sgd, None);
        assert_eq!((lost.sharpness_share(), lost.non_uniformity_share()), (None, None));
        assert_eq!(
            lost.row(),
            columns("diverged after 12 steps | – | – | – | – | 2.000 | – | –")
        );
        let mut rough = found;
        if let Some(solved) = &mut rough.solution {
            solved.non_uniformity.converged = false;
        }
        assert_eq!(rough.row()[4], "1.500 (not converged)");
        assert_eq!(
            (rough.known_non_uniformity(), whole.known_non_uniformity()),
            (None, Some(1.5))
        );
    }

    #[test]
    fn gradient_descent_comes_after_all_batches_and_those_are_smaller() {
        let names: Vec<String> = methods(0.5, &[4, 10]).map(Method::name).collect();
        assert_eq!(names, ["SGD, η = 0.5, B = 4", "SGD, η = 0.5, B = 10", "GD, η = 0.5"]);
        let sizes = |found: Vec<Sgd>| found.into_iter().map(Sgd::batch_size).collect::<Vec<_>>();
        assert_eq!(sizes(on_images(0.5, &[4, 10], 11).unwrap()), [4, 10, 11]);
        let told = on_images(0.5, &[4, 10], 10).unwrap_err().to_string();
        assert!(told.starts_with("batch-sizes = 10 is"), "{told}");
        assert!(told.contains("below 10"), "{told}");
    }
}
