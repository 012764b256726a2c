//! One point of parameter space made ready for the kernels: weights in the order in which they are used, and batch
//! norm as a scale and a shift for every channel.

use rayon::prelude::*;

use super::geometry::{Geometry, Method, Phase};
use super::kernels::winograd::FREQUENCIES;
use super::plan::{Plan, Product, Work};
use crate::network::Graph;
use crate::network::graph::BATCH_NORM_EPSILON;

/// Output channels that a kernel works on together.
pub const TILE: usize = 4;

/// Weights below which sharing the work over cores costs more than it saves.
const PARALLEL: usize = 1 << 14;

/// The weights of one product, one list for every phase of its geometry: `[tile][input channel and tap][TILE]`, for
/// Winograd `[tile][frequency][input channel][TILE]`.
pub type Panels = Vec<Vec<f32>>;

/// A point's weights for a plan.
#[derive(Debug)]
pub struct Point {
    /// The parameters `[d]`.
    pub parameters: Vec<f32>,
    /// For every row of the parameter table that is a product's weight, the ordered weights.
    pub forward: Vec<Panels>,
    /// Likewise for the gradient with respect to the input; empty where no gradient is asked for.
    pub backward: Vec<Panels>,
}

impl Point {
    /// Orders the weights of `parameters` `[d]` for the steps of `plan`.
    pub fn new(plan: &Plan, parameters: &[f32]) -> Self {
        let graph = &plan.graph;
        let of = |product: &Product| &parameters[graph.parameters[product.weight].range()];
        let mut forward = vec![Vec::new(); graph.parameters.len()];
        let mut backward = forward.clone();
        for step in &plan.steps {
            let Work::Product(product) = &step.work else { continue };
            let weights = Weights {
                values: of(product),
                inputs: product.input[0],
                area: of(product).len() / (product.input[0] * step.output.shape[0]),
            };
            forward[product.weight] = weights.panels(&product.forward, false);
            if let Some(geometry) = &product.backward {
                backward[product.weight] = weights.panels(geometry, true);
            }
        }
        Self {
            parameters: parameters.to_vec(),
            forward,
            backward,
        }
    }
}

/// A weight tensor `[out, in, kernel, kernel]`.
struct Weights<'a> {
    values: &'a [f32],
    inputs: usize,
    area: usize,
}

impl Weights<'_> {
    /// The weights for a geometry. `transposed` exchanges inputs and outputs.
    fn panels(&self, geometry: &Geometry, transposed: bool) -> Panels {
        let (reads, writes) = (geometry.input[0], geometry.output[0]);
        let side = self.area.isqrt();
        let panel = |phase: &Phase| {
            let places: Vec<usize> = phase.taps.iter().map(|&(y, x)| y * side + x).collect();
            let terms = match geometry.method {
                Method::Direct => places.len(),
                Method::Winograd => FREQUENCIES,
            };
            let size = (reads * terms * TILE).max(1);
            let mut panel = vec![0.0; writes.div_ceil(TILE) * reads * terms * TILE];
            let tiles = panel.par_chunks_exact_mut(size).with_min_len(PARALLEL / size + 1);
            tiles.enumerate().for_each(|(tile, panel)| {
                let own = 0..TILE.min(writes - tile * TILE);
                for (write, read) in own.flat_map(|write| (0..reads).map(move |read| (write, read))) {
                    let taps = self.taps(tile * TILE + write, read, transposed);
                    match geometry.method {
                        Method::Direct => order_taps(panel, &places, taps, (read, write)),
                        Method::Winograd => order_frequencies(panel, &places, taps, (read, write), reads),
                    }
                }
            });
            panel
        };
        geometry.phases.iter().map(panel).collect()
    }

    /// The kernel between two channels, `[kernel, kernel]`.
    fn taps(&self, write: usize, read: usize, transposed: bool) -> &[f32] {
        let (output, input) = if transposed { (read, write) } else { (write, read) };
        &self.values[(output * self.inputs + input) * self.area..][..self.area]
    }
}

/// Puts one kernel into a tile `[read][tap][TILE]`.
fn order_taps(tile: &mut [f32], places: &[usize], taps: &[f32], (read, write): (usize, usize)) {
    let tile = &mut tile[read * places.len() * TILE + write..];
    for (&place, term) in places.iter().zip(tile.iter_mut().step_by(TILE)) {
        *term = taps[place];
    }
}

/// Puts one transformed kernel into a tile `[frequency][read][TILE]` of `reads` input channels.
fn order_frequencies(tile: &mut [f32], places: &[usize], taps: &[f32], (read, write): (usize, usize), reads: usize) {
    let transformed = winograd_weights(&std::array::from_fn(|i| taps[places[i]]));
    let tile = &mut tile[read * TILE + write..];
    for (value, term) in transformed.into_iter().zip(tile.iter_mut().step_by(reads * TILE)) {
        *term = value;
    }
}

/// G g Gᵀ (Lavin and Gray 2016, §4.1).
fn winograd_weights(g: &[f32; 9]) -> [f32; FREQUENCIES] {
    let transform = |a: f32, b: f32, c: f32| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f32; 4]; 3] = std::array::from_fn(|x| transform(g[x], g[3 + x], g[6 + x]));
    let mut result = [0.0; FREQUENCIES];
    for y in 0..4 {
        result[4 * y..4 * y + 4].copy_from_slice(&transform(columns[0][y], columns[1][y], columns[2][y]));
    }
    result
}

/// Batch norm as it is applied: y = x · scale + shift, channel by channel of all layers one after another.
#[derive(Clone, Debug, Default)]
pub struct Normalisation {
    /// Where each layer's channels start.
    pub starts: Vec<usize>,
    /// γ / √(σ² + ε).
    pub scale: Vec<f32>,
    /// β − μ · scale.
    pub shift: Vec<f32>,
    /// μ.
    pub mean: Vec<f32>,
    /// 1 / √(σ² + ε).
    pub inverse_deviation: Vec<f32>,
}

impl Normalisation {
    /// Room for all layers of a graph.
    pub fn new(graph: &Graph) -> Self {
        let mut starts = vec![0];
        for layer in &graph.batch_norm_layers {
            starts.push(starts[starts.len() - 1] + layer.channels);
        }
        let total = starts[starts.len() - 1];
        Self {
            starts,
            scale: vec![0.0; total],
            shift: vec![0.0; total],
            mean: vec![0.0; total],
            inverse_deviation: vec![0.0; total],
        }
    }

    /// All layers with statistics `[s]`.
    pub fn with_statistics(graph: &Graph, affine: &[(usize, usize)], parameters: &[f32], statistics: &[f32]) -> Self {
        let mut normalisation = Self::new(graph);
        for (index, layer) in graph.batch_norm_layers.iter().enumerate() {
            let moments = statistics[layer.mean()]
                .iter()
                .zip(&statistics[layer.variance()])
                .map(|(&mean, &variance)| (f64::from(mean), f64::from(variance)));
            normalisation.set(graph, affine[index], index, parameters, moments);
        }
        normalisation
    }

    /// One layer with the mean and (biased) variance of every channel.
    pub fn set(
        &mut self,
        graph: &Graph,
        (scale, shift): (usize, usize),
        layer: usize,
        parameters: &[f32],
        moments: impl Iterator<Item = (f64, f64)>,
    ) {
        let gamma = &parameters[graph.parameters[scale].range()];
        let beta = &parameters[graph.parameters[shift].range()];
        let start = self.starts[layer];
        for (channel, (mean, variance)) in moments.enumerate() {
            let inverse = 1.0 / (variance + BATCH_NORM_EPSILON).sqrt();
            let scale = f64::from(gamma[channel]) * inverse;
            let at = start + channel;
            self.scale[at] = scale as f32;
            self.shift[at] = (f64::from(beta[channel]) - mean * scale) as f32;
            self.mean[at] = mean as f32;
            self.inverse_deviation[at] = inverse as f32;
        }
    }

    /// A layer's channels.
    pub fn range(&self, layer: usize) -> std::ops::Range<usize> {
        self.starts[layer]..self.starts[layer + 1]
    }
}
