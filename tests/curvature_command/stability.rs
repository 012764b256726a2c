//! Non-uniformity beside dense matrices, and what is read off SGD's bounds.

use nalgebra::DMatrix;
use valleyscope::random::{Purpose, Random};

use super::{Fixture, IMAGES, PARAMETERS, command, dense_hessian};
use crate::common::derivatives::{doubles, falling};
use crate::common::documents::number;
use crate::common::program::succeed;

/// Hᵢ of every image.
fn dense_images(fixture: &Fixture) -> Vec<DMatrix<f64>> {
    let derivatives = fixture.derivatives();
    let all: Vec<usize> = (0..IMAGES).collect();
    let columns: Vec<Vec<f64>> = (0..PARAMETERS)
        .map(|index| {
            let mut unit = vec![0.0; PARAMETERS];
            unit[index] = 1.0;
            let progress = &mut |_: f64| true;
            let products = derivatives.image_hessian_vectors(&all, &unit.repeat(IMAGES), progress);
            doubles(&products.unwrap())
        })
        .collect();
    let hessian = |image: usize| {
        let entry = |row: usize, column: usize| columns[column][image * PARAMETERS + row];
        DMatrix::from_fn(PARAMETERS, PARAMETERS, |i, j| 0.5 * (entry(i, j) + entry(j, i)))
    };
    (0..IMAGES).map(hessian).collect()
}

/// λ_max of (n − 1)/((m − 1)·n) Σ (Hᵢ − H̄)² over m of n images.
fn largest_of_covariance(hessians: &[DMatrix<f64>], images: &[usize]) -> f64 {
    let (taken, all) = (images.len() as f64, hessians.len() as f64);
    let zero = DMatrix::<f64>::zeros(PARAMETERS, PARAMETERS);
    let sum = images.iter().fold(zero.clone(), |sum, &image| sum + &hessians[image]);
    let mean = sum / taken;
    let squares = images.iter().fold(zero, |sum, &image| {
        let deviation = &hessians[image] - &mean;
        sum + &deviation * &deviation
    });
    falling(&(squares * ((all - 1.0) / ((taken - 1.0) * all))))[0]
}

#[test]
fn the_non_uniformity_is_that_of_the_dense_matrices() {
    let fixture = Fixture::new();
    let hessians = dense_images(&fixture);
    let all: Vec<usize> = (0..IMAGES).collect();
    let exact = largest_of_covariance(&hessians, &all);
    let words = "--eigenvalues 1 --tolerance 1e-5 --non-uniformity";
    let record = fixture.measured(words);
    let found = &record["non_uniformity"];
    let value = number(&found["measured"]["value"]);
    // The tolerance and roundings of two products, as shares of λ_max, of which s has half.
    let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 1e-4;
    assert!(near(value, exact.sqrt()), "{value} instead of {}", exact.sqrt());
    assert_eq!(found["images"], IMAGES);
    assert!(found["measured"]["standard_error"].is_null(), "{found}");
    // Four sets of three, drawn with the seed.
    let order = Random::new(7, Purpose::Subset, 0).permutation(IMAGES);
    let squares: Vec<f64> = order
        .chunks(3)
        .take(4)
        .map(|set| largest_of_covariance(&hessians, set))
        .collect();
    let mean = squares.iter().sum::<f64>() / 4.0;
    let record = fixture.measured(&format!("{words} 13 --seed 7"));
    let found = &record["non_uniformity"];
    let value = number(&found["measured"]["value"]);
    assert!(near(value, mean.sqrt()), "{value} instead of {}", mean.sqrt());
    let variance: f64 = squares.iter().map(|square| (square - mean).powi(2)).sum::<f64>() / 12.0;
    let error = number(&found["measured"]["standard_error"]);
    assert!(
        (error / (variance.sqrt() / (2.0 * mean.sqrt())) - 1.0).abs() < 1e-2,
        "{error}"
    );
    assert_eq!(found["images"], 3);
    assert_eq!(found["measured"]["squared"]["samples"], 4);
}

#[test]
fn stability_is_read_off_the_bounds() {
    let fixture = Fixture::new();
    let sharpness = falling(&dense_hessian(&fixture))[0];
    // Half of the largest learning rate that the sharpness allows, and twice.
    for (share, stays) in [(0.5, true), (2.0, false)] {
        let rate = share * 2.0 / sharpness;
        let record = fixture.measured(&format!("--non-uniformity --learning-rate {rate} --batch-size 4"));
        let stability = &record["stability"];
        assert_eq!(stability["sharpness_within"], stays, "{stability}");
        assert!((number(&stability["sharpness_bound"]) * rate / 2.0 - 1.0).abs() < 1e-12);
        let bound = (4.0 * 23.0 / 20.0_f64).sqrt() / rate;
        assert!((number(&stability["non_uniformity_bound"]) / bound - 1.0).abs() < 1e-12);
        let spread = number(&record["non_uniformity"]["measured"]["value"]);
        // Of all images at once there is none.
        let error = record["non_uniformity"]["measured"]["standard_error"]
            .as_f64()
            .unwrap_or(0.0);
        let within = ((spread - bound).abs() >= error).then_some(spread <= bound);
        assert_eq!(stability["non_uniformity_within"], serde_json::json!(within));
        assert_eq!(stability["samples"], IMAGES);
        let words = format!("--learning-rate {rate} --batch-size 4");
        let said = succeed(&command(&words), fixture.path());
        assert_eq!(said.contains("SGD may stay"), stays, "{said}");
        assert_eq!(said.contains("SGD leave"), !stays, "{said}");
        assert!(said.contains("--non-uniformity"), "{said}");
    }
}
