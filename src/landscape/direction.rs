//! Directions in parameter space: random ones of several kinds, the way from one solution to another, and turns
//! between two.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::network::Graph;
use crate::random::{Purpose, Random};

/// A sum of two unit vectors shorter than this has cancelled.
const CANCELLED: f64 = 1e-5;

/// How a random direction is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DirectionKind {
    /// Each entry U(0,1): the papers' direction, usually asymmetric.
    Uniform,
    /// Each entry U(−1,1): usually not asymmetric (*Asymmetric Valleys*, footnote 1).
    Symmetric,
    /// Each entry N(0,1).
    Gaussian,
    /// U(0,1) on batch-norm scales and shifts, zero elsewhere.
    #[value(name = "bn")]
    #[serde(rename = "bn")]
    BatchNorm,
    /// U(0,1) on all parameters that are not batch norm's, zero on those.
    #[value(name = "non-bn")]
    #[serde(rename = "non-bn")]
    NonBatchNorm,
}

impl DirectionKind {
    /// All kinds, in the order in which they are offered.
    pub const ALL: [Self; 5] = [
        Self::Uniform,
        Self::Symmetric,
        Self::Gaussian,
        Self::BatchNorm,
        Self::NonBatchNorm,
    ];

    /// The name used on the command line, in files and on figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Symmetric => "symmetric",
            Self::Gaussian => "gaussian",
            Self::BatchNorm => "bn",
            Self::NonBatchNorm => "non-bn",
        }
    }

    /// One line with the formula, for tooltips.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Uniform => "uᵢ ~ U(0, 1), then u ← u/‖u‖: the papers' direction",
            Self::Symmetric => "uᵢ ~ U(−1, 1), then u ← u/‖u‖: usually not asymmetric",
            Self::Gaussian => "uᵢ ~ N(0, 1), then u ← u/‖u‖",
            Self::BatchNorm => "uᵢ ~ U(0, 1) on batch-norm γ and β, 0 elsewhere, then u ← u/‖u‖",
            Self::NonBatchNorm => "uᵢ ~ U(0, 1) on all but batch-norm γ and β, then u ← u/‖u‖",
        }
    }
}

impl fmt::Display for DirectionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A random direction `[d]` of unit length. The same kind, seed and model give the same direction on every platform.
///
/// # Errors
/// When the model has no parameters of the kind asked for.
pub fn random(graph: &Graph, kind: DirectionKind, seed: u64) -> Result<Vec<f32>> {
    normalised(draw(graph, kind, seed)?)
        .ok_or_else(|| Error::Request(format!("the direction `{kind}` has length 0; choose another seed")))
}

/// The same as it is drawn, of any length.
///
/// # Errors
/// As [`random`].
pub fn draw(graph: &Graph, kind: DirectionKind, seed: u64) -> Result<Vec<f32>> {
    let mut random = Random::new(seed, Purpose::Direction, 0);
    let mut values = vec![0.0; graph.parameter_count()];
    for parameter in &graph.parameters {
        let wanted = match kind {
            DirectionKind::BatchNorm => parameter.role.is_batch_norm(),
            DirectionKind::NonBatchNorm => !parameter.role.is_batch_norm(),
            _ => true,
        };
        if !wanted {
            continue;
        }
        for value in &mut values[parameter.range()] {
            *value = match kind {
                DirectionKind::Symmetric => random.uniform_in(-1.0, 1.0),
                DirectionKind::Gaussian => random.normal(),
                _ => random.uniform(),
            };
        }
    }
    if values.iter().all(|&value| value == 0.0) {
        return Err(Error::Request(format!(
            "the model {} has no parameters for the direction `{kind}`; choose another direction",
            graph.name
        )));
    }
    Ok(values)
}

/// u_inter + u_rand: the way from one solution to another and a uniform random direction, both of unit length
/// (*Asymmetric Valleys*, Fig. 9). The sum has its own length, near √2 as the two are nearly orthogonal.
///
/// # Errors
/// When the two solutions are the same point.
pub fn interpolation_and_random(graph: &Graph, from: &[f32], to: &[f32], seed: u64) -> Result<Vec<f32>> {
    let (way, random) = (between(from, to)?, random(graph, DirectionKind::Uniform, seed)?);
    Ok(way.iter().zip(&random).map(|(a, b)| a + b).collect())
}

/// The unit vector from one point to another.
///
/// # Errors
/// When they are the same.
pub fn between(from: &[f32], to: &[f32]) -> Result<Vec<f32>> {
    let difference = to.iter().zip(from).map(|(b, a)| b - a).collect();
    normalised(difference)
        .ok_or_else(|| Error::Request("the two solutions are the same point: there is no way between them".to_owned()))
}

/// One of the two axes of the direction pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// A random direction with its seed.
    Random(DirectionKind, u64),
    /// From the average to the end of SGD started there, scaled to unit length; of a checkpoint, from its first solution
    /// to the other.
    SwaToSgd,
    /// That way and a uniform random direction with its seed, added up and scaled to unit length (Fig. 9).
    SwaToSgdAndRandom(u64),
    /// The direction read from a file, by its number in the order of reading.
    File(usize),
    /// From the average to the weights after an epoch, scaled to unit length: with the way to SGD it spans the plane of
    /// three solutions.
    SwaToEpoch(usize),
    /// A principal component of the trajectory (0 is the leading one), of so many snapshots from its start.
    Principal {
        /// Which one.
        component: usize,
        /// Snapshots.
        snapshots: usize,
    },
    /// An eigenvector of the Hessian at a point, as it was found.
    Eigenvector {
        /// The number of those that were found with it, at the same point.
        set: usize,
        /// Which of these.
        index: usize,
    },
}

impl Basis {
    /// What it is called, given the names of the two solutions and of the files that directions were read from. An
    /// eigenvector's own does not say of which point it is.
    pub fn name<T: AsRef<str>>(self, [first, second]: [&str; 2], files: &[T]) -> String {
        match self {
            Self::Random(kind, seed) => format!("{kind} (seed {seed})"),
            Self::SwaToSgd => format!("{first} → {second}"),
            Self::SwaToSgdAndRandom(seed) => format!("{first} → {second} + uniform (seed {seed})"),
            Self::File(index) => format!("file {}", files.get(index).map_or("", AsRef::as_ref)),
            Self::SwaToEpoch(epoch) => format!("{first} → epoch {epoch}"),
            Self::Principal { component, snapshots } => {
                format!("PC {} of epochs 0 to {}", component + 1, snapshots.saturating_sub(1))
            }
            Self::Eigenvector { index, .. } => format!("eigenvector {}", index + 1),
        }
    }
}

/// u = (cos φ · u₁ + sin φ · u₂) / ‖·‖ for an angle in radians. For orthogonal unit u₁, u₂ the length is 1 already.
///
/// # Errors
/// When the two cancel.
pub fn turned(first: &[f32], second: &[f32], angle: f64) -> Result<Vec<f32>> {
    normalised(combined(first, second, angle)?).ok_or_else(cancelled)
}

/// cos φ · u₁ + sin φ · u₂, of the length that comes out.
///
/// # Errors
/// When the two cancel.
pub fn combined(first: &[f32], second: &[f32], angle: f64) -> Result<Vec<f32>> {
    let (sine, cosine) = angle.sin_cos();
    let sum: Vec<f32> = first
        .iter()
        .zip(second)
        .map(|(&a, &b)| (cosine * f64::from(a) + sine * f64::from(b)) as f32)
        .collect();
    // What is left of two directions that cancel is rounding, not a direction.
    let longest = dot(first, first).max(dot(second, second));
    let square = dot(&sum, &sum);
    if square.is_finite() && square > CANCELLED * CANCELLED * longest {
        Ok(sum)
    } else {
        Err(cancelled())
    }
}

fn cancelled() -> Error {
    Error::Request("the two directions cancel at this angle; turn the handle or choose others".to_owned())
}

/// u/‖u‖, or nothing where ‖u‖ is 0 or not finite.
pub fn normalised(mut values: Vec<f32>) -> Option<Vec<f32>> {
    let length = dot(&values, &values).sqrt();
    if length == 0.0 || !length.is_finite() {
        return None;
    }
    for value in &mut values {
        *value = (f64::from(*value) / length) as f32;
    }
    Some(values)
}

/// ⟨a, b⟩, summed in double precision.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// ‖to − from‖, in double precision.
pub fn distance(from: &[f32], to: &[f32]) -> f64 {
    let squares = from
        .iter()
        .zip(to)
        .map(|(&a, &b)| (f64::from(b) - f64::from(a)).powi(2));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::zoo;
    use proptest::prelude::*;

    fn graph() -> Graph {
        zoo::build("resnet8:width=4", [3, 8, 8], 10).unwrap()
    }

    #[test]
    fn each_kind_is_of_unit_length_on_its_own_parameters() {
        let graph = graph();
        for kind in DirectionKind::ALL {
            let u = random(&graph, kind, 4).unwrap();
            assert!((dot(&u, &u) - 1.0).abs() < 1e-6, "{kind}");
            let on = |batch_norm: bool| {
                graph
                    .parameters
                    .iter()
                    .filter(|p| p.role.is_batch_norm() == batch_norm)
                    .any(|p| u[p.range()].iter().any(|&v| v != 0.0))
            };
            assert_eq!(on(true), kind != DirectionKind::NonBatchNorm, "{kind}");
            assert_eq!(on(false), kind != DirectionKind::BatchNorm, "{kind}");
            let negative = u.iter().filter(|&&v| v < 0.0).count() * 3 > u.len();
            assert_eq!(
                negative,
                matches!(kind, DirectionKind::Symmetric | DirectionKind::Gaussian)
            );
        }
    }

    #[test]
    fn a_network_without_batch_norm_has_no_batch_norm_direction() {
        let graph = zoo::build("mlp:8", [1, 2, 2], 3).unwrap();
        let message = random(&graph, DirectionKind::BatchNorm, 1).unwrap_err().to_string();
        assert!(message.contains("mlp:8"), "{message}");
    }

    #[test]
    fn two_directions_that_cancel_are_an_error() {
        let u = random(&graph(), DirectionKind::Uniform, 1).unwrap();
        assert!(turned(&u, &u, 0.75 * std::f64::consts::PI).is_err());
        assert!(turned(&u, &u, 0.25 * std::f64::consts::PI).is_ok());
    }

    proptest! {
        #[test]
        fn a_turn_is_of_unit_length_and_lies_in_the_plane(angle in -10.0_f64..10.0) {
            let graph = graph();
            let first = random(&graph, DirectionKind::BatchNorm, 1).unwrap();
            let second = random(&graph, DirectionKind::NonBatchNorm, 1).unwrap();
            let u = turned(&first, &second, angle).unwrap();
            prop_assert!((dot(&u, &u) - 1.0).abs() < 1e-6);
            prop_assert!((dot(&u, &first) - angle.cos()).abs() < 1e-6);
            prop_assert!((dot(&u, &second) - angle.sin()).abs() < 1e-6);
        }
    }
}
