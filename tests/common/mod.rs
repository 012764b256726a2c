//! What several tests share: the integer hash of tests/reference/make_models.py, and reference files.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::PathBuf;

use safetensors::tensor::{Dtype, TensorView};
use valleyscope::experiment::hashed::hashed_images;
use valleyscope::network::graph::Shape;

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
