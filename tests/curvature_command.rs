//! The command `curvature` and what lies under it: spectra beside dense matrices, products of single images' Hessians
//! beside those of the images alone, covariances beside sums over gradients, the files that it writes, and what it says
//! of what cannot be measured.

mod common;
#[path = "curvature_command/files.rs"]
mod files;
#[path = "curvature_command/images.rs"]
mod images;
#[path = "curvature_command/refused.rs"]
mod refused;
#[path = "curvature_command/spectra.rs"]
mod spectra;
#[path = "curvature_command/stability.rs"]
mod stability;

use std::path::Path;
use std::sync::Arc;

use common::derivatives::{dense, derivatives};
use common::documents::{number, parse};
use common::program::succeed;
use nalgebra::DMatrix;
use serde_json::Value;
use tempfile::TempDir;
use valleyscope::checkpoint::NamedTensors;
use valleyscope::data::Dataset;
use valleyscope::experiment::hashed;
use valleyscope::network::graph::Shape;
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Derivatives, Objective, Solution};

/// A network of 61 parameters, and the images of its data.
const MODEL: &str = "mlp:3";
const SHAPE: Shape = [1, 3, 2];
const PARAMETERS: usize = 61;
const IMAGES: usize = 24;

/// Rounding of a product in single precision, as a share of its length or of the matrix: PyTorch's own are off by up to
/// 9e-7 (`float32_error` in tests/reference/hessians.json), and sums in another order may double or triple that.
const ROUNDING: f64 = 1e-5;

/// A point on disk, and the same in memory.
struct Fixture {
    folder: TempDir,
    objective: Objective,
    solution: Solution,
}

impl Fixture {
    fn new() -> Self {
        Self::of(MODEL, SHAPE, |_| {})
    }

    /// Hashed weights, changed a little, in `point.safetensors`, and hashed images in `data.safetensors`.
    fn of(model: &str, shape: Shape, change: impl Fn(&mut Solution)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.safetensors");
        common::data_file(&data, IMAGES, shape);
        let data = Arc::new(Dataset::open(&format!("safetensors:{}", data.display())).unwrap());
        let graph = Arc::new(zoo::build(model, shape, 10).unwrap());
        let mut solution = hashed::solution(&graph, 1);
        change(&mut solution);
        let provenance = serde_json::json!({"model": model, "data": "safetensors:data.safetensors"});
        NamedTensors::of_solution(&graph, &solution)
            .write(&folder.path().join("point.safetensors"), &provenance.to_string())
            .unwrap();
        let objective = Objective::new(graph, data, Compute::flex(), 128).unwrap();
        Self {
            folder,
            objective,
            solution,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn derivatives(&self) -> Derivatives<'_> {
        derivatives(&self.objective, &self.solution, BatchNormPolicy::Running)
    }

    /// The document that the command prints.
    #[track_caller]
    fn measured(&self, words: &str) -> Value {
        parse(&succeed(&command(&format!("{words} --json")), self.path()))
    }
}

/// The Hessian, one column a product.
fn dense_hessian(fixture: &Fixture) -> DMatrix<f64> {
    let derivatives = fixture.derivatives();
    let product = |unit: &[f32]| derivatives.hessian_vector(unit, &mut |_| true).unwrap();
    dense(PARAMETERS, product)
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>())
}

/// The command at that point.
fn command(words: &str) -> String {
    format!("curvature --device flex --checkpoint point.safetensors {words}")
}

/// Values and residuals of one end of a spectrum.
fn pairs(record: &Value, end: &str) -> Vec<(f64, f64)> {
    let pairs = record["spectrum"][end].as_array().unwrap();
    pairs
        .iter()
        .map(|pair| (number(&pair["value"]), number(&pair["residual"])))
        .collect()
}
