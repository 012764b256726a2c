//! What the machine can do at most: fused multiply-adds on numbers that stay in registers.

use std::time::{Duration, Instant};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::vectors::{Instructions, multiply_add};

/// Independent sums: enough that none waits for the one before.
const SUMS: usize = 12;
/// Rounds between two looks at the clock.
const ROUNDS: usize = 20_000;

struct Rounds;

impl WithSimd for Rounds {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let factor = simd.splat_f32s(std::hint::black_box(0.999));
        let mut sums = [simd.splat_f32s(std::hint::black_box(1.0)); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = multiply_add(simd, *sum, factor, factor);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}

/// Floating-point operations per second of all threads together, the best of `duration`.
pub fn measure(instructions: Instructions, duration: Duration) -> f64 {
    let start = Instant::now();
    let operations = (2 * SUMS * ROUNDS * instructions.lanes()) as f64;
    let best = |_| {
        let mut best = f64::INFINITY;
        while start.elapsed() < duration {
            let before = Instant::now();
            std::hint::black_box(instructions.run(Rounds));
            best = best.min(before.elapsed().as_secs_f64());
        }
        operations / best
    };
    (0..rayon::current_num_threads())
        .into_par_iter()
        .with_max_len(1)
        .map(best)
        .sum()
}
