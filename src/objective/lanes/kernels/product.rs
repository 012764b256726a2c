//! Sums of products: the loop in which nearly all time is spent.
//!
//! Four output channels by up to six results are held in registers. A weight is one number, multiplied with a lane
//! vector of the patch for each result, so there is one load for more than two multiply-adds.

use pulp::{Simd, WithSimd};

use super::patch::{Source, applied};
use crate::objective::lanes::geometry::Column;
use crate::objective::lanes::point::TILE;
use crate::objective::lanes::vectors::{multiply_add, relu, vectors, vectors_mut};

/// Results at once with 32 registers.
pub const MOST_COLUMNS: usize = 6;
/// Results at once with 16 registers.
const FEWER_COLUMNS: usize = 3;

/// Results that are worked on together with the registers of `S`.
#[inline(always)]
fn most_columns<S: Simd>() -> usize {
    if S::F32_LANES >= 16 {
        MOST_COLUMNS
    } else {
        FEWER_COLUMNS
    }
}

/// Work on a strip's results, as many at a time as registers hold.
pub trait Piecewise {
    /// Works on `P` results.
    fn piece<S: Simd, const P: usize>(&mut self, simd: S, piece: &[Column]);
}

/// Cuts `columns` into pieces of nearly the same length, [`most_columns`] at most, and works on each.
#[inline(always)]
pub fn in_pieces<S: Simd>(simd: S, columns: &[Column], work: &mut impl Piecewise) {
    let mut rest = columns;
    while !rest.is_empty() {
        let pieces = rest.len().div_ceil(most_columns::<S>());
        let (piece, later) = rest.split_at(rest.len().div_ceil(pieces));
        match piece.len() {
            6 => work.piece::<S, 6>(simd, piece),
            5 => work.piece::<S, 5>(simd, piece),
            4 => work.piece::<S, 4>(simd, piece),
            3 => work.piece::<S, 3>(simd, piece),
            2 => work.piece::<S, 2>(simd, piece),
            _ => work.piece::<S, 1>(simd, piece),
        }
        rest = later;
    }
}

/// What is done to sums before they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finishing<'a> {
    /// Added to every channel.
    pub bias: Option<&'a [f32]>,
    /// Batch norm.
    pub affine: Option<super::patch::Affine<'a>>,
    /// Added then, one source a block, of the output's shape.
    pub add: &'a [Source<'a>],
    /// max(x, 0) at last.
    pub relu: bool,
    /// Added to what is there instead of taking its place.
    pub accumulate: bool,
}

impl Finishing<'_> {
    /// Factor and summand of one channel.
    #[inline(always)]
    pub fn scale_and_shift(&self, channel: usize) -> (f32, f32) {
        let bias = self.bias.map_or(0.0, |bias| bias[channel]);
        match self.affine {
            Some(affine) => {
                let scale = affine.scale[channel];
                (scale, bias * scale + affine.shift[channel])
            }
            None => (1.0, bias),
        }
    }

    /// Factors and summands of the channels of one tile, as lane vectors.
    #[inline(always)]
    pub fn factors<S: Simd>(&self, simd: S, first: usize, count: usize) -> [(S::f32s, S::f32s); TILE] {
        let mut factors = [(simd.splat_f32s(1.0), simd.splat_f32s(0.0)); TILE];
        for (lane, factors) in factors.iter_mut().enumerate().take(count) {
            let (scale, shift) = self.scale_and_shift(first + lane);
            *factors = (simd.splat_f32s(scale), simd.splat_f32s(shift));
        }
        factors
    }

    /// Where the results of one block go.
    #[inline(always)]
    pub fn target<'t, S: Simd>(&'t self, outputs: &'t mut [&mut [f32]], block: usize) -> Target<'t, S> {
        Target {
            output: vectors_mut::<S>(outputs[block]),
            add: self.add.get(block).map(|source| (vectors::<S>(source.values), source)),
            relu: self.relu,
            accumulate: self.accumulate,
        }
    }
}

/// Where the results of one block go, and what is done to them before.
pub struct Target<'t, S: Simd> {
    output: &'t mut [S::f32s],
    add: Option<(&'t [S::f32s], &'t Source<'t>)>,
    relu: bool,
    accumulate: bool,
}

impl<S: Simd> Target<'_, S> {
    /// Writes one result of a channel.
    #[inline(always)]
    pub fn write(
        &mut self,
        simd: S,
        (channel, place): (usize, usize),
        sum: S::f32s,
        (scale, shift): (S::f32s, S::f32s),
    ) {
        let mut value = multiply_add(simd, sum, scale, shift);
        if let Some((values, source)) = self.add {
            let mut addend = values[place];
            if !source.is_raw() {
                let (scale, shift) = source.scale_and_shift(channel);
                let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
                addend = applied(simd, addend, scale, shift, source.relu);
            }
            value = simd.add_f32s(value, addend);
        }
        if self.relu {
            value = relu(simd, value);
        }
        let output = &mut self.output[place];
        *output = if self.accumulate {
            simd.add_f32s(*output, value)
        } else {
            value
        };
    }
}

/// One strip of a convolution, term by term.
pub struct Direct<'a, 'b> {
    /// Weights `[tile][term][TILE]`.
    pub panel: &'a [f32],
    /// Offset of every term.
    pub offsets: &'a [u32],
    /// The patch.
    pub patch: &'a [f32],
    /// The strip's results.
    pub columns: &'a [Column],
    /// Output channels.
    pub channels: usize,
    /// Lane vectors of an output channel.
    pub plane: usize,
    /// Where the strip starts in its plane.
    pub start: usize,
    /// What is done to the sums.
    pub finishing: &'a Finishing<'a>,
    /// The output's channels in every block.
    pub outputs: &'a mut [&'b mut [f32]],
}

impl WithSimd for Direct<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        in_pieces(simd, self.columns, &mut self);
    }
}

impl Piecewise for Direct<'_, '_> {
    #[inline(always)]
    fn piece<S: Simd, const P: usize>(&mut self, simd: S, piece: &[Column]) {
        let mut columns = [0; P];
        for (column, place) in columns.iter_mut().zip(piece) {
            *column = place.patch as usize;
        }
        let patch = vectors::<S>(self.patch);
        for tile in 0..self.channels.div_ceil(TILE) {
            let terms = self.offsets.len() * TILE;
            let panel = &self.panel[tile * terms..][..terms];
            let sums = sums::<S, P>(simd, panel, self.offsets, patch, &columns);
            let first = tile * TILE;
            let count = TILE.min(self.channels - first);
            let factors = self.finishing.factors(simd, first, count);
            for (index, column) in piece.iter().enumerate() {
                let mut target = self.finishing.target::<S>(self.outputs, column.block as usize);
                let mut place = first * self.plane + self.start + column.output as usize;
                for lane in 0..count {
                    target.write(simd, (first + lane, place), sums[lane][index], factors[lane]);
                    place += self.plane;
                }
            }
        }
    }
}

/// Four channels by `P` results of the sum over all terms.
#[inline(always)]
fn sums<S: Simd, const P: usize>(
    simd: S,
    panel: &[f32],
    offsets: &[u32],
    patch: &[S::f32s],
    columns: &[usize; P],
) -> [[S::f32s; P]; TILE] {
    let mut sums = [[simd.splat_f32s(0.0); P]; TILE];
    for (weights, &offset) in panel.as_chunks::<TILE>().0.iter().zip(offsets) {
        let mut values = [simd.splat_f32s(0.0); P];
        for (value, &column) in values.iter_mut().zip(columns) {
            *value = patch[offset as usize + column];
        }
        for (sums, &weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(weight);
            for (sum, &value) in sums.iter_mut().zip(&values) {
                *sum = multiply_add(simd, weight, value, *sum);
            }
        }
    }
    sums
}
