//! The surface over two weights with a sharp and a flat minimum (*The Anisotropic Noise in Stochastic Gradient
//! Descent*, Section 5.1 and Supplementary D.1), in closed form.
//!
//! Of a sample x, the loss is the lower of two bowls: with s = w − (1, 1) − x and θ = π/4,
//! ℓ = min{10(s₁cosθ − s₂sinθ)² + 100(s₁cosθ + s₂sinθ)², ‖w + (1, 1) − x‖²}, and L is its mean over N = 100 samples.

use nalgebra::DMatrix;
use serde::Deserialize;

use crate::landscape::line::positions;
use crate::landscape::{Field, Known};
use crate::random::Random;

/// N, number of samples.
const SAMPLES: usize = 100;
/// Hessian of the sharp bowl: 110 twice on the diagonal, 90 twice beside it. As cosθ = sinθ = 1/√2, its eigenvalues are
/// 200 along (1, 1) and 20 along (1, −1).
const SHARP: [f64; 2] = [110.0, 90.0];
/// Hessian of the flat bowl: 2·I.
const FLAT: f64 = 2.0;

/// How samples are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Samples {
    /// As the published code does: deviations of 0.01·√10 along (1, −1) and 0.01 along (1, 1). Both minima then have a
    /// loss of nearly 0, as the paper says of its surface.
    #[default]
    Code,
    /// As the paper says: from N(0, H⁻¹) with the sharp bowl's Hessian H. The matrix that it prints is no covariance,
    /// as it is not symmetric; this is what its words say of it. The sharp minimum then has a loss of about 1.
    Paper,
}

impl Samples {
    /// Deviation along (1, 1); that along (1, −1) is √10 times as large.
    fn deviation(self) -> f64 {
        match self {
            Self::Code => 0.01,
            Self::Paper => 1.0 / 200.0_f64.sqrt(),
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "of the code",
            Self::Paper => "of the paper",
        }
    }
}

/// The surface of some samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Surface {
    /// x of each sample.
    samples: Vec<[f64; 2]>,
}

/// Which of its two bowls a sample's loss is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bowl {
    Sharp,
    Flat,
}

impl Surface {
    /// The surface of N samples, drawn.
    pub fn draw(samples: Samples, random: &mut Random) -> Self {
        let deviation = samples.deviation() * std::f64::consts::FRAC_1_SQRT_2;
        let mut normal = || deviation * f64::from(random.normal());
        let samples = (0..SAMPLES).map(|_| {
            let (wide, narrow) = (10.0_f64.sqrt() * normal(), normal());
            [wide + narrow, narrow - wide]
        });
        Self {
            samples: samples.collect(),
        }
    }

    /// L(w).
    pub fn value(&self, w: [f64; 2]) -> f64 {
        let losses = self.samples.iter().map(|&x| {
            let [sharp, flat] = losses(w, x);
            sharp.min(flat)
        });
        losses.sum::<f64>() / self.samples.len() as f64
    }

    /// L over a square with so many nodes along each side, from a first position to a last.
    pub fn field(&self, range: (f64, f64), nodes: usize) -> Field {
        let axis = positions(range.0, range.1, nodes);
        let all = axis.iter().flat_map(|&b| axis.iter().map(move |&a| [a, b]));
        Field {
            first: range,
            second: range,
            columns: nodes,
            rows: nodes,
            values: all.map(|w| self.value(w)).collect(),
            known: vec![Known::Measured; nodes * nodes],
            ..Field::default()
        }
    }

    /// The gradient of every sample's loss at w, `[2, N]`, a column each. Where its two bowls meet, a sample's is that
    /// of the sharp one.
    pub fn gradients(&self, w: [f64; 2]) -> DMatrix<f64> {
        let mut gradients = DMatrix::zeros(2, self.samples.len());
        for (mut column, &x) in gradients.column_iter_mut().zip(&self.samples) {
            let gradient = match bowl(w, x) {
                Bowl::Sharp => {
                    let [a, b] = away(w, x, 1.0);
                    [SHARP[0] * a + SHARP[1] * b, SHARP[1] * a + SHARP[0] * b]
                }
                Bowl::Flat => away(w, x, -1.0).map(|entry| FLAT * entry),
            };
            (column[0], column[1]) = (gradient[0], gradient[1]);
        }
        gradients
    }

    /// The Hessian of L at w, `[2, 2]`; between two bowls of a sample as for [`Self::gradients`].
    pub fn hessian(&self, w: [f64; 2]) -> DMatrix<f64> {
        let in_sharp = |&&x: &&[f64; 2]| bowl(w, x) == Bowl::Sharp;
        let share = self.samples.iter().filter(in_sharp).count() as f64 / self.samples.len() as f64;
        let diagonal = share * SHARP[0] + (1.0 - share) * FLAT;
        let beside = share * SHARP[1];
        DMatrix::from_row_slice(2, 2, &[diagonal, beside, beside, diagonal])
    }

    /// The sharp minimum and the flat one: (1, 1) and (−1, −1) moved by the mean of the samples, where every sample
    /// there is in the bowl of that name.
    pub fn minima(&self) -> [[f64; 2]; 2] {
        let count = self.samples.len() as f64;
        let mean = [0, 1].map(|axis| self.samples.iter().map(|x| x[axis]).sum::<f64>() / count);
        [1.0, -1.0].map(|centre| mean.map(|entry| centre + entry))
    }
}

/// w − (centre, centre) − x.
fn away(w: [f64; 2], x: [f64; 2], centre: f64) -> [f64; 2] {
    [w[0] - centre - x[0], w[1] - centre - x[1]]
}

/// The loss of a sample in its sharp bowl and in its flat one.
fn losses(w: [f64; 2], x: [f64; 2]) -> [f64; 2] {
    let [a, b] = away(w, x, 1.0);
    let [c, d] = away(w, x, -1.0);
    let sharp = 0.5 * SHARP[0] * (a * a + b * b) + SHARP[1] * a * b;
    [sharp, 0.5 * FLAT * (c * c + d * d)]
}

fn bowl(w: [f64; 2], x: [f64; 2]) -> Bowl {
    let [sharp, flat] = losses(w, x);
    if sharp <= flat { Bowl::Sharp } else { Bowl::Flat }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Purpose;

    fn surface(samples: Samples, seed: u64) -> Surface {
        Surface::draw(samples, &mut Random::new(seed, Purpose::TrainData, 0))
    }

    /// ∇L(w).
    fn gradient(surface: &Surface, w: [f64; 2]) -> [f64; 2] {
        let mean = surface.gradients(w).column_mean();
        [mean[0], mean[1]]
    }

    /// The loss as it is printed.
    fn printed(surface: &Surface, [w1, w2]: [f64; 2]) -> f64 {
        let (sine, cosine) = std::f64::consts::FRAC_PI_4.sin_cos();
        let losses = surface.samples.iter().map(|[x1, x2]| {
            let (s1, s2) = (w1 - 1.0 - x1, w2 - 1.0 - x2);
            let sharp = 10.0 * (s1 * cosine - s2 * sine).powi(2) + 100.0 * (s1 * cosine + s2 * sine).powi(2);
            sharp.min((w1 - x1 + 1.0).powi(2) + (w2 - x2 + 1.0).powi(2))
        });
        losses.sum::<f64>() / surface.samples.len() as f64
    }

    #[test]
    fn both_minima_of_the_code_are_minima_and_low() {
        for seed in 0..20 {
            let surface = surface(Samples::Code, seed);
            let [sharp, flat] = surface.minima();
            for (minimum, curvature) in [(sharp, [110.0, 90.0]), (flat, [2.0, 0.0])] {
                assert!(gradient(&surface, minimum).iter().all(|slope| slope.abs() < 1e-12));
                let hessian = surface.hessian(minimum);
                assert_eq!([hessian[(0, 0)], hessian[(0, 1)]], curvature);
                // Half of Tr(H·Cov x) is 0.02 in the sharp bowl and less in the flat one, on average over draws.
                assert!(surface.value(minimum) < 0.05, "{}", surface.value(minimum));
            }
        }
    }

    #[test]
    fn a_field_has_the_loss_at_its_nodes() {
        let surface = surface(Samples::Code, 1);
        let field = surface.field((-2.0, 1.0), 7);
        assert_eq!((field.columns, field.rows, field.values.len()), (7, 7, 49));
        // The third column and the sixth row.
        assert_eq!(field.values[5 * 7 + 2], surface.value([-1.0, 0.5]));
        assert_eq!([field.first, field.second], [(-2.0, 1.0); 2]);
    }

    #[test]
    fn samples_of_the_paper_have_the_inverse_of_the_sharp_bowls_hessian() {
        // H⁻¹ has 1/20 along (1, −1) and 1/200 along (1, 1). Standard errors of variances are √(2/n) of them; five
        // here.
        let samples: Vec<[f64; 2]> = (0..100)
            .flat_map(|seed| surface(Samples::Paper, seed).samples)
            .collect();
        let count = samples.len() as f64;
        for (sign, variance) in [(-1.0_f64, 1.0_f64 / 20.0), (1.0, 1.0 / 200.0)] {
            let found = samples.iter().map(|[a, b]| (a + sign * b).powi(2) / 2.0).sum::<f64>() / count;
            assert!(
                (found - variance).abs() < 5.0 * variance * (2.0 / count).sqrt(),
                "{found} {variance}"
            );
        }
        // The code's are the same ones, smaller.
        let ratio = 0.01 * 200.0_f64.sqrt();
        let (code, paper) = (surface(Samples::Code, 3), surface(Samples::Paper, 3));
        for (small, large) in code.samples.iter().zip(&paper.samples) {
            assert!((small[0] - ratio * large[0]).abs() < 1e-15 && (small[1] - ratio * large[1]).abs() < 1e-15);
        }
    }

    proptest! {
        #[test]
        fn the_surface_is_the_printed_one_with_its_derivatives(
            seed in 0_u64..1000, code in any::<bool>(), w in [-2.0_f64..2.0, -2.0_f64..2.0],
        ) {
            let surface = surface(if code { Samples::Code } else { Samples::Paper }, seed);
            let value = surface.value(w);
            prop_assert!((value - printed(&surface, w)).abs() < 1e-12 * (1.0 + value));
            // Away from the line where a sample changes its bowl: within the step below, its two losses, whose
            // difference has a slope below 2000 here, must not meet.
            let step = 1e-5;
            let gap = surface.samples.iter().map(|&x| { let [a, b] = losses(w, x); (a - b).abs() });
            prop_assume!(gap.fold(f64::INFINITY, f64::min) > 2000.0 * step);
            let slopes = gradient(&surface, w);
            let hessian = surface.hessian(w);
            for axis in [0, 1] {
                let moved = |by: f64| { let mut w = w; w[axis] += by; w };
                let (ahead, behind) = (moved(step), moved(-step));
                // A central difference of a quadratic is exact but for the rounding of values below 30: 30·ε/h < 1e-9.
                let slope = (surface.value(ahead) - surface.value(behind)) / (2.0 * step);
                prop_assert!((slope - slopes[axis]).abs() < 1e-8, "{slope} {slopes:?}");
                let (up, down) = (gradient(&surface, ahead), gradient(&surface, behind));
                for other in [0, 1] {
                    let bend = (up[other] - down[other]) / (2.0 * step);
                    // Gradients below 200: 200·ε/h < 1e-8.
                    prop_assert!((bend - hessian[(axis, other)]).abs() < 1e-7, "{bend} {hessian}");
                }
            }
        }
    }
}
