//! Covariances of vectors that are few enough to be held whole.

use nalgebra::DVector;
use proptest::prelude::*;

use super::*;
use crate::curvature::testing::normal;

/// Half the distance of neighbouring numbers of single precision near 1.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// The rows of a matrix whose entries are of single precision, in blocks of so many.
fn samples(matrix: &DMatrix<f64>, rows: usize) -> Samples<'_> {
    let row = move |index: usize| matrix.row(index).iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let read = move |range: Range<usize>| -> Result<Vec<f32>> { Ok(range.flat_map(row).collect()) };
    Samples::in_blocks(matrix.nrows(), matrix.ncols(), rows, read).unwrap()
}

/// N(0, 1) entries, each column about a mean and of a scale of its own.
fn matrix(count: usize, dimension: usize, seed: u64) -> DMatrix<f64> {
    let mut matrix = normal(count, dimension, seed);
    for (index, mut column) in matrix.column_iter_mut().enumerate() {
        let (scale, mean) = (1.0 + index as f64, 3.0 - index as f64);
        column.apply(|entry| *entry = f64::from((scale * *entry + mean) as f32));
    }
    matrix
}

/// Σ `[d, d]`.
fn whole(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let mean = matrix.row_mean();
    let count = matrix.nrows() as f64;
    let centred = DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] - mean[j]);
    centred.transpose() * &centred / count
}

fn falling(matrix: &DMatrix<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

fn vector(values: &[f32]) -> DVector<f64> {
    DVector::from_iterator(values.len(), values.iter().map(|&x| f64::from(x)))
}

#[track_caller]
fn assert_right(matrix: &DMatrix<f64>, found: &Covariance) {
    let (covariance, (count, dimension)) = (whole(matrix), matrix.shape());
    let values = falling(&covariance);
    // Sums of double precision; the largest terms are the squared means, some hundred times Σ's entries.
    let exact = 1e-11 * (covariance.norm() + matrix.row_mean().norm_squared());
    assert_eq!(found.eigenvalues.len(), count.min(dimension));
    for (value, expected) in found.eigenvalues.iter().zip(&values) {
        assert!(
            (value - expected).abs() <= exact && *value >= 0.0,
            "{value} instead of {expected}"
        );
    }
    assert!((found.trace - covariance.trace()).abs() <= exact);
    let mean = matrix.row_mean();
    for index in 0..dimension {
        assert!((f64::from(found.mean[index]) - mean[index]).abs() <= exact + 2.0 * ROUNDING * mean[index].abs());
    }
    for (index, one) in found.vectors.iter().map(|v| vector(v)).enumerate() {
        assert!((one.norm() - 1.0).abs() < 1e-6);
        let error = (&covariance * &one - &one * found.eigenvalues[index]).norm();
        // The vector's rounding; in double precision it errs by the share that its eigenvalue has in the sums.
        assert!(error <= 3.0 * ROUNDING * covariance.norm() + exact, "{error}");
        for other in &found.vectors[..index] {
            assert!(one.dot(&vector(other)).abs() < 1e-6);
        }
    }
}

#[test]
fn the_spectrum_is_that_of_the_whole_matrix_with_more_and_with_fewer_samples_than_numbers() {
    for (count, dimension, leading) in [(30, 7, 3), (9, 40, 5), (5, 5, 2), (2, 3, 1), (6, 1, 1)] {
        let matrix = matrix(count, dimension, 3);
        let found = Covariance::new(&mut samples(&matrix, 100), leading, &mut |_| true).unwrap();
        assert_eq!(found.vectors.len(), leading);
        assert_right(&matrix, &found);
    }
}

#[test]
fn blocks_change_nothing_and_what_fits_is_read_once() {
    let matrix = matrix(11, 25, 8);
    let at_once = Covariance::new(&mut samples(&matrix, 11), 4, &mut |_| true).unwrap();
    for rows in [1, 3, 5, 10] {
        let mut shares = Vec::new();
        let mut progress = |share: f64| {
            shares.push(share);
            true
        };
        let found = Covariance::new(&mut samples(&matrix, rows), 4, &mut progress).unwrap();
        assert_eq!(found, at_once);
        assert!(shares.is_sorted() && shares.last() == Some(&1.0) && shares[0] > 0.0);
    }
    let mut reads = 0;
    let read = |range: Range<usize>| -> Result<Vec<f32>> {
        reads += range.len();
        let row = |index: usize| [index as f32, 1.0, (index * index) as f32];
        Ok(range.flat_map(row).collect())
    };
    Covariance::new(&mut Samples::new(6, 3, read).unwrap(), 2, &mut |_| true).unwrap();
    assert_eq!(reads, 6);
}

#[test]
fn samples_that_span_less_have_fewer_vectors() {
    // All on a line.
    let matrix = DMatrix::from_fn(8, 5, |i, j| (i * (j + 1)) as f64);
    let found = Covariance::new(&mut samples(&matrix, 3), 4, &mut |_| true).unwrap();
    assert_eq!(found.vectors.len(), 1);
    // The variance of 0 to 7 is 63/12, and ‖(1, …, 5)‖² is 55.
    assert!((found.eigenvalues[0] - 55.0 * 63.0 / 12.0).abs() < 1e-10);
    assert!(found.eigenvalues[1..].iter().all(|&value| value < 1e-10));
    let same = DMatrix::from_element(7, 5, 0.1);
    let found = Covariance::new(&mut samples(&same, 4), 2, &mut |_| true).unwrap();
    assert!(found.vectors.is_empty() && found.mean == [0.1; 5] && found.trace.abs() < 1e-15);
}

#[test]
fn what_has_no_covariance_is_refused() {
    let good = |range: Range<usize>| -> Result<Vec<f32>> { Ok(vec![1.0; range.len() * 2]) };
    assert!(Samples::new(1, 2, good).is_err() && Samples::new(3, 0, good).is_err());
    let mut many = Samples::new(MOST_SAMPLES + 1, 2, good).unwrap();
    assert!(Covariance::new(&mut many, 1, &mut |_| true).is_err());
    let mut long = Samples::new(3, 1 << 40, good).unwrap();
    let message = Covariance::new(&mut long, 1, &mut |_| true).unwrap_err().to_string();
    assert!(message.contains("GiB"), "{message}");
    let mut short = Samples::new(3, 3, good).unwrap();
    assert!(Covariance::new(&mut short, 1, &mut |_| true).is_err());
    let mut infinite = Samples::new(2, 2, |_| Ok(vec![1.0, 2.0, f32::INFINITY, 1.0])).unwrap();
    let failed = Covariance::new(&mut infinite, 1, &mut |_| true).unwrap_err();
    assert!(failed.to_string().contains("not finite"), "{failed}");
    let mut unreadable = Samples::new(2, 2, |_| Err(Error::Device("lost".to_owned()))).unwrap();
    let failed = Covariance::new(&mut unreadable, 1, &mut |_| true);
    assert!(matches!(failed, Err(Error::Device(_))));
    let mut calls = 0;
    let cancelled = Covariance::new(&mut samples(&matrix(9, 4, 1), 3), 1, &mut |_| {
        calls += 1;
        calls < 8
    });
    assert!(matches!(cancelled, Err(Error::Cancelled)) && calls == 8);
}

proptest! {
    #[test]
    fn any_samples_have_the_spectrum_of_the_whole_matrix(
        count in 2_usize..12,
        dimension in 1_usize..12,
        rows in 1_usize..6,
        leading in 0_usize..4,
        seed in 0_u64..1000,
    ) {
        let matrix = matrix(count, dimension, seed);
        let found = Covariance::new(&mut samples(&matrix, rows), leading, &mut |_| true).unwrap();
        prop_assert_eq!(found.vectors.len(), leading.min(count - 1).min(dimension));
        assert_right(&matrix, &found);
    }
}
