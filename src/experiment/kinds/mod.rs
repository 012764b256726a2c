//! The kinds of experiments, one file each.

mod asymmetric_direction;
mod averaged_parameters;
mod ball;
mod batch_norm;
mod batch_norm_directions;
mod batch_size;
mod biased_solution;
mod convexity;
mod curves;
mod dynamical_stability;
mod effort;
mod escape;
mod interpolation;
mod interpolation_and_random;
mod logistic;
mod minima_spectrum;
mod neighbourhood;
mod noise_race;
mod one_point_convexity;
mod oscillation;
mod random_rays;
mod sharpness_by_rate;
mod shift;
mod spiky;
mod stability_diagram;
mod stability_toy;
mod trajectories;
mod trajectory_surface;

use serde::Deserialize;

pub use self::asymmetric_direction::AsymmetricDirection;
pub use self::averaged_parameters::AveragedParameters;
pub use self::batch_norm::BatchNorm;
pub use self::batch_norm_directions::BatchNormDirections;
pub use self::batch_size::BatchSize;
pub use self::biased_solution::BiasedSolution;
pub use self::escape::Escape;
pub use self::interpolation::Interpolation;
pub use self::interpolation_and_random::InterpolationAndRandom;
pub use self::logistic::Logistic;
pub use self::minima_spectrum::MinimaSpectrum;
pub use self::neighbourhood::Neighbourhood;
pub use self::noise_race::NoiseRace;
pub use self::one_point_convexity::OnePointConvexity;
pub use self::oscillation::{Oscillation, Preset};
pub use self::random_rays::{End, RandomRays};
pub use self::sharpness_by_rate::SharpnessByRate;
pub use self::shift::Shift;
pub use self::spiky::{Spiky, Stage};
pub use self::stability_diagram::StabilityDiagram;
pub use self::stability_toy::StabilityToy;
pub use self::trajectories::Trajectories;
pub use self::trajectory_surface::TrajectorySurface;
use super::laboratory::{Laboratory, Seeds};
use super::outcome::Outcome;
use super::recipe::Recipe;
use crate::error::{Error, Result};

/// More points than any plot has pixels.
const MOST_POINTS: usize = 10_000;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Random directions, and how asymmetric the loss is along them.
    AsymmetricDirection(AsymmetricDirection),
    /// Averages of some parameters only.
    AveragedParameters(AveragedParameters),
    /// What averaging gains with batch norm, and without.
    BatchNorm(BatchNorm),
    /// Directions on batch-norm parameters alone and on the others alone.
    BatchNormDirections(BatchNormDirections),
    /// From large batches to small ones.
    BatchSize(BatchSize),
    /// Solutions beside the minimum, on the flat side.
    BiasedSolution(BiasedSolution),
    /// From a minimum of one method on with others.
    Escape(Escape),
    /// The line between two solutions of a run.
    Interpolation(Interpolation),
    /// Directions that are half the way between two solutions of a run and half random.
    InterpolationAndRandom(InterpolationAndRandom),
    /// Logistic regression with two parameters.
    Logistic(Logistic),
    /// Minima that SGD settles in when its step is shrunk early or late.
    MinimaSpectrum(MinimaSpectrum),
    /// One direction through many points around a solution.
    Neighbourhood(Neighbourhood),
    /// Noise of several shapes over two weights.
    NoiseRace(NoiseRace),
    /// Whether negative gradients along a run point to its end.
    OnePointConvexity(OnePointConvexity),
    /// SGD on functions of one number.
    Oscillation(Oscillation),
    /// Random rays from two solutions.
    RandomRays(RandomRays),
    /// The sharpness of the solutions of gradient descent by learning rate.
    SharpnessByRate(SharpnessByRate),
    /// The shift between train and test loss along random directions.
    Shift(Shift),
    /// SGD on a spiky function of one number.
    Spiky(Spiky),
    /// Sharpness and non-uniformity of the solutions of SGD by batch size.
    StabilityDiagram(StabilityDiagram),
    /// SGD beside two minima in one dimension.
    StabilityToy(StabilityToy),
    /// Whether negative gradients on many ways from one start point to the ends of all.
    Trajectories(Trajectories),
    /// The loss along one direction through every epoch.
    TrajectorySurface(TrajectorySurface),
}

impl Kind {
    /// Names of the runs it measures.
    pub fn runs(&self) -> Vec<&str> {
        match self {
            Self::AsymmetricDirection(kind) => vec![&kind.run],
            Self::AveragedParameters(kind) => vec![&kind.run],
            Self::BatchNorm(kind) => vec![&kind.with, &kind.without],
            Self::BatchNormDirections(kind) => vec![&kind.run],
            Self::BatchSize(kind) => vec![&kind.large, &kind.small],
            Self::BiasedSolution(kind) => vec![&kind.run],
            Self::Interpolation(kind) => vec![&kind.run],
            Self::InterpolationAndRandom(kind) => vec![&kind.run],
            Self::Logistic(_) | Self::NoiseRace(_) | Self::Oscillation(_) | Self::Spiky(_) => Vec::new(),
            Self::Escape(_) | Self::SharpnessByRate(_) | Self::StabilityDiagram(_) | Self::StabilityToy(_) => {
                Vec::new()
            }
            Self::MinimaSpectrum(kind) => {
                let names = std::iter::once(&kind.run).chain(&kind.minima);
                names.map(String::as_str).collect()
            }
            Self::Neighbourhood(kind) => vec![&kind.run],
            Self::OnePointConvexity(kind) => vec![&kind.run],
            Self::RandomRays(kind) => vec![&kind.wider.run, &kind.narrower.run],
            Self::Shift(kind) => vec![&kind.run],
            Self::Trajectories(kind) => vec![&kind.run],
            Self::TrajectorySurface(kind) => vec![&kind.run],
        }
    }

    /// Checks its numbers and the runs it names, as far as that needs no run to be there.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is out of range, by its name in the recipe.
    pub fn check(&self, recipe: &Recipe) -> Result<()> {
        match self {
            Self::AsymmetricDirection(kind) => kind.check(),
            Self::AveragedParameters(kind) => kind.check(),
            Self::BatchNorm(_) | Self::Logistic(_) => Ok(()),
            Self::BatchNormDirections(kind) => kind.check(),
            Self::BatchSize(kind) => kind.check(),
            Self::BiasedSolution(kind) => kind.check(),
            Self::Escape(kind) => kind.check(),
            Self::Interpolation(kind) => kind.check(),
            Self::InterpolationAndRandom(kind) => kind.check(),
            Self::Neighbourhood(kind) => kind.check(),
            Self::NoiseRace(kind) => kind.check(),
            Self::MinimaSpectrum(kind) => kind.check(recipe),
            Self::OnePointConvexity(kind) => kind.check(recipe),
            Self::Trajectories(kind) => kind.check(recipe),
            Self::Oscillation(kind) => kind.check(),
            Self::RandomRays(kind) => kind.check(),
            Self::SharpnessByRate(kind) => kind.check(),
            Self::Shift(kind) => kind.check(),
            Self::Spiky(kind) => kind.check(),
            Self::StabilityDiagram(kind) => kind.check(),
            Self::StabilityToy(kind) => kind.check(),
            Self::TrajectorySurface(kind) => kind.check(),
        }
    }

    /// Seeds that a run is trained with for a seed of the experiment: once, or many times from one start.
    pub fn seeds(&self, run: &str, seed: u64) -> Vec<Seeds> {
        match self {
            Self::Trajectories(kind) if kind.run == run => kind.seeds(seed),
            _ => vec![Seeds::from(seed)],
        }
    }

    /// What is written of how it is made, of those that train by themselves: what, and its value.
    pub fn settings(&self) -> Vec<[String; 2]> {
        match self {
            Self::Escape(kind) => kind.settings(),
            Self::SharpnessByRate(kind) => kind.settings(),
            Self::StabilityDiagram(kind) => kind.settings(),
            _ => Vec::new(),
        }
    }

    /// Checks the points of a line.
    fn check_points(points: usize, [start, end]: [f64; 2]) -> Result<()> {
        if !(2..=MOST_POINTS).contains(&points) {
            return Err(Error::option(
                "points",
                points,
                format!("it must be from 2 to {MOST_POINTS}"),
            ));
        }
        if !(start.is_finite() && end.is_finite() && start < end) {
            return Err(Error::option(
                "range",
                format!("{start}..{end}"),
                "positions go from a number up to a larger one",
            ));
        }
        Ok(())
    }

    /// What is said of a run that an experiment cannot use.
    fn lacks(run: &str, what: &str) -> Error {
        Error::Request(format!("the run `{run}` has no {what}"))
    }

    /// Makes the experiment.
    ///
    /// # Errors
    /// When a number is out of range, or something cannot be trained, measured or written;
    /// [`crate::error::Error::Cancelled`].
    pub fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome> {
        self.check(recipe)?;
        match self {
            Self::AsymmetricDirection(kind) => kind.make(recipe, laboratory),
            Self::AveragedParameters(kind) => kind.make(recipe, laboratory),
            Self::BatchNorm(kind) => kind.make(recipe, laboratory),
            Self::BatchNormDirections(kind) => kind.make(recipe, laboratory),
            Self::BatchSize(kind) => kind.make(recipe, laboratory),
            Self::BiasedSolution(kind) => kind.make(recipe, laboratory),
            Self::Escape(kind) => kind.make(recipe, laboratory),
            Self::Interpolation(kind) => kind.make(recipe, laboratory),
            Self::InterpolationAndRandom(kind) => kind.make(recipe, laboratory),
            Self::Logistic(kind) => kind.make(recipe, laboratory),
            Self::MinimaSpectrum(kind) => kind.make(recipe, laboratory),
            Self::Neighbourhood(kind) => kind.make(recipe, laboratory),
            Self::NoiseRace(kind) => kind.make(recipe, laboratory),
            Self::Oscillation(kind) => kind.make(recipe, laboratory),
            Self::RandomRays(kind) => kind.make(recipe, laboratory),
            Self::SharpnessByRate(kind) => kind.make(recipe, laboratory),
            Self::Shift(kind) => kind.make(recipe, laboratory),
            Self::Spiky(kind) => kind.make(recipe, laboratory),
            Self::StabilityDiagram(kind) => kind.make(recipe, laboratory),
            Self::StabilityToy(kind) => kind.make(recipe, laboratory),
            Self::OnePointConvexity(kind) => kind.make(recipe, laboratory),
            Self::Trajectories(kind) => kind.make(recipe, laboratory),
            Self::TrajectorySurface(kind) => kind.make(recipe, laboratory),
        }
    }
}
