//! Batch norm and ReLU with tangents: the R-operator of Pearlmutter (*Fast exact multiplication by the Hessian*, 1994)
//! forward and backward. A tangent ẋ is how x moves along a direction of parameter space; μ and σ do not move, and ReLU
//! passes a tangent where it passes the gradient.

use pulp::{Simd, WithSimd};

use super::backward::{Standard, passed};
use super::patch::Source;
use crate::objective::lanes::vectors::{multiply_add, vectors, vectors_mut};

/// Tangents of scale and shift, one lane vector a channel.
#[derive(Clone, Copy, Debug)]
pub struct AffineTangent<'a> {
    /// Of the factors.
    pub scale: &'a [f32],
    /// Of the summands.
    pub shift: &'a [f32],
}

/// The tangent of a view as it is read: `ẋ · scale + x · (scale)˙ + (shift)˙`, where max(x, 0) passes it.
pub struct ViewTangent<'a> {
    /// What is read, with the batch norm and ReLU that are applied.
    pub source: Source<'a>,
    /// How the batch norm moves.
    pub affine: Option<AffineTangent<'a>>,
    /// Tangent of what is read.
    pub tangent: &'a [f32],
    /// Where to.
    pub result: &'a mut [f32],
}

impl WithSimd for ViewTangent<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.source.shape[1] * self.source.shape[2];
        let values = vectors::<S>(self.source.values).chunks_exact(plane);
        let tangents = vectors::<S>(self.tangent).chunks_exact(plane);
        let results = vectors_mut::<S>(self.result).chunks_exact_mut(plane);
        for (channel, ((values, tangents), results)) in values.zip(tangents).zip(results).enumerate() {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let moving = self.affine.is_some();
            let (mut slope, mut constant) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            if let Some(affine) = self.affine {
                slope = vectors::<S>(affine.scale)[channel];
                constant = vectors::<S>(affine.shift)[channel];
            }
            for ((result, &x), &tangent) in results.iter_mut().zip(values).zip(tangents) {
                let mut value = simd.mul_f32s(tangent, scale);
                if moving {
                    value = simd.add_f32s(value, multiply_add(simd, x, slope, constant));
                }
                *result = passed(simd, value, x, scale, shift, self.source.relu);
            }
        }
    }
}

/// The tangents of [`super::backward::NormSums`]. With ĝ the gradient behind ReLU and R{ĝ} its tangent they are
/// Σ R{ĝ} and Σ (R{ĝ} · (x − μ) + ĝ · ẋ)/σ.
pub struct NormSumTangents<'a> {
    /// What batch norm read, with the batch norm and ReLU that were applied.
    pub source: Source<'a>,
    /// μ and 1/σ.
    pub standard: Standard<'a>,
    /// Tangent of what batch norm read.
    pub tangent: &'a [f32],
    /// Gradient with respect to the view.
    pub gradient: &'a [f32],
    /// Its tangent.
    pub gradient_tangent: &'a [f32],
    /// For β, one lane vector a channel.
    pub shift: &'a mut [f32],
    /// For γ.
    pub scale: &'a mut [f32],
}

impl WithSimd for NormSumTangents<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.source.shape[1] * self.source.shape[2];
        let values = vectors::<S>(self.source.values).chunks_exact(plane);
        let tangents = vectors::<S>(self.tangent).chunks_exact(plane);
        let gradients = vectors::<S>(self.gradient).chunks_exact(plane);
        let changes = vectors::<S>(self.gradient_tangent).chunks_exact(plane);
        let inputs = values.zip(tangents).zip(gradients.zip(changes));
        let results = vectors_mut::<S>(self.shift)
            .iter_mut()
            .zip(vectors_mut::<S>(self.scale));
        for (channel, (((values, tangents), (gradients, changes)), (shift_sum, scale_sum))) in
            inputs.zip(results).enumerate()
        {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let mean = simd.splat_f32s(self.standard.mean[channel]);
            let (mut shift_total, mut scale_total) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            let places = values.iter().zip(tangents).zip(gradients.iter().zip(changes));
            for ((&x, &tangent), (&gradient, &change)) in places {
                let gradient = passed(simd, gradient, x, scale, shift, self.source.relu);
                let change = passed(simd, change, x, scale, shift, self.source.relu);
                shift_total = simd.add_f32s(shift_total, change);
                scale_total = multiply_add(simd, change, simd.sub_f32s(x, mean), scale_total);
                scale_total = multiply_add(simd, gradient, tangent, scale_total);
            }
            let inverse = simd.splat_f32s(self.standard.inverse_deviation[channel]);
            *shift_sum = shift_total;
            *scale_sum = simd.mul_f32s(scale_total, inverse);
        }
    }
}

/// The tangent of [`super::backward::ViewGradient`] where statistics are constants: `scale · R{ĝ} + (scale)˙ · ĝ`.
pub struct ViewGradientTangent<'a> {
    /// What was read, with the batch norm and ReLU that were applied.
    pub source: Source<'a>,
    /// How the batch norm moves.
    pub affine: Option<AffineTangent<'a>>,
    /// Gradient with respect to the view.
    pub gradient: &'a [f32],
    /// Its tangent.
    pub gradient_tangent: &'a [f32],
    /// Whether the result is added to what is there.
    pub accumulate: bool,
    /// Tangent of the gradient with respect to what was read.
    pub result: &'a mut [f32],
}

impl WithSimd for ViewGradientTangent<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.source.shape[1] * self.source.shape[2];
        let values = vectors::<S>(self.source.values).chunks_exact(plane);
        let gradients = vectors::<S>(self.gradient).chunks_exact(plane);
        let changes = vectors::<S>(self.gradient_tangent).chunks_exact(plane);
        let results = vectors_mut::<S>(self.result).chunks_exact_mut(plane);
        let inputs = values.zip(gradients.zip(changes));
        for (channel, ((values, (gradients, changes)), results)) in inputs.zip(results).enumerate() {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let slope = match self.affine {
                Some(affine) => vectors::<S>(affine.scale)[channel],
                None => simd.splat_f32s(0.0),
            };
            let places = values.iter().zip(gradients.iter().zip(changes));
            for (result, (&x, (&gradient, &change))) in results.iter_mut().zip(places) {
                let mut value = simd.mul_f32s(change, scale);
                if self.affine.is_some() {
                    value = multiply_add(simd, gradient, slope, value);
                }
                let value = passed(simd, value, x, scale, shift, self.source.relu);
                *result = if self.accumulate {
                    simd.add_f32s(*result, value)
                } else {
                    value
                };
            }
        }
    }
}
