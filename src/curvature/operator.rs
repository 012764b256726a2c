//! A symmetric matrix that is known by its products with vectors, and the checks around a product.

use crate::error::{Error, Result};

/// Memory for the vectors of one method at most, in bytes.
const MOST_BYTES: usize = 8 << 30;

/// A symmetric matrix A `[d, d]`, known by its products.
pub trait SymmetricOperator {
    /// d.
    fn dimension(&self) -> usize;

    /// A·v `[d]` of a vector v `[d]`.
    ///
    /// # Errors
    /// What the product's making meets: it is passed on as it is, [`Error::Cancelled`] among it.
    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>>;
}

/// A·v, refused where v or it is not of A's dimension, or it is not finite.
pub(super) fn product(operator: &mut dyn SymmetricOperator, vector: &[f32]) -> Result<Vec<f32>> {
    let dimension = operator.dimension();
    check_length(vector, dimension, "a vector for a matrix")?;
    let product = operator.apply(vector)?;
    check_length(&product, dimension, "a product of a matrix")?;
    check_finite(&product, "the matrix's product with a vector")?;
    Ok(product)
}

fn check_length(vector: &[f32], dimension: usize, what: &str) -> Result<()> {
    if vector.len() == dimension {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{what} of dimension {dimension} has {} numbers; take one matrix from beginning to end",
        vector.len()
    )))
}

/// Refuses numbers that are not finite.
pub(super) fn check_finite(values: &[f32], what: &str) -> Result<()> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{what} is not finite, so that it has no spectrum: the training has diverged here, or the loss is too steep; \
         choose an earlier epoch or another point"
    )))
}

/// Refuses a matrix without rows.
pub(super) fn check_dimension(dimension: usize) -> Result<()> {
    if dimension == 0 {
        return Err(Error::Request(
            "a matrix of dimension 0 has no spectrum; choose a model with parameters".to_owned(),
        ));
    }
    Ok(())
}

/// Refuses more vectors `[d]` than memory holds, before any is taken.
pub(super) fn check_memory(vectors: usize, dimension: usize, what: &str) -> Result<()> {
    if vectors.saturating_mul(dimension) <= MOST_BYTES / size_of::<f32>() {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{what} would keep {vectors} vectors of {dimension} numbers, which take more than {} GiB; at most {} fit",
        MOST_BYTES >> 30,
        MOST_BYTES / size_of::<f32>() / dimension.max(1)
    )))
}
