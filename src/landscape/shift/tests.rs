use proptest::prelude::*;

use super::*;
use crate::landscape::line::positions;

const RANGE: (f64, f64) = (-3.0, 3.0);

fn sampled(positions: &[f64], loss: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    positions.iter().map(|&l| (l, loss(l))).collect()
}

/// Steep where l < 0, flat where l > 0.
fn valley(l: f64) -> f64 {
    (-5.0 * l).max(0.3 * l)
}

#[test]
fn a_quadratic_moved_by_a_whole_number_of_spacings_is_matched_exactly() {
    let (a, s, b) = (0.5, 0.4, 0.3);
    let train = sampled(&positions(-3.0, 3.0, 61), |l| a * l * l);
    let test = sampled(&positions(-4.0, 4.0, 81), |l| a * (l - s).powi(2) + b);
    let gap = ShiftGap::new(&train, &test, RANGE).unwrap();
    // |a(l − s)² − al²| is largest at l = −3.
    assert!((gap.gap_at_zero - (a * s * s + 6.0 * a * s)).abs() < 1e-12);
    assert!((gap.test_minimum.loss - b).abs() < 1e-12 && !gap.test_minimum.at_edge);
    let best = gap.best().unwrap();
    assert!((best.delta - s).abs() < 1e-9 && best.gap < 1e-9, "{best:?}");
    assert!(
        (best.share - 1.0).abs() < 1e-9 && best.ratio.unwrap() < 1e-9,
        "{best:?}"
    );
}

#[test]
fn a_quadratic_moved_by_part_of_a_spacing_is_matched_within_the_error_of_its_lines() {
    let (a, s, spacing) = (0.5, 0.437, 0.1);
    let train = sampled(&positions(-3.0, 3.0, 61), |l| a * l * l);
    let test = sampled(&positions(-4.0, 4.0, 81), |l| a * (l - s).powi(2));
    let gap = ShiftGap::new(&train, &test, RANGE).unwrap();
    let bound = 3.0 * 2.0 * a * spacing * spacing / 8.0;
    assert!((gap.gap_at_zero - (a * s * s + 6.0 * a * s)).abs() < bound);
    assert!(gap.gap(s).unwrap() <= bound);
    let best = gap.best().unwrap();
    assert!(best.gap <= bound && (best.delta - s).abs() < 0.005, "{best:?}");
}

#[test]
fn piecewise_linear_valleys_are_exact() {
    let places = [-3.0, -2.2, -1.3, -0.4, 0.0, 0.7, 1.1, 2.5, 3.0];
    let train = sampled(&places, valley);
    let test: Vec<(f64, f64)> = train.iter().map(|&(l, loss)| (l + 0.37, loss + 2.0)).collect();
    let gap = ShiftGap::new(&train, &test, RANGE).unwrap();
    for (delta, left) in [(0.0, 0.37), (0.2, 0.17), (-0.2, 0.57), (0.6, 0.23)] {
        assert!((gap.gap(delta).unwrap() - 5.0 * left).abs() < 1e-12, "{delta}");
    }
    let at_zero = gap.at(0.0).unwrap();
    assert!((at_zero.covered.0 + 2.63).abs() < 1e-12 && at_zero.covered.1 == 3.0);
    assert!((at_zero.share - 5.63 / 6.0).abs() < 1e-12 && at_zero.ratio == Some(1.0));
    let best = gap.best().unwrap();
    assert!((best.delta - 0.37).abs() < 1e-12 && best.gap < 1e-12, "{best:?}");
    let laid = gap.shifted(best.delta);
    assert_eq!(laid.len(), 1);
    for (moved, node) in laid[0].iter().zip(&train) {
        assert!((moved.0 - node.0).abs() < 1e-12 && (moved.1 - node.1).abs() < 1e-12);
    }
    let ratios = gap.curve(&[0.0, 0.2, 100.0]);
    assert_eq!((ratios[0], ratios[2]), (Some(1.0), None));
    assert!((ratios[1].unwrap() - 0.17 / 0.37).abs() < 1e-12);
}

#[test]
fn equal_curves_need_no_shift_and_have_no_ratio() {
    let train = sampled(&positions(-3.0, 3.0, 13), valley);
    let gap = ShiftGap::new(&train, &train, RANGE).unwrap();
    let best = gap.best().unwrap();
    assert_eq!(
        (best.delta, best.gap, best.gap_at_zero, best.ratio),
        (0.0, 0.0, 0.0, None)
    );
    assert_eq!(gap.curve(&[0.0, 0.5]), [None, None]);
    let (low, high) = gap.reach(0.5).unwrap();
    assert!((low + 3.0).abs() < 1e-8 && (high - 3.0).abs() < 1e-8);
    assert!(gap.reach(1.5).is_none() && gap.best_within((-1.0, 1.0), 1.5).is_none());
}

#[test]
fn the_best_shift_stays_where_it_is_asked_for() {
    let train = sampled(&positions(-3.0, 3.0, 61), valley);
    let test = sampled(&positions(-4.0, 4.0, 81), |l| valley(l - 0.5));
    let gap = ShiftGap::new(&train, &test, RANGE).unwrap();
    let best = gap.best_within((-0.3, 0.3), 0.5).unwrap();
    assert!(
        (best.delta - 0.3).abs() < 1e-9 && (best.gap - 1.0).abs() < 1e-6,
        "{best:?}"
    );
    let away = gap.best_within((0.8, 2.0), 0.5).unwrap();
    assert!((away.delta - 0.8).abs() < 1e-9, "{away:?}");
    // With all of the range to keep, two curves of the same extent cannot move.
    let narrow = ShiftGap::new(&train, &sampled(&positions(-3.0, 3.0, 61), |l| valley(l - 0.5)), RANGE).unwrap();
    assert!(narrow.best_within((-1.0, 1.0), 1.0).unwrap().delta.abs() < 1e-8);
}

#[test]
fn what_is_not_finite_is_left_out_and_told() {
    let places = positions(-3.0, 3.0, 7);
    let mut train = sampled(&places, f64::abs);
    let mut test = sampled(&places, |l| l.abs() + 1.0);
    train[5].1 = f64::NAN;
    // Beyond the hole, where one known position is no piece.
    train[6].1 = 50.0;
    test[0].1 = f64::INFINITY;
    let gap = ShiftGap::new(&train, &test, RANGE).unwrap();
    assert_eq!(gap.train_unknown, [(1.0, 3.0)]);
    assert_eq!(gap.test_unknown, [(-3.0, -2.0)]);
    let at_zero = gap.at(0.0).unwrap();
    assert_eq!((at_zero.gap, at_zero.covered, at_zero.share), (0.0, (-2.0, 1.0), 0.5));
    assert!(gap.gap(f64::NAN).is_none() && gap.gap(f64::INFINITY).is_none());
    test[2].1 = f64::NAN;
    let cut = ShiftGap::new(&sampled(&places, f64::abs), &test, RANGE).unwrap();
    assert_eq!(cut.test_unknown, [(-3.0, 0.0)]);
    assert_eq!(
        cut.shifted(1.0),
        [vec![(-1.0, 0.0), (0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]]
    );
}

#[test]
fn curves_without_a_gap_are_refused() {
    let train = sampled(&positions(-3.0, 3.0, 7), f64::abs);
    let refused = |train: &[(f64, f64)], test: &[(f64, f64)], range| ShiftGap::new(train, test, range).is_err();
    let lost = sampled(&positions(-3.0, 3.0, 7), |_| f64::NAN);
    let backwards: Vec<(f64, f64)> = train.iter().rev().copied().collect();
    let elsewhere = sampled(&positions(7.0, 9.0, 7), f64::abs);
    assert!(refused(&train, &lost, RANGE) && refused(&lost, &train, RANGE));
    assert!(refused(&backwards, &train, RANGE) && refused(&train, &[], RANGE));
    assert!(refused(&train, &elsewhere, RANGE) && refused(&train, &train, (5.0, 6.0)));
    assert!(refused(&train, &train, (3.0, -3.0)) && refused(&train, &train, (-3.0, f64::NAN)));
}

/// Eight to twelve nodes from −3 on; every tenth loss is NaN where there are holes.
fn curve(holes: bool) -> impl Strategy<Value = Vec<(f64, f64)>> {
    let node = (0.4_f64..1.0, -2.0_f64..2.0, 0_u8..10);
    proptest::collection::vec(node, 8..13).prop_map(move |nodes| {
        let mut position = -3.0;
        let mut points = Vec::new();
        for (spacing, loss, chance) in nodes {
            points.push((position, if holes && chance == 0 { f64::NAN } else { loss }));
            position += spacing;
        }
        points
    })
}

/// The loss between two finite neighbours.
fn between(points: &[(f64, f64)], l: f64) -> Option<f64> {
    let pair = points.windows(2).find(|pair| (pair[0].0..=pair[1].0).contains(&l))?;
    let share = (l - pair[0].0) / (pair[1].0 - pair[0].0);
    Some(pair[0].1 + share * (pair[1].1 - pair[0].1)).filter(|loss| loss.is_finite())
}

/// ξ_δ by its definition, at many positions.
fn brute_gap(train: &[(f64, f64)], test: &[(f64, f64)], range: (f64, f64), delta: f64) -> Option<f64> {
    let lowest = |points: &[(f64, f64)]| points.iter().map(|node| node.1).fold(f64::INFINITY, f64::min);
    let lift = lowest(train) - lowest(test);
    positions(range.0, range.1, 501)
        .into_iter()
        .filter_map(|l| Some((between(test, l + delta)? + lift - between(train, l)?).abs()))
        .reduce(f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_gap_is_the_largest_difference_and_the_best_shift_the_smallest(train in curve(false), test in curve(false)) {
        let range = (-2.5, 2.5);
        let gap = ShiftGap::new(&train, &test, range).unwrap();
        for delta in positions(-1.0, 1.0, 9) {
            let (exact, brute) = (gap.gap(delta).unwrap(), brute_gap(&train, &test, range, delta).unwrap());
            // Slopes are at most 10, positions 0.01 apart.
            prop_assert!(brute <= exact + 1e-9 && exact <= brute + 0.2, "{exact} {brute} at {delta}");
        }
        let best = gap.best_within((-1.0, 1.0), 0.2).unwrap();
        prop_assert_eq!(gap.gap(best.delta), Some(best.gap));
        prop_assert!(best.share >= 0.2 - 1e-9 && best.delta.abs() <= 1.0 + 1e-9);
        let brute = positions(-1.0, 1.0, 801)
            .into_iter()
            .filter_map(|delta| gap.at(delta))
            .filter(|shift| shift.share >= 0.2)
            .fold(f64::INFINITY, |least, shift| least.min(shift.gap));
        prop_assert!(best.gap <= brute * (1.0 + 1e-6) + 1e-9, "{best:?} {brute}");
        prop_assert!(best.gap >= brute - 0.1, "{best:?} {brute}");
    }

    #[test]
    fn nothing_near_the_best_shift_is_better(train in curve(true), test in curve(true)) {
        let Ok(gap) = ShiftGap::new(&train, &test, (-2.5, 2.5)) else { return Ok(()) };
        let Some(best) = gap.best_within((-1.0, 1.0), 0.2) else { return Ok(()) };
        let near = positions(best.delta - 1e-3, best.delta + 1e-3, 21);
        for delta in near.into_iter().chain(positions(-1.0, 1.0, 201)) {
            let Some(shift) = gap.at(delta) else { continue };
            let allowed = shift.share >= 0.2 && delta.abs() <= 1.0;
            prop_assert!(!allowed || best.gap <= shift.gap * (1.0 + 1e-6) + 1e-9, "{best:?} {shift:?}");
        }
    }
}
