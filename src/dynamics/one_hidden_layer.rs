//! A network with one hidden layer and fixed outputs, in double precision and closed form: where the paper shows that
//! the noise of SGD is aligned with the Hessian (*The Anisotropic Noise in Stochastic Gradient Descent*, Propositions 2
//! and 3, Section 5.2).
//!
//! f(x) = Σₖ cₖ·max(wₖ·x + bₖ, 0) with cₖ = ±1, clipped to f̄ = min(max(f, δ), 1 − δ), and ℓ = ½(f̄ − y)² (Eq. 49).
//! Only wₖ and bₖ are trained. f̄ is piecewise linear, so that almost everywhere H is the mean of JJᵀ with J = ∇f̄, and
//! all that is asked of H and Σ follows from inner products of the J of two samples (Eq. 53 and 69).

use rayon::prelude::*;

use crate::random::{Purpose, Random};

/// δ of the paper.
pub const CLIP: f64 = 0.001;
/// Numbers of a hidden unit: two weights and a bias.
const UNIT: usize = 3;
/// Points lie in a square of twice this side around 0.
const REACH: f32 = 2.0;

/// A point of the plane with its label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// x.
    pub input: [f64; 2],
    /// y: 1 where x₀ ≥ x₁, and 0 elsewhere.
    pub label: f64,
}

/// Samples with x from U(−2, 2)².
pub fn samples(count: usize, seed: u64) -> Vec<Sample> {
    let mut random = Random::new(seed, Purpose::TrainData, 0);
    let mut coordinate = || f64::from(random.uniform_in(-REACH, REACH));
    (0..count)
        .map(|_| {
            let input = [coordinate(), coordinate()];
            let label = if input[0] >= input[1] { 1.0 } else { 0.0 };
            Sample { input, label }
        })
        .collect()
}

/// Tr(HΣ) and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// Tr(HΣ) with the covariance Σ of single samples' gradients; a batch of m has one m-th of it.
    pub aligned: f64,
    /// Tr(H)·Tr(Σ)/D: the same of isotropic noise of the same size.
    pub isotropic: f64,
}

impl Alignment {
    /// How many times faster the noise of SGD leaves a minimum (Eq. 17); NaN where there is no noise.
    pub fn ratio(self) -> f64 {
        self.aligned / self.isotropic
    }
}

/// The network.
#[derive(Clone, Debug, PartialEq)]
pub struct OneHiddenLayer {
    /// Weights and bias of every hidden unit in turn `[3h]`.
    parameters: Vec<f64>,
    /// δ.
    clip: f64,
}

/// Where a sample's output is.
#[derive(Clone, Copy, Debug)]
struct Output {
    /// f̄.
    clipped: f64,
    /// Whether f lies between δ and 1 − δ, so that f̄ moves with it.
    moves: bool,
}

impl OneHiddenLayer {
    /// With so many hidden units: weights from U(−a, a), a = √(6/(2 + h)), as Glorot and Bengio (2010) start, and
    /// biases 0.
    pub fn new(hidden: usize, clip: f64, seed: u64) -> Self {
        let mut random = Random::new(seed, Purpose::Initialisation, 0);
        let reach = (6.0 / (2.0 + hidden as f32)).sqrt();
        let unit = |_| {
            let weights = [0, 1].map(|_| f64::from(random.uniform_in(-reach, reach)));
            [weights[0], weights[1], 0.0]
        };
        Self {
            parameters: (0..hidden).flat_map(unit).collect(),
            clip,
        }
    }

    /// D.
    fn dimensions(&self) -> usize {
        self.parameters.len()
    }

    /// The units with the sign of their output, cₖ: 1 and −1 by turns.
    fn units(&self) -> impl Iterator<Item = (&[f64], f64)> {
        let signs = [1.0, -1.0].into_iter().cycle();
        self.parameters.chunks_exact(UNIT).zip(signs)
    }

    /// f.
    fn before_clipping(&self, sample: &Sample) -> f64 {
        self.units()
            .map(|(unit, sign)| sign * activation(unit, sample).max(0.0))
            .sum()
    }

    fn output(&self, sample: &Sample) -> Output {
        let output = self.before_clipping(sample);
        Output {
            clipped: output.clamp(self.clip, 1.0 - self.clip),
            moves: self.clip < output && output < 1.0 - self.clip,
        }
    }

    fn outputs(&self, samples: &[Sample]) -> Vec<Output> {
        samples.par_iter().map(|sample| self.output(sample)).collect()
    }

    /// The mean loss; NaN without samples.
    pub fn loss(&self, samples: &[Sample]) -> f64 {
        let outputs = self.outputs(samples);
        let losses = outputs.iter().zip(samples).map(|(output, sample)| {
            let residual = output.clipped - sample.label;
            0.5 * residual * residual
        });
        losses.sum::<f64>() / samples.len() as f64
    }

    /// The share of samples whose output is on the right side of ½, 0..1.
    pub fn accuracy(&self, samples: &[Sample]) -> f64 {
        let outputs = self.outputs(samples);
        let right = |(output, sample): &(&Output, &Sample)| (output.clipped >= 0.5) == (sample.label >= 0.5);
        outputs.iter().zip(samples).filter(right).count() as f64 / samples.len() as f64
    }

    /// The gradient of the mean loss `[D]`.
    fn gradient(&self, samples: &[Sample]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.dimensions()];
        for (output, sample) in self.outputs(samples).iter().zip(samples) {
            // Those that are clipped have none.
            if !output.moves {
                continue;
            }
            let residual = (output.clipped - sample.label) / samples.len() as f64;
            for ((unit, sign), slopes) in self.units().zip(gradient.chunks_exact_mut(UNIT)) {
                if activation(unit, sample) > 0.0 {
                    for (slope, x) in slopes.iter_mut().zip(extended(sample)) {
                        *slope += residual * sign * x;
                    }
                }
            }
        }
        gradient
    }

    /// Tr(HΣ) and Tr(H)·Tr(Σ)/D over some samples, exactly: with the inner products Gᵢⱼ = Jᵢ·Jⱼ and the residuals r,
    /// Tr(H) = mean Gᵢᵢ, Tr(Σ) = mean rᵢ²Gᵢᵢ − ‖ḡ‖² and Tr(HΣ) = meanᵢⱼ rⱼ²Gᵢⱼ² − meanᵢ(Jᵢ·ḡ)², where Jᵢ·ḡ = meanⱼ
    /// rⱼGᵢⱼ.
    pub fn alignment(&self, samples: &[Sample]) -> Alignment {
        let count = samples.len() as f64;
        let outputs = self.outputs(samples);
        let moving: Vec<Moving> = outputs
            .iter()
            .zip(samples)
            .filter(|(output, _)| output.moves)
            .map(|(output, sample)| Moving::new(self, sample, output.clipped - sample.label))
            .collect();
        // Of each sample: Gᵢᵢ, Σⱼ rⱼ²Gᵢⱼ² and Jᵢ·ḡ.
        let rows: Vec<[f64; 3]> = moving
            .par_iter()
            .map(|one| {
                let (mut squares, mut along) = (0.0, 0.0);
                for other in &moving {
                    let product = one.product(other);
                    squares += (other.residual * product).powi(2);
                    along += other.residual * product;
                }
                [one.product(one), squares, along / count]
            })
            .collect();
        let (mut curvature, mut noise, mut mean, mut aligned) = (0.0, 0.0, 0.0, 0.0);
        for (one, [own, squares, along]) in moving.iter().zip(&rows) {
            curvature += own;
            noise += one.residual * one.residual * own;
            // ‖ḡ‖² = meanᵢ rᵢ·(Jᵢ·ḡ).
            mean += one.residual * along;
            aligned += squares / count - along * along;
        }
        Alignment {
            aligned: aligned / count,
            isotropic: (curvature / count) * ((noise - mean) / count) / self.dimensions() as f64,
        }
    }
}

/// A sample whose output is not clipped.
struct Moving {
    /// (x, 1).
    extended: [f64; UNIT],
    /// Which units are active, a bit each.
    active: Vec<u64>,
    /// r = f̄ − y.
    residual: f64,
}

impl Moving {
    fn new(network: &OneHiddenLayer, sample: &Sample, residual: f64) -> Self {
        let units: Vec<&[f64]> = network.parameters.chunks_exact(UNIT).collect();
        let bits = |units: &[&[f64]]| {
            let active = units.iter().enumerate();
            active.fold(0_u64, |bits, (index, unit)| {
                bits | (u64::from(activation(unit, sample) > 0.0) << index)
            })
        };
        Self {
            extended: extended(sample),
            active: units.chunks(64).map(bits).collect(),
            residual,
        }
    }

    /// Jᵢ·Jⱼ: every unit that is active for both adds the inner product of (x, 1), as cₖ² = 1.
    fn product(&self, other: &Self) -> f64 {
        let shared: u32 = self
            .active
            .iter()
            .zip(&other.active)
            .map(|(a, b)| (a & b).count_ones())
            .sum();
        let inner: f64 = self.extended.iter().zip(&other.extended).map(|(a, b)| a * b).sum();
        f64::from(shared) * inner
    }
}

/// (x₀, x₁, 1).
fn extended(sample: &Sample) -> [f64; UNIT] {
    [sample.input[0], sample.input[1], 1.0]
}

/// wₖ·x + bₖ.
fn activation(unit: &[f64], sample: &Sample) -> f64 {
    unit.iter().zip(extended(sample)).map(|(w, x)| w * x).sum()
}

/// Training by Adam on all samples (Kingma and Ba, 2015), with its usual constants.
#[derive(Clone, Debug)]
pub struct Adam {
    learning_rate: f64,
    /// Means of gradients and of their squares `[D]`, both weighted towards the last ones.
    moments: Vec<[f64; 2]>,
    steps: i32,
}

/// β₁ and β₂.
const DECAYS: [f64; 2] = [0.9, 0.999];
/// ε.
const LITTLE: f64 = 1e-8;

impl Adam {
    /// For a network, with a learning rate.
    pub fn new(network: &OneHiddenLayer, learning_rate: f64) -> Self {
        Self {
            learning_rate,
            moments: vec![[0.0; 2]; network.dimensions()],
            steps: 0,
        }
    }

    /// Takes a step.
    pub fn step(&mut self, network: &mut OneHiddenLayer, samples: &[Sample]) {
        let gradient = network.gradient(samples);
        self.steps += 1;
        // Both begin at 0, which this makes up for.
        let known = DECAYS.map(|decay| 1.0 - decay.powi(self.steps));
        for ((parameter, moments), &slope) in network.parameters.iter_mut().zip(&mut self.moments).zip(&gradient) {
            for ((moment, decay), value) in moments.iter_mut().zip(DECAYS).zip([slope, slope * slope]) {
                *moment = decay * *moment + (1.0 - decay) * value;
            }
            let [mean, square] = [moments[0] / known[0], moments[1] / known[1]];
            *parameter -= self.learning_rate * mean / (square.sqrt() + LITTLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};
    use proptest::prelude::*;

    use super::*;
    use crate::dynamics::covariance::GradientCovariance;

    const COUNT: usize = 60;

    fn moved(network: &OneHiddenLayer, entry: usize, by: f64) -> OneHiddenLayer {
        let mut moved = network.clone();
        moved.parameters[entry] += by;
        moved
    }

    /// Whether no output or activation of a sample lies so near to a bend that a small move could cross it.
    fn is_smooth(network: &OneHiddenLayer, samples: &[Sample]) -> bool {
        samples.iter().all(|sample| {
            let output = network.before_clipping(sample);
            let bends = [network.clip, 1.0 - network.clip];
            bends.iter().all(|bend| (output - bend).abs() > 1e-3)
                && network.units().all(|(unit, _)| activation(unit, sample).abs() > 1e-4)
        })
    }

    /// Samples around which the network bends nowhere.
    fn smooth_samples(network: &OneHiddenLayer, seed: u64) -> Vec<Sample> {
        let mut found = samples(COUNT, seed);
        found.retain(|sample| is_smooth(network, std::slice::from_ref(sample)));
        found
    }

    proptest! {
        #[test]
        fn the_gradient_is_the_slope_of_the_loss_and_the_hessian_that_of_the_gradient(
            hidden in 1_usize..9, seed in 0_u64..1000,
        ) {
            let network = OneHiddenLayer::new(hidden, 0.01, seed);
            let samples = smooth_samples(&network, seed);
            prop_assume!(samples.len() > COUNT / 2);
            let (gradient, d) = (network.gradient(&samples), network.dimensions());
            // f̄ is linear where nothing bends, so that the loss is a parabola and differences are exact but for
            // rounding: 10⁻¹⁶ of values of order 10 over steps of 10⁻⁵.
            let step = 1e-5;
            let mut hessian = DMatrix::zeros(d, d);
            for (entry, expected) in gradient.iter().enumerate() {
                let [up, down] = [step, -step].map(|by| moved(&network, entry, by));
                let slope = (up.loss(&samples) - down.loss(&samples)) / (2.0 * step);
                prop_assert!((slope - expected).abs() < 1e-8, "{slope} {expected}");
                let change = up.gradient(&samples).into_iter().zip(down.gradient(&samples));
                let column: Vec<f64> = change.map(|(up, down)| (up - down) / (2.0 * step)).collect();
                hessian.set_column(entry, &DVector::from_vec(column));
            }
            // Σ of the gradients of single samples.
            let each: Vec<f64> = samples.iter().flat_map(|one| network.gradient(std::slice::from_ref(one))).collect();
            let sigma = GradientCovariance::of(&DMatrix::from_vec(d, samples.len(), each));
            let dense = sigma.factor() * sigma.factor().transpose();
            let found = network.alignment(&samples);
            let (aligned, isotropic) = ((&hessian * &dense).trace(), hessian.trace() * dense.trace() / d as f64);
            let allowed = 1e-7 * (1.0 + hessian.norm() * dense.norm());
            prop_assert!((found.aligned - aligned).abs() < allowed, "{found:?} {aligned}");
            prop_assert!((found.isotropic - isotropic).abs() < allowed, "{found:?} {isotropic}");
        }
    }

    #[test]
    fn a_network_of_two_units_by_hand() {
        // f = max(x₀, 0) − max(x₁, 0) on (0.5, 0.25), (−1, 1) and (3, 1): 0.25, below and above the clip.
        let network = OneHiddenLayer {
            parameters: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            clip: CLIP,
        };
        let samples = [[0.5, 0.25], [-1.0, 1.0], [3.0, 1.0]].map(|input: [f64; 2]| Sample {
            input,
            label: if input[0] >= input[1] { 1.0 } else { 0.0 },
        });
        assert_eq!(samples.map(|sample| sample.label), [1.0, 0.0, 1.0]);
        let loss = 0.5 * (0.75_f64.powi(2) + 2.0 * CLIP * CLIP) / 3.0;
        assert!((network.loss(&samples) - loss).abs() < 1e-15);
        // Only the first moves, with J = (0.5, 0.25, 1, −0.5, −0.25, −1).
        let gradient = network.gradient(&samples);
        let expected = [0.5, 0.25, 1.0, -0.5, -0.25, -1.0].map(|j| -0.25 * j);
        assert!(
            gradient.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-15),
            "{gradient:?}"
        );
        assert!((network.accuracy(&samples) - 2.0 / 3.0).abs() < 1e-15);
        // G = 2·(0.25 + 0.0625 + 1) = 2.625; H = JJᵀ/3, and Σ = r²JJᵀ·(1/3 − 1/9).
        let found = network.alignment(&samples);
        let (g, square) = (2.625, 0.75_f64.powi(2));
        let aligned = square * g * g / 3.0 * (2.0 / 9.0);
        let isotropic = (g / 3.0) * (square * g * 2.0 / 9.0) / 6.0;
        assert!((found.aligned - aligned).abs() < 1e-14 && (found.isotropic - isotropic).abs() < 1e-14);
        // Of one axis, the ratio is the most that it can be: D.
        assert!((found.ratio() - 6.0).abs() < 1e-12);
    }

    #[test]
    fn where_every_output_is_clipped_there_is_no_noise() {
        let network = OneHiddenLayer {
            parameters: vec![0.0; 12],
            clip: CLIP,
        };
        let found = network.alignment(&samples(10, 1));
        assert_eq!((found.aligned, found.isotropic), (0.0, 0.0));
        assert!(found.ratio().is_nan());
        assert_eq!(network.gradient(&samples(10, 1)), [0.0; 12]);
    }

    #[test]
    fn adam_fits_the_points_and_is_its_seeds() {
        let points = samples(300, 1);
        assert!(
            points
                .iter()
                .all(|point| point.input.iter().all(|x| (-2.0..2.0).contains(x)))
        );
        let ones = points.iter().filter(|point| point.label == 1.0).count();
        // Half of them, within five standard deviations of √(300/4).
        assert!((107..=193).contains(&ones), "{ones}");
        let fit = |seed| {
            let mut network = OneHiddenLayer::new(32, CLIP, seed);
            let start = network.loss(&points);
            let mut adam = Adam::new(&network, 1e-3);
            for _ in 0..300 {
                adam.step(&mut network, &points);
            }
            assert!(network.loss(&points) < 0.2 * start, "{start} {}", network.loss(&points));
            assert!(network.accuracy(&points) > 0.95);
            network
        };
        let first = fit(1);
        assert_eq!(first, fit(1));
        assert_ne!(first, fit(2));
        // A first step is of the learning rate along every slope that is more than ε.
        let start = OneHiddenLayer::new(8, CLIP, 3);
        let gradient = start.gradient(&points);
        let mut network = start.clone();
        Adam::new(&network, 1e-3).step(&mut network, &points);
        for ((after, before), slope) in network.parameters.iter().zip(&start.parameters).zip(gradient) {
            let expected = -1e-3 * slope / (slope.abs() + LITTLE);
            assert!((after - before - expected).abs() < 1e-12);
        }
    }
}
