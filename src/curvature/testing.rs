//! Matrices that the tests know whole.

pub mod quadratic;

use nalgebra::{DMatrix, DVector};

use super::operator::SymmetricOperator;
use crate::error::Result;
use crate::random::{Purpose, Random};

/// A matrix that is held whole; products are rounded to single precision once.
pub struct Dense(pub DMatrix<f64>);

impl SymmetricOperator for Dense {
    fn dimension(&self) -> usize {
        self.0.nrows()
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        let vector = DVector::from_iterator(vector.len(), vector.iter().map(|&x| f64::from(x)));
        Ok((&self.0 * vector).iter().map(|&x| x as f32).collect())
    }
}

/// Entries N(0, 1), of single precision.
pub fn normal(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut random = Random::new(seed, Purpose::TestData, 0);
    DMatrix::from_fn(rows, columns, |_, _| f64::from(random.normal()))
}

/// A symmetric matrix with entries of about unit size.
pub fn symmetric(size: usize, seed: u64) -> DMatrix<f64> {
    let matrix = normal(size, size, seed);
    (&matrix + matrix.transpose()) * 0.5
}

/// A symmetric matrix with the given eigenvalues and random eigenvectors.
pub fn with_spectrum(values: &[f64], seed: u64) -> DMatrix<f64> {
    let turned = normal(values.len(), values.len(), seed).qr().q();
    let matrix = &turned * DMatrix::from_diagonal(&DVector::from_row_slice(values)) * turned.transpose();
    (&matrix + matrix.transpose()) * 0.5
}
