//! A direction of parameter space made ready for the kernels: one for all images, or for each image one of its own.

use super::kernels::tangent::AffineTangent;
use super::plan::Plan;
use super::point::{Normalisation, Point};
use super::vectors::LaneBuffer;

/// The weights of a direction.
#[derive(Debug)]
pub enum Weights {
    /// The same for all images. A layer is linear in its weights, in Winograd's form too, so they are ordered as those
    /// of a point are.
    Shared(Point),
    /// Of every image in one block its own: a lane vector for each parameter, `[d, lanes]`.
    Apart(LaneBuffer),
}

/// A direction along which activations move.
#[derive(Debug)]
pub struct Direction {
    /// Weights and biases.
    pub weights: Weights,
    /// How every scale of [`Normalisation`] moves, one lane vector a channel.
    scale: Vec<f32>,
    /// Likewise every shift.
    shift: Vec<f32>,
}

impl Direction {
    /// The same `vector` `[d]` for all images.
    pub fn shared(plan: &Plan, normalisation: &Normalisation, lanes: usize, vector: &[f32]) -> Self {
        let (scale, shift) = affine_tangents(plan, normalisation, lanes, |entry, _| vector[entry]);
        Self {
            weights: Weights::Shared(Point::new(plan, vector)),
            scale,
            shift,
        }
    }

    /// For each image of one block the vector in its lane of `weights`, lane vectors `[d, lanes]`.
    pub fn apart(plan: &Plan, normalisation: &Normalisation, lanes: usize, weights: LaneBuffer) -> Self {
        let (scale, shift) = affine_tangents(plan, normalisation, lanes, |entry, lane| weights[entry * lanes + lane]);
        Self {
            weights: Weights::Apart(weights),
            scale,
            shift,
        }
    }

    /// The memory of the lane vectors that it was made of, where the images have each their own.
    pub fn memory(self) -> Option<LaneBuffer> {
        match self.weights {
            Weights::Shared(_) => None,
            Weights::Apart(weights) => Some(weights),
        }
    }

    /// How a layer's scale and shift move.
    pub fn affine(&self, normalisation: &Normalisation, layer: usize, lanes: usize) -> AffineTangent<'_> {
        let channels = normalisation.range(layer);
        let range = channels.start * lanes..channels.end * lanes;
        AffineTangent {
            scale: &self.scale[range.clone()],
            shift: &self.shift[range],
        }
    }
}

/// With constant statistics γ/σ and β − μ·γ/σ move by γ̇/σ and β̇ − μ·γ̇/σ, γ̇ and β̇ being the direction's entries.
fn affine_tangents(
    plan: &Plan,
    normalisation: &Normalisation,
    lanes: usize,
    entry: impl Fn(usize, usize) -> f32,
) -> (Vec<f32>, Vec<f32>) {
    let parameters = &plan.graph.parameters;
    let (mut scales, mut shifts) = (Vec::new(), Vec::new());
    for (layer, &(gamma, beta)) in plan.affine.iter().enumerate() {
        let (gamma, beta) = (parameters[gamma].offset, parameters[beta].offset);
        for (channel, at) in normalisation.range(layer).enumerate() {
            let mean = f64::from(normalisation.mean[at]);
            let inverse = f64::from(normalisation.inverse_deviation[at]);
            for lane in 0..lanes {
                let scale = f64::from(entry(gamma + channel, lane)) * inverse;
                scales.push(scale as f32);
                shifts.push((f64::from(entry(beta + channel, lane)) - mean * scale) as f32);
            }
        }
    }
    (scales, shifts)
}
