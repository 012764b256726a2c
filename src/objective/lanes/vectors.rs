//! The processor's vectors: which instructions it has, chosen when the program starts, and memory laid out for them.
//!
//! A *lane vector* is one vector register of single-precision numbers, each of another image. Activations are arrays
//! of lane vectors, `[channel][row][column]`; kernels see them as `[S::f32s]` for the instruction set `S`.

use std::any::TypeId;
use std::ops::{Deref, DerefMut};

use pulp::{Simd, WithSimd};

/// An instruction set, and proof that this processor has it.
#[derive(Clone, Copy)]
pub enum Instructions {
    /// Sixteen lanes, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    /// Eight lanes, 16 registers, fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// What other processors have, such as NEON.
    #[cfg(not(target_arch = "x86_64"))]
    Native(pulp::Arch),
    /// Eight lanes in code without special instructions.
    Plain,
}

impl std::fmt::Debug for Instructions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Instructions {
    /// All that this processor has, widest first.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(pulp::x86::V4::try_new().map(Self::Avx512));
            found.extend(pulp::x86::V3::try_new().map(Self::Avx2));
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let native = Self::Native(pulp::Arch::new());
            found.extend((native.lanes() > 1).then_some(native));
        }
        found.push(Self::Plain);
        found
    }

    /// The widest that this processor has.
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// Name for people and files.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(not(target_arch = "x86_64"))]
            Self::Native(_) => "native vectors",
            Self::Plain => "plain code",
        }
    }

    /// Images in one lane vector.
    pub fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> usize {
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }

    /// Runs a kernel compiled for these instructions.
    pub fn run<K: WithSimd>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => Simd::vectorize(simd, kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => Simd::vectorize(simd, kernel),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Native(arch) => arch.dispatch(kernel),
            Self::Plain => Simd::vectorize(pulp::Scalar256b, kernel),
        }
    }
}

/// Bytes to which lane vectors are aligned: a cache line, and the widest register.
const ALIGNMENT: usize = 64;

/// Numbers that start at a cache line.
#[derive(Debug, Default)]
pub struct LaneBuffer {
    data: Vec<f32>,
    start: usize,
    length: usize,
}

impl LaneBuffer {
    /// `length` zeros.
    pub fn new(length: usize) -> Self {
        let data = vec![0.0; length + ALIGNMENT / size_of::<f32>()];
        // An address that cannot be aligned is only slower.
        let start = data.as_ptr().align_offset(ALIGNMENT).min(data.len() - length);
        Self { data, start, length }
    }

    /// The longest that it can be made without new memory.
    pub fn capacity(&self) -> usize {
        self.data.len() - self.start
    }

    /// Makes it `length` long, at most its capacity; what the numbers are is not said.
    pub fn fit(&mut self, length: usize) {
        self.length = length.min(self.capacity());
    }

    /// Makes room for at least `length` numbers; what they are is not said.
    pub fn make_room(&mut self, length: usize) {
        if self.length < length {
            *self = Self::new(length);
        }
    }
}

impl Deref for LaneBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.length]
    }
}

impl DerefMut for LaneBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.length]
    }
}

/// Numbers as lane vectors.
#[inline(always)]
pub fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(values).0
}

/// Numbers as lane vectors, to be written.
#[inline(always)]
pub fn vectors_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(values).0
}

/// a · b + c, rounded once where there is an instruction for it.
#[inline(always)]
pub fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    // Without the instruction, rounding once is a function call a lane.
    if is_plain::<S>() {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_f32s(a, b, c)
    }
}

/// max(x, 0), and NaN where x is.
#[inline(always)]
pub fn relu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    if is_plain::<S>() {
        simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
    } else {
        // Of the two, the instruction gives the second where one is NaN.
        simd.max_f32s(zero, x)
    }
}

/// Whether there are no special instructions.
#[inline(always)]
fn is_plain<S: Simd>() -> bool {
    TypeId::of::<S>() == TypeId::of::<pulp::Scalar256b>()
}
