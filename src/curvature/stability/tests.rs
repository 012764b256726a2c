//! Bounds beside quadratic problems whose stability is decided exactly.

use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;

use super::*;
use crate::curvature::dense;
use crate::curvature::testing::normal;
use crate::curvature::testing::quadratic::{QuadraticProblem, average};

/// Positive semidefinite matrices of so many rows and a rank.
fn hessians(count: usize, size: usize, rank: usize, seed: u64) -> Vec<DMatrix<f64>> {
    let hessian = |index: usize| {
        let factor = normal(size, rank, 100 * seed + index as u64);
        &factor * factor.transpose() / size as f64
    };
    (0..count).map(hessian).collect()
}

/// I − ηH_B for every batch of so many samples.
fn steps(hessians: &[DMatrix<f64>], learning_rate: f64, batch_size: usize) -> Vec<DMatrix<f64>> {
    let (count, size) = (hessians.len(), hessians[0].nrows());
    let all = 1_u32 << count;
    let batches = (0..all).filter(|batch| batch.count_ones() as usize == batch_size);
    let step = |batch: u32| {
        let members = (0..count).filter(|&index| (batch >> index) & 1 == 1);
        let mean = average(members.map(|index| hessians[index].clone()));
        DMatrix::identity(size, size) - mean * learning_rate
    };
    batches.map(step).collect()
}

/// Unit vectors along the axes.
fn axes(size: usize) -> Vec<Vec<f64>> {
    let axis = |one: usize| (0..size).map(|index| if index == one { 1.0 } else { 0.0 }).collect();
    (0..size).map(axis).collect()
}

#[test]
fn second_moments_are_those_of_all_batches_in_turn() {
    let hessians = hessians(5, 3, 3, 1);
    let problem = QuadraticProblem::new(hessians.clone());
    let start = [1.0, -0.5, 2.0];
    for batch_size in 1..=5 {
        let steps = steps(&hessians, 0.6, batch_size);
        let mut moment = DVector::from_column_slice(&start) * DVector::from_column_slice(&start).transpose();
        let found = problem.second_moments(0.6, batch_size, &start, 8);
        assert_eq!(found.len(), 9);
        for square in found {
            let expected = moment.trace();
            assert!(
                (square - expected).abs() <= 1e-12 * expected,
                "{square} instead of {expected}"
            );
            moment = average(steps.iter().map(|step| step * &moment * step));
        }
    }
}

#[test]
fn the_condition_is_the_growth_of_one_step_from_the_worst_start() {
    for seed in 0..10 {
        let hessians = hessians(6, 4, 2, seed);
        let problem = QuadraticProblem::new(hessians.clone());
        let (learning_rate, batch_size) = (0.3 + 0.1 * seed as f64, 1 + seed as usize % 5);
        let stability = problem.stability(learning_rate, batch_size);
        let steps = steps(&hessians, learning_rate, batch_size);
        let squares = average(steps.iter().map(|step| step * step));
        let eigen = dense::eigen(squares).unwrap();
        let worst: Vec<f64> = eigen.vectors.column(3).iter().copied().collect();
        let growth = |start: &[f64]| {
            let moments = problem.second_moments(learning_rate, batch_size, start, 1);
            moments[1] / moments[0]
        };
        assert!((growth(&worst) / stability.condition - 1.0).abs() < 1e-12);
        let most = stability.condition * (1.0 + 1e-12);
        assert!(axes(4).iter().all(|start| growth(start) <= most));
        assert!(stability.growth <= most);
    }
}

#[test]
fn second_moments_grow_or_decay_at_the_exact_rate_on_both_sides_of_the_bound() {
    const STEPS: usize = 100;
    let (mut guaranteed, mut stable, mut unstable) = (0, 0, 0);
    for seed in 0..60 {
        let (size, batch_size) = (2 + seed as usize % 3, 1 + seed as usize % 4);
        let problem = QuadraticProblem::new(hessians(5, size, 1 + seed as usize % 2, seed));
        let rate = (0.1 + 0.02 * seed as f64) * 2.0 / problem.sharpness();
        let stability = problem.stability(rate, batch_size);
        let mut total = 0.0;
        for start in axes(size) {
            let moments = problem.second_moments(rate, batch_size, &start, STEPS);
            if stability.is_guaranteed() {
                assert!(moments.is_sorted_by(|before, after| *after <= before * (1.0 + 1e-12)));
            }
            total += moments[STEPS];
        }
        // The sum over the axes is ⟨I, Tᵗ·I⟩ for the map T, with eigenmatrices Vᵢ of unit norm Σ λᵢᵗ·(tr Vᵢ)². Of an
        // even t no term is negative, Σ (tr Vᵢ)² = ‖I‖² = d, and the leading Vᵢ is positive, so that tr V ≥ ‖V‖ = 1.
        let leading = stability.growth.powi(STEPS as i32);
        let within = leading * (1.0 - 1e-9)..=size as f64 * leading * (1.0 + 1e-9);
        assert!(within.contains(&total), "{total} outside {within:?}");
        guaranteed += usize::from(stability.is_guaranteed());
        stable += usize::from(stability.is_stable());
        unstable += usize::from(!stability.is_stable());
    }
    assert!(
        guaranteed > 5 && stable >= guaranteed && unstable > 5,
        "{guaranteed} {stable} {unstable}"
    );
}

#[test]
fn with_shared_eigenvectors_the_condition_decides() {
    for seed in 0..20 {
        let entries = normal(6, 3, seed).map(|x| x.abs() + 0.1);
        let diagonal = |index: usize| DMatrix::from_diagonal(&entries.row(index).transpose());
        let problem = QuadraticProblem::new((0..6).map(diagonal).collect());
        let batch_size = 1 + seed as usize % 5;
        let noise = Sgd::new(1.0, batch_size, 6).unwrap().batch_variance();
        // (1 − ηa)² + η²·f·s² = 1 at η = 2a/(a² + f·s²); the first axis to get there decides.
        let (axis, bound, [a, s]) = (0..3)
            .map(|axis| {
                let column = entries.column(axis);
                let (a, variance) = (column.mean(), column.variance());
                (axis, 2.0 * a / (a * a + noise * variance), [a, variance.sqrt()])
            })
            .min_by(|one, other| one.1.total_cmp(&other.1))
            .unwrap();
        for (share, holds) in [(0.98, true), (1.02, false)] {
            let rate = share * bound;
            let stability = problem.stability(rate, batch_size);
            assert!((stability.condition - stability.growth).abs() < 1e-12);
            assert_eq!(
                (stability.is_guaranteed(), stability.is_stable()),
                (holds, holds),
                "{seed} {share}"
            );
            let factor = Sgd::new(rate, batch_size, 6).unwrap().factor(a, s);
            let moments = problem.second_moments(rate, batch_size, &axes(3)[axis], 50);
            assert_eq!(factor < 1.0, holds);
            assert!((moments[50] / factor.powi(50) - 1.0).abs() < 1e-10);
            assert_eq!(moments[50] < 1.0, holds);
        }
    }
}

#[test]
fn in_more_dimensions_sgd_may_stay_where_the_condition_fails() {
    // Two rank-one matrices half a radian apart: a step along the steep one is taken back by the other.
    let u = DVector::from_column_slice(&[0.5_f64.cos(), 0.5_f64.sin()]);
    let steep = DMatrix::from_diagonal(&DVector::from_column_slice(&[4.0, 0.0]));
    let problem = QuadraticProblem::new(vec![steep, &u * u.transpose()]);
    let stability = problem.stability(0.55, 1);
    // The numbers are those of NumPy.
    assert!((stability.condition - 1.078_408_732).abs() < 1e-8, "{stability:?}");
    assert!((stability.growth - 0.933_131_390).abs() < 1e-8, "{stability:?}");
    assert!(stability.is_stable() && !stability.is_guaranteed());
    for start in axes(2) {
        let moments = problem.second_moments(0.55, 1, &start, 400);
        // ⟨I, Tᵗ·xxᵀ⟩ ≤ ‖I‖·ρᵗ·‖xxᵀ‖.
        assert!(moments[400] <= 2.0_f64.sqrt() * stability.growth.powi(400) * (1.0 + 1e-9));
    }
    let faster = problem.stability(0.6, 1);
    assert!(!faster.is_stable() && !faster.is_guaranteed());
}

#[test]
fn flat_directions_do_not_make_a_minimum_unstable() {
    // Fewer samples than dimensions: the matrix of (8) has the eigenvalue 1.
    let problem = QuadraticProblem::new(hessians(3, 6, 1, 4));
    let stability = problem.stability(0.1 / problem.sharpness(), 1);
    assert!(stability.is_guaranteed() && stability.is_stable(), "{stability:?}");
    assert!((stability.condition - 1.0).abs() < 1e-12 && (stability.growth - 1.0).abs() < 1e-12);
}

#[test]
fn what_the_condition_allows_lies_within_both_bounds() {
    let mut allowed = 0;
    for seed in 0..60 {
        let problem = QuadraticProblem::new(hessians(7, 3, 3, seed));
        let (sharpness, spread) = (problem.sharpness(), problem.non_uniformity());
        let (rate, batch_size) = (0.03 * seed as f64 / sharpness + 1e-3, 1 + seed as usize % 7);
        let sgd = Sgd::new(rate, batch_size, 7).unwrap();
        if problem.stability(rate, batch_size).is_guaranteed() {
            allowed += 1;
            assert!(sharpness <= sgd.sharpness_bound() && spread <= sgd.non_uniformity_bound());
        }
    }
    assert!((10..60).contains(&allowed), "{allowed}");
}

#[test]
fn bounds_are_those_of_the_paper() {
    // Section 4.4: η = 0.1 allows 2/η = 20, and √B/η = 20 for small batches of B = 4.
    let sgd = Sgd::new(0.1, 4, 1000).unwrap();
    assert!((sgd.sharpness_bound() - 20.0).abs() < 1e-12);
    assert!((sgd.non_uniformity_bound() - 10.0 * (4.0_f64 * 999.0 / 996.0).sqrt()).abs() < 1e-12);
    let descent = Sgd::new(0.1, 1000, 1000).unwrap();
    assert_eq!(
        (descent.batch_variance(), descent.non_uniformity_bound()),
        (0.0, f64::INFINITY)
    );
    assert!((descent.factor(20.0, 50.0) - 1.0).abs() < 1e-12);
    let single = Sgd::new(0.1, 1, 1000).unwrap();
    assert_eq!(single.batch_variance(), 1.0);
    assert!((single.non_uniformity_bound() - 10.0).abs() < 1e-12);
    assert!((single.factor(10.0, 10.0) - 1.0).abs() < 1e-12);
}

#[test]
fn what_no_descent_can_have_is_refused() {
    for rate in [0.0, -0.1, f64::NAN, f64::INFINITY] {
        assert!(Sgd::new(rate, 1, 10).is_err(), "{rate}");
    }
    assert!(Sgd::new(0.1, 0, 10).is_err() && Sgd::new(0.1, 11, 10).is_err() && Sgd::new(0.1, 1, 1).is_err());
}

#[test]
fn a_bound_that_is_none_has_no_hyper_parameters() {
    let sgd = Sgd::new(0.1, 4, 100).unwrap();
    for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(sgd.with_sharpness_bound(bound).is_err(), "{bound}");
    }
    for bound in [-1.0, f64::NAN] {
        assert!(sgd.with_non_uniformity_bound(bound).is_err(), "{bound}");
    }
    // Below the bound of single samples, and of gradient descent, which has none.
    for (bound, batch_size) in [(0.0, 1), (1e-300, 1), (1e300, 100), (f64::INFINITY, 100)] {
        assert_eq!(sgd.with_non_uniformity_bound(bound).unwrap().batch_size(), batch_size);
    }
}

proptest! {
    #[test]
    fn bounds_lead_back_to_their_hyper_parameters(
        rate in 1e-4_f64..10.0,
        samples in 2_usize..100_000,
        share in 0.0_f64..1.0,
        other in 1e-4_f64..10.0,
    ) {
        let batch = 1 + (share * (samples - 1) as f64) as usize;
        let sgd = Sgd::new(rate, batch, samples).unwrap();
        let back = Sgd::new(other, batch, samples).unwrap().with_sharpness_bound(sgd.sharpness_bound()).unwrap();
        prop_assert!((back.learning_rate() / rate - 1.0).abs() < 1e-14);
        prop_assert_eq!((back.batch_size(), back.samples()), (batch, samples));
        let from = Sgd::new(rate, 1, samples).unwrap();
        let back = from.with_non_uniformity_bound(sgd.non_uniformity_bound()).unwrap();
        prop_assert_eq!(back, sgd);
    }

    #[test]
    fn in_one_dimension_the_factor_decides(
        curvatures in proptest::collection::vec(-1.0_f64..5.0, 2..7),
        rate in 0.01_f64..1.5,
        batch in 0_usize..100,
    ) {
        let (count, batch_size) = (curvatures.len(), 1 + batch % curvatures.len());
        let matrices = curvatures.iter().map(|&h| DMatrix::from_element(1, 1, h));
        let problem = QuadraticProblem::new(matrices.collect());
        let mean = curvatures.iter().sum::<f64>() / count as f64;
        let variance = curvatures.iter().map(|h| (h - mean).powi(2)).sum::<f64>() / count as f64;
        prop_assert!((problem.sharpness() - mean).abs() < 1e-12);
        // A square root of a difference of two squares below 25.
        prop_assert!((problem.non_uniformity().powi(2) - variance).abs() < 1e-12);
        let factor = Sgd::new(rate, batch_size, count).unwrap().factor(mean, variance.sqrt());
        let stability = problem.stability(rate, batch_size);
        prop_assert!((stability.condition - factor).abs() < 1e-10);
        prop_assert!((stability.growth - factor).abs() < 1e-10);
        let moments = problem.second_moments(rate, batch_size, &[3.0], 4);
        for pair in moments.windows(2) {
            prop_assert!((pair[1] - factor * pair[0]).abs() <= 1e-10 * pair[0]);
        }
    }
}
