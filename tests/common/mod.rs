//! What several tests share: the integer hash of tests/reference/make_models.py, and reference files.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::PathBuf;

use safetensors::tensor::{Dtype, TensorView};
use valleyscope::network::graph::{Graph, Role, Shape};
use valleyscope::objective::Solution;

/// A file of tests/reference.
pub fn reference(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/reference")
        .join(name)
}

/// A JSON file of tests/reference.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(reference(name)).unwrap()).unwrap()
}

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

/// Writes a safetensors data set of `count` hashed images, the same in both splits, labelled 0, 1, 2, … in ten classes.
pub fn data_file(path: &std::path::Path, count: usize, shape: Shape) {
    let [channels, height, width] = shape;
    let images = hashed_images("train", count, shape);
    let labels: Vec<u8> = (0..count as i64).flat_map(|label| (label % 10).to_le_bytes()).collect();
    let view = |dtype, shape: Vec<usize>, data| TensorView::new(dtype, shape, data).unwrap();
    let tensors = ["train", "test"].into_iter().flat_map(|part| {
        let images = bytemuck::cast_slice(&images);
        [
            (
                format!("{part}_images"),
                view(Dtype::F32, vec![count, channels, height, width], images),
            ),
            (format!("{part}_labels"), view(Dtype::I64, vec![count], &labels)),
        ]
    });
    let classes: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let metadata = [("classes".to_owned(), serde_json::json!(classes).to_string())];
    let bytes = safetensors::serialize(tensors, Some(metadata.into())).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Runs the built program: whether it succeeded, and what it said on standard output and standard error.
pub fn run(arguments: &[&str], folder: &std::path::Path) -> (bool, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_valleyscope"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}
