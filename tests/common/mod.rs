//! What several tests share: the integer hash of tests/reference/make_models.py, reference files, the program and what
//! it writes.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod derivatives;
pub mod documents;
pub mod experiments;
pub mod program;

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

/// A file of tests/reference/files.
pub fn files(name: &str) -> PathBuf {
    reference("files").join(name)
}

/// A JSON file of tests/reference.
pub fn json(name: &str) -> serde_json::Value {
    documents::read_json(&reference(name))
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
