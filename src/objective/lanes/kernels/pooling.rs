//! Pooling over windows that do not overlap, and every second pixel.

use pulp::{Simd, WithSimd};

use super::patch::{Source, applied};
use crate::objective::lanes::vectors::{vectors, vectors_mut};

/// How the values of a window become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest; NaN where one is.
    Largest,
    /// The mean.
    Mean,
}

/// Every window of `height`×`width`; what does not fill one is left out.
pub struct Pool<'a> {
    /// How.
    pub pooling: Pooling,
    /// What is read.
    pub source: Source<'a>,
    /// Rows and columns of a window.
    pub window: (usize, usize),
    /// Where to.
    pub output: &'a mut [f32],
}

impl WithSimd for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [_, height, width] = self.source.shape;
        let (down, across) = self.window;
        let columns = width / across;
        let plane = (height / down) * columns;
        let values = vectors::<S>(self.source.values);
        let share = simd.splat_f32s(1.0 / (down * across) as f32);
        for (channel, output) in vectors_mut::<S>(self.output).chunks_exact_mut(plane).enumerate() {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let input = &values[channel * height * width..][..height * width];
            for (place, output) in output.iter_mut().enumerate() {
                let (row, column) = (place / columns * down, place % columns * across);
                let mut result = simd.splat_f32s(match self.pooling {
                    Pooling::Largest => f32::NEG_INFINITY,
                    Pooling::Mean => 0.0,
                });
                for y in row..row + down {
                    for &x in &input[y * width + column..][..across] {
                        let x = applied(simd, x, scale, shift, self.source.relu);
                        result = match self.pooling {
                            Pooling::Largest => larger(simd, result, x),
                            Pooling::Mean => simd.add_f32s(result, x),
                        };
                    }
                }
                *output = match self.pooling {
                    Pooling::Largest => result,
                    Pooling::Mean => simd.mul_f32s(result, share),
                };
            }
        }
    }
}

/// `new` where it is larger than `old` or NaN.
#[inline(always)]
fn replaces<S: Simd>(simd: S, old: S::f32s, new: S::f32s) -> S::m32s {
    let number = simd.equal_f32s(new, new);
    simd.or_m32s(simd.less_than_f32s(old, new), simd.not_m32s(number))
}

#[inline(always)]
fn larger<S: Simd>(simd: S, old: S::f32s, new: S::f32s) -> S::f32s {
    simd.select_f32s(replaces(simd, old, new), new, old)
}

/// The tangent of the largest value of every window: that of the first that is it, which gets the gradient, too.
pub struct LargestTangent<'a> {
    /// What is read.
    pub source: Source<'a>,
    /// Its tangent, as it is read.
    pub tangent: &'a [f32],
    /// Rows and columns of a window.
    pub window: (usize, usize),
    /// Where to.
    pub output: &'a mut [f32],
}

impl WithSimd for LargestTangent<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [_, height, width] = self.source.shape;
        let (down, across) = self.window;
        let columns = width / across;
        let plane = (height / down) * columns;
        let values = vectors::<S>(self.source.values).chunks_exact(height * width);
        let tangents = vectors::<S>(self.tangent).chunks_exact(height * width);
        let outputs = vectors_mut::<S>(self.output).chunks_exact_mut(plane);
        for (channel, ((values, tangents), outputs)) in values.zip(tangents).zip(outputs).enumerate() {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            for (place, output) in outputs.iter_mut().enumerate() {
                let corner = place / columns * down * width + place % columns * across;
                let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                let mut winner = simd.splat_f32s(0.0);
                for place in (0..down * across).map(|i| corner + i / across * width + i % across) {
                    let x = applied(simd, values[place], scale, shift, self.source.relu);
                    let new = replaces(simd, largest, x);
                    largest = simd.select_f32s(new, x, largest);
                    winner = simd.select_f32s(new, tangents[place], winner);
                }
                *output = winner;
            }
        }
    }
}

/// The gradient with respect to a pool's input: of a mean in equal shares, of a largest value to the first that is it.
pub struct PoolGradient<'a> {
    /// The pool.
    pub pooling: Pooling,
    /// What it read.
    pub source: Source<'a>,
    /// Rows and columns of a window.
    pub window: (usize, usize),
    /// Gradient with respect to its output.
    pub gradient: &'a [f32],
    /// Whether the result is added to what is there.
    pub accumulate: bool,
    /// Gradient with respect to what it read.
    pub result: &'a mut [f32],
}

impl WithSimd for PoolGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [channels, height, width] = self.source.shape;
        let (down, across) = self.window;
        let (rows, columns) = (height / down, width / across);
        let values = vectors::<S>(self.source.values);
        let gradients = vectors::<S>(self.gradient);
        let results = vectors_mut::<S>(self.result);
        let zero = simd.splat_f32s(0.0);
        let share = simd.splat_f32s(1.0 / (down * across) as f32);
        if !self.accumulate {
            results.fill(zero);
        }
        for channel in 0..channels {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let input = &values[channel * height * width..][..height * width];
            let result = &mut results[channel * height * width..][..height * width];
            for place in 0..rows * columns {
                let gradient = gradients[channel * rows * columns + place];
                let corner = place / columns * down * width + place % columns * across;
                let places = (0..down * across).map(|i| corner + i / across * width + i % across);
                match self.pooling {
                    Pooling::Mean => {
                        let part = simd.mul_f32s(gradient, share);
                        for place in places {
                            result[place] = simd.add_f32s(result[place], part);
                        }
                    }
                    Pooling::Largest => {
                        let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                        let mut winner = simd.splat_f32s(-1.0);
                        for (index, place) in places.clone().enumerate() {
                            let x = applied(simd, input[place], scale, shift, self.source.relu);
                            let new = replaces(simd, largest, x);
                            largest = simd.select_f32s(new, x, largest);
                            winner = simd.select_f32s(new, simd.splat_f32s(index as f32), winner);
                        }
                        for (index, place) in places.enumerate() {
                            let own = simd.equal_f32s(winner, simd.splat_f32s(index as f32));
                            let part = simd.select_f32s(own, gradient, zero);
                            result[place] = simd.add_f32s(result[place], part);
                        }
                    }
                }
            }
        }
    }
}

/// Every second row and column, `channels` of zeros before and behind.
pub struct Subsample<'a> {
    /// What is read.
    pub source: Source<'a>,
    /// Channels of zeros before, and as many behind.
    pub channels: usize,
    /// Where to.
    pub output: &'a mut [f32],
}

impl WithSimd for Subsample<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [inputs, height, width] = self.source.shape;
        let columns = width.div_ceil(2);
        let plane = height.div_ceil(2) * columns;
        let values = vectors::<S>(self.source.values);
        let output = vectors_mut::<S>(self.output);
        output.fill(simd.splat_f32s(0.0));
        for channel in 0..inputs {
            let (scale, shift) = self.source.scale_and_shift(channel);
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let output = &mut output[(self.channels + channel) * plane..][..plane];
            for (place, output) in output.iter_mut().enumerate() {
                let x = values[channel * height * width + place / columns * 2 * width + place % columns * 2];
                *output = applied(simd, x, scale, shift, self.source.relu);
            }
        }
    }
}

/// The gradient with respect to what [`Subsample`] reads.
pub struct SubsampleGradient<'a> {
    /// Shape of what it read.
    pub shape: crate::network::graph::Shape,
    /// Channels of zeros before.
    pub channels: usize,
    /// Gradient with respect to its output.
    pub gradient: &'a [f32],
    /// Whether the result is added to what is there.
    pub accumulate: bool,
    /// Gradient with respect to what it read.
    pub result: &'a mut [f32],
}

impl WithSimd for SubsampleGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [inputs, height, width] = self.shape;
        let columns = width.div_ceil(2);
        let plane = height.div_ceil(2) * columns;
        let result = vectors_mut::<S>(self.result);
        if !self.accumulate {
            result.fill(simd.splat_f32s(0.0));
        }
        let gradient = &vectors::<S>(self.gradient)[self.channels * plane..];
        for channel in 0..inputs {
            for place in 0..plane {
                let target = channel * height * width + place / columns * 2 * width + place % columns * 2;
                result[target] = simd.add_f32s(result[target], gradient[channel * plane + place]);
            }
        }
    }
}
