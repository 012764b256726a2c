//! Weights, statistics and images from an integer hash that any language repeats to the bit, so that two programs can
//! compute the same thing without a file between them: for reference numbers and for timing against other programs.

use crate::data::{Dataset, Normalisation, Pixels, Split};
use crate::network::graph::{Graph, Role, Shape};
use crate::objective::Solution;

/// The hash's 64 bits for the first `count` indices.
pub fn hashed_bits(name: &str, seed: u64, count: usize) -> impl Iterator<Item = u64> + use<> {
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (1..=count as u64).map(move |i| {
        let mut z = fnv
            .wrapping_add(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_add(i.wrapping_mul(0xD1B5_4A32_D192_ED03));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// The hash as numbers in [−1, 1).
pub fn hashed(name: &str, seed: u64, count: usize) -> impl Iterator<Item = f64> + use<> {
    hashed_bits(name, seed, count).map(|z| (z >> 40) as f64 / f64::from(1 << 23) - 1.0)
}

/// `count` images of a split, `[N, C, H, W]` flat.
pub fn hashed_images(part: &str, count: usize, shape: Shape) -> Vec<f32> {
    let size: usize = shape.iter().product();
    hashed(&format!("{part}_images"), 0, count * size)
        .map(|u| (1.5 * u) as f32)
        .collect()
}

/// Hashed parameters and statistics of a network.
pub fn solution(graph: &Graph, seed: u64) -> Solution {
    let mut parameters = Vec::with_capacity(graph.parameter_count());
    for parameter in &graph.parameters {
        let fan_in: usize = parameter.shape[1..].iter().product();
        let scale = (3.0 / fan_in as f64).sqrt();
        let role = parameter.role;
        parameters.extend(hashed(&parameter.name, seed, parameter.size()).map(|u| {
            (match role {
                Role::ConvolutionWeight | Role::LinearWeight => u * scale,
                Role::Bias | Role::BatchNormShift => 0.1 * u,
                Role::BatchNormScale => 0.3 + 0.1 * u,
            }) as f32
        }));
    }
    let mut statistics = Vec::with_capacity(graph.statistics_count());
    for layer in &graph.batch_norm_layers {
        let mean = hashed(&format!("{}.running_mean", layer.name), seed, layer.channels);
        statistics.extend(mean.map(|u| (0.1 * u) as f32));
        let variance = hashed(&format!("{}.running_var", layer.name), seed, layer.channels);
        statistics.extend(variance.map(|u| (1.0 + 0.5 * u) as f32));
    }
    Solution { parameters, statistics }
}

/// A data set of hashed images and labels.
pub fn dataset(shape: Shape, classes: usize, train: usize, test: usize) -> Dataset {
    let split = |part: &str, count: usize| Split {
        images: Pixels::Floats(hashed_images(part, count, shape)),
        labels: hashed_bits(&format!("{part}_labels"), 0, count)
            .map(|z| ((z >> 33) % classes as u64) as u32)
            .collect(),
    };
    Dataset {
        name: "hashed".to_owned(),
        shape,
        classes: (0..classes).map(|class| class.to_string()).collect(),
        train: split("train", train),
        test: split("test", test),
        normalisation: Normalisation {
            mean: vec![0.0; shape[0]],
            deviation: vec![1.0; shape[0]],
        },
        shift: 0,
        flip: false,
        padding: vec![0.0; shape[0]],
        mixed: false,
    }
}
