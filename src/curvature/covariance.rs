//! The covariance of vectors that are too long for a matrix `[d, d]`, such as gradients: its spectrum through the
//! matrix of inner products of its n samples.
//!
//! Σ = (1/n) Σ gᵢgᵢᵀ − ḡḡᵀ = (1/n)·CᵀC with rows gᵢ − ḡ of C `[n, d]` has the eigenvalues other than 0 of the Gram
//! matrix K = (1/n)·CCᵀ `[n, n]`: where K·u = λ·u, Σ·v = λ·v for v = Cᵀu/√(nλ) of unit length.

use std::ops::Range;
use std::sync::Arc;

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::dense;
use super::operator::{check_dimension, check_finite, check_memory};
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::landscape::direction::dot;

/// Samples of a Gram matrix at most: its eigenvalues take minutes, and its memory 0.4 GB.
pub const MOST_SAMPLES: usize = 4096;

/// Memory for samples held at once, in bytes; of two blocks where they do not all fit into one.
const BLOCK_BYTES: usize = 512 << 20;
/// Entries of a vector that one thread works on at a time.
const CHUNK: usize = 1 << 14;
/// An eigenvalue with a smaller share of the trace than this, or below the roundings of the inner products, has no
/// vector that means anything.
const NOTHING: f64 = 1e-10;

/// Samples G `[n, d]`, read in blocks of rows, and again when they are needed again: where they all fit into memory
/// they are read once, and for a Gram matrix of b blocks b/2 + 2 times.
pub struct Samples<'a> {
    count: usize,
    dimension: usize,
    /// Rows of a block.
    rows: usize,
    read: Box<dyn FnMut(Range<usize>) -> Result<Vec<f32>> + 'a>,
    /// The last block read, with its number.
    last: Option<(usize, Arc<Vec<f32>>)>,
}

impl<'a> Samples<'a> {
    /// n = `count` samples of d = `dimension` numbers. `read` gives the rows of a range one after another `[m, d]`, the
    /// same every time.
    ///
    /// # Errors
    /// When there are fewer than two samples or none of their numbers.
    pub fn new(
        count: usize,
        dimension: usize,
        read: impl FnMut(Range<usize>) -> Result<Vec<f32>> + 'a,
    ) -> Result<Self> {
        check_dimension(dimension)?;
        let rows = BLOCK_BYTES / size_of::<f32>() / dimension;
        Self::in_blocks(count, dimension, rows.max(1), read)
    }

    fn in_blocks(
        count: usize,
        dimension: usize,
        rows: usize,
        read: impl FnMut(Range<usize>) -> Result<Vec<f32>> + 'a,
    ) -> Result<Self> {
        if count < 2 {
            return Err(Error::option("samples", count, "a covariance needs two at least"));
        }
        Ok(Self {
            count,
            dimension,
            rows,
            read: Box::new(read),
            last: None,
        })
    }

    fn blocks(&self) -> usize {
        self.count.div_ceil(self.rows)
    }

    fn range(&self, block: usize) -> Range<usize> {
        block * self.rows..((block + 1) * self.rows).min(self.count)
    }

    /// The rows of a block, one after another.
    fn block(&mut self, block: usize) -> Result<Arc<Vec<f32>>> {
        if let Some((number, rows)) = &self.last
            && *number == block
        {
            return Ok(rows.clone());
        }
        // Its memory is given back before as much again is taken.
        self.last = None;
        let range = self.range(block);
        let rows = (self.read)(range.clone())?;
        if rows.len() != range.len() * self.dimension {
            return Err(Error::Request(format!(
                "{} samples of {} numbers have {} numbers in all",
                range.len(),
                self.dimension,
                rows.len()
            )));
        }
        check_finite(&rows, "a sample of the covariance")?;
        let rows = Arc::new(rows);
        self.last = Some((block, rows.clone()));
        Ok(rows)
    }
}

/// A covariance's spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Covariance {
    /// The min(n, d) largest eigenvalues in falling order, none below 0. All others are 0, as is the last of them where
    /// n ≤ d: the mean takes one dimension.
    pub eigenvalues: Vec<f64>,
    /// tr Σ.
    pub trace: f64,
    /// The leading eigenvectors `[k, d]`, of unit length, of either sign; fewer than asked for where the other
    /// eigenvalues are 0 but for rounding.
    pub vectors: Vec<Vec<f32>>,
    /// ḡ `[d]`.
    pub mean: Vec<f32>,
}

impl Covariance {
    /// Of these samples, with so many eigenvectors at most. `progress` sees the share of the work done.
    ///
    /// # Errors
    /// When there are more than [`MOST_SAMPLES`], the vectors would not fit in memory, a sample cannot be read or is
    /// not finite, or `progress` says stop.
    pub fn new(samples: &mut Samples, leading: usize, progress: Progress) -> Result<Self> {
        let (count, dimension) = (samples.count, samples.dimension);
        if count > MOST_SAMPLES {
            let reason = format!("a covariance's whole spectrum takes {MOST_SAMPLES} at most; choose fewer");
            return Err(Error::option("samples", count, reason));
        }
        let leading = leading.min(count - 1).min(dimension);
        // An eigenvector is held twice, as a sum in double precision and as it is returned.
        check_memory(3 * leading + 6, dimension, "the spectrum of a covariance")?;
        let (products, mean) = gram(samples, progress)?;
        let centred = centred(&products) / count as f64;
        let trace = centred.trace();
        let rounding = (NOTHING * trace).max(4.0 * f64::EPSILON * products.trace());
        let eigen = dense::eigen(centred)?;
        let eigenvalues: Vec<f64> = eigen.values.iter().rev().map(|value| value.max(0.0)).collect();
        let weights: Vec<Vec<f64>> = eigenvalues
            .iter()
            .take(leading)
            .take_while(|&&value| value > rounding)
            .enumerate()
            .map(|(index, value)| {
                let vector = eigen.vectors.column(count - 1 - index);
                let (mean, length) = (vector.mean(), (count as f64 * value).sqrt());
                vector.iter().map(|u| (u - mean) / length).collect()
            })
            .collect();
        Ok(Self {
            trace,
            vectors: sums(samples, &weights, progress)?,
            eigenvalues: eigenvalues.into_iter().take(dimension).collect(),
            mean,
        })
    }
}

/// GGᵀ `[n, n]`, and the samples' mean `[d]`.
fn gram(samples: &mut Samples, progress: Progress) -> Result<(DMatrix<f64>, Vec<f32>)> {
    let (blocks, dimension) = (samples.blocks(), samples.dimension);
    let mut products = DMatrix::zeros(samples.count, samples.count);
    let mut sum = vec![0.0; dimension];
    let (pairs, mut done) = (blocks * (blocks + 1) / 2, 0);
    for block in 0..blocks {
        let rows = samples.block(block)?;
        add_rows(&mut sum, &rows);
        // The block itself first, as it is the last one read.
        for other in (0..=block).rev() {
            let columns = samples.block(other)?;
            let values: Vec<Vec<f64>> = rows
                .par_chunks_exact(dimension)
                .enumerate()
                .map(|(index, row)| {
                    let wanted = if other == block { index + 1 } else { usize::MAX };
                    let columns = columns.chunks_exact(dimension).take(wanted);
                    columns.map(|column| dot(row, column)).collect::<Vec<f64>>()
                })
                .collect();
            let (top, left) = (samples.range(block).start, samples.range(other).start);
            for (i, values) in values.iter().enumerate() {
                for (j, &value) in values.iter().enumerate() {
                    products[(top + i, left + j)] = value;
                    products[(left + j, top + i)] = value;
                }
            }
            done += 1;
            // The second pass is as long as one block's row of the first.
            if !progress(done as f64 / (pairs + blocks) as f64) {
                return Err(Error::Cancelled);
            }
        }
    }
    let count = samples.count as f64;
    Ok((products, sum.iter().map(|sum| (sum / count) as f32).collect()))
}

/// Adds rows to their sum `[d]`, every entry in the order of the rows.
fn add_rows(sum: &mut [f64], rows: &[f32]) {
    let dimension = sum.len();
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(index, sum)| {
        let start = index * CHUNK;
        for row in rows.chunks_exact(dimension) {
            for (sum, &value) in sum.iter_mut().zip(&row[start..]) {
                *sum += f64::from(value);
            }
        }
    });
}

/// Inner products about the mean of all samples.
fn centred(products: &DMatrix<f64>) -> DMatrix<f64> {
    let means = products.row_mean();
    let mean = means.mean();
    DMatrix::from_fn(products.nrows(), products.ncols(), |i, j| {
        products[(i, j)] - means[i] - means[j] + mean
    })
}

/// Σᵢ cᵢ·gᵢ `[d]` for several weight vectors c `[n]`, in one pass over the samples.
fn sums(samples: &mut Samples, weights: &[Vec<f64>], progress: Progress) -> Result<Vec<Vec<f32>>> {
    let (blocks, dimension) = (samples.blocks(), samples.dimension);
    let (pairs, mut sums) = (blocks * (blocks + 1) / 2, vec![vec![0.0; dimension]; weights.len()]);
    // The first block is the last one that the inner products read.
    for block in 0..blocks {
        let (rows, range) = (samples.block(block)?, samples.range(block));
        sums.par_iter_mut().zip(weights).for_each(|(sum, weights)| {
            for (row, weight) in rows.chunks_exact(dimension).zip(&weights[range.clone()]) {
                for (sum, &value) in sum.iter_mut().zip(row) {
                    *sum += weight * f64::from(value);
                }
            }
        });
        if !progress((pairs + block + 1) as f64 / (pairs + blocks) as f64) {
            return Err(Error::Cancelled);
        }
    }
    let single = |sum: Vec<f64>| sum.into_iter().map(|value| value as f32).collect();
    Ok(sums.into_iter().map(single).collect())
}

#[cfg(test)]
mod tests;
