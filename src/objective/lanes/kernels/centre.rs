//! Lane vectors about one number each, the same for all lanes.

use pulp::{Simd, WithSimd};

use crate::objective::lanes::vectors::vectors_mut;

/// Writes −c to all lanes: what is then added is known less c.
pub struct StartBelow<'a> {
    /// c of every lane vector.
    pub centre: &'a [f32],
    /// The lane vectors.
    pub vectors: &'a mut [f32],
}

impl WithSimd for StartBelow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (vector, &centre) in vectors_mut::<S>(self.vectors).iter_mut().zip(self.centre) {
            *vector = simd.splat_f32s(-centre);
        }
    }
}

/// Takes c + e off all lanes: c of single precision, and e what that leaves of a number of double precision. Near c the
/// first difference is exact, so the result is rounded as a share of itself, not of c.
pub struct TakeOff<'a> {
    /// c of every lane vector.
    pub centre: &'a [f32],
    /// e of every lane vector.
    pub rest: &'a [f32],
    /// The lane vectors.
    pub vectors: &'a mut [f32],
}

impl WithSimd for TakeOff<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let numbers = self.centre.iter().zip(self.rest);
        for (vector, (&centre, &rest)) in vectors_mut::<S>(self.vectors).iter_mut().zip(numbers) {
            let difference = simd.sub_f32s(*vector, simd.splat_f32s(centre));
            *vector = simd.sub_f32s(difference, simd.splat_f32s(rest));
        }
    }
}
