//! Random numbers that are the same on every platform: ChaCha8 with one independent stream per purpose.
//!
//! Transcendental functions come from `libm` rather than the platform, so normal deviates agree to the bit too.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of random numbers is for. Each purpose has its own stream of the same seed, so that drawing more
/// of one kind never shifts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights.
    Initialisation = 1,
    /// Order of the training samples in an epoch.
    Shuffle = 2,
    /// Shifts and flips of training images.
    Augmentation = 3,
    /// Built-in training data.
    TrainData = 4,
    /// Built-in test data.
    TestData = 5,
    /// Random directions.
    Direction = 6,
    /// Which images a subset keeps.
    Subset = 7,
    /// Labels that are drawn instead of read.
    RandomLabels = 8,
    /// Order of images that lie class by class on disk.
    Order = 9,
    /// Which parameters are averaged.
    AveragedParameters = 10,
    /// Start vectors and probes of spectra.
    Spectrum = 11,
    /// Noise added to gradients, and to weights.
    Noise = 12,
    /// Which values a resample takes.
    Resampling = 13,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `seed` for one `purpose`; `index` (an epoch, say) picks an independent part of it.
    pub fn new(seed: u64, purpose: Purpose, index: u32) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(((purpose as u64) << 32) | u64::from(index));
        Self(generator)
    }

    /// Uniform on [0, 1), with 24 random bits.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Uniform on [`low`, `high`).
    pub fn uniform_in(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Uniform on (−1, 1): the middles of 2²⁴ equal parts, so that both ends are left out and 0 is the exact mean.
    pub fn within_one(&mut self) -> f64 {
        2.0 * f64::from(self.uniform()) - 1.0 + f64::from(f32::EPSILON) / 2.0
    }

    /// Uniform on 0..`bound` (multiply-shift; the bias is below 2⁻³² · `bound`).
    pub fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.0.next_u32()) * bound as u64) >> 32) as usize
    }

    /// A standard normal deviate (Box and Muller, 1958).
    pub fn normal(&mut self) -> f32 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - f64::from(self.uniform())));
        let angle = std::f64::consts::TAU * f64::from(self.uniform());
        (radius * libm::cos(angle)) as f32
    }

    /// A random permutation of 0..`length` (Fisher and Yates).
    pub fn permutation(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for i in (1..length).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_for_all_time() {
        // Written down once: another generator would silently change every built-in data set and direction.
        let draw = |purpose, index| {
            let mut random = Random::new(1, purpose, index);
            [random.uniform(), random.uniform()]
        };
        assert_eq!(draw(Purpose::Direction, 0), WRITTEN_DOWN);
        assert_ne!(draw(Purpose::Shuffle, 0), WRITTEN_DOWN);
        assert_ne!(draw(Purpose::Direction, 1), WRITTEN_DOWN);
    }

    const WRITTEN_DOWN: [f32; 2] = [0.194_109_92, 0.470_994_65];

    #[test]
    fn normal_deviates_have_unit_variance() {
        let mut random = Random::new(7, Purpose::Initialisation, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| f64::from(random.normal())).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        // Five standard errors: 5/sqrt(20000) = 0.035 for the mean, 5·sqrt(2/20000) = 0.05 for the variance.
        assert!(mean.abs() < 0.035 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn numbers_within_one_leave_both_ends_out() {
        // The middle of the lowest of 2²⁴ parts is as far from −1 as that of the highest is from 1.
        let middle = |part: u32| {
            let uniform = part as f32 / (1u32 << 24) as f32;
            2.0 * f64::from(uniform) - 1.0 + f64::from(f32::EPSILON) / 2.0
        };
        assert_eq!(middle(0) + middle((1 << 24) - 1), 0.0);
        let mut random = Random::new(5, Purpose::Shuffle, 0);
        let mut same = random.clone();
        for _ in 0..1000 {
            let found = random.within_one();
            assert!(-1.0 < found && found < 1.0, "{found}");
            assert_eq!(
                found,
                2.0 * f64::from(same.uniform()) - 1.0 + f64::from(f32::EPSILON) / 2.0
            );
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Random::new(3, Purpose::Shuffle, 9).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
