//! The kinds of experiments, a file or folder each, and what several of them share.

mod asymmetric_direction;
mod averaged_parameters;
mod ball;
mod batch_norm;
mod batch_norm_directions;
mod batch_size;
mod biased_solution;
mod bump;
mod checks;
mod convexity;
mod correlation;
mod curves;
mod defaults;
mod dynamical_stability;
mod effort;
mod escape;
mod interpolation;
mod interpolation_and_random;
mod logistic;
mod minima_spectrum;
mod neighbourhood;
mod noise_indicators;
mod noise_network;
mod noise_on_networks;
mod noise_one_hidden_layer;
mod noise_race;
mod one_point_convexity;
mod oscillation;
mod random_rays;
mod sharpness_along_training;
mod sharpness_and_non_uniformity;
mod sharpness_by_rate;
mod shift;
mod solved;
mod spiky;
mod stability_diagram;
mod stability_toy;
mod student;
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
pub use self::noise_indicators::{FromStart, NoiseIndicators};
pub use self::noise_network::NoiseNetwork;
pub use self::noise_on_networks::Minimum;
pub use self::noise_one_hidden_layer::NoiseOneHiddenLayer;
pub use self::noise_race::NoiseRace;
pub use self::one_point_convexity::OnePointConvexity;
pub use self::oscillation::{Oscillation, Preset};
pub use self::random_rays::{End, RandomRays};
pub use self::sharpness_along_training::SharpnessAlongTraining;
pub use self::sharpness_and_non_uniformity::SharpnessAndNonUniformity;
pub use self::sharpness_by_rate::SharpnessByRate;
pub use self::shift::Shift;
pub use self::spiky::{Spiky, Stage};
pub use self::stability_diagram::StabilityDiagram;
pub use self::stability_toy::StabilityToy;
pub use self::trajectories::Trajectories;
pub use self::trajectory_surface::TrajectorySurface;
use super::cost::{Descents, Effort};
use super::laboratory::{Laboratory, Seeds};
use super::outcome::Outcome;
use super::recipe::Recipe;
use crate::error::{Error, Result};

/// More points than any plot has pixels.
const MOST_POINTS: usize = 10_000;

/// A kind of experiment: what it needs, what it takes, and how it is made.
pub trait Experiment {
    /// Names of the runs it measures; none where it needs no network.
    fn runs(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Seeds that one of its runs is trained with for a seed of the experiment: once, or many times from one start.
    fn seeds(&self, _run: &str, seed: u64) -> Vec<Seeds> {
        vec![Seeds::from(seed)]
    }

    /// Checks its numbers and the runs it names, as far as that needs no run to be there.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is out of range, by its name in the recipe.
    fn check(&self, _recipe: &Recipe) -> Result<()> {
        Ok(())
    }

    /// The points that it evaluates, by run. What needs no network is done in a moment and counts as nothing.
    fn efforts<'a>(&'a self, _recipe: &'a Recipe) -> Vec<Effort<'a>> {
        Vec::new()
    }

    /// The descents that it makes by itself for a seed, where it makes some.
    fn descents(&self) -> Option<Descents<'_>> {
        None
    }

    /// What is written of how it is made, beside its runs: what, and its value.
    fn settings(&self) -> Vec<[String; 2]> {
        Vec::new()
    }

    /// Makes it for every seed.
    ///
    /// # Errors
    /// When something cannot be trained, measured or written; [`Error::Cancelled`].
    fn make(&self, recipe: &Recipe, laboratory: &mut Laboratory) -> Result<Outcome>;
}

/// Lists the kinds, each a table of a recipe whose name is the kind's.
macro_rules! kinds {
    ($($(#[$words:meta])+ $name:ident,)+) => {
        /// What is measured.
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[$words])+ $name($name),)+
        }

        impl Kind {
            /// The experiment itself.
            pub fn experiment(&self) -> &dyn Experiment {
                match self {
                    $(Self::$name(kind) => kind,)+
                }
            }
        }
    };
}

kinds! {
    /// Random directions, and how asymmetric the loss is along them.
    AsymmetricDirection,
    /// Averages of some parameters only.
    AveragedParameters,
    /// What averaging gains with batch norm, and without.
    BatchNorm,
    /// Directions on batch-norm parameters alone and on the others alone.
    BatchNormDirections,
    /// From large batches to small ones.
    BatchSize,
    /// Solutions beside the minimum, on the flat side.
    BiasedSolution,
    /// From a minimum of one method on with others.
    Escape,
    /// The line between two solutions of a run.
    Interpolation,
    /// Directions that are half the way between two solutions of a run and half random.
    InterpolationAndRandom,
    /// Logistic regression with two parameters.
    Logistic,
    /// Minima that SGD settles in when its step is shrunk early or late.
    MinimaSpectrum,
    /// One direction through many points around a solution.
    Neighbourhood,
    /// Whether the noise of SGD lies along the large curvature.
    NoiseIndicators,
    /// Noise of several shapes from a network's minimum on.
    NoiseNetwork,
    /// The noise of networks with one hidden layer, by width.
    NoiseOneHiddenLayer,
    /// Noise of several shapes over two weights.
    NoiseRace,
    /// Whether negative gradients along a run point to its end.
    OnePointConvexity,
    /// SGD on functions of one number.
    Oscillation,
    /// Random rays from two solutions.
    RandomRays,
    /// Sharpness and non-uniformity by step, from the initial weights on.
    SharpnessAlongTraining,
    /// Sharpness, non-uniformity and test accuracy of many solutions.
    SharpnessAndNonUniformity,
    /// The sharpness of the solutions of gradient descent by learning rate.
    SharpnessByRate,
    /// The shift between train and test loss along random directions.
    Shift,
    /// SGD on a spiky function of one number.
    Spiky,
    /// Sharpness and non-uniformity of the solutions of SGD by batch size.
    StabilityDiagram,
    /// SGD beside two minima in one dimension.
    StabilityToy,
    /// Whether negative gradients on many ways from one start point to the ends of all.
    Trajectories,
    /// The loss along one direction through every epoch.
    TrajectorySurface,
}

impl Kind {
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
}
