//! The non-uniformity of a minimum from products of the samples' Hessians (Wu, Ma and E, 2018, Definition 3): the
//! square root of λ_max(Σ) with Σ = (1/n) Σ Hᵢ² − H², from all samples or estimated from some.
//!
//! A product Σ·v = (1/n) Σ Hᵢ·(Hᵢv − Hv) takes two products with each Hessian where all Hᵢv fit into memory, and three
//! elsewhere ([`PerSample::scatter`]). Nothing cancels in it but what is the same for all samples.

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::lanczos::{Effort, LanczosOptions, Ritz, extreme_eigenpairs};
use super::operator::{SymmetricOperator, check_dimension, check_finite};
use crate::error::{Error, Result};
use crate::random::{Purpose, Random};

/// Memory for one vector a sample, in bytes; there are three times as many at once.
const BLOCK_BYTES: usize = 256 << 20;

/// Sets that samples are taken in where they stand for more: the spread between the sets is the error.
pub const SETS: usize = 4;

/// Symmetric matrices Hᵢ `[d, d]`, one a sample, known by their products.
pub trait PerSample {
    /// n.
    fn count(&self) -> usize;

    /// d.
    fn dimension(&self) -> usize;

    /// Hᵢ·vᵢ of each listed sample i and a vector vᵢ of its own, both one after another `[m, d]`.
    ///
    /// # Errors
    /// What the products' making meets: it is passed on as it is, [`Error::Cancelled`] among it.
    fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>>;

    /// Σ Hᵢ·(Hᵢv − H̄v) `[d]` over the listed samples for one vector v `[d]`, H̄ being their mean.
    ///
    /// # Errors
    /// As [`PerSample::apply_each`], and when a product is not finite.
    fn scatter(&mut self, samples: &[usize], vector: &[f32]) -> Result<Vec<f64>> {
        let rows = rows(self.dimension());
        scatter_by_rows(self, samples, vector, rows)
    }
}

/// Samples whose vectors `[dimension]` [`PerSample::scatter`] holds at once, where it says no other.
pub(super) fn rows(dimension: usize) -> usize {
    (BLOCK_BYTES / size_of::<f32>() / dimension.max(1)).max(1)
}

/// How often [`scatter_by_rows`] asks for products of so many samples, `rows` at once.
pub(super) fn requests(samples: usize, rows: usize) -> usize {
    match samples.div_ceil(rows) {
        1 => 2,
        blocks => 3 * blocks,
    }
}

/// Σ Hᵢ·(Hᵢv − H̄v) `[d]` by products with vectors of so many samples at once.
pub(super) fn scatter_by_rows<H: PerSample + ?Sized>(
    hessians: &mut H,
    samples: &[usize],
    vector: &[f32],
    rows: usize,
) -> Result<Vec<f64>> {
    let mut mean = vec![0.0; vector.len()];
    let mut last = Vec::new();
    for block in samples.chunks(rows) {
        last = images(hessians, block, &vector.repeat(block.len()))?;
        add(&mut mean, &last, 1.0 / samples.len() as f64);
    }
    let is_one_block = samples.len() <= rows;
    let mut sum = vec![0.0; vector.len()];
    for block in samples.chunks(rows) {
        let mut deviations = if is_one_block {
            std::mem::take(&mut last)
        } else {
            images(hessians, block, &vector.repeat(block.len()))?
        };
        for row in deviations.chunks_exact_mut(mean.len()) {
            for (entry, mean) in row.iter_mut().zip(&mean) {
                *entry = (f64::from(*entry) - mean) as f32;
            }
        }
        add(&mut sum, &images(hessians, block, &deviations)?, 1.0);
    }
    Ok(sum)
}

/// The matrix Σ of some samples. Of m out of n it is (n − 1)/((m − 1)·n) Σ (Hᵢ − H̄)², with H̄ their mean: on average
/// over the choice of samples that of all, and itself that of all where m = n.
pub struct HessianCovariance<'a> {
    hessians: &'a mut dyn PerSample,
    samples: Vec<usize>,
}

impl<'a> HessianCovariance<'a> {
    /// Of these samples, each named once.
    ///
    /// # Errors
    /// When there are fewer than two, or the dimension is 0.
    pub fn new(hessians: &'a mut dyn PerSample, samples: Vec<usize>) -> Result<Self> {
        check_dimension(hessians.dimension())?;
        if samples.len() < 2 {
            return Err(Error::option(
                "samples",
                samples.len(),
                "a non-uniformity needs two at least",
            ));
        }
        Ok(Self { hessians, samples })
    }
}

impl SymmetricOperator for HessianCovariance<'_> {
    fn dimension(&self) -> usize {
        self.hessians.dimension()
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        let (taken, all) = (self.samples.len() as f64, self.hessians.count() as f64);
        let sum = self.hessians.scatter(&self.samples, vector)?;
        let weight = (all - 1.0) / ((taken - 1.0) * all);
        Ok(sum.into_iter().map(|entry| (weight * entry) as f32).collect())
    }
}

/// The products of a block, refused where they are not finite.
fn images<H: PerSample + ?Sized>(hessians: &mut H, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
    let images = hessians.apply_each(samples, vectors)?;
    if images.len() != vectors.len() {
        return Err(Error::Request(format!(
            "the products of {} samples' Hessians have {} numbers instead of {}",
            samples.len(),
            images.len(),
            vectors.len()
        )));
    }
    check_finite(&images, "the product of a sample's Hessian with a vector")?;
    Ok(images)
}

/// Adds each row, times `weight`.
fn add(sum: &mut [f64], rows: &[f32], weight: f64) {
    for row in rows.chunks_exact(sum.len()) {
        for (sum, &entry) in sum.iter_mut().zip(row) {
            *sum += weight * f64::from(entry);
        }
    }
}

/// A non-uniformity as it has been found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NonUniformity {
    /// s = λ_max(Σ)^½, in the Hessian's unit; of an estimate the square root of the mean of λ_max.
    pub value: f64,
    /// Its standard error to first order, that of λ_max over 2s; nothing where all samples were taken at once.
    pub standard_error: Option<f64>,
    /// λ_max(Σ), of an estimate over its subsets.
    pub squared: Estimate,
    /// Whether every eigenvalue has converged to the tolerance.
    pub converged: bool,
}

impl NonUniformity {
    /// From λ_max(Σ) of every subset, or of all samples as the only one; nothing from none.
    pub fn of(squares: &[f64], converged: bool) -> Option<Self> {
        // Σ has no eigenvalue below 0, but rounding may have.
        let squares: Vec<f64> = squares.iter().map(|square| square.max(0.0)).collect();
        let squared = Estimate::of(&squares)?;
        let value = squared.mean.sqrt();
        let error = |error: f64| if error > 0.0 { error / (2.0 * value) } else { 0.0 };
        Some(Self {
            value,
            standard_error: squared.standard_error.map(error),
            squared,
            converged,
        })
    }

    /// Whether it is an estimate from sets of samples, and no eigenvalue of all: nothing then bounds it from below.
    pub fn is_estimate(self) -> bool {
        self.squared.samples > 1
    }

    /// Whether it is at most `bound`; undecided where it is nearer to it than its standard error, and before it has
    /// converged, when one of all samples at once still shows that it is beyond.
    pub fn is_within(self, bound: f64) -> Option<bool> {
        let is_within = self.value <= bound;
        let is_decided = match self.converged {
            true => (self.value - bound).abs() >= self.standard_error.unwrap_or(0.0),
            false => !is_within && !self.is_estimate(),
        };
        is_decided.then_some(is_within)
    }
}

/// `subsets` disjoint sets of `size` samples out of `count` each, drawn with a seed; fewer where they do not suffice.
pub fn sets(count: usize, subsets: usize, size: usize, seed: u64) -> Vec<Vec<usize>> {
    let order = Random::new(seed, Purpose::Subset, 0).permutation(count);
    order
        .chunks_exact(size.max(1))
        .take(subsets)
        .map(<[usize]>::to_vec)
        .collect()
}

/// Of all samples. `progress` sees the search after every step and says whether to go on.
///
/// # Errors
/// As [`HessianCovariance::new`] and [`extreme_eigenpairs`].
pub fn non_uniformity(
    hessians: &mut dyn PerSample,
    effort: Effort,
    progress: &mut dyn FnMut(&Ritz) -> bool,
) -> Result<NonUniformity> {
    let samples = (0..hessians.count()).collect();
    found(hessians, vec![samples], effort, progress)
}

/// From `subsets` disjoint sets of `size` samples each, drawn with the effort's seed: the mean over the sets, with its
/// standard error. A set's matrix is right on average, but its largest eigenvalue is too large on average, the less so
/// the larger the sets.
///
/// # Errors
/// When there are fewer than two sets or two samples in a set, or the samples do not suffice; as
/// [`extreme_eigenpairs`].
pub fn estimated_non_uniformity(
    hessians: &mut dyn PerSample,
    subsets: usize,
    size: usize,
    effort: Effort,
    progress: &mut dyn FnMut(&Ritz) -> bool,
) -> Result<NonUniformity> {
    let count = hessians.count();
    if subsets < 2 {
        return Err(Error::option(
            "subsets",
            subsets,
            "give two at least, or there is no error to state",
        ));
    }
    if size < 2 || subsets.saturating_mul(size) > count {
        let reason = format!("give two samples at least; {subsets} sets of them have to fit into {count}");
        return Err(Error::option("subset size", size, reason));
    }
    found(hessians, sets(count, subsets, size, effort.seed), effort, progress)
}

fn found(
    hessians: &mut dyn PerSample,
    sets: Vec<Vec<usize>>,
    effort: Effort,
    progress: &mut dyn FnMut(&Ritz) -> bool,
) -> Result<NonUniformity> {
    let options = LanczosOptions {
        largest: 1,
        smallest: 0,
        copies: false,
        effort,
    };
    let (mut squares, mut converged) = (Vec::with_capacity(sets.len()), true);
    for samples in sets {
        let mut operator = HessianCovariance::new(hessians, samples)?;
        let spectrum = extreme_eigenpairs(&mut operator, options, progress)?;
        converged &= spectrum.converged;
        squares.extend(spectrum.largest.iter().map(|pair| pair.value));
    }
    NonUniformity::of(&squares, converged)
        .ok_or_else(|| Error::Request("the non-uniformity has no estimate without samples".to_owned()))
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};

    use super::*;
    use crate::curvature::testing::quadratic::QuadraticProblem;
    use crate::curvature::testing::{normal, symmetric};

    const EFFORT: Effort = Effort {
        steps: 50,
        tolerance: 1e-6,
        seed: 2,
    };

    /// Matrices that are held whole.
    struct Whole {
        matrices: Vec<DMatrix<f64>>,
        /// Made so far.
        products: usize,
        /// Calls that asked for them.
        requests: usize,
    }

    impl PerSample for Whole {
        fn count(&self) -> usize {
            self.matrices.len()
        }

        fn dimension(&self) -> usize {
            self.matrices[0].nrows()
        }

        fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
            self.products += samples.len();
            self.requests += 1;
            let rows = samples.iter().zip(vectors.chunks_exact(self.dimension()));
            let images = rows.flat_map(|(&sample, row)| {
                let vector = DVector::from_iterator(row.len(), row.iter().map(|&x| f64::from(x)));
                let image = &self.matrices[sample] * vector;
                image.iter().map(|&x| x as f32).collect::<Vec<f32>>()
            });
            Ok(images.collect())
        }
    }

    fn held(matrices: Vec<DMatrix<f64>>) -> Whole {
        Whole {
            matrices,
            products: 0,
            requests: 0,
        }
    }

    fn whole(count: usize, size: usize, seed: u64) -> Whole {
        let matrix = |index| symmetric(size, 1000 * seed + index as u64);
        held((0..count).map(matrix).collect())
    }

    #[test]
    fn requests_are_counted_as_they_are_made() {
        for (count, rows) in [(2, 4), (4, 4), (5, 4), (8, 4), (9, 1)] {
            let mut hessians = whole(count, 2, 1);
            let samples: Vec<usize> = (0..count).collect();
            scatter_by_rows(&mut hessians, &samples, &[1.0, -0.5], rows).unwrap();
            assert_eq!(hessians.requests, requests(count, rows), "{count} by {rows}");
        }
        // Of 2²⁴ numbers four vectors fill a block.
        assert_eq!((rows(1 << 24), rows(1 << 40)), (4, 1));
    }

    /// Matrices of one entry.
    fn numbers(count: usize, seed: u64) -> Whole {
        let entries = normal(count, 1, seed);
        held(entries.iter().map(|&x| DMatrix::from_element(1, 1, x)).collect())
    }

    #[test]
    fn all_samples_give_what_the_whole_matrices_do() {
        for (count, size) in [(2, 3), (9, 8), (20, 1)] {
            let mut hessians = whole(count, size, 5);
            let expected = QuadraticProblem::new(hessians.matrices.clone()).non_uniformity();
            let found = non_uniformity(&mut hessians, EFFORT, &mut |_| true).unwrap();
            // Some roundings of single precision and the tolerance, both shares of λ_max, of which s has half.
            assert!(
                (found.value / expected - 1.0).abs() < 5e-6,
                "{} instead of {expected}",
                found.value
            );
            assert!(found.converged && found.standard_error.is_none() && found.squared.samples == 1);
        }
    }

    #[test]
    fn products_are_those_of_the_covariance_whatever_the_blocks() {
        let mut hessians = whole(7, 5, 1);
        let samples: Vec<usize> = vec![0, 2, 3, 6];
        let picked: Vec<&DMatrix<f64>> = samples.iter().map(|&sample| &hessians.matrices[sample]).collect();
        let zero = DMatrix::<f64>::zeros(5, 5);
        let mean = picked.iter().fold(zero.clone(), |sum, matrix| sum + *matrix) / 4.0;
        let squares = picked.iter().map(|matrix| (*matrix - &mean) * (*matrix - &mean));
        // m = 4 of n = 7.
        let covariance = squares.fold(zero, |sum, square| sum + square) * (6.0 / (3.0 * 7.0));
        let vector = [0.3_f32, -1.0, 0.2, 0.9, -0.4];
        let expected = &covariance * DVector::from_iterator(5, vector.iter().map(|&x| f64::from(x)));
        let check = |found: &mut dyn Iterator<Item = f64>| {
            for (found, expected) in found.zip(expected.iter()) {
                // Each product is rounded once, relative to ‖Hᵢ‖ < 6, and multiplied by another one.
                assert!((found - expected).abs() < 36.0 * 1e-6, "{found} instead of {expected}");
            }
        };
        for (rows, products) in [(1, 12), (3, 12), (4, 8), (100, 8)] {
            hessians.products = 0;
            let found = scatter_by_rows(&mut hessians, &samples, &vector, rows).unwrap();
            check(&mut found.iter().map(|entry| entry * (6.0 / (3.0 * 7.0))));
            assert_eq!(hessians.products, products, "{rows}");
        }
        let mut operator = HessianCovariance::new(&mut hessians, samples).unwrap();
        let found = operator.apply(&vector).unwrap();
        check(&mut found.iter().map(|&entry| f64::from(entry)));
    }

    #[test]
    fn what_is_not_known_well_enough_is_not_decided() {
        // λ_max(Σ) of 3 and 5 have the mean 4 = s² with a standard error of 1, and s has 1/(2s) = 0.25.
        let [sets, all] = [&[3.0, 5.0][..], &[4.0]].map(|squares| NonUniformity::of(squares, true).unwrap());
        assert!(sets.is_estimate() && !all.is_estimate());
        let bounds = [1.7, 1.8, 2.0, 2.2, 2.3];
        let within = |found: NonUniformity| bounds.map(|bound| found.is_within(bound));
        assert_eq!(within(sets), [Some(false), None, None, None, Some(true)]);
        assert_eq!(within(all), [false, false, true, true, true].map(Some));
        let under_way = |found: NonUniformity| NonUniformity {
            converged: false,
            ..found
        };
        assert_eq!(within(under_way(sets)), [None; 5]);
        assert_eq!(within(under_way(all)), [Some(false), Some(false), None, None, None]);
    }

    #[test]
    fn sets_have_no_sample_in_common() {
        let drawn = sets(11, 3, 3, 5);
        assert!(drawn.len() == 3 && drawn.iter().all(|set| set.len() == 3), "{drawn:?}");
        let mut all = drawn.concat();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() == 9 && all.iter().all(|&sample| sample < 11), "{drawn:?}");
        assert_eq!(drawn, sets(11, 3, 3, 5));
        assert_ne!(drawn, sets(11, 3, 3, 6));
    }

    #[test]
    fn equal_samples_have_none() {
        let mut hessians = held(vec![symmetric(4, 1); 6]);
        let found = non_uniformity(&mut hessians, EFFORT, &mut |_| true).unwrap();
        // Their mean is off by a rounding of double precision, which leaves some 10⁻¹⁵ of λ_max; s is its root.
        assert!(found.value < 3e-7, "{found:?}");
        let estimate = estimated_non_uniformity(&mut hessians, 3, 2, EFFORT, &mut |_| true).unwrap();
        assert!(estimate.value < 3e-7, "{estimate:?}");
    }

    #[test]
    fn an_estimate_of_numbers_is_right_on_average_and_knows_its_error() {
        let mut hessians = numbers(60, 3);
        let expected = non_uniformity(&mut hessians, EFFORT, &mut |_| true)
            .unwrap()
            .squared
            .mean;
        let (mut squares, mut variances) = (Vec::new(), Vec::new());
        for seed in 0..300 {
            let effort = Effort { seed, ..EFFORT };
            let found = estimated_non_uniformity(&mut hessians, 4, 5, effort, &mut |_| true).unwrap();
            let error = found.squared.standard_error.unwrap();
            assert!((found.value.powi(2) - found.squared.mean).abs() < 1e-12);
            assert!((found.standard_error.unwrap() * 2.0 * found.value - error).abs() < 1e-12);
            squares.push(found.squared.mean);
            variances.push(error * error);
        }
        let mean = Estimate::of(&squares).unwrap();
        let error = mean.standard_error.unwrap();
        assert!((mean.mean - expected).abs() < 6.0 * error, "{mean:?} {expected}");
        // The spread of the estimates is what they say of it. Sets of one draw without replacement are no more
        // alike than independent ones, and the variance of a variance from 300 is off by some 8 %.
        let stated = Estimate::of(&variances).unwrap().mean;
        let spread = error * error * 300.0;
        assert!(spread < 1.5 * stated && stated < 3.0 * spread, "{stated} {spread}");
    }

    #[test]
    fn an_estimate_of_matrices_errs_to_the_large_side() {
        let mut hessians = whole(40, 6, 2);
        let exact = non_uniformity(&mut hessians, EFFORT, &mut |_| true)
            .unwrap()
            .squared
            .mean;
        let mut draw = |size| {
            let means = (0..40).map(|seed| {
                let effort = Effort { seed, ..EFFORT };
                let found = estimated_non_uniformity(&mut hessians, 2, size, effort, &mut |_| true);
                found.unwrap().squared.mean
            });
            Estimate::of(&means.collect::<Vec<f64>>()).unwrap()
        };
        let (small, large) = (draw(4), draw(20));
        assert!(
            small.mean > exact + 6.0 * small.standard_error.unwrap(),
            "{small:?} {exact}"
        );
        assert!(
            large.mean > exact && large.mean < small.mean,
            "{large:?} {small:?} {exact}"
        );
    }

    #[test]
    fn what_has_no_non_uniformity_is_refused() {
        let mut hessians = numbers(10, 1);
        let mut ask = |subsets, size| {
            let result = estimated_non_uniformity(&mut hessians, subsets, size, EFFORT, &mut |_| true);
            result.is_ok()
        };
        assert!(ask(2, 5) && ask(5, 2));
        assert!(!ask(1, 5) && !ask(0, 5) && !ask(2, 6) && !ask(2, 1) && !ask(2, usize::MAX));
        assert!(non_uniformity(&mut numbers(1, 1), EFFORT, &mut |_| true).is_err());
        let cancelled = non_uniformity(&mut whole(5, 9, 1), EFFORT, &mut |_| false);
        assert!(matches!(cancelled, Err(Error::Cancelled)));
        let mut diverged = held(vec![DMatrix::from_element(2, 2, f64::NAN); 3]);
        let failed = non_uniformity(&mut diverged, EFFORT, &mut |_| true).unwrap_err();
        assert!(failed.to_string().contains("not finite"), "{failed}");
    }
}
