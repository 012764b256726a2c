//! Its figures, where every solution is a dot in the colour of its batch size, and its table.

use std::collections::BTreeSet;

use super::{Tried, solutions};
use crate::experiment::kinds::convexity::chart;
use crate::experiment::kinds::correlation::Line;
use crate::experiment::kinds::curves::columns;
use crate::experiment::kinds::dynamical_stability::{NON_UNIFORMITY_AXIS, SHARPNESS_AXIS};
use crate::experiment::kinds::solved::{COLUMNS, Found, Solved};
use crate::experiment::outcome::{Figure, Series, Table, significant};

/// Points of a power law.
const POINTS: usize = 60;
/// How far it goes, in multiples of the largest sharpness.
const REACH: f64 = 1.05;

/// Sharpness and non-uniformity with the power law of `line`, of their logarithms (Fig. 7); both as shares of their
/// bounds (Fig. 6, of any learning rate); and the test accuracy by sharpness (Fig. 8).
pub(super) fn figures(tried: &[Tried], line: Option<Line>, foot: &str) -> Vec<Figure> {
    let mut solved = dots(tried, |found| {
        let solution = found.solution.as_ref()?;
        Some((solution.sharpness.value, solution.non_uniformity.value))
    });
    solved.extend(line.map(|line| power_law(line, tried)));
    let mut shares = dots(tried, |found| {
        Some((found.sharpness_share()?, found.non_uniformity_share()?))
    });
    shares.push(Series {
        label: "both bounds".to_owned(),
        points: vec![(0.0, 1.0), (1.0, 1.0), (1.0, 0.0)],
        dashed: true,
    });
    let accuracies = dots(tried, |found| {
        let solution = found.solution.as_ref()?;
        Some((solution.sharpness.value, 100.0 * solution.accuracy))
    });
    vec![
        chart(
            "solutions",
            "Sharpness and non-uniformity of solutions".to_owned(),
            (SHARPNESS_AXIS, NON_UNIFORMITY_AXIS),
            solved,
            Vec::new(),
            foot,
        ),
        chart(
            "shares-of-bounds",
            "Solutions beside the bounds of their learning rate and batch size".to_owned(),
            (
                "a·η/2, the sharpness as a share of its bound",
                "s as a share of its bound; 0 for GD, which has none",
            ),
            shares,
            Vec::new(),
            foot,
        ),
        chart(
            "test-accuracy",
            "Sharpness and test accuracy of solutions".to_owned(),
            (SHARPNESS_AXIS, "test accuracy (%)"),
            accuracies,
            Vec::new(),
            foot,
        ),
    ]
}

/// A place for every solution, by rising batch size and gradient descent at last.
fn dots(tried: &[Tried], place: fn(&Found) -> Option<(f64, f64)>) -> Vec<Series> {
    let all = || tried.iter().map(|one| &one.found);
    let batches: BTreeSet<usize> = all().map(|found| found.bounds.batch_size()).collect();
    let of_one = |size: usize| {
        let of_size = || all().filter(move |found| found.bounds.batch_size() == size);
        let series = Series {
            label: of_size().next().map_or_else(String::new, Found::name),
            ..Series::default()
        };
        series.with_dots(of_size().filter_map(place))
    };
    batches.into_iter().map(of_one).collect()
}

/// s = e^c·a^b of a line log s = c + b·log a, as far as there are solutions; from 0 on where it is 0 there.
fn power_law(line: Line, tried: &[Tried]) -> Series {
    let (factor, power) = (line.intercept.exp(), line.slope);
    let sharpness = solutions(tried).map(|solved| solved.sharpness.value);
    let sharpest = sharpness.fold(0.0, f64::max);
    let first = usize::from(power <= 0.0);
    let point = |index: usize| {
        let sharpness = REACH * sharpest * index as f64 / POINTS as f64;
        (sharpness, factor * sharpness.powf(power))
    };
    Series {
        label: format!("s = {}·a^{power:.2}", significant(factor, 3)),
        points: (first..=POINTS).map(point).collect(),
        dashed: true,
    }
}

/// A row for every combination.
pub(super) fn table(tried: &[Tried], loss: f64) -> Table {
    let ratio = |solved: &Solved| format!("{:.3}", solved.non_uniformity.value / solved.sharpness.value);
    let row = |one: &Tried| {
        let mut row = vec![
            one.seed.to_string(),
            one.scale.to_string(),
            one.found.bounds.learning_rate().to_string(),
            one.found.name(),
        ];
        row.extend(one.found.row());
        row.push(one.found.solution.as_ref().map_or_else(|| "–".to_owned(), ratio));
        row
    };
    Table {
        caption: format!(
            "Solutions at a train loss of {loss}, from v times the usual initial weights; the bound of s is \
             √(B(n − 1)/(n − B))/η"
        ),
        header: columns(&format!("seed | v | η | method | {COLUMNS} | s/a")),
        rows: tried.iter().map(row).collect(),
    }
}
