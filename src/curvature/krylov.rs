//! An orthonormal basis that grows by a matrix's products, and the matrix as seen from it (Lanczos, 1950; Saad,
//! *Numerical Methods for Large Eigenvalue Problems*, chapter 6).

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::dense::{self, Eigen};
use crate::error::Result;
use crate::random::Random;

/// Entries of a vector that one thread works on at a time.
const CHUNK: usize = 1 << 14;
/// A product of which the basis leaves less than this share is taken for rounding: single precision keeps 6·10⁻⁸.
const INVARIANT: f64 = 1e-6;
/// A random vector of which the basis leaves less than this share is drawn again.
const NOTHING_LEFT: f64 = 1e-6;
/// Draws of a random vector at most.
const DRAWS: usize = 8;

/// The basis and the projected matrix QᵀAQ. In exact arithmetic the latter is tridiagonal, but for the vectors that do
/// not continue a chain. All of it is kept: it costs nothing beside the products, and holds for any basis.
#[derive(Clone, Debug, Default)]
pub(super) struct Krylov {
    /// qⱼ `[d]`, of unit length and orthogonal, both but for single precision.
    basis: Vec<Vec<f32>>,
    /// ⟨qᵢ, A·qⱼ⟩ for i ≤ j, one column for each qⱼ.
    projected: Vec<Vec<f64>>,
    /// The longest product so far, which the norm of A is no smaller than.
    longest: f64,
}

/// What is left of the newest product beside the basis.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    vector: Vec<f64>,
    /// β, its length.
    pub length: f64,
    /// Whether that is rounding: the basis spans an invariant subspace.
    pub is_nothing: bool,
}

impl Rest {
    /// The next vector of the chain.
    pub fn unit(&self) -> Vec<f32> {
        scaled(&self.vector, self.length)
    }
}

impl Krylov {
    /// Number of vectors.
    pub fn size(&self) -> usize {
        self.basis.len()
    }

    /// Takes in a unit vector orthogonal to the basis, and its product.
    pub fn expand(&mut self, vector: Vec<f32>, product: &[f32]) -> Rest {
        let mut rest: Vec<f64> = product.iter().map(|&x| f64::from(x)).collect();
        self.longest = self.longest.max(length(&rest));
        self.basis.push(vector);
        let column = self.project_out(&mut rest);
        self.projected.push(column);
        let left = length(&rest);
        Rest {
            vector: rest,
            length: left,
            is_nothing: left <= INVARIANT * self.longest,
        }
    }

    /// ⟨qᵢ, A·q⟩ of the newest vector q.
    pub fn coupling(&self, index: usize) -> f64 {
        self.projected.last().map_or(0.0, |column| column[index])
    }

    /// Eigenvalues and vectors of the projected matrix, from the `first` vector of the basis on.
    pub fn eigen(&self, first: usize) -> Result<Eigen> {
        let size = self.size() - first;
        let entry = |i: usize, j: usize| self.projected[first + i.max(j)][first + i.min(j)];
        dense::eigen(DMatrix::from_fn(size, size, entry))
    }

    /// A random unit vector `[d]` orthogonal to the basis; nothing where the basis leaves none.
    pub fn fresh(&self, dimension: usize, random: &mut Random) -> Option<Vec<f32>> {
        (0..DRAWS).find_map(|_| {
            let mut vector: Vec<f64> = (0..dimension).map(|_| f64::from(random.normal())).collect();
            let drawn = length(&vector);
            self.project_out(&mut vector);
            let left = length(&vector);
            (left > NOTHING_LEFT * drawn).then(|| scaled(&vector, left))
        })
    }

    /// Σⱼ cⱼ·qⱼ `[d]`, scaled to unit length.
    pub fn combination(&self, coefficients: &[f64]) -> Vec<f32> {
        let mut sum = vec![0.0; self.basis.first().map_or(0, Vec::len)];
        self.add(&mut sum, coefficients, 1.0);
        let long = length(&sum);
        scaled(&sum, long)
    }

    /// Takes the basis out of a vector and returns its coefficients. The second pass takes out what rounding left of
    /// the first; a third would find nothing ("twice is enough": Parlett, *The Symmetric Eigenvalue Problem*, 6.9).
    fn project_out(&self, vector: &mut [f64]) -> Vec<f64> {
        let mut total = vec![0.0; self.size()];
        for _ in 0..2 {
            let seen: &[f64] = vector;
            let coefficients: Vec<f64> = self
                .basis
                .par_iter()
                .map(|q| q.iter().zip(seen).map(|(&q, &x)| f64::from(q) * x).sum::<f64>())
                .collect();
            self.add(vector, &coefficients, -1.0);
            for (total, coefficient) in total.iter_mut().zip(&coefficients) {
                *total += coefficient;
            }
        }
        total
    }

    /// Adds `sign`·Σⱼ cⱼ·qⱼ. Every entry sums in the order of the basis, whatever the number of threads.
    fn add(&self, vector: &mut [f64], coefficients: &[f64], sign: f64) {
        vector.par_chunks_mut(CHUNK).enumerate().for_each(|(index, part)| {
            let start = index * CHUNK;
            for (q, coefficient) in self.basis.iter().zip(coefficients) {
                for (x, &q) in part.iter_mut().zip(&q[start..]) {
                    *x += sign * coefficient * f64::from(q);
                }
            }
        });
    }
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn scaled(vector: &[f64], length: f64) -> Vec<f32> {
    vector.iter().map(|x| (x / length) as f32).collect()
}
