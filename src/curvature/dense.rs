//! Eigenvalues of small symmetric matrices that are held whole.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::{Error, Result};

/// Sweeps of the QR algorithm for each eigenvalue at most; it needs about two.
const MOST_SWEEPS: usize = 64;

/// All eigenvalues of a matrix.
#[derive(Clone, Debug)]
pub(super) struct Eigen {
    /// In rising order.
    pub values: Vec<f64>,
    /// Unit eigenvectors, one a column, in the same order.
    pub vectors: DMatrix<f64>,
}

/// The eigenvalues of a symmetric matrix of one row at least; only what is on and below its diagonal is read.
///
/// # Errors
/// When an entry is not finite.
pub(super) fn eigen(matrix: DMatrix<f64>) -> Result<Eigen> {
    let size = matrix.nrows();
    // The algorithm need not end on what is not finite.
    let found = if matrix.iter().all(|entry| entry.is_finite()) {
        SymmetricEigen::try_new(matrix, f64::EPSILON, MOST_SWEEPS * size)
    } else {
        None
    };
    let found = found.ok_or_else(|| {
        Error::Request("the eigenvalues cannot be computed: the matrix is not finite or too badly scaled".to_owned())
    })?;
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| found.eigenvalues[a].total_cmp(&found.eigenvalues[b]));
    Ok(Eigen {
        values: order.iter().map(|&index| found.eigenvalues[index]).collect(),
        vectors: DMatrix::from_fn(size, size, |row, column| found.eigenvectors[(row, order[column])]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_rise_and_go_with_their_vectors() {
        let matrix = DMatrix::from_row_slice(3, 3, &[2.0, 0.0, 1.0, 0.0, -5.0, 0.0, 1.0, 0.0, 2.0]);
        let found = eigen(matrix.clone()).unwrap();
        // A rounding of the largest entry is 10⁻¹⁵ at most, and there are some tens of them.
        for (value, expected) in found.values.iter().zip([-5.0, 1.0, 3.0]) {
            assert!((value - expected).abs() < 1e-13, "{:?}", found.values);
        }
        for (index, &value) in found.values.iter().enumerate() {
            let vector = found.vectors.column(index).into_owned();
            assert!((&matrix * &vector - &vector * value).norm() < 1e-13);
        }
    }

    #[test]
    fn a_matrix_of_zeros_or_one_entry_has_a_spectrum_and_one_that_is_not_finite_has_none() {
        assert_eq!(eigen(DMatrix::zeros(4, 4)).unwrap().values, [0.0; 4]);
        assert_eq!(eigen(DMatrix::from_element(1, 1, -2.5)).unwrap().values, [-2.5]);
        assert!(eigen(DMatrix::from_element(2, 2, f64::NAN)).is_err());
        assert!(eigen(DMatrix::from_element(2, 2, f64::INFINITY)).is_err());
    }
}
