//! Initial weights as in the papers' code: He normal over fan-out for convolutions, PyTorch's default for linear
//! layers, γ = 1 and β = 0 for batch norm.

use super::graph::{Graph, Role};
use crate::random::{Purpose, Random};

/// A flat vector `[d]` of initial weights.
///
/// Convolution weights are N(0, 2 / (k² · out)) and their biases 0, as in the published PreResNet and VGG of the SWA
/// code; linear weights and biases are U(−1/√in, 1/√in), PyTorch's default.
pub fn initial_parameters(graph: &Graph, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; graph.parameter_count()];
    let mut fan_in = 1;
    let mut after_linear = false;
    for (index, parameter) in graph.parameters.iter().enumerate() {
        let mut random = Random::new(seed, Purpose::Initialisation, index as u32);
        let slice = &mut values[parameter.range()];
        match parameter.role {
            Role::ConvolutionWeight => {
                let fan_out = parameter.shape[0] * parameter.shape[2] * parameter.shape[3];
                let deviation = (2.0 / fan_out as f32).sqrt();
                slice.fill_with(|| deviation * random.normal());
                after_linear = false;
            }
            Role::LinearWeight => {
                fan_in = parameter.shape[1];
                let bound = 1.0 / (fan_in as f32).sqrt();
                slice.fill_with(|| random.uniform_in(-bound, bound));
                after_linear = true;
            }
            Role::Bias if after_linear => {
                let bound = 1.0 / (fan_in as f32).sqrt();
                slice.fill_with(|| random.uniform_in(-bound, bound));
            }
            Role::Bias | Role::BatchNormShift => {}
            Role::BatchNormScale => slice.fill(1.0),
        }
    }
    values
}
