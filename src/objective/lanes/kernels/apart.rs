//! Sums of products whose weights are another number in every lane: each image has weights of its own.

use pulp::{Simd, WithSimd};

use super::product::{Piecewise, in_pieces};
use crate::objective::lanes::geometry::Column;
use crate::objective::lanes::point::TILE;
use crate::objective::lanes::vectors::{multiply_add, vectors, vectors_mut};

/// A convolution in one strip of one block, term by term. The weights lie in the order of the parameters: they serve
/// one pass, which would not pay for ordering them anew.
pub struct Apart<'a> {
    /// The layer's weights, lane vectors `[out, in, kernel, kernel]`.
    pub weights: &'a [f32],
    /// Where each term of the first channel lies among them.
    pub terms: &'a [u32],
    /// From a channel's term to the next channel's.
    pub step: usize,
    /// Offset of every term in the patch.
    pub offsets: &'a [u32],
    /// The patch.
    pub patch: &'a [f32],
    /// The results.
    pub columns: &'a [Column],
    /// Channels of the result.
    pub channels: usize,
    /// Lane vectors of a channel of the result.
    pub plane: usize,
    /// Added to every channel, one lane vector a channel.
    pub bias: Option<&'a [f32]>,
    /// Whether the result is added to what is there.
    pub accumulate: bool,
    /// Where to.
    pub output: &'a mut [f32],
}

impl WithSimd for Apart<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        in_pieces(simd, self.columns, &mut self);
    }
}

impl Piecewise for Apart<'_> {
    #[inline(always)]
    fn piece<S: Simd, const P: usize>(&mut self, simd: S, piece: &[Column]) {
        let mut columns = [0; P];
        for (column, place) in columns.iter_mut().zip(piece) {
            *column = place.patch as usize;
        }
        let (patch, weights) = (vectors::<S>(self.patch), vectors::<S>(self.weights));
        let output = vectors_mut::<S>(self.output);
        for first in (0..self.channels).step_by(TILE) {
            let count = TILE.min(self.channels - first);
            // The last tile may have fewer channels: the others repeat its last and are not kept.
            let mut starts = [0; TILE];
            for (lane, start) in starts.iter_mut().enumerate() {
                *start = (first + lane.min(count - 1)) * self.step;
            }
            let mut sums = [[simd.splat_f32s(0.0); P]; TILE];
            for (&term, &offset) in self.terms.iter().zip(self.offsets) {
                let mut values = [simd.splat_f32s(0.0); P];
                for (value, &column) in values.iter_mut().zip(&columns) {
                    *value = patch[offset as usize + column];
                }
                for (sums, &start) in sums.iter_mut().zip(&starts) {
                    let weight = weights[start + term as usize];
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        *sum = multiply_add(simd, weight, value, *sum);
                    }
                }
            }
            for (lane, sums) in sums.iter().enumerate().take(count) {
                let channel = first + lane;
                let bias = match self.bias {
                    Some(bias) => vectors::<S>(bias)[channel],
                    None => simd.splat_f32s(0.0),
                };
                for (column, &sum) in piece.iter().zip(sums) {
                    let output = &mut output[channel * self.plane + column.output as usize];
                    let value = simd.add_f32s(sum, bias);
                    *output = if self.accumulate {
                        simd.add_f32s(*output, value)
                    } else {
                        value
                    };
                }
            }
        }
    }
}
