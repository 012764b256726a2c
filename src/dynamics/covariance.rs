//! Covariances of gradients and of noise. They are kept by their factors, so that the D × D matrices of a network with
//! D parameters are never formed.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use crate::error::{Error, Result};
use crate::random::Random;

/// Sweeps of an eigenvalue search at most, for each row of the matrix; two or three are usual.
const MOST_SWEEPS: usize = 1000;
/// An eigenvalue with a smaller share of the largest than this is rounding.
const NOTHING: f64 = 1e-12;

/// A vector `[D]` in double precision.
pub fn doubled(vector: &[f32]) -> DVector<f64> {
    DVector::from_iterator(vector.len(), vector.iter().map(|&x| f64::from(x)))
}

/// An eigenvalue of a symmetric matrix with its eigenvector.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigenpair {
    /// The eigenvalue.
    pub value: f64,
    /// The eigenvector `[D]`, of unit length.
    pub vector: DVector<f64>,
}

/// All eigenpairs of a symmetric matrix `[D, D]`, of which the lower half is read, by falling eigenvalue.
///
/// # Errors
/// [`Error::Request`] when an entry is not finite, or the search for eigenvalues does not end.
pub fn eigenpairs(matrix: DMatrix<f64>) -> Result<Vec<Eigenpair>> {
    let rows = matrix.nrows();
    if rows == 0 {
        return Ok(Vec::new());
    }
    if !matrix.iter().all(|entry| entry.is_finite()) {
        return Err(Error::Request(
            "the eigenvalues of a matrix with an infinite entry do not exist; lower the learning rate or the noise"
                .to_owned(),
        ));
    }
    let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, MOST_SWEEPS * rows)
        .ok_or_else(|| Error::Request("the eigenvalues of a matrix could not be found".to_owned()))?;
    let mut pairs: Vec<Eigenpair> = eigen
        .eigenvalues
        .iter()
        .zip(eigen.eigenvectors.column_iter())
        .map(|(&value, column)| Eigenpair {
            value,
            vector: column.clone_owned(),
        })
        .collect();
    pairs.sort_by(|a, b| b.value.total_cmp(&a.value));
    Ok(pairs)
}

/// Σ, the covariance of gradients at one point, as A·Aᵀ.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientCovariance {
    /// A `[D, n]`: how far each of n gradients is from their mean, over √n.
    factor: DMatrix<f64>,
}

impl GradientCovariance {
    /// Σ = (1/n)·Σᵢ (gᵢ − ḡ)(gᵢ − ḡ)ᵀ of gradients `[D, n]`, a column each (*The Anisotropic Noise in SGD*, Eq. 5). Of
    /// gradients of single samples this is m times the covariance of a batch of m; of gradients of batches it is the
    /// batch's own.
    pub fn of(gradients: &DMatrix<f64>) -> Self {
        let mean = gradients.column_mean();
        let mut factor = gradients.clone();
        for mut column in factor.column_iter_mut() {
            column -= &mean;
        }
        factor /= (gradients.ncols() as f64).sqrt();
        Self { factor }
    }

    /// D, the number of parameters.
    pub fn dimensions(&self) -> usize {
        self.factor.nrows()
    }

    /// TrΣ.
    pub fn trace(&self) -> f64 {
        self.factor.norm_squared()
    }

    /// The diagonal of Σ `[D]`.
    pub fn diagonal(&self) -> DVector<f64> {
        DVector::from_iterator(
            self.factor.nrows(),
            self.factor.row_iter().map(|row| row.norm_squared()),
        )
    }

    /// How far each of the n gradients is from their mean, ‖gᵢ − ḡ‖.
    pub fn deviations(&self) -> Vec<f64> {
        let count = (self.factor.ncols() as f64).sqrt();
        let columns = self.factor.column_iter();
        columns.map(|column| count * column.norm()).collect()
    }

    /// A, with Σ = A·Aᵀ.
    pub fn factor(&self) -> &DMatrix<f64> {
        &self.factor
    }

    /// The `count` leading eigenpairs of Σ, or as many as there are. Those of A·Aᵀ follow from those of Aᵀ·A: the
    /// smaller of the two is decomposed.
    ///
    /// # Errors
    /// As [`eigenpairs`].
    pub fn leading(&self, count: usize) -> Result<Vec<Eigenpair>> {
        let mut pairs = if self.factor.nrows() <= self.factor.ncols() {
            eigenpairs(&self.factor * self.factor.transpose())?
        } else {
            let small = eigenpairs(self.factor.tr_mul(&self.factor))?;
            let largest = small.first().map_or(0.0, |pair| pair.value);
            small
                .iter()
                .filter(|pair| pair.value > NOTHING * largest)
                .map(|pair| Eigenpair {
                    value: pair.value,
                    vector: (&self.factor * &pair.vector) / pair.value.sqrt(),
                })
                .collect()
        };
        pairs.truncate(count);
        Ok(pairs)
    }
}

/// The covariance of Gaussian noise with mean 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Covariance {
    /// σ²·I.
    Isotropic {
        /// σ².
        variance: f64,
        /// D.
        dimensions: usize,
    },
    /// Independent entries with these variances `[D]`.
    Diagonal(DVector<f64>),
    /// A·Aᵀ by A `[D, n]`.
    Factor(DMatrix<f64>),
}

impl Covariance {
    /// Σᵢ γᵢ·vᵢvᵢᵀ of eigenpairs in D dimensions; a negative eigenvalue, which no covariance has, counts as 0.
    pub fn of_pairs(pairs: &[Eigenpair], dimensions: usize) -> Self {
        Self::Factor(DMatrix::from_fn(dimensions, pairs.len(), |row, column| {
            let Eigenpair { value, vector } = &pairs[column];
            value.max(0.0).sqrt() * vector[row]
        }))
    }

    /// Its trace: the expected square of the noise's length, E‖ε‖² (Section 3.2).
    pub(super) fn trace(&self) -> f64 {
        match self {
            Self::Isotropic { variance, dimensions } => variance * *dimensions as f64,
            Self::Diagonal(variances) => variances.sum(),
            Self::Factor(factor) => factor.norm_squared(),
        }
    }

    /// uᵀCu, the variance of the noise along a unit vector u `[D]`.
    pub(super) fn along(&self, unit: &DVector<f64>) -> f64 {
        match self {
            Self::Isotropic { variance, .. } => variance * unit.norm_squared(),
            Self::Diagonal(variances) => variances.iter().zip(unit.iter()).map(|(v, u)| v * u * u).sum(),
            Self::Factor(factor) => factor.tr_mul(unit).norm_squared(),
        }
    }

    /// Tr(H·C) with all eigenpairs of H, or with the leading ones as far as the others are nothing: how fast such noise
    /// leaves a minimum (Eq. 11 and 13).
    pub fn trace_with(&self, hessian: &[Eigenpair]) -> f64 {
        hessian.iter().map(|pair| pair.value * self.along(&pair.vector)).sum()
    }

    /// The same shape with another trace. What has none stays as it is.
    pub fn scaled_to(self, trace: f64) -> Self {
        let own = self.trace();
        if own <= 0.0 {
            return self;
        }
        let by = trace / own;
        match self {
            Self::Isotropic { variance, dimensions } => Self::Isotropic {
                variance: by * variance,
                dimensions,
            },
            Self::Diagonal(variances) => Self::Diagonal(variances * by),
            Self::Factor(factor) => Self::Factor(factor * by.sqrt()),
        }
    }

    /// Noise ε `[D]` drawn from N(0, C).
    pub fn draw(&self, random: &mut Random) -> DVector<f64> {
        let mut normal = || f64::from(random.normal());
        match self {
            Self::Isotropic { variance, dimensions } => {
                let deviation = variance.sqrt();
                DVector::from_fn(*dimensions, |_, _| deviation * normal())
            }
            Self::Diagonal(variances) => variances.map(|variance| variance.sqrt() * normal()),
            Self::Factor(factor) => factor * DVector::from_fn(factor.ncols(), |_, _| normal()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Purpose;

    fn random_matrix(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let mut random = Random::new(seed, Purpose::Direction, 0);
        DMatrix::from_fn(rows, columns, |_, _| f64::from(random.normal()))
    }

    #[test]
    fn eigenpairs_are_sorted_and_what_is_not_finite_is_refused() {
        let pairs = eigenpairs(DMatrix::from_row_slice(2, 2, &[110.0, 90.0, 90.0, 110.0])).unwrap();
        assert!((pairs[0].value - 200.0).abs() < 1e-12 && (pairs[1].value - 20.0).abs() < 1e-12);
        assert!((pairs[0].vector[0] - pairs[0].vector[1]).abs() < 1e-14);
        assert!((pairs[1].vector[0] + pairs[1].vector[1]).abs() < 1e-14);
        assert!(eigenpairs(DMatrix::zeros(0, 0)).unwrap().is_empty());
        let message = eigenpairs(DMatrix::from_element(2, 2, f64::NAN))
            .unwrap_err()
            .to_string();
        assert!(message.contains("learning rate"), "{message}");
    }

    #[test]
    fn noise_that_is_drawn_has_the_covariance_that_was_asked_for() {
        let count = 20_000;
        let shapes = [
            Covariance::Isotropic {
                variance: 0.3,
                dimensions: 2,
            },
            Covariance::Diagonal(DVector::from_vec(vec![0.2, 1.5])),
            Covariance::Factor(DMatrix::from_row_slice(2, 3, &[1.0, 0.5, -0.2, 0.3, -0.4, 0.8])),
        ];
        for shape in shapes {
            let mut random = Random::new(5, Purpose::Shuffle, 0);
            let draws: Vec<DVector<f64>> = (0..count).map(|_| shape.draw(&mut random)).collect();
            // uᵀCu of the draws, for three directions that fix a 2 × 2 matrix.
            for unit in [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]] {
                let unit = DVector::from_vec(unit.to_vec());
                let found = draws.iter().map(|draw| draw.dot(&unit).powi(2)).sum::<f64>() / f64::from(count);
                let asked = shape.along(&unit);
                // A variance of n Gaussian draws has the standard error variance·√(2/n); five of them.
                assert!(
                    (found - asked).abs() < 5.0 * asked * (2.0 / f64::from(count)).sqrt(),
                    "{found} {asked}"
                );
            }
            assert!((shape.scaled_to(0.01).trace() - 0.01).abs() < 1e-15);
        }
        let nothing = Covariance::of_pairs(&[], 2);
        assert_eq!(nothing.clone().scaled_to(1.0), nothing);
        assert_eq!(
            nothing.draw(&mut Random::new(1, Purpose::Shuffle, 0)),
            DVector::zeros(2)
        );
    }

    proptest! {
        // Few gradients of many parameters, as of a network, and many of few.
        #[test]
        fn leading_eigenpairs_are_those_of_the_covariance(
            rows in 1_usize..7, columns in 2_usize..9, seed in 0_u64..1000,
        ) {
            let gradients = random_matrix(rows, columns, seed);
            let found = GradientCovariance::of(&gradients);
            let mean = gradients.column_mean();
            let mut dense = DMatrix::zeros(rows, rows);
            for column in gradients.column_iter() {
                let away = column - &mean;
                dense += &away * away.transpose() / columns as f64;
            }
            prop_assert!((found.trace() - dense.trace()).abs() < 1e-12);
            prop_assert!((found.diagonal() - dense.diagonal()).norm() < 1e-12);
            let pairs = found.leading(rows).unwrap();
            for pair in &pairs {
                prop_assert!((&dense * &pair.vector - &pair.vector * pair.value).norm() < 1e-10);
                prop_assert!((pair.vector.norm() - 1.0).abs() < 1e-10);
            }
            prop_assert!(pairs.windows(2).all(|two| two[0].value >= two[1].value));
            let sum: f64 = pairs.iter().map(|pair| pair.value).sum();
            prop_assert!((sum - found.trace()).abs() < 1e-10 * found.trace().max(1.0));
            let whole = Covariance::of_pairs(&pairs, rows);
            let exact = Covariance::Factor(found.factor().clone());
            let unit = random_matrix(rows, 1, seed + 1).column(0).normalize();
            prop_assert!((whole.along(&unit) - exact.along(&unit)).abs() < 1e-10);
            prop_assert_eq!(found.leading(1).unwrap().len(), pairs.len().min(1));
        }
    }
}
