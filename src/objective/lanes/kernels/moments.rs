//! Mean and sum of squared deviations of every channel in one block, and their union over blocks.

use pulp::{Simd, WithSimd};

use crate::objective::lanes::vectors::vectors;

/// Mean and sum of squared deviations of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// How many values.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Σ (x − mean)².
    pub squares: f64,
}

impl Moments {
    /// The moments of the union (Chan, Golub and LeVeque 1979), exact whatever the means.
    pub fn united(self, other: Self) -> Self {
        let count = self.count + other.count;
        if self.count == 0.0 {
            return other;
        }
        let distance = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + distance * other.count / count,
            squares: self.squares + other.squares + distance * distance * self.count * other.count / count,
        }
    }
}

/// Takes the moments of every channel over the first `images` lanes.
pub struct TakeMoments<'a> {
    /// The channels' planes.
    pub values: &'a [f32],
    /// Lane vectors of a channel.
    pub plane: usize,
    /// Lanes that count.
    pub images: usize,
    /// One a channel.
    pub moments: &'a mut [Moments],
}

impl WithSimd for TakeMoments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let count = (self.plane * self.images) as f64;
        let planes = vectors::<S>(self.values).chunks_exact(self.plane);
        for (plane, moments) in planes.zip(self.moments) {
            let sum = add_up(simd, plane, |x| x);
            let mean = total(simd, sum, self.images) / count;
            // Deviations from the nearest representable mean; what it is off by is taken out again.
            let centre = simd.splat_f32s(mean as f32);
            let squares = add_up(simd, plane, |x| {
                let deviation = simd.sub_f32s(x, centre);
                simd.mul_f32s(deviation, deviation)
            });
            let off = mean - f64::from(mean as f32);
            *moments = Moments {
                count,
                mean,
                squares: total(simd, squares, self.images) - count * off * off,
            };
        }
    }
}

/// Sum of a function over lane vectors, in four parts that do not wait for one another.
#[inline(always)]
fn add_up<S: Simd>(simd: S, values: &[S::f32s], function: impl Fn(S::f32s) -> S::f32s) -> S::f32s {
    let mut parts = [simd.splat_f32s(0.0); 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (part, &x) in parts.iter_mut().zip(four) {
            *part = simd.add_f32s(*part, function(x));
        }
    }
    for &x in rest {
        parts[0] = simd.add_f32s(parts[0], function(x));
    }
    simd.add_f32s(simd.add_f32s(parts[0], parts[1]), simd.add_f32s(parts[2], parts[3]))
}

/// Sum of the first `lanes` lanes.
#[inline(always)]
fn total<S: Simd>(_simd: S, vector: S::f32s, lanes: usize) -> f64 {
    let lanes = &bytemuck::cast_slice::<S::f32s, f32>(std::slice::from_ref(&vector))[..lanes];
    lanes.iter().map(|&x| f64::from(x)).sum()
}
