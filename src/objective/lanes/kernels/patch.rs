//! Copying a strip of a view into a patch, batch norm and ReLU applied on the way.

use pulp::{Simd, WithSimd};

use crate::network::graph::Shape;
use crate::objective::lanes::vectors::{multiply_add, relu, vectors, vectors_mut};

/// Scale and shift of every channel.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Factors.
    pub scale: &'a [f32],
    /// Summands.
    pub shift: &'a [f32],
}

/// A view's memory in one block, and what is still to be applied to it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The channels' planes, one after another.
    pub values: &'a [f32],
    /// Channels, height, width.
    pub shape: Shape,
    /// Batch norm.
    pub affine: Option<Affine<'a>>,
    /// max(x, 0).
    pub relu: bool,
}

impl<'a> Source<'a> {
    /// Values that are read as they lie in memory.
    pub fn raw(values: &'a [f32], shape: Shape) -> Self {
        Self {
            values,
            shape,
            affine: None,
            relu: false,
        }
    }
}

impl Source<'_> {
    /// Whether it is read as it lies in memory.
    #[inline(always)]
    pub fn is_raw(&self) -> bool {
        self.affine.is_none() && !self.relu
    }

    /// Factor and summand of one channel.
    #[inline(always)]
    pub fn scale_and_shift(&self, channel: usize) -> (f32, f32) {
        match self.affine {
            Some(affine) => (affine.scale[channel], affine.shift[channel]),
            None => (1.0, 0.0),
        }
    }
}

/// The value as it is read.
#[inline(always)]
pub fn applied<S: Simd>(simd: S, x: S::f32s, scale: S::f32s, shift: S::f32s, rectified: bool) -> S::f32s {
    let y = multiply_add(simd, x, scale, shift);
    if rectified { relu(simd, y) } else { y }
}

/// Copies the rows from `first_row` (negative above the image) into `patch` `[channel][row][column]`.
pub struct Gather<'a> {
    /// What is copied.
    pub source: Source<'a>,
    /// First row.
    pub first_row: isize,
    /// Columns of zeros to the left.
    pub left: usize,
    /// Rows and columns of the patch.
    pub rows: usize,
    /// See `rows`.
    pub columns: usize,
    /// Where to.
    pub patch: &'a mut [f32],
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [_, height, width] = self.source.shape;
        let planes = vectors::<S>(self.source.values).chunks_exact(height * width);
        let patch = vectors_mut::<S>(self.patch);
        let zero = simd.splat_f32s(0.0);
        let (left, copied) = (self.left, width.min(self.columns - self.left));
        let raw = self.source.is_raw();
        for (channel, (plane, patch)) in planes.zip(patch.chunks_exact_mut(self.rows * self.columns)).enumerate() {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            for (row, target) in patch.chunks_exact_mut(self.columns).enumerate() {
                let row = self.first_row + row as isize;
                if row < 0 || row >= height as isize {
                    target.fill(zero);
                    continue;
                }
                let row = &plane[row as usize * width..][..copied];
                target[..left].fill(zero);
                target[left + copied..].fill(zero);
                let target = &mut target[left..left + copied];
                if raw {
                    target.copy_from_slice(row);
                } else if self.source.relu {
                    for (target, &x) in target.iter_mut().zip(row) {
                        *target = applied(simd, x, scale, shift, true);
                    }
                } else {
                    for (target, &x) in target.iter_mut().zip(row) {
                        *target = applied(simd, x, scale, shift, false);
                    }
                }
            }
        }
    }
}
