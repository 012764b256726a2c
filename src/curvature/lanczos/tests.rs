use proptest::prelude::*;

use super::*;
use crate::curvature::testing::{Dense, symmetric, with_spectrum};
use crate::landscape::direction::dot;

/// Half the distance of neighbouring numbers of single precision near 1.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

fn options(largest: usize, smallest: usize, copies: bool) -> LanczosOptions {
    LanczosOptions {
        largest,
        smallest,
        copies,
        effort: Effort {
            steps: 200,
            tolerance: 1e-5,
            seed: 3,
        },
    }
}

fn found(matrix: &DMatrix<f64>, options: LanczosOptions) -> Spectrum {
    extreme_eigenpairs(&mut Dense(matrix.clone()), options, &mut |_| true).unwrap()
}

fn rising(matrix: &DMatrix<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Compares with the eigenvalues of the whole matrix, in rising order.
#[track_caller]
fn assert_right(matrix: &DMatrix<f64>, options: LanczosOptions, spectrum: &Spectrum) {
    let values = rising(matrix);
    let norm = norm(&values);
    // What is computed is AQ − QT for a basis of m vectors. Each column is off by a rounding of the product, one of the
    // next vector and two of T, whose halves are the products of different vectors: 4√m roundings of ‖A‖ together. The
    // vector's own rounding and its product's are three more.
    let allowed = norm * (options.effort.tolerance + 7.0 * (spectrum.steps as f64).sqrt() * ROUNDING);
    let known = values.iter().rev().zip(&spectrum.largest);
    for (value, pair) in known.chain(values.iter().zip(&spectrum.smallest)) {
        assert!(
            (pair.value - value).abs() <= allowed,
            "{} instead of {value}",
            pair.value
        );
        assert!(pair.residual <= allowed, "residual {} of {value}", pair.residual);
        assert!(pair.estimate <= norm * options.effort.tolerance, "{}", pair.estimate);
        let unsound = (pair.residual - pair.estimate).max(0.0);
        assert!(
            unsound <= 7.0 * norm * (spectrum.steps as f64).sqrt() * ROUNDING,
            "{pair:?}"
        );
        assert!((dot(&pair.vector, &pair.vector) - 1.0).abs() < 1e-6);
    }
    let size = values.len();
    assert_eq!(spectrum.largest.len(), options.largest.min(size));
    assert_eq!(spectrum.smallest.len(), options.smallest.min(size));
    for vectors in [&spectrum.largest, &spectrum.smallest] {
        for (index, pair) in vectors.iter().enumerate() {
            // The basis is orthogonal to some roundings for each pair of its vectors.
            let others = vectors[..index]
                .iter()
                .map(|other| dot(&other.vector, &pair.vector).abs());
            assert!(others.fold(0.0, f64::max) < 1e-5);
        }
    }
}

#[test]
fn the_ends_of_a_random_spectrum_are_those_of_the_whole_matrix() {
    let matrix = symmetric(120, 5);
    let options = options(4, 3, false);
    let spectrum = found(&matrix, options);
    assert!(spectrum.converged && !spectrum.complete && spectrum.steps < 120);
    assert_right(&matrix, options, &spectrum);
}

#[test]
fn one_eigenvalue_needs_no_search_for_copies() {
    let mut values = vec![10.0, 10.0];
    values.extend((0..300).map(|index| f64::from(index) / 300.0));
    let matrix = with_spectrum(&values, 1);
    let options = options(1, 0, true);
    let spectrum = found(&matrix, options);
    // With ten times the rest, one product gains a factor of more than thirty.
    assert!(spectrum.complete && spectrum.steps < 12, "{} steps", spectrum.steps);
    assert_right(&matrix, options, &spectrum);
}

#[test]
fn few_different_eigenvalues_are_found_with_all_their_copies() {
    let values = [5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0, -2.0];
    let matrix = with_spectrum(&values, 2);
    for (largest, smallest) in [(3, 2), (2, 0), (4, 3), (0, 5)] {
        let options = options(largest, smallest, false);
        let spectrum = found(&matrix, options);
        assert!(spectrum.complete, "{largest} {smallest}");
        assert_right(&matrix, options, &spectrum);
    }
}

#[test]
fn copies_among_many_different_eigenvalues_are_found_on_request() {
    // A geometric spectrum converges long before rounding has brought the copies of 1 and ½ in.
    let mut values: Vec<f64> = (0..400).map(|index| (-f64::from(index) / 2.0).exp()).collect();
    values.extend([1.0, 1.0, 0.5, 0.5]);
    let matrix = with_spectrum(&values, 7);
    let options = options(6, 0, true);
    let spectrum = found(&matrix, options);
    assert!(spectrum.complete && spectrum.steps < 120, "{} steps", spectrum.steps);
    assert_right(&matrix, options, &spectrum);
}

#[test]
fn a_matrix_of_zeros_one_row_and_more_eigenvalues_than_rows() {
    let zero = found(&DMatrix::zeros(9, 9), options(3, 3, false));
    assert!(zero.converged && zero.complete && zero.steps < 9);
    let mut pairs = zero.largest.iter().chain(&zero.smallest);
    assert!(pairs.all(|pair| (pair.value, pair.residual) == (0.0, 0.0)));
    let one = DMatrix::from_element(1, 1, -3.5);
    let spectrum = found(&one, options(1, 1, true));
    assert!(spectrum.complete && spectrum.steps == 1);
    assert_right(&one, options(1, 1, true), &spectrum);
    let small = symmetric(4, 8);
    let spectrum = found(&small, options(10, 10, false));
    assert!(spectrum.complete && spectrum.steps == 4);
    assert_right(&small, options(10, 10, false), &spectrum);
}

#[test]
fn estimates_grow_outwards_and_interlace_from_step_to_step() {
    let matrix = symmetric(60, 4);
    let values = rising(&matrix);
    // Two projections differ by roundings of the same entries.
    let slack = 100.0 * ROUNDING * norm(&values);
    let (mut before, mut states): (Vec<f64>, usize) = (Vec::new(), 0);
    extreme_eigenpairs(&mut Dense(matrix), options(2, 1, false), &mut |ritz| {
        states += 1;
        assert_eq!((ritz.steps, ritz.values.len()), (states, states));
        assert_eq!(ritz.largest[0].value, ritz.values[states - 1]);
        for (index, value) in before.iter().enumerate() {
            assert!(ritz.values[index] <= value + slack && value - slack <= ritz.values[index + 1]);
        }
        assert!(ritz.values[0] >= values[0] - slack && ritz.values[states - 1] <= values[59] + slack);
        before.clone_from(&ritz.values);
        true
    })
    .unwrap();
    assert!(states > 10);
}

#[test]
fn the_seed_alone_decides_the_start() {
    let matrix = symmetric(80, 9);
    let options = options(1, 0, false);
    let spectrum = found(&matrix, options);
    assert_eq!(spectrum, found(&matrix, options));
    let mut other = options;
    other.effort.seed = 4;
    assert_ne!(spectrum, found(&matrix, other));
}

#[test]
fn a_search_that_runs_out_of_steps_says_so_and_is_honest_about_its_residuals() {
    let matrix = symmetric(100, 6);
    let mut few = options(2, 0, false);
    few.effort.steps = 6;
    let spectrum = found(&matrix, few);
    assert!(!spectrum.converged && !spectrum.complete && spectrum.steps == 6);
    let values = rising(&matrix);
    for pair in &spectrum.largest {
        assert!(
            (pair.residual - pair.estimate).abs() < 100.0 * ROUNDING * norm(&values),
            "{pair:?}"
        );
        let nearest = values.iter().map(|value| (value - pair.value).abs());
        assert!(nearest.fold(f64::INFINITY, f64::min) <= pair.residual);
    }
}

/// A matrix whose second product is not finite, and whose third fails.
struct Failing(usize);

impl SymmetricOperator for Failing {
    fn dimension(&self) -> usize {
        5
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        self.0 += 1;
        let entry = |(index, &v): (usize, &f32)| v * index as f32;
        match self.0 {
            2 => Ok(vec![1.0, f32::NAN, 1.0, 1.0, 1.0]),
            3 => Err(Error::Device("lost".to_owned())),
            4 => Ok(vec![1.0]),
            _ => Ok(vector.iter().enumerate().map(entry).collect()),
        }
    }
}

#[test]
fn a_product_that_fails_is_an_error_and_may_be_made_again() {
    let mut operator = Failing(0);
    let mut lanczos = Lanczos::new(5, options(1, 0, false)).unwrap();
    assert!(lanczos.step(&mut operator).unwrap());
    let message = lanczos.step(&mut operator).unwrap_err().to_string();
    assert!(message.contains("not finite"), "{message}");
    assert!(matches!(lanczos.step(&mut operator), Err(Error::Device(_))));
    assert!(lanczos.step(&mut operator).is_err(), "a product of another length");
    while lanczos.step(&mut operator).unwrap() {}
    let spectrum = lanczos.finish(&mut operator).unwrap();
    assert!((spectrum.largest[0].value - 4.0).abs() < 1e-4 && spectrum.smallest.is_empty());
}

#[test]
fn another_matrix_is_refused() {
    let mut lanczos = Lanczos::new(5, options(1, 0, false)).unwrap();
    let message = lanczos.step(&mut Dense(symmetric(6, 1))).unwrap_err().to_string();
    assert!(message.contains("dimension 6 has 5 numbers"), "{message}");
    assert!(lanczos.step(&mut Dense(symmetric(5, 1))).unwrap());
    assert!(lanczos.finish(&mut Dense(symmetric(6, 1))).is_err());
}

#[test]
fn what_cannot_be_asked_is_refused_before_memory_is_taken() {
    let good = options(2, 0, false);
    assert!(Lanczos::new(0, good).is_err());
    assert!(Lanczos::new(7, options(0, 0, false)).is_err());
    let with = |steps, tolerance| LanczosOptions {
        effort: Effort {
            steps,
            tolerance,
            seed: 0,
        },
        ..good
    };
    assert!(Lanczos::new(7, with(1, 1e-3)).is_err() && Lanczos::new(7, with(2, 1e-3)).is_ok());
    assert!(Lanczos::new(1, with(1, 1e-3)).is_ok());
    for tolerance in [0.0, 1e-9, 1.0, f64::NAN, f64::INFINITY] {
        assert!(Lanczos::new(7, with(20, tolerance)).is_err(), "{tolerance}");
    }
    let message = Lanczos::new(1 << 40, with(20, 1e-3)).unwrap_err().to_string();
    assert!(message.contains("GiB"), "{message}");
    assert!(Lanczos::new(1 << 28, with(usize::MAX, 1e-3)).is_err());
}

#[test]
fn a_search_can_be_cancelled() {
    let mut steps = 0;
    let result = extreme_eigenpairs(&mut Dense(symmetric(50, 1)), options(3, 3, false), &mut |ritz| {
        steps = ritz.steps;
        steps < 4
    });
    assert!(matches!(result, Err(Error::Cancelled)) && steps == 4);
}

proptest! {
    #[test]
    fn any_small_matrix_has_the_ends_of_its_spectrum_found(
        size in 1_usize..14,
        largest in 0_usize..5,
        smallest in 1_usize..5,
        whole in any::<bool>(),
        scale in -12_i32..12,
        seed in 0_u64..1000,
    ) {
        // Whole numbers make multiple eigenvalues.
        let matrix = symmetric(size, seed);
        let matrix = if whole {
            let values: Vec<f64> = matrix.diagonal().iter().map(|x| (2.0 * x).round()).collect();
            with_spectrum(&values, seed)
        } else {
            matrix
        };
        let matrix = matrix * 10.0_f64.powi(scale);
        let options = options(largest, smallest, true);
        let spectrum = found(&matrix, options);
        prop_assert!(spectrum.converged && spectrum.complete);
        assert_right(&matrix, options, &spectrum);
    }
}
