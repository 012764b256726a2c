//! Copies and sums of views.

use pulp::{Simd, WithSimd};

use super::patch::{Source, applied};
use crate::objective::lanes::vectors::{vectors, vectors_mut};

/// The sum of one or two views, as they are read.
pub struct Sum<'a> {
    /// The first.
    pub left: Source<'a>,
    /// The second, of the same shape.
    pub right: Option<Source<'a>>,
    /// Whether it is added to what is there.
    pub accumulate: bool,
    /// Where to.
    pub output: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.left.shape[1] * self.left.shape[2];
        let output = vectors_mut::<S>(self.output);
        for (channel, output) in output.chunks_exact_mut(plane).enumerate() {
            let read = |source: &Source| {
                let (scale, shift) = source.scale_and_shift(channel);
                (simd.splat_f32s(scale), simd.splat_f32s(shift), source.relu)
            };
            let part = channel * plane..(channel + 1) * plane;
            let (scale, shift, rectified) = read(&self.left);
            let left = &vectors::<S>(self.left.values)[part.clone()];
            match &self.right {
                Some(right) => {
                    let (other_scale, other_shift, other_rectified) = read(right);
                    let right = &vectors::<S>(right.values)[part];
                    for ((output, &x), &y) in output.iter_mut().zip(left).zip(right) {
                        let x = applied(simd, x, scale, shift, rectified);
                        let y = applied(simd, y, other_scale, other_shift, other_rectified);
                        *output = simd.add_f32s(x, y);
                    }
                }
                None if self.accumulate => {
                    for (output, &x) in output.iter_mut().zip(left) {
                        *output = simd.add_f32s(*output, applied(simd, x, scale, shift, rectified));
                    }
                }
                None => {
                    for (output, &x) in output.iter_mut().zip(left) {
                        *output = applied(simd, x, scale, shift, rectified);
                    }
                }
            }
        }
    }
}
