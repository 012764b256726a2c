//! Descents on a function of the flat vector as machines that take one step at a time, where they end, and the plainest
//! of them: gradient descent.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A function of the flat vector `[d]`: its value and its gradient `[d]`. What its making meets is passed on as it is,
/// [`Error::Cancelled`] among it.
pub type Function<'a> = dyn FnMut(&[f32]) -> Result<(f64, Vec<f32>)> + 'a;

/// Where a descent is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Until {
    /// The loss at which it has arrived.
    pub loss: f64,
    /// The length of the gradient at which it has arrived.
    pub gradient: f64,
    /// Steps at most.
    pub steps: usize,
}

/// Why a descent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The loss is as low as asked.
    Loss,
    /// The gradient is as short as asked.
    Gradient,
    /// All steps are made.
    Steps,
    /// The loss, the gradient or a weight is not finite. That is an outcome like the others.
    Diverged,
    /// No step along the direction lowers the loss, as far as single precision tells.
    Stuck,
}

impl End {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "arrived",
            Self::Gradient => "no slope left",
            Self::Steps => "all steps made",
            Self::Diverged => "diverged",
            Self::Stuck => "no step leads down",
        }
    }
}

impl Until {
    /// Whether a descent ends at a point with this loss and length of the gradient, after so many steps.
    pub fn reached(&self, loss: f64, gradient: f64, steps: usize) -> Option<End> {
        if !(loss.is_finite() && gradient.is_finite()) {
            Some(End::Diverged)
        } else if loss <= self.loss {
            Some(End::Loss)
        } else if gradient <= self.gradient {
            Some(End::Gradient)
        } else if steps >= self.steps {
            Some(End::Steps)
        } else {
            None
        }
    }
}

/// What a step saw where it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Steps made before it.
    pub steps: usize,
    /// The loss; NaN where a weight is not finite.
    pub loss: f64,
    /// Where the descent ended here, why. It then stays where it is.
    pub end: Option<End>,
}

/// A descent that looks at the whole function for every step.
pub trait FullBatch {
    /// Where it is, `[d]`.
    fn parameters(&self) -> &[f32];

    /// Takes a step, unless it ends here.
    ///
    /// # Errors
    /// What the function's making meets; the step can then be tried again.
    fn step(&mut self, function: &mut Function, until: &Until) -> Result<Look>;
}

/// Gradient descent, w ← w − η·∇f(w).
#[derive(Clone, Debug)]
pub struct GradientDescent {
    parameters: Vec<f32>,
    learning_rate: f64,
    steps: usize,
}

impl GradientDescent {
    /// From a point `[d]`, with learning rate η.
    ///
    /// # Errors
    /// As [`check_learning_rate`].
    pub fn new(parameters: Vec<f32>, learning_rate: f64) -> Result<Self> {
        check_learning_rate(learning_rate)?;
        Ok(Self {
            parameters,
            learning_rate,
            steps: 0,
        })
    }
}

impl FullBatch for GradientDescent {
    fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    fn step(&mut self, function: &mut Function, until: &Until) -> Result<Look> {
        let (loss, gradient) = function(&self.parameters)?;
        let look = look(&self.parameters, loss, &gradient, self.steps, until);
        if look.end.is_none() {
            descend(&mut self.parameters, &gradient, self.learning_rate);
            self.steps += 1;
        }
        Ok(look)
    }
}

/// Refuses a learning rate that is not a finite number above 0.
///
/// # Errors
/// [`Error::Option`].
pub fn check_learning_rate(learning_rate: f64) -> Result<()> {
    match learning_rate.is_finite() && learning_rate > 0.0 {
        true => Ok(()),
        false => Err(Error::option(
            "learning-rate",
            learning_rate,
            "it must be a finite number above 0",
        )),
    }
}

/// What is seen at a point. A network can have a finite loss where a weight is none: it counts as lost.
pub(super) fn look(parameters: &[f32], loss: f64, gradient: &[f32], steps: usize, until: &Until) -> Look {
    let is_lost = parameters.iter().any(|w| !w.is_finite());
    let loss = if is_lost { f64::NAN } else { loss };
    Look {
        steps,
        loss,
        end: until.reached(loss, length(gradient), steps),
    }
}

/// w ← w − η·g.
pub(super) fn descend(parameters: &mut [f32], gradient: &[f32], learning_rate: f64) {
    let learning_rate = learning_rate as f32;
    for (w, g) in parameters.iter_mut().zip(gradient) {
        *w -= learning_rate * g;
    }
}

/// |g|.
pub(super) fn length(gradient: &[f32]) -> f64 {
    gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Curvatures of a quadratic function ½ Σ hᵢwᵢ².
    const CURVATURES: [f32; 3] = [0.25, 1.0, 4.0];

    fn quadratic(w: &[f32]) -> Result<(f64, Vec<f32>)> {
        let squares = w
            .iter()
            .zip(CURVATURES)
            .map(|(&w, h)| f64::from(h) * f64::from(w).powi(2));
        let gradient = w.iter().zip(CURVATURES).map(|(w, h)| h * w).collect();
        Ok((0.5 * squares.sum::<f64>(), gradient))
    }

    const FOREVER: Until = Until {
        loss: 0.0,
        gradient: 0.0,
        steps: usize::MAX,
    };

    #[test]
    fn on_a_quadratic_every_entry_shrinks_by_its_own_factor() {
        // With a power of two for η, and curvatures that are, wᵢ ← (1 − ηhᵢ)·wᵢ is exact in single precision at first.
        let mut descent = GradientDescent::new(vec![1.0, -2.0, 4.0], 0.125).unwrap();
        for step in 0..3 {
            let look = descent.step(&mut quadratic, &FOREVER).unwrap();
            assert_eq!((look.steps, look.end), (step, None));
            let factors = CURVATURES.map(|h| (1.0 - 0.125 * h).powi(step as i32 + 1));
            assert_eq!(descent.parameters(), [factors[0], -2.0 * factors[1], 4.0 * factors[2]]);
        }
        let (loss, _) = quadratic(&[1.0, -2.0, 4.0]).unwrap();
        let first = GradientDescent::new(vec![1.0, -2.0, 4.0], 0.125)
            .unwrap()
            .step(&mut quadratic, &FOREVER)
            .unwrap();
        assert_eq!(first.loss, loss);
    }

    #[test]
    fn it_converges_below_two_over_the_largest_curvature_and_diverges_above() {
        let until = Until {
            loss: 1e-12,
            gradient: 0.0,
            steps: 1000,
        };
        let end = |learning_rate: f64| {
            let mut descent = GradientDescent::new(vec![1.0; 3], learning_rate).unwrap();
            loop {
                let look = descent.step(&mut quadratic, &until).unwrap();
                if let Some(end) = look.end {
                    return (end, look);
                }
            }
        };
        // 2/4: a twentieth of it above and below.
        let (arrived, look) = end(0.475);
        assert!(arrived == End::Loss && look.loss <= 1e-12, "{look:?}");
        // 0.9 a step along the sharpest entry, and 0.88 along the flattest: from ½·4 to 1e-12 in ln(2e12)/(2·ln(1/0.9))
        // = 134 steps.
        assert!(look.steps < 150, "{look:?}");
        // 1.1 a step leaves the numbers of single precision after ln(3.4e38)/ln(1.1) = 931 steps, its gradient a little
        // before.
        let (lost, look) = end(0.525);
        assert!(lost == End::Diverged && (850..=1000).contains(&look.steps), "{look:?}");
        let at_the_edge = Until { steps: 50, ..until };
        let mut descent = GradientDescent::new(vec![0.0, 0.0, 1.0], 0.5).unwrap();
        let looks: Vec<Look> = (0..=50)
            .map(|_| descent.step(&mut quadratic, &at_the_edge).unwrap())
            .collect();
        // There the iterate swings between two places for ever.
        assert!(looks.iter().all(|look| look.loss == 2.0));
        assert_eq!((looks[49].end, looks[50].end), (None, Some(End::Steps)));
    }

    #[test]
    fn a_descent_ends_for_the_first_reason_there_is() {
        let until = Until {
            loss: 0.1,
            gradient: 0.2,
            steps: 7,
        };
        assert_eq!(until.reached(f64::NAN, 0.0, 0), Some(End::Diverged));
        assert_eq!(until.reached(0.0, f64::INFINITY, 0), Some(End::Diverged));
        assert_eq!(until.reached(0.1, 0.0, 9), Some(End::Loss));
        assert_eq!(until.reached(0.2, 0.2, 9), Some(End::Gradient));
        assert_eq!(until.reached(0.2, 0.3, 7), Some(End::Steps));
        assert_eq!(until.reached(0.2, 0.3, 6), None);
    }

    #[test]
    fn weights_that_are_not_finite_are_lost_whatever_the_loss_says() {
        let mut flat = |w: &[f32]| -> Result<(f64, Vec<f32>)> { Ok((1.0, vec![0.5; w.len()])) };
        let mut descent = GradientDescent::new(vec![f32::MAX, f32::NAN], 0.1).unwrap();
        let look = descent.step(&mut flat, &FOREVER).unwrap();
        assert_eq!(look.end, Some(End::Diverged));
        assert!(look.loss.is_nan() && descent.parameters()[0] == f32::MAX);
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(GradientDescent::new(vec![1.0], rate).is_err(), "{rate}");
        }
    }

    #[test]
    fn a_step_that_failed_can_be_tried_again() {
        let mut descent = GradientDescent::new(vec![1.0; 3], 0.125).unwrap();
        let stopped = descent.step(&mut |_: &[f32]| Err(Error::Cancelled), &FOREVER);
        assert!(matches!(stopped, Err(Error::Cancelled)));
        assert_eq!(descent.parameters(), [1.0; 3]);
        assert_eq!(descent.step(&mut quadratic, &FOREVER).unwrap().steps, 0);
    }
}
