//! Gradient descent with noise from a sharp minimum (*The Anisotropic Noise in Stochastic Gradient Descent*, Section
//! 5.1 and Fig. 2): which shape of noise leads to the flat one? Settings are those of the published code unless told
//! otherwise.

use super::covariance::{Covariance, Eigenpair, GradientCovariance, eigenpairs};
use super::noise::{Noise, Terms};
use super::surface::{Samples, Surface};
use crate::error::{Error, Result};
use crate::random::{Purpose, Random};

/// η, learning rate, in the paper.
pub const LEARNING_RATE: f64 = 0.005;
/// E‖ε‖², the expected square of the noise's length, of every dynamics that has noise, in the paper.
pub const MAGNITUDE: f64 = 0.01;
/// Steps of a run in the paper.
pub const STEPS: usize = 500;
/// Steps of a run at most.
const MOST_STEPS: usize = 100_000;
/// Where a run starts: the sharp minimum, but for the mean of the samples.
const START: [f64; 2] = [1.0, 1.0];
/// A run is at the flat minimum where both weights are below this.
pub const BORDER: f64 = -0.5;
/// k, the number of leading eigenpairs: all there are.
const LEADING: usize = 2;
/// Positions that are seen at least where runs are drawn, along both axes.
const LEAST: (f64, f64) = (-2.75, 2.0);
/// Room around all that is seen, and what its ends are rounded to.
const ROOM: f64 = 0.25;
/// What is compared in the paper's Fig. 2.
pub const COMPARED: [Noise; 6] = [
    Noise::Gd,
    Noise::GldConstant,
    Noise::GldDiagonal,
    Noise::GldLeading,
    Noise::GldHessian,
    Noise::GldFirstEigenvector,
];

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Shape of the noise.
    pub noise: Noise,
    /// How the samples are drawn.
    pub samples: Samples,
    /// η, above 0 and at most 1.
    pub learning_rate: f64,
    /// E‖ε‖², from 0 to 1; GD has no noise all the same.
    pub magnitude: f64,
    /// Number of steps.
    pub steps: usize,
    /// Seed of the samples, which all shapes of noise share, and of the noise, which is each one's own.
    pub seed: u64,
}

impl Settings {
    /// The settings of the published code.
    pub fn published(noise: Noise, seed: u64) -> Self {
        Self {
            noise,
            samples: Samples::Code,
            learning_rate: LEARNING_RATE,
            magnitude: MAGNITUDE,
            steps: STEPS,
            seed,
        }
    }

    /// The surface that it is run on.
    pub fn surface(&self) -> Surface {
        Surface::draw(self.samples, &mut Random::new(self.seed, Purpose::TrainData, 0))
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// w before the first step and after each.
    pub trajectory: Vec<[f64; 2]>,
    /// Tr(H·C) before each step, with the noise's covariance C: how fast the noise leaves a minimum there (Eq. 11).
    pub indicator: Vec<f64>,
}

impl Run {
    /// Runs all steps: w ← w − η·∇L(w) + ε with ε ~ N(0, C), where C has the trace E‖ε‖². The noise is added to the
    /// weights, and not scaled by η.
    ///
    /// # Errors
    /// [`Error::Option`] for no steps or too many, and for a learning rate or noise out of its range.
    pub fn make(settings: Settings) -> Result<Self> {
        let Settings {
            learning_rate,
            magnitude,
            ..
        } = settings;
        if !(1..=MOST_STEPS).contains(&settings.steps) {
            return Err(Error::option(
                "steps",
                settings.steps,
                format!("it must be from 1 to {MOST_STEPS}"),
            ));
        }
        // Up to here a step in the flat bowl leads no further out than it started, and far out all is flat.
        if !(learning_rate > 0.0 && learning_rate <= 1.0) {
            return Err(Error::option(
                "learning-rate",
                learning_rate,
                "it must be above 0 and at most 1",
            ));
        }
        if !(0.0..=1.0).contains(&magnitude) {
            return Err(Error::option("magnitude", magnitude, "it must be from 0 to 1"));
        }
        let surface = settings.surface();
        // The stream of a network's sample order, which is where its noise comes from.
        let mut random = Random::new(settings.seed, Purpose::Shuffle, settings.noise as u32);
        let mut w = START;
        let mut run = Self {
            trajectory: vec![w],
            indicator: Vec::with_capacity(settings.steps),
        };
        for _ in 0..settings.steps {
            let gradients = surface.gradients(w);
            let hessian = eigenpairs(surface.hessian(w))?;
            let sigma = GradientCovariance::of(&gradients);
            let covariance = covariance(settings.noise, magnitude, &sigma, &hessian)?;
            run.indicator.push(covariance.trace_with(&hessian));
            let gradient = gradients.column_mean();
            let noise = covariance.draw(&mut random);
            for axis in [0, 1] {
                w[axis] += noise[axis] - learning_rate * gradient[axis];
            }
            run.trajectory.push(w);
        }
        Ok(run)
    }

    /// Whether it ends at the flat minimum, which is what the paper counts.
    pub fn ends_flat(&self) -> bool {
        self.trajectory.last().is_some_and(is_flat)
    }

    /// The first step after which it is at the flat minimum; it may leave it again.
    pub fn arrival(&self) -> Option<usize> {
        self.trajectory.iter().position(is_flat)
    }
}

/// Positions, the same along both axes, that hold some runs and both minima with room around them: what is drawn.
pub fn seen<'a>(runs: impl IntoIterator<Item = &'a Run>) -> (f64, f64) {
    let entries = runs.into_iter().flat_map(|run| run.trajectory.iter().flatten());
    let (low, high) = entries.fold(LEAST, |(low, high), &entry| (low.min(entry), high.max(entry)));
    (
        ((low - ROOM) / ROOM).floor() * ROOM,
        ((high + ROOM) / ROOM).ceil() * ROOM,
    )
}

fn is_flat(w: &[f64; 2]) -> bool {
    w.iter().all(|&entry| entry < BORDER)
}

/// The covariance of the noise, made as large as all others.
fn covariance(noise: Noise, magnitude: f64, sigma: &GradientCovariance, hessian: &[Eigenpair]) -> Result<Covariance> {
    let terms = Terms {
        leading: LEADING,
        deviation: (magnitude / sigma.dimensions() as f64).sqrt(),
    };
    Ok(noise.covariance(sigma, hessian, terms)?.scaled_to(magnitude))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::proportion::Proportion;

    fn run(noise: Noise, steps: usize, seed: u64) -> Run {
        Run::make(Settings {
            steps,
            ..Settings::published(noise, seed)
        })
        .unwrap()
    }

    #[test]
    fn noise_along_the_hessian_leaves_the_sharp_minimum_and_other_noise_hardly_does() {
        let reached = |noise| Proportion::of((1..=100).map(|seed| run(noise, STEPS, seed).ends_flat()));
        // Shares of 1000 runs of an independent program, and so of a hundred within four standard errors of both.
        let expected: [(Noise, f64); 6] = [
            (Noise::GldFirstEigenvector, 0.411),
            (Noise::GldLeading, 0.334),
            (Noise::GldHessian, 0.273),
            (Noise::GldConstant, 0.012),
            (Noise::GldDiagonal, 0.012),
            (Noise::Gd, 0.0),
        ];
        let found = expected.map(|(noise, share)| {
            let found = reached(noise);
            let error = (share * (1.0 - share) * (1.0 / 100.0 + 1.0 / 1000.0)).sqrt();
            assert!(
                (found.share() - share).abs() <= 4.0 * error,
                "{}: {found}",
                noise.name()
            );
            found
        });
        // The paper's order: intervals of 95 % lie apart.
        for aligned in &found[..3] {
            for other in &found[3..] {
                assert!(aligned.is_above(*other), "{aligned} {other}");
            }
        }
    }

    #[test]
    fn at_the_sharp_minimum_the_indicator_is_known() {
        // With H of the eigenvalues 200 and 20 and a trace of 0.01: TrH/2, λ₁, and Σλ²/TrH times it.
        let expected: [(Noise, f64); 5] = [
            (Noise::Gd, 0.0),
            (Noise::GldConstant, 1.1),
            (Noise::GldDynamic, 1.1),
            (Noise::GldFirstEigenvector, 2.0),
            (Noise::GldHessian, 0.01 * 40_400.0 / 220.0),
        ];
        for (noise, indicator) in expected {
            let found = run(noise, 1, 1).indicator[0];
            assert!((found - indicator).abs() < 1e-12, "{}: {found}", noise.name());
        }
        // As D = k, leading eigenpairs of Σ are all of it: the same covariance, drawn another way.
        let [leading, sgd] = [Noise::GldLeading, Noise::Sgd].map(|noise| run(noise, 1, 1).indicator[0]);
        assert!(
            (leading - sgd).abs() < 1e-12 && (1.1..2.0).contains(&sgd),
            "{leading} {sgd}"
        );
    }

    #[test]
    fn one_step_of_noise_lifts_the_loss_by_half_the_indicator() {
        let lifts: Vec<f64> = (0..2000)
            .map(|seed| {
                let settings = Settings {
                    steps: 1,
                    ..Settings::published(Noise::GldConstant, seed)
                };
                let surface = settings.surface();
                let gradient = surface.gradients(START).column_mean();
                let without = [0, 1].map(|axis| START[axis] - LEARNING_RATE * gradient[axis]);
                surface.value(Run::make(settings).unwrap().trajectory[1]) - surface.value(without)
            })
            .collect();
        // ½·Tr(H·C) = ½·220·0.005, the lift in a sharp bowl that goes on for ever. It has the variance ½·Tr(HC)², of
        // the eigenvalues 1 and 0.1, and so 2000 of them a standard error of 0.016; five of them.
        let mean = lifts.iter().sum::<f64>() / lifts.len() as f64;
        assert!((mean - 0.55).abs() < 5.0 * (0.505_f64 / 2000.0).sqrt(), "{mean}");
    }

    #[test]
    fn a_run_is_its_seeds_and_its_length_is_bounded() {
        let first = run(Noise::GldLeading, 50, 1);
        assert_eq!(first, run(Noise::GldLeading, 50, 1));
        assert_ne!(first, run(Noise::GldLeading, 50, 2));
        assert_ne!(first.trajectory, run(Noise::GldHessian, 50, 1).trajectory);
        assert_eq!((first.trajectory.len(), first.indicator.len()), (51, 50));
        assert_eq!(first.trajectory[0], START);
        assert_eq!(run(Noise::GldLeading, 20, 1).trajectory[..], first.trajectory[..21]);
        // Without noise it goes to the sharp minimum and stays there.
        let still = run(Noise::Gd, 500, 1);
        let [minimum, _] = Settings::published(Noise::Gd, 1).surface().minima();
        let last = still.trajectory[500];
        assert!((last[0] - minimum[0]).abs() < 1e-9 && (last[1] - minimum[1]).abs() < 1e-9);
        assert!(!still.ends_flat() && still.arrival().is_none());
        for steps in [0, MOST_STEPS + 1] {
            let settings = Settings {
                steps,
                ..Settings::published(Noise::Gd, 1)
            };
            let message = Run::make(settings).unwrap_err().to_string();
            assert!(message.contains("steps") && message.contains("100000"), "{message}");
        }
    }

    #[test]
    fn the_learning_rate_and_the_size_of_the_noise_are_those_that_are_asked_for() {
        let made = |change: fn(&mut Settings), noise| {
            let mut settings = Settings::published(noise, 1);
            change(&mut settings);
            Run::make(settings)
        };
        // λ₁ = 200 holds gradient descent below 2/λ₁ = 0.01 and not above.
        let below = made(|settings| settings.learning_rate = 0.009, Noise::Gd).unwrap();
        let above = made(|settings| settings.learning_rate = 0.012, Noise::Gd).unwrap();
        assert!(below.arrival().is_none() && above.arrival().is_some());
        let usual = run(Noise::GldHessian, 500, 1);
        let twice = made(|settings| settings.magnitude = 2.0 * MAGNITUDE, Noise::GldHessian).unwrap();
        assert!((twice.indicator[0] - 2.0 * usual.indicator[0]).abs() < 1e-12);
        for noise in COMPARED {
            let still = made(|settings| settings.magnitude = 0.0, noise).unwrap();
            assert_eq!(still.trajectory, run(Noise::Gd, 500, 1).trajectory, "{}", noise.name());
        }
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 4] = [
            ("learning-rate", |settings| settings.learning_rate = 0.0),
            ("learning-rate", |settings| settings.learning_rate = f64::NAN),
            ("magnitude", |settings| settings.magnitude = -0.1),
            ("magnitude", |settings| settings.magnitude = f64::INFINITY),
        ];
        for (name, change) in wrong {
            let message = made(change, Noise::Gd).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }

    #[test]
    fn what_is_seen_holds_all_runs_and_both_minima() {
        assert_eq!(seen(&[]), (LEAST.0 - ROOM, LEAST.1 + ROOM));
        let runs = COMPARED.map(|noise| {
            let mut settings = Settings::published(noise, 2);
            settings.magnitude = 3.0 * MAGNITUDE;
            Run::make(settings).unwrap()
        });
        let (low, high) = seen(&runs);
        assert!(low <= LEAST.0 - ROOM && high >= LEAST.1 + ROOM);
        let mut entries = runs.iter().flat_map(|run| run.trajectory.iter().flatten());
        assert!(entries.all(|entry| (low + ROOM..=high - ROOM).contains(entry)));
    }

    #[test]
    fn an_arrival_is_the_first_step_with_both_weights_below_the_border() {
        let run = Run {
            trajectory: vec![[1.0, 1.0], [-1.0, 0.0], [-0.6, -0.6], [-0.4, -1.0]],
            indicator: Vec::new(),
        };
        assert_eq!((run.arrival(), run.ends_flat()), (Some(2), false));
    }
}
