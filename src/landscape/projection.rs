//! The plane that a trajectory moves in most: its leading principal components, by way of the matrix of inner products
//! of its steps, so that a long run of a large network need not fit in memory.

use std::ops::Range;
use std::sync::Arc;

use nalgebra::{DMatrix, SymmetricEigen};
use rayon::prelude::*;

use crate::data::Progress;
use crate::error::{Error, Result};
use crate::objective::Solution;

/// Memory for snapshots held at once, in bytes.
const BLOCK_BYTES: usize = 512 << 20;
/// A component with a smaller share of the variance than this is rounding.
const NOTHING: f64 = 1e-10;

/// The leading principal components of a trajectory.
#[derive(Clone, Debug)]
pub struct PrincipalComponents {
    /// Unit vectors `[d]`, orthogonal, the one with most variance first. Each points so that the last step lies farther
    /// along it than the first.
    pub components: Vec<Arc<Vec<f32>>>,
    /// Share of the variance along every component there is, 0..1, in falling order.
    pub explained: Vec<f64>,
}

/// The `wanted` leading components of `count` points about their mean. `read` gives a point by its number, and is
/// called some count / block / 2 times for each, and twice at least, where a block is what a quarter of a gigabyte
/// holds: two are held at once.
///
/// # Errors
/// When there are too few different points for so many components, one cannot be read, or `progress` says stop.
pub fn principal_components(
    count: usize,
    wanted: usize,
    mut read: impl FnMut(usize) -> Result<Arc<Solution>>,
    progress: Progress,
) -> Result<PrincipalComponents> {
    if count <= wanted {
        return Err(Error::Request(format!(
            "principal components need {} snapshots of a trajectory, and this one has {count}: train on, or choose other \
             directions",
            wanted + 1
        )));
    }
    let products = inner_products(count, &mut read, progress)?;
    let eigen = SymmetricEigen::new(centred(&products));
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let variance = |index: usize| eigen.eigenvalues[index].max(0.0);
    let total: f64 = order.iter().map(|&index| variance(index)).sum();
    let explained: Vec<f64> = order
        .iter()
        .take(count - 1)
        .map(|&index| if total > 0.0 { variance(index) / total } else { 0.0 })
        .collect();
    if !total.is_finite() || explained[wanted - 1] < NOTHING {
        return Err(Error::Request(format!(
            "the trajectory's {count} snapshots span fewer than {wanted} dimensions; choose other directions"
        )));
    }
    let weights: Vec<Vec<f64>> = order
        .iter()
        .take(wanted)
        .map(|&index| {
            let vector = eigen.eigenvectors.column(index);
            let turned = if vector[count - 1] < vector[0] { -1.0 } else { 1.0 };
            let mean = vector.sum() / count as f64;
            let scale = turned / variance(index).sqrt();
            vector.iter().map(|v| (v - mean) * scale).collect()
        })
        .collect();
    Ok(PrincipalComponents {
        components: sums(&weights, &mut read)?,
        explained,
    })
}

/// ⟨wᵢ − w_last, wⱼ − w_last⟩ `[count, count]`: about a point of the trajectory, or rounding would cover the small ones.
fn inner_products(
    count: usize,
    read: &mut impl FnMut(usize) -> Result<Arc<Solution>>,
    progress: Progress,
) -> Result<DMatrix<f64>> {
    let reference = read(count - 1)?;
    let block = (BLOCK_BYTES / (4 * reference.parameters.len().max(1))).max(2) / 2;
    let starts: Vec<usize> = (0..count).step_by(block).collect();
    let range = |start: usize| start..(start + block).min(count);
    let mut products = DMatrix::zeros(count, count);
    let pairs = starts.len() * (starts.len() + 1) / 2;
    let mut done = 0;
    let mut load = |range: Range<usize>| range.map(&mut *read).collect::<Result<Vec<_>>>();
    for (place, &start) in starts.iter().enumerate() {
        let rows = load(range(start))?;
        for &other in &starts[..=place] {
            let columns = if other == start {
                rows.clone()
            } else {
                load(range(other))?
            };
            let values: Vec<(usize, usize, f64)> = rows
                .par_iter()
                .enumerate()
                .flat_map_iter(|(i, a)| {
                    let reference = &reference.parameters;
                    let (row, columns) = (start + i, &columns);
                    columns
                        .iter()
                        .enumerate()
                        .filter(move |(j, _)| other + j <= row)
                        .map(move |(j, b)| (row, other + j, product(&a.parameters, &b.parameters, reference)))
                })
                .collect();
            for (row, column, value) in values {
                products[(row, column)] = value;
                products[(column, row)] = value;
            }
            done += 1;
            if !progress(done as f64 / pairs as f64) {
                return Err(Error::Cancelled);
            }
        }
    }
    Ok(products)
}

/// ⟨a − r, b − r⟩.
fn product(a: &[f32], b: &[f32], reference: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .zip(reference)
        .map(|((&a, &b), &r)| (f64::from(a) - f64::from(r)) * (f64::from(b) - f64::from(r)))
        .sum()
}

/// Inner products about the mean of all points.
fn centred(products: &DMatrix<f64>) -> DMatrix<f64> {
    let means = products.row_mean();
    let mean = means.mean();
    DMatrix::from_fn(products.nrows(), products.ncols(), |i, j| {
        products[(i, j)] - means[i] - means[j] + mean
    })
}

/// Σᵢ cᵢ·wᵢ for several weight vectors c, in one pass over the points.
fn sums(weights: &[Vec<f64>], read: &mut impl FnMut(usize) -> Result<Arc<Solution>>) -> Result<Vec<Arc<Vec<f32>>>> {
    let count = weights.first().map_or(0, Vec::len);
    let mut sums: Vec<Vec<f64>> = Vec::new();
    for index in 0..count {
        let point = read(index)?;
        sums.resize_with(weights.len(), || vec![0.0; point.parameters.len()]);
        sums.par_iter_mut().zip(weights).for_each(|(sum, weights)| {
            for (sum, &value) in sum.iter_mut().zip(&point.parameters) {
                *sum += weights[index] * f64::from(value);
            }
        });
    }
    Ok(sums
        .into_iter()
        .map(|sum| Arc::new(sum.into_iter().map(|value| value as f32).collect()))
        .collect())
}
