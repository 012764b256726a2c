//! Counts, figures and tables of families that never were made.

use super::*;
use crate::curvature::Sgd;
use crate::experiment::outcome::{Content, Figure, Series};

const IMAGES: usize = 100;

fn found(batch_size: usize, solution: Option<(f64, f64)>) -> Found {
    let bounds = Sgd::new(0.5, batch_size, IMAGES).unwrap();
    Found::told(
        bounds,
        solution.map(|(sharpness, non_uniformity)| [sharpness, non_uniformity, 0.2]),
    )
}

fn kind() -> StabilityDiagram {
    StabilityDiagram {
        model: "mlp:5".to_owned(),
        data: "builtin".to_owned(),
        learning_rate: 0.5,
        batch_sizes: vec![1, 25],
        loss: 1e-4,
        steps: 100,
        tolerance: 0.05,
    }
}

/// Bounds: 2/η = 4, and of s 2·√(B·99/(100 − B)): 2 for B = 1, 11.49 for B = 25.
fn families() -> [Family; 2] {
    let first = vec![
        found(1, Some((0.5, 2.05))),
        found(25, Some((3.0, 12.5))),
        found(IMAGES, Some((4.3, 12.0))),
    ];
    let second = vec![
        found(1, None),
        found(25, Some((4.1, 9.0))),
        found(IMAGES, Some((3.9, 14.0))),
    ];
    [Family { seed: 1, found: first }, Family { seed: 2, found: second }]
}

fn chart(figure: &Figure) -> (&[Series], &[(f64, String)]) {
    let Content::Chart { series, marks, .. } = &figure.content else {
        panic!("a chart");
    };
    (series, marks)
}

fn labels(series: &[Series]) -> Vec<&str> {
    series.iter().map(|series| series.label.as_str()).collect()
}

#[test]
fn solutions_count_by_bounds_and_neighbours_by_order() {
    let count = Count::of(&families(), 0.05);
    let expected = Count {
        solutions: 5,
        within_sharpness: 4,
        bounded: 3,
        known: 3,
        within_non_uniformity: 2,
        pairs: 3,
        ordered: 2,
    };
    assert_eq!(count, expected);
    assert_eq!(count.answer(), Answer::PartlyShown);
    let [_, second] = families();
    assert_eq!(Count::of(&[second], 0.05).answer(), Answer::Shown);
    // Those on both sides of one that has not arrived are no neighbours.
    let apart = |has_sgd: bool| Family {
        seed: 1,
        found: vec![
            found(1, has_sgd.then_some((0.5, 1.0))),
            found(25, None),
            found(IMAGES, Some((3.9, 14.0))),
        ],
    };
    let count = Count::of(&[apart(true)], 0.05);
    assert_eq!((count.solutions, count.bounded, count.pairs), (2, 1, 0));
    assert_eq!((count.within_sharpness, count.answer()), (2, Answer::NotShown));
    // Gradient descent alone says nothing of SGD.
    let count = Count::of(&[apart(false)], 0.05);
    assert_eq!((count.within_sharpness, count.bounded), (1, 0));
    assert_eq!(count.answer(), Answer::NotShown);
    // What was cut off keeps no bound and is no neighbour, however small.
    let mut cut = families();
    for family in &mut cut {
        if let Some(solved) = &mut family.found[1].solution {
            solved.non_uniformity.converged = false;
        }
    }
    let count = Count::of(&cut, 0.05);
    assert_eq!((count.bounded, count.known, count.within_non_uniformity), (3, 1, 1));
    assert_eq!((count.pairs, count.answer()), (0, Answer::NotShown));
    let told = kind().verdict(&cut).measured;
    assert!(
        told.contains("converged in 1;") && told.contains("– for B = 25"),
        "{told}"
    );
    let verdict = kind().verdict(&families());
    for words in [
        "Of 5 solutions 4 have",
        "of 3 of SGD 2 a",
        "Of 3 pairs",
        "in 2. As a share",
        "1.02 for B = 1",
        "0.94 ± 0.22 for B = 25",
    ] {
        assert!(verdict.measured.contains(words), "{words} in {}", verdict.measured);
    }
}

#[test]
fn a_diagram_has_every_solution_as_a_dot_under_its_bound() {
    let figures = kind().figures(&families(), IMAGES, "").unwrap();
    let (series, marks) = chart(&figures[0]);
    assert_eq!(marks, &[(4.0, "2/η".to_owned())]);
    assert_eq!(labels(series), ["B = 1, and its bound", "B = 25, and its bound", "GD"]);
    assert_eq!(series[0].points[..2], [(0.0, 2.0), (4.0, 2.0)]);
    assert_eq!(series[0].points[3..], [(0.5, 2.05)]);
    assert_eq!((series[1].points.len(), series[1].points[5]), (6, (4.1, 9.0)));
    assert_eq!(series[2].points[0], (4.3, 12.0));
    let (series, _) = chart(&figures[1]);
    // Gradient descent has no bound, and the second seed's smallest batches no solution.
    assert_eq!(
        series.iter().map(|series| series.points.len()).collect::<Vec<_>>(),
        [2, 3, 2]
    );
    let rows = kind().table(&families()).rows;
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[3][1..4], ["B = 1", "diverged after 12 steps", "–"]);
    assert_eq!(rows[5][7..9], ["none", "–"]);
}

#[test]
fn regions_end_at_both_bounds() {
    let figures = kind().figures(&families(), IMAGES, "").unwrap();
    let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(names[3..], ["regions-by-batch-size", "regions-by-rate"]);
    let (series, marks) = chart(&figures[3]);
    assert_eq!(labels(series), ["B = 1", "B = 25"]);
    assert_eq!(marks, &[(4.0, "2/η".to_owned())]);
    assert_eq!(series[0].points, [(0.0, 2.0), (4.0, 2.0), (4.0, 0.0), (5.0, 0.0)]);
    assert!((series[1].points[0].1 - 2.0 * 33.0_f64.sqrt()).abs() < 1e-12);
    // Half the rate allows twice as much of both; all have room for the widest.
    let (series, _) = chart(&figures[4]);
    assert_eq!(labels(series), ["η = 0.25", "η = 0.5", "η = 1"]);
    let corners: Vec<(f64, f64)> = series.iter().map(|series| series.points[1]).collect();
    assert_eq!(corners, [(8.0, 4.0), (4.0, 2.0), (2.0, 1.0)]);
    assert!(series.iter().all(|series| series.points[3] == (10.0, 0.0)));
}

#[test]
fn what_cannot_be_tried_is_told_by_its_name() {
    let recipe = Recipe::named("stability-diagram").unwrap();
    assert!(kind().check(&recipe).is_ok());
    assert_eq!(kind().ways().len(), 3);
    for (name, kind) in [
        (
            "batch-sizes",
            StabilityDiagram {
                batch_sizes: vec![4, 4],
                ..kind()
            },
        ),
        (
            "batch-size",
            StabilityDiagram {
                batch_sizes: vec![0, 4],
                ..kind()
            },
        ),
        (
            "learning-rate",
            StabilityDiagram {
                learning_rate: f64::NAN,
                ..kind()
            },
        ),
        (
            "tolerance",
            StabilityDiagram {
                tolerance: -1.0,
                ..kind()
            },
        ),
    ] {
        let message = kind.check(&recipe).unwrap_err().to_string();
        assert!(message.starts_with(name), "{message}");
    }
}
