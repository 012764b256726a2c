//! How long a direction is: of unit length, or scaled to the weights it is added to.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::direction::{dot, normalised};
use crate::network::Graph;
use crate::network::graph::Parameter;

/// What is done to a direction's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// ‖u‖ = 1, as in Asymmetric Valleys
    #[default]
    Unit,
    /// Each filter as long as its weights (Li et al. 2018): a convolution's output channel, a linear layer's output.
    /// Biases and batch norm do not move
    Filter,
    /// The same, and biases and batch norm move, each tensor as long as its weights
    FilterAll,
    /// Each tensor as long as its weights. Biases and batch norm do not move
    Layer,
    /// The same, and biases and batch norm move, too
    LayerAll,
    /// As it is: the random numbers as drawn, a file's own length, for inter+random the sum of two unit vectors
    None,
}

impl Normalisation {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 6] = [
        Self::Unit,
        Self::Filter,
        Self::FilterAll,
        Self::Layer,
        Self::LayerAll,
        Self::None,
    ];

    /// The name used on the command line, in files and on figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Filter => "filter",
            Self::FilterAll => "filter-all",
            Self::Layer => "layer",
            Self::LayerAll => "layer-all",
            Self::None => "none",
        }
    }

    /// One line with the formula, for tooltips.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Unit => "u ← u/‖u‖: the papers' own",
            Self::Filter => "u_f ← u_f/‖u_f‖ · ‖w_f‖ for every filter f (Li et al. 2018); biases and batch norm stay",
            Self::FilterAll => "u_f ← u_f/‖u_f‖ · ‖w_f‖ for every filter f, and for each bias and batch-norm tensor",
            Self::Layer => "u_t ← u_t/‖u_t‖ · ‖w_t‖ for every tensor t; biases and batch norm stay",
            Self::LayerAll => "u_t ← u_t/‖u_t‖ · ‖w_t‖ for every tensor t, biases and batch norm included",
            Self::None => "u as drawn, of any length",
        }
    }

    /// Whether it depends on the weights that the direction is added to.
    pub fn follows_weights(self) -> bool {
        !matches!(self, Self::Unit | Self::None)
    }

    /// The direction `[d]` scaled for the weights w `[d]`; nothing where no length is left.
    pub fn apply(self, graph: &Graph, weights: &[f32], mut direction: Vec<f32>) -> Option<Vec<f32>> {
        if self == Self::Unit {
            return normalised(direction);
        }
        if self.follows_weights() {
            for parameter in &graph.parameters {
                self.scale(
                    parameter,
                    &weights[parameter.range()],
                    &mut direction[parameter.range()],
                );
            }
        }
        let square = dot(&direction, &direction);
        (square > 0.0 && square.is_finite()).then_some(direction)
    }

    /// Scales one tensor of a direction.
    fn scale(self, parameter: &Parameter, weights: &[f32], direction: &mut [f32]) {
        let by_filter = matches!(self, Self::Filter | Self::FilterAll);
        let group = match parameter.shape.as_slice() {
            [] | [_] if matches!(self, Self::Filter | Self::Layer) => return direction.fill(0.0),
            [filters, _, ..] if by_filter => direction.len() / filters,
            _ => direction.len(),
        };
        for (direction, weights) in direction.chunks_mut(group).zip(weights.chunks(group)) {
            let (own, wanted) = (dot(direction, direction).sqrt(), dot(weights, weights).sqrt());
            // A group without length has no direction to scale.
            if own > 0.0 {
                for value in direction {
                    *value = (f64::from(*value) / own * wanted) as f32;
                }
            }
        }
    }
}

impl fmt::Display for Normalisation {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
