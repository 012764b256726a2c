//! The gradient's own loops: through batch norm and ReLU, and with respect to weights and biases.

use pulp::{Simd, WithSimd};

use super::patch::{Source, applied};
use crate::objective::lanes::geometry::Column;
use crate::objective::lanes::point::TILE;
use crate::objective::lanes::vectors::{multiply_add, vectors, vectors_mut};

/// μ and 1/σ of every channel.
#[derive(Clone, Copy, Debug)]
pub struct Standard<'a> {
    /// Means.
    pub mean: &'a [f32],
    /// Inverse standard deviations.
    pub inverse_deviation: &'a [f32],
}

/// The gradient where max(x, 0) passes it on.
#[inline(always)]
pub fn passed<S: Simd>(
    simd: S,
    gradient: S::f32s,
    x: S::f32s,
    scale: S::f32s,
    shift: S::f32s,
    rectified: bool,
) -> S::f32s {
    if !rectified {
        return gradient;
    }
    let zero = simd.splat_f32s(0.0);
    let y = applied(simd, x, scale, shift, false);
    simd.select_f32s(simd.greater_than_f32s(y, zero), gradient, zero)
}

/// For every channel the sums over positions, lane by lane, of the gradient ĝ behind ReLU, and of ĝ · (x − μ)/σ: the
/// gradients with respect to β and γ.
pub struct NormSums<'a> {
    /// What batch norm read, with the batch norm and ReLU that were applied.
    pub source: Source<'a>,
    /// μ and 1/σ.
    pub standard: Standard<'a>,
    /// Gradient with respect to the view.
    pub gradient: &'a [f32],
    /// Σ ĝ, one lane vector a channel.
    pub shift: &'a mut [f32],
    /// Σ ĝ · (x − μ)/σ.
    pub scale: &'a mut [f32],
}

impl WithSimd for NormSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.source.shape[1] * self.source.shape[2];
        let values = vectors::<S>(self.source.values).chunks_exact(plane);
        let gradients = vectors::<S>(self.gradient).chunks_exact(plane);
        let results = vectors_mut::<S>(self.shift)
            .iter_mut()
            .zip(vectors_mut::<S>(self.scale));
        for (channel, ((values, gradients), (shift_sum, scale_sum))) in values.zip(gradients).zip(results).enumerate() {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let mean = simd.splat_f32s(self.standard.mean[channel]);
            let mut sums = [[simd.splat_f32s(0.0); 2]; 2];
            for (index, (&x, &gradient)) in values.iter().zip(gradients).enumerate() {
                let gradient = passed(simd, gradient, x, scale, shift, self.source.relu);
                let sums = &mut sums[index % 2];
                sums[0] = simd.add_f32s(sums[0], gradient);
                sums[1] = multiply_add(simd, gradient, simd.sub_f32s(x, mean), sums[1]);
            }
            let inverse = simd.splat_f32s(self.standard.inverse_deviation[channel]);
            *shift_sum = simd.add_f32s(sums[0][0], sums[1][0]);
            *scale_sum = simd.mul_f32s(simd.add_f32s(sums[0][1], sums[1][1]), inverse);
        }
    }
}

/// The gradient with respect to what a view reads: `scale · ĝ + through_mean + through_deviation · (x − μ)/σ`, the
/// last two being how the batch's own statistics depend on x.
pub struct ViewGradient<'a> {
    /// What was read, with the batch norm and ReLU that were applied.
    pub source: Source<'a>,
    /// μ and 1/σ, and for every channel the two terms through them; none where statistics are constants.
    pub through: Option<(Standard<'a>, &'a [(f32, f32)])>,
    /// Gradient with respect to the view.
    pub gradient: &'a [f32],
    /// Whether the result is added to what is there.
    pub accumulate: bool,
    /// Gradient with respect to what was read.
    pub result: &'a mut [f32],
}

impl WithSimd for ViewGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.source.shape[1] * self.source.shape[2];
        let values = vectors::<S>(self.source.values).chunks_exact(plane);
        let gradients = vectors::<S>(self.gradient).chunks_exact(plane);
        let results = vectors_mut::<S>(self.result).chunks_exact_mut(plane);
        for (channel, ((values, gradients), results)) in values.zip(gradients).zip(results).enumerate() {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let (mean, slope, constant) = match self.through {
                Some((standard, terms)) => {
                    let (through_mean, through_deviation) = terms[channel];
                    let slope = through_deviation * standard.inverse_deviation[channel];
                    (standard.mean[channel], slope, through_mean)
                }
                None => (0.0, 0.0, 0.0),
            };
            let mean = simd.splat_f32s(mean);
            let (slope, constant) = (simd.splat_f32s(slope), simd.splat_f32s(constant));
            let through = self.through.is_some();
            for ((result, &x), &gradient) in results.iter_mut().zip(values).zip(gradients) {
                let gradient = passed(simd, gradient, x, scale, shift, self.source.relu);
                let mut value = simd.mul_f32s(gradient, scale);
                if through {
                    let rest = multiply_add(simd, simd.sub_f32s(x, mean), slope, constant);
                    value = simd.add_f32s(value, rest);
                }
                *result = if self.accumulate {
                    simd.add_f32s(*result, value)
                } else {
                    value
                };
            }
        }
    }
}

/// Terms at once with 32 registers, and with 16.
const MOST_TERMS: (usize, usize) = (6, 2);
/// Results whose gradient stays in a first-level cache while the terms go by.
const CHUNK: usize = 64;

/// Adds to the gradient with respect to a tile of four output channels' weights, lane by lane:
/// `gradient[channel][result] · patch[offset[term] + result]` summed over the results of a strip.
pub struct Correlate<'a> {
    /// Offset of every term.
    pub offsets: &'a [u32],
    /// The patch.
    pub patch: &'a [f32],
    /// The results.
    pub columns: &'a [Column],
    /// Output channels of the tile: four, or fewer in the last.
    pub channels: usize,
    /// Lane vectors of an output channel.
    pub plane: usize,
    /// Gradient with respect to the output in every block, from the tile's first channel.
    pub gradients: &'a [&'a [f32]],
    /// `[TILE][term]` lane vectors, added to.
    pub sums: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let terms = self.offsets.len();
        let most = if S::F32_LANES >= 16 { MOST_TERMS.0 } else { MOST_TERMS.1 };
        let all = self.columns;
        for columns in all.chunks(CHUNK) {
            let mut first = 0;
            while first < terms {
                let rest = terms - first;
                let size = rest.div_ceil(rest.div_ceil(most));
                match size {
                    6 => self.terms::<S, 6>(simd, columns, first),
                    5 => self.terms::<S, 5>(simd, columns, first),
                    4 => self.terms::<S, 4>(simd, columns, first),
                    3 => self.terms::<S, 3>(simd, columns, first),
                    2 => self.terms::<S, 2>(simd, columns, first),
                    _ => self.terms::<S, 1>(simd, columns, first),
                }
                first += size;
            }
        }
    }
}

impl Correlate<'_> {
    #[inline(always)]
    fn terms<S: Simd, const R: usize>(&mut self, simd: S, columns: &[Column], first: usize) {
        let terms = self.offsets.len();
        let mut offsets = [0; R];
        for (offset, &place) in offsets.iter_mut().zip(&self.offsets[first..]) {
            *offset = place as usize;
        }
        let patch = vectors::<S>(self.patch);
        let totals = vectors_mut::<S>(self.sums);
        let mut sums = [[simd.splat_f32s(0.0); R]; TILE];
        for (lane, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(&totals[lane * terms + first..][..R]);
        }
        // The last tile may have fewer channels: the others repeat its last and are not kept.
        let mut channels = [0; TILE];
        for (lane, channel) in channels.iter_mut().enumerate() {
            *channel = lane.min(self.channels - 1) * self.plane;
        }
        let mut columns = columns;
        while let Some(block) = columns.first().map(|column| column.block) {
            let length = columns.iter().take_while(|column| column.block == block).count();
            let (same, later) = columns.split_at(length);
            let gradients = vectors::<S>(self.gradients[block as usize]);
            for column in same {
                let mut values = [simd.splat_f32s(0.0); R];
                for (value, &offset) in values.iter_mut().zip(&offsets) {
                    *value = patch[offset + column.patch as usize];
                }
                for (sums, &channel) in sums.iter_mut().zip(&channels) {
                    let gradient = gradients[channel + column.output as usize];
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        *sum = multiply_add(simd, gradient, value, *sum);
                    }
                }
            }
            columns = later;
        }
        for (lane, sums) in sums.iter().enumerate() {
            totals[lane * terms + first..][..R].copy_from_slice(sums);
        }
    }
}

/// Sum over the positions of every channel, lane by lane.
pub struct ChannelSums<'a> {
    /// The channels' planes.
    pub values: &'a [f32],
    /// Lane vectors of a channel.
    pub plane: usize,
    /// One lane vector a channel.
    pub sums: &'a mut [f32],
}

impl WithSimd for ChannelSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let planes = vectors::<S>(self.values).chunks_exact(self.plane);
        for (plane, target) in planes.zip(vectors_mut::<S>(self.sums)) {
            let mut sum = simd.splat_f32s(0.0);
            for &x in plane {
                sum = simd.add_f32s(sum, x);
            }
            *target = sum;
        }
    }
}

/// Adds up the lanes of every lane vector.
pub struct SumLanes<'a> {
    /// Lane vectors.
    pub values: &'a [f32],
    /// One number a lane vector, added to.
    pub sums: &'a mut [f32],
}

impl WithSimd for SumLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (sum, &vector) in self.sums.iter_mut().zip(vectors::<S>(self.values)) {
            *sum += simd.reduce_sum_f32s(vector);
        }
    }
}
