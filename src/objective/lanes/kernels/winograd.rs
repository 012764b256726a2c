//! Convolution with a 3×3 kernel by Winograd's F(2×2, 3×3) (Lavin and Gray 2016): the input's tiles of 4×4 are
//! transformed, multiplied with transformed weights frequency by frequency, and transformed back to 2×2 results. All
//! transforms are sums of lane vectors, so no number ever changes its lane.

use pulp::{Simd, WithSimd};

use super::product::{Finishing, MOST_COLUMNS, Piecewise, in_pieces};
use crate::objective::lanes::geometry::Column;
use crate::objective::lanes::point::TILE;
use crate::objective::lanes::vectors::{multiply_add, vectors, vectors_mut};

/// Products for four results.
pub const FREQUENCIES: usize = 16;

/// One strip of a convolution.
pub struct Winograd<'a, 'b> {
    /// Weights `[tile][frequency][input channel][TILE]`.
    pub panel: &'a [f32],
    /// Where each input channel starts in the patch.
    pub offsets: &'a [u32],
    /// The patch.
    pub patch: &'a [f32],
    /// Columns of the patch.
    pub patch_columns: usize,
    /// The strip's tiles.
    pub columns: &'a [Column],
    /// Output channels.
    pub channels: usize,
    /// Height and width of the output.
    pub size: (usize, usize),
    /// Where the strip starts in its plane.
    pub start: usize,
    /// What is done to the sums.
    pub finishing: &'a Finishing<'a>,
    /// The output's channels in every block.
    pub outputs: &'a mut [&'b mut [f32]],
    /// Room for `16 · columns · input channels` lane vectors, columns being [`MOST_COLUMNS`] at most.
    pub transformed: &'a mut [f32],
    /// Room for `16 · columns · output channels` lane vectors, the channels rounded up to tiles.
    pub products: &'a mut [f32],
}

/// Lane vectors of the two rooms for any instruction set.
pub fn room(channels: usize) -> usize {
    FREQUENCIES * MOST_COLUMNS * channels.next_multiple_of(TILE)
}

impl WithSimd for Winograd<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        in_pieces(simd, self.columns, &mut self);
    }
}

impl Piecewise for Winograd<'_, '_> {
    #[inline(always)]
    fn piece<S: Simd, const P: usize>(&mut self, simd: S, piece: &[Column]) {
        let inputs = self.offsets.len();
        let patch = vectors::<S>(self.patch);
        let transformed = &mut vectors_mut::<S>(self.transformed)[..FREQUENCIES * inputs * P];
        for (input, &offset) in self.offsets.iter().enumerate() {
            for (index, column) in piece.iter().enumerate() {
                let start = offset as usize + column.patch as usize;
                let tile = input_transform::<S>(simd, &patch[start..], self.patch_columns);
                for (frequency, value) in tile.into_iter().enumerate() {
                    transformed[(frequency * inputs + input) * P + index] = value;
                }
            }
        }
        let tiles = self.channels.div_ceil(TILE);
        let products = &mut vectors_mut::<S>(self.products)[..FREQUENCIES * tiles * TILE * P];
        for frequency in 0..FREQUENCIES {
            let values = &transformed[frequency * inputs * P..][..inputs * P];
            for tile in 0..tiles {
                let at = tile * FREQUENCIES + frequency;
                let panel = &self.panel[at * inputs * TILE..][..inputs * TILE];
                let sums = sums::<S, P>(simd, panel, values);
                let target = &mut products[(frequency * tiles + tile) * TILE * P..][..TILE * P];
                for (target, sums) in target.as_chunks_mut::<P>().0.iter_mut().zip(sums) {
                    *target = sums;
                }
            }
        }
        let (height, width) = self.size;
        for tile in 0..tiles {
            let first = tile * TILE;
            let count = TILE.min(self.channels - first);
            let factors = self.finishing.factors(simd, first, count);
            for (index, column) in piece.iter().enumerate() {
                let mut target = self.finishing.target::<S>(self.outputs, column.block as usize);
                let corner = self.start + column.output as usize;
                let (row, left) = (corner / width, corner % width);
                for (lane, &factors) in factors.iter().enumerate().take(count) {
                    let mut values = [simd.splat_f32s(0.0); FREQUENCIES];
                    for (frequency, value) in values.iter_mut().enumerate() {
                        *value = products[(frequency * tiles * TILE + first + lane) * P + index];
                    }
                    let results = output_transform::<S>(simd, &values);
                    let place = (first + lane) * height * width + corner;
                    for (y, results) in results.into_iter().enumerate() {
                        for (x, result) in results.into_iter().enumerate() {
                            // The last tile of an odd side reaches beyond it.
                            if row + y < height && left + x < width {
                                let at = (first + lane, place + y * width + x);
                                target.write(simd, at, result, factors);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Four channels by `P` tiles of the sum over all input channels at one frequency.
#[inline(always)]
fn sums<S: Simd, const P: usize>(simd: S, panel: &[f32], values: &[S::f32s]) -> [[S::f32s; P]; TILE] {
    let mut sums = [[simd.splat_f32s(0.0); P]; TILE];
    for (weights, values) in panel.as_chunks::<TILE>().0.iter().zip(values.as_chunks::<P>().0) {
        for (sums, &weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(weight);
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum = multiply_add(simd, weight, value, *sum);
            }
        }
    }
    sums
}

/// Bᵀ d B.
#[inline(always)]
fn input_transform<S: Simd>(simd: S, patch: &[S::f32s], columns: usize) -> [S::f32s; FREQUENCIES] {
    let mut rows = [[simd.splat_f32s(0.0); 4]; 4];
    let (d0, d1) = (&patch[..4], &patch[columns..][..4]);
    let (d2, d3) = (&patch[2 * columns..][..4], &patch[3 * columns..][..4]);
    for x in 0..4 {
        rows[0][x] = simd.sub_f32s(d0[x], d2[x]);
        rows[1][x] = simd.add_f32s(d1[x], d2[x]);
        rows[2][x] = simd.sub_f32s(d2[x], d1[x]);
        rows[3][x] = simd.sub_f32s(d1[x], d3[x]);
    }
    let mut result = [simd.splat_f32s(0.0); FREQUENCIES];
    for (row, result) in rows.iter().zip(result.as_chunks_mut::<4>().0) {
        *result = [
            simd.sub_f32s(row[0], row[2]),
            simd.add_f32s(row[1], row[2]),
            simd.sub_f32s(row[2], row[1]),
            simd.sub_f32s(row[1], row[3]),
        ];
    }
    result
}

/// Aᵀ m A.
#[inline(always)]
fn output_transform<S: Simd>(simd: S, tile: &[S::f32s; FREQUENCIES]) -> [[S::f32s; 2]; 2] {
    let mut rows = [[simd.splat_f32s(0.0); 4]; 2];
    for x in 0..4 {
        let (m1, m2) = (tile[4 + x], tile[8 + x]);
        rows[0][x] = simd.add_f32s(tile[x], simd.add_f32s(m1, m2));
        rows[1][x] = simd.sub_f32s(simd.sub_f32s(m1, m2), tile[12 + x]);
    }
    let mut result = [[simd.splat_f32s(0.0); 2]; 2];
    for (row, result) in rows.iter().zip(&mut result) {
        *result = [
            simd.add_f32s(row[0], simd.add_f32s(row[1], row[2])),
            simd.sub_f32s(simd.sub_f32s(row[1], row[2]), row[3]),
        ];
    }
    result
}
