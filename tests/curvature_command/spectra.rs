//! Spectra beside dense matrices: eigenvalues, trace and density.

use serde_json::Value;

use super::{Fixture, PARAMETERS, ROUNDING, command, dense_hessian, pairs};
use crate::common::derivatives::{dense, falling};
use crate::common::documents::number;
use crate::common::program::output;

#[track_caller]
fn assert_eigenvalues(found: &[(f64, f64)], expected: &[f64], scale: f64) {
    assert_eq!(found.len(), expected.len());
    for (&(value, residual), expected) in found.iter().zip(expected) {
        assert!(residual <= 2e-5 * scale, "{residual} of {scale}");
        // An eigenvalue lies within the residual, and the dense matrix has roundings of its own.
        let allowed = residual + ROUNDING * scale;
        assert!((value - expected).abs() <= allowed, "{value} instead of {expected}");
    }
}

#[test]
fn eigenvalues_are_those_of_the_dense_matrices() {
    let fixture = Fixture::new();
    let derivatives = fixture.derivatives();
    let product = |unit: &[f32]| derivatives.gauss_newton_vector(unit, &mut |_| true).unwrap();
    let gauss_newton = dense(PARAMETERS, product);
    let hessian = dense_hessian(&fixture);
    assert!((&hessian - &gauss_newton).norm() > 0.01 * hessian.norm());
    for (name, matrix) in [("hessian", hessian), ("gauss-newton", gauss_newton)] {
        let expected = falling(&matrix);
        let scale = expected[0].abs().max(expected[PARAMETERS - 1].abs());
        let words = format!("--matrix {name} --eigenvalues 6 --smallest 4 --tolerance 1e-5 --copies");
        let record = fixture.measured(&words);
        assert_eq!(record["matrix"], name);
        assert_eigenvalues(&pairs(&record, "largest"), &expected[..6], scale);
        let rising: Vec<f64> = expected.iter().rev().copied().take(4).collect();
        assert_eigenvalues(&pairs(&record, "smallest"), &rising, scale);
        assert_eq!(record["spectrum"]["converged"], true);
        assert_eq!(record["spectrum"]["complete"], true);
    }
}

#[test]
fn more_eigenvalues_than_parameters_are_all_of_them() {
    let fixture = Fixture::new();
    let output = output(&command("--eigenvalues 100 --json"), fixture.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("note: 100 eigenvalues are asked for, and there are 61"),
        "{said}"
    );
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = falling(&dense_hessian(&fixture));
    let scale = expected[0].abs().max(expected[PARAMETERS - 1].abs());
    assert_eigenvalues(&pairs(&record, "largest"), &expected, scale);
}

#[test]
fn the_trace_lies_within_its_error_of_the_whole_matrix_and_the_density_has_a_mass_of_one() {
    let fixture = Fixture::new();
    let hessian = dense_hessian(&fixture);
    let record = fixture.measured("--eigenvalues 1 --trace 200 --density");
    // The variance of a draw is 2·Σ_{i≠j} aᵢⱼ².
    let squares = hessian.norm_squared() - hessian.diagonal().norm_squared();
    let error = (2.0 * squares / 200.0).sqrt();
    let trace = &record["trace"];
    assert_eq!(trace["samples"], 200);
    let mean = number(&trace["mean"]);
    assert!(
        (mean - hessian.trace()).abs() <= 6.0 * error,
        "{mean} instead of {}",
        hessian.trace()
    );
    // A standard error from 200 draws is off by 5 % for normal ones.
    assert!(
        (number(&trace["standard_error"]) / error - 1.0).abs() < 0.4,
        "{trace} {error}"
    );
    let smoothed = &record["density"]["smoothed"];
    let numbers = |name: &str| -> Vec<f64> { smoothed[name].as_array().unwrap().iter().map(number).collect() };
    let (grid, heights) = (numbers("grid"), numbers("density"));
    // 2·10⁻⁹ lies beyond the grid, and nine points a width see a bell's mass to less.
    let mass = (grid[1] - grid[0]) * heights.iter().sum::<f64>();
    assert!((mass - 1.0).abs() < 1e-7, "{mass}");
    let largest = pairs(&record, "largest")[0].0;
    assert!(grid[0] < 0.0 && grid[grid.len() - 1] > largest);
}
