//! Second derivatives, and matrices that are known by their products made whole.

use nalgebra::DMatrix;
use valleyscope::data::Part;
use valleyscope::experiment::hashed;
use valleyscope::network::Graph;
use valleyscope::objective::{BatchNormPolicy, Derivatives, Objective, Solution};

/// Derivatives of the mean over all training images.
pub fn derivatives<'a>(objective: &'a Objective, solution: &'a Solution, policy: BatchNormPolicy) -> Derivatives<'a> {
    Derivatives::new(objective, solution, policy, Part::Train, usize::MAX, &mut |_| true).unwrap()
}

/// A vector of parameter space with entries in [−1, 1).
pub fn vector(graph: &Graph, seed: u64) -> Vec<f32> {
    let parameters = graph.parameters.iter();
    parameters
        .flat_map(|p| hashed::hashed(&p.name, seed, p.size()))
        .map(|u| u as f32)
        .collect()
}

/// The same numbers in double precision.
pub fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// A symmetric matrix `[dimension, dimension]`, one column a product, without what rounding makes unsymmetric.
pub fn dense(dimension: usize, product: impl Fn(&[f32]) -> Vec<f32>) -> DMatrix<f64> {
    let columns = (0..dimension).flat_map(|index| {
        let mut unit = vec![0.0; dimension];
        unit[index] = 1.0;
        doubles(&product(&unit))
    });
    let matrix = DMatrix::from_iterator(dimension, dimension, columns);
    (&matrix + matrix.transpose()) * 0.5
}

/// Eigenvalues, the largest first.
pub fn falling(matrix: &DMatrix<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}
