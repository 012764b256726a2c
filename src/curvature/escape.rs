//! The example of a minimum that gradient descent stays at and SGD leaves (Wu, Ma and E, 2018, Section 2):
//! f = (f₁ + f₂)/2 with f₁(x) = min{x², 0.1(x − 1)²} and f₂(x) = min{x², 1.9(x − 1)²}.
//!
//! Both minima, 0 and 1, have the sharpness a = 2, so gradient descent stays at either for η ≤ 2/a = 1. At 0 the two
//! functions are the same; at 1 their curvatures are 0.2 and 3.8, of which the non-uniformity is s = 1.8. SGD with one
//! function a step is stable there, in the mean of squares, for (1 − 2η)² + 3.24·η² ≤ 1, which is η ≤ 4/7.24 = 0.552.
//! (The paper gives half the curvatures, 0.1 and 1.9, of mean 1, but s as here.)

use crate::error::{Error, Result};
use crate::random::{Purpose, Random};

/// The factors of (x − 1)² in f₁ and f₂.
pub(crate) const COEFFICIENTS: [f64; 2] = [0.1, 1.9];
/// Numbers in all trajectories together at most: they take 80 MB.
pub const MOST_NUMBERS: usize = 10_000_000;

/// min{x², c(x − 1)²}, one of the two functions by its coefficient c.
fn function(coefficient: f64, x: f64) -> f64 {
    (x * x).min(coefficient * (x - 1.0).powi(2))
}

/// Its derivative; where the two parabolas meet, that of x².
fn slope(coefficient: f64, x: f64) -> f64 {
    if x * x <= coefficient * (x - 1.0).powi(2) {
        2.0 * x
    } else {
        2.0 * coefficient * (x - 1.0)
    }
}

/// f(x).
pub fn loss(x: f64) -> f64 {
    COEFFICIENTS.map(|c| function(c, x)).iter().sum::<f64>() / 2.0
}

/// 1/(1 + √10) = 0.24: as far from 0 as this, to either side, both functions are x². With η < 1 a step from there leads
/// nearer to 0, so that a trajectory within has left the other minimum for good.
fn reach() -> f64 {
    1.0 / (1.0 + (1.0 / COEFFICIENTS[0]).sqrt())
}

/// What a step follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// The slope of f: gradient descent.
    Gradient,
    /// The slope of f₁ or f₂, either with probability ½, drawn anew for every step: SGD with batches of one.
    Stochastic,
}

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What a step follows.
    pub descent: Descent,
    /// η.
    pub learning_rate: f64,
    /// x before the first step.
    pub start: f64,
    /// Steps of each trajectory, T.
    pub steps: usize,
    /// Trajectories; those of gradient descent are all the same.
    pub runs: usize,
    /// Seed of the draws; every trajectory has a stream of its own.
    pub seed: u64,
}

impl Settings {
    fn check(&self) -> Result<()> {
        if !self.learning_rate.is_finite() || self.learning_rate <= 0.0 {
            return Err(Error::option(
                "learning rate",
                self.learning_rate,
                "give a finite number above 0",
            ));
        }
        if !self.start.is_finite() {
            return Err(Error::option("start", self.start, "give a finite number"));
        }
        if self.runs == 0 {
            return Err(Error::option("runs", 0, "give one at least"));
        }
        if self.steps.saturating_add(1).saturating_mul(self.runs) > MOST_NUMBERS {
            let reason = format!("with {} runs, {} fit", self.runs, MOST_NUMBERS / self.runs);
            return Err(Error::option("steps", self.steps, reason));
        }
        Ok(())
    }
}

/// Trajectories, and which of them have come to the minimum at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Escape {
    /// x before the first step and after each, one trajectory a run.
    pub trajectories: Vec<Vec<f64>>,
    /// For each run the number of steps after which it was first so near to 0, 1/(1 + √10) = 0.24, that both functions
    /// are x² there and it has left the minimum at 1 for good; nothing where it never was.
    pub left: Vec<Option<usize>>,
}

impl Escape {
    /// Runs all trajectories. The same settings give the same ones on every platform.
    ///
    /// # Errors
    /// When the learning rate is not above 0 and finite, the start is not finite, there are no runs or too many steps,
    /// or the iterates leave the finite numbers.
    pub fn simulate(settings: Settings) -> Result<Self> {
        settings.check()?;
        let runs = 0..settings.runs;
        let trajectories = runs.map(|run| trajectory(&settings, run)).collect::<Result<Vec<_>>>()?;
        let reach = reach();
        let first = |trajectory: &Vec<f64>| trajectory.iter().position(|x| x.abs() < reach);
        let left = trajectories.iter().map(first).collect();
        Ok(Self { trajectories, left })
    }
}

fn trajectory(settings: &Settings, run: usize) -> Result<Vec<f64>> {
    // The stream of a network's sample order, which is where its noise comes from.
    let mut random = Random::new(settings.seed, Purpose::Shuffle, run as u32);
    let mut x = settings.start;
    let mut trajectory = Vec::with_capacity(settings.steps + 1);
    trajectory.push(x);
    for _ in 0..settings.steps {
        let slope = match settings.descent {
            Descent::Gradient => COEFFICIENTS.map(|c| slope(c, x)).iter().sum::<f64>() / 2.0,
            Descent::Stochastic => slope(COEFFICIENTS[random.below(2)], x),
        };
        x -= settings.learning_rate * slope;
        if !x.is_finite() {
            return Err(Error::Request(
                "the iterates leave the finite numbers; lower the learning rate or the start".to_owned(),
            ));
        }
        trajectory.push(x);
    }
    Ok(trajectory)
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;
    use crate::curvature::testing::quadratic::QuadraticProblem;

    /// Nearer to 1 than this both functions are the parabola about it; f₂ is x² up to x = √1.9/(1 + √1.9) = 0.5796.
    const BASIN: f64 = 0.42;

    /// The paper's: η = 0.7 from 1 − 10⁻⁵ (Figure 2), for 400 steps, as many as its figure shows.
    fn of_paper(descent: Descent, runs: usize, seed: u64) -> Settings {
        Settings {
            descent,
            learning_rate: 0.7,
            start: 1.0 - 1e-5,
            steps: 400,
            runs,
            seed,
        }
    }

    fn with(descent: Descent, learning_rate: f64, start: f64) -> Escape {
        let settings = Settings {
            learning_rate,
            start,
            ..of_paper(descent, 100, 7)
        };
        Escape::simulate(settings).unwrap()
    }

    #[test]
    fn both_minima_are_as_sharp_and_differ_in_their_curvatures() {
        let curvature = |coefficient, x: f64| (slope(coefficient, x + 1e-3) - slope(coefficient, x - 1e-3)) / 2e-3;
        for (x, curvatures) in [(0.0, [2.0, 2.0]), (1.0, [0.2, 3.8]), (1.0 - BASIN + 0.01, [0.2, 3.8])] {
            for (coefficient, expected) in COEFFICIENTS.into_iter().zip(curvatures) {
                // Differences of a parabola's slope are exact but for rounding.
                assert!((curvature(coefficient, x) - expected).abs() < 1e-10);
            }
        }
        assert_eq!((loss(0.0), loss(1.0)), (0.0, 0.0));
        assert!((loss(0.5) - 0.5 * (0.025 + 0.25)).abs() < 1e-15);
        // Both are x² within reach, and f₁ is not beyond it.
        let within = 0.999 * reach();
        for c in COEFFICIENTS {
            for x in [-0.7, 0.1, 0.4, 0.9, 4.0] {
                let difference = (function(c, x + 1e-5) - function(c, x - 1e-5)) / 2e-5;
                assert!((difference - slope(c, x)).abs() < 1e-9, "{c} {x}");
            }
            assert_eq!((slope(c, within), slope(c, -within)), (2.0 * within, -2.0 * within));
        }
        assert!(slope(COEFFICIENTS[0], 1.001 * reach()) < 0.0);
    }

    #[test]
    fn at_the_papers_rate_sgd_leaves_and_gradient_descent_stays() {
        let escape = Escape::simulate(of_paper(Descent::Stochastic, 100, 1)).unwrap();
        // ln|1 − ηh| is −0.15 or 0.51, so that after 400 steps ln|x − 1| lies nine deviations above the basin's edge.
        assert_eq!(escape.trajectories.len(), 100);
        for (trajectory, left) in escape.trajectories.iter().zip(&escape.left) {
            let left = left.unwrap();
            assert!(trajectory[left].abs() < reach() && trajectory[left - 1].abs() >= reach());
            // From there x ← −0.4·x at every step.
            let mut after = trajectory[left..].windows(2);
            assert!(after.all(|pair| pair[1].abs() < 0.41 * pair[0].abs() + 1e-300));
        }
        let descent = Escape::simulate(of_paper(Descent::Gradient, 3, 1)).unwrap();
        assert_eq!(descent.left, [None; 3]);
        // x − 1 ← −0.4·(x − 1), until it is a rounding of 1.
        for pair in descent.trajectories[0].windows(2) {
            assert!((pair[1] - 1.0).abs() <= 0.4 * (pair[0] - 1.0).abs() + 4.0 * f64::EPSILON);
        }
    }

    #[test]
    fn below_the_threshold_of_the_condition_sgd_stays() {
        let matrices = COEFFICIENTS.map(|coefficient| DMatrix::from_element(1, 1, 2.0 * coefficient));
        let problem = QuadraticProblem::new(matrices.to_vec());
        assert!((problem.sharpness() - 2.0).abs() < 1e-12);
        assert!((problem.non_uniformity() - 1.8).abs() < 1e-12);
        // (1 − 2η)² + 1.8²·η² = 1 at η = 4/(4 + 3.24) = 0.5525.
        let threshold: f64 = 4.0 / 7.24;
        for (rate, holds) in [(threshold - 1e-4, true), (threshold + 1e-4, false), (0.7, false)] {
            let stability = problem.stability(rate, 1);
            assert_eq!(
                (stability.is_guaranteed(), stability.is_stable()),
                (holds, holds),
                "{rate}"
            );
        }
        assert!(problem.stability(0.99, 2).is_stable() && !problem.stability(1.01, 2).is_stable());
        // (x − 1)² is a supermartingale there: one that starts at 10⁻¹⁰ ever gets to the basin's edge with a
        // probability of 10⁻¹⁰/0.42² at most (Ville).
        for rate in [0.1, 0.5, threshold - 1e-4] {
            let escape = with(Descent::Stochastic, rate, 1.0 - 1e-5);
            assert_eq!(escape.left, [None; 100], "{rate}");
            let mut all = escape.trajectories.iter().flatten();
            assert!(all.all(|x| (x - 1.0).abs() < BASIN));
        }
    }

    #[test]
    fn at_the_uniform_minimum_sgd_stays() {
        let escape = with(Descent::Stochastic, 0.7, 1e-5);
        assert!(escape.left.iter().all(|&left| left == Some(0)));
        assert!(escape.trajectories.iter().flatten().all(|x| x.abs() <= 1e-5));
    }

    #[test]
    fn the_seed_alone_decides_and_runs_differ() {
        let settings = of_paper(Descent::Stochastic, 4, 3);
        let escape = Escape::simulate(settings).unwrap();
        assert_eq!(escape, Escape::simulate(settings).unwrap());
        assert_ne!(escape.trajectories[0], escape.trajectories[1]);
        let other = Escape::simulate(Settings { seed: 4, ..settings }).unwrap();
        assert_ne!(escape.trajectories, other.trajectories);
        assert!(escape.trajectories.iter().all(|trajectory| trajectory.len() == 401));
    }

    #[test]
    fn what_cannot_be_simulated_is_refused() {
        let good = of_paper(Descent::Gradient, 2, 1);
        for learning_rate in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            let settings = Settings { learning_rate, ..good };
            assert!(Escape::simulate(settings).is_err(), "{learning_rate}");
        }
        let bad = [
            Settings {
                start: f64::NAN,
                ..good
            },
            Settings { runs: 0, ..good },
            Settings {
                steps: usize::MAX,
                ..good
            },
            Settings {
                steps: MOST_NUMBERS,
                ..good
            },
        ];
        assert!(bad.into_iter().all(|settings| Escape::simulate(settings).is_err()));
        let diverging = Settings {
            learning_rate: 50.0,
            ..good
        };
        let message = Escape::simulate(diverging).unwrap_err().to_string();
        assert!(message.contains("learning rate"), "{message}");
    }
}
