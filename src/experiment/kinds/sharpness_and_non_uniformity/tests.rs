//! Relations, counts, figures and tables of solutions that never were found.

use super::*;
use crate::curvature::Sgd;
use crate::experiment::outcome::{Content, Figure, Series};
use crate::network::zoo;

const IMAGES: usize = 100;

fn kind() -> SharpnessAndNonUniformity {
    SharpnessAndNonUniformity {
        model: "mlp:5".to_owned(),
        data: "builtin".to_owned(),
        learning_rates: vec![0.25, 0.5],
        batch_sizes: vec![1, 25],
        initial_scales: vec![1.0, 2.0],
        loss: 1e-4,
        steps: 100,
    }
}

/// Of a learning rate of 0.5: bounds are 4 of a, and of s 2 for B = 1.
fn tried(seed: u64, batch_size: usize, solution: Option<[f64; 3]>) -> Tried {
    Tried {
        seed,
        scale: 1.5,
        found: Found::told(Sgd::new(0.5, batch_size, IMAGES).unwrap(), solution),
    }
}

/// Eight solutions, each from a start of its own, whose non-uniformity is some multiple of a power of their sharpness, give or take some per cent, and
/// whose test accuracy is one of its sharpness.
fn family(power: f64, deviation: f64, accuracy: fn(f64) -> f64) -> Vec<Tried> {
    let one = |index: u32| {
        let (seed, index) = (u64::from(index) + 1, index as i32);
        let sharpness = 1.5_f64.powi(index);
        let off = (1.0 + deviation).powi(if index % 2 == 0 { 1 } else { -1 });
        let solution = [sharpness, 3.0 * sharpness.powf(power) * off, accuracy(sharpness)];
        tried(seed, if index < 4 { 1 } else { IMAGES }, Some(solution))
    };
    (0..8).map(one).collect()
}

fn falling(sharpness: f64) -> f64 {
    0.8 - 0.01 * sharpness
}

fn rising(sharpness: f64) -> f64 {
    0.5 + 0.01 * sharpness
}

fn chart(figure: &Figure) -> &[Series] {
    let Content::Chart { series, .. } = &figure.content else {
        panic!("a chart");
    };
    series
}

#[test]
fn each_part_of_the_claim_has_its_own_interval() {
    let parts = |tried: &[Tried]| Relations::of(tried).parts();
    let all = family(1.0, 0.05, falling);
    let relations = Relations::of(&all);
    assert_eq!((relations.parts(), relations.answer()), ([true; 3], Answer::Shown));
    // Offsets up and down in turn have a covariance of −4·ln 1.05·ln 1.5 with log a, whose squares are 42·(ln 1.5)².
    let (line, slope) = (relations.line.unwrap(), relations.slope.unwrap());
    let tilt = 4.0 / 42.0 * 1.05_f64.ln() / 1.5_f64.ln();
    assert!((line.slope - 1.0 + tilt).abs() < 1e-12, "{line:?}");
    assert!(slope.value == line.slope && slope.low < slope.value && slope.value < slope.high);
    assert_eq!(relations.generalisation.map(|found| found.value), Some(-1.0));
    // A power of 1.5 is strongly correlated, and not proportional.
    assert_eq!(parts(&family(1.5, 0.05, falling)), [false, true, true]);
    // One that falls is neither.
    assert_eq!(parts(&family(-1.0, 0.05, falling)), [false, false, true]);
    // Non-uniformities that go up and down by a factor of four leave the slope in doubt.
    let noisy = Relations::of(&family(1.0, 3.0, falling));
    assert_eq!(noisy.parts()[..2], [false, false], "{noisy:?}");
    let sharp_is_better = Relations::of(&family(1.0, 0.05, rising));
    assert_eq!(sharp_is_better.parts(), [true, true, false]);
    assert_eq!(sharp_is_better.answer(), Answer::PartlyShown);
    // Where all generalise alike there is no order.
    let alike = Relations::of(&family(1.0, 0.05, |_| 0.5));
    assert_eq!((alike.generalisation, alike.parts()[2]), (None, false));
}

#[test]
fn few_solutions_show_nothing_and_those_that_did_not_arrive_are_not_counted() {
    let mut all = family(1.0, 0.05, falling);
    let counted = Relations::of(&all);
    all.push(tried(9, 1, None));
    let mut late = tried(9, 25, None);
    late.found.end = End::Steps;
    all.push(late);
    assert_eq!(Relations::of(&all), counted);
    let verdict = kind().verdict(&all, &counted);
    assert_eq!(verdict.answer, Answer::Shown);
    for words in [
        "Of 10 descents 8 arrive and are counted (diverged: 1, not there after 100 steps: 1). Their sharpness",
        "a is 1.00 to 17.1, and s/a 2.86 to 3.15. The slope of log s by log a is 0.99 (",
        "within 0.2 of 1, as of what is proportional, is shown.",
        "0.8 or more is shown. Test accuracies are 62.9 to 79.0 %",
        "percentiles of 2000 resamples, drawn with seed 1, of whole starts",
        "with a is -1.00 (-1.00 to -1.00); that it is below 0, so that flatter solutions generalise better, is shown.",
    ] {
        assert!(verdict.measured.contains(words), "{words} in {}", verdict.measured);
    }
    assert!(!verdict.measured.contains("converged"), "{}", verdict.measured);
    if let Some(solved) = &mut all[0].found.solution {
        solved.non_uniformity.converged = false;
    }
    // A start less has no slope, and the accuracies of all their order.
    let rough = Relations::of(&all);
    assert_eq!((rough.line, rough.slope, rough.correlation), (None, None, None));
    assert_eq!(rough.generalisation, counted.generalisation);
    let told = kind().verdict(&all, &rough).measured;
    assert!(
        told.ends_with(" The non-uniformity of 1 has not converged, and is left out."),
        "{told}"
    );
    assert!(
        told.contains("and s/a 2.86 to 3.15. The slope of log s by log a is –;"),
        "{told}"
    );
    // Four solutions, and two that are none.
    all.drain(..4);
    let few = Relations::of(&all);
    assert_eq!((&few, few.answer()), (&Relations::default(), Answer::NotShown));
    let told = kind().verdict(&all, &few).measured;
    assert!(told.starts_with("Of 6 descents 4 arrive"), "{told}");
    assert!(told.contains("fewer than 8 starts"), "{told}");
}

#[test]
fn solutions_from_one_start_are_drawn_together() {
    let mut all = family(1.0, 0.05, falling);
    let eight = Relations::of(&all);
    for one in &mut all[1..] {
        one.seed = 1;
    }
    assert_eq!(Relations::of(&all), Relations::default());
    // Another v is another start.
    for (index, one) in all.iter_mut().enumerate() {
        one.scale = 0.5 + index as f64;
    }
    assert_eq!(Relations::of(&all), eight);
    // One whose search was cut off is in no fit.
    let mut cut = tried(2, 1, Some([1.0, 1000.0, 0.5]));
    if let Some(solved) = &mut cut.found.solution {
        solved.non_uniformity.converged = false;
    }
    all.push(cut);
    let found = Relations::of(&all);
    assert_eq!((found.line, found.correlation), (eight.line, eight.correlation));
    assert_ne!(found.generalisation, eight.generalisation);
}

#[test]
fn every_solution_is_a_dot_in_each_figure_and_every_descent_a_row() {
    let mut all = family(1.0, 0.0, falling);
    all.insert(0, tried(1, 25, None));
    let line = Relations::of(&all).line;
    let figures = figures::figures(&all, line, "");
    let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(names, ["solutions", "shares-of-bounds", "test-accuracy"]);
    let labels = |figure: &Figure| -> Vec<String> { chart(figure).iter().map(|one| one.label.clone()).collect() };
    assert_eq!(labels(&figures[0]), ["B = 1", "B = 25", "GD", "s = 3.00·a^1.00"]);
    assert_eq!(labels(&figures[1]), ["B = 1", "B = 25", "GD", "both bounds"]);
    assert_eq!(labels(&figures[2]), ["B = 1", "B = 25", "GD"]);
    for figure in &figures {
        // Four dots with nothing between them, and none of what diverged.
        let counts: Vec<usize> = chart(figure)[..3].iter().map(|one| one.points.len()).collect();
        assert_eq!(counts, [7, 0, 7], "{}", figure.name);
    }
    let solutions = chart(&figures[0]);
    assert_eq!(solutions[0].points[0], (1.0, 3.0));
    assert_eq!((solutions[3].points[0], solutions[3].points.len()), ((0.0, 0.0), 61));
    let (end, law) = (1.05 * 1.5_f64.powi(7), solutions[3].points[60]);
    assert!((law.0 - end).abs() < 1e-9, "{law:?}");
    assert!((law.1 - 3.0 * end).abs() < 1e-6, "{law:?}");
    let shares = chart(&figures[1]);
    assert_eq!((shares[0].points[0], shares[2].points[0].1), ((0.25, 1.5), 0.0));
    let accuracy = chart(&figures[2])[0].points[0];
    assert!(accuracy.0 == 1.0 && (accuracy.1 - 79.0).abs() < 1e-9, "{accuracy:?}");
    // A law that falls begins with the first solutions, not at 0 where it has no end.
    let fallen = family(-1.0, 0.0, falling);
    let figures = figures::figures(&fallen, Relations::of(&fallen).line, "");
    let law = &chart(&figures[0])[2].points;
    assert!(law.len() == 60 && law.iter().all(|(_, s)| s.is_finite()), "{law:?}");

    let table = figures::table(&all, 1e-4);
    assert_eq!(table.rows.len(), 9);
    assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
    assert_eq!(
        table.rows[0][..6],
        ["1", "1.5", "0.5", "B = 25", "diverged after 12 steps", "–"]
    );
    assert_eq!(table.rows[0].last().unwrap(), "–");
    assert_eq!(table.rows[1][3..6], ["B = 1", "arrived after 12 steps", "1.000"]);
    assert_eq!(table.rows[1].last().unwrap(), "3.000");
}

#[test]
fn every_combination_is_tried_and_told_before() {
    let names: Vec<String> = kind().ways().into_iter().map(|(method, _)| method.name()).collect();
    assert_eq!(names.len(), 6);
    assert_eq!(names[2..4], ["GD, η = 0.25", "SGD, η = 0.5, B = 1"]);
    assert_eq!(kind().descents().unwrap().ways.len(), 12);
    let settings = kind().settings();
    assert_eq!(settings.len(), 9);
    assert_eq!(settings[7], ["each from the usual initial weights times", "1, 2"]);
}

#[test]
fn the_papers_networks_are_there() {
    for (model, shape, parameters) in [
        ("fnn:loss=squared-error", [1, 28, 28], Some(898_510)),
        ("resnet14:bn=off:loss=squared-error", [3, 32, 32], None),
    ] {
        let graph = zoo::build(model, shape, 10).unwrap();
        assert_eq!(graph.statistics_count(), 0, "{model}");
        assert!(parameters.is_none_or(|all| all == graph.parameter_count()), "{model}");
    }
    let graph = zoo::build("vgg-small:loss=squared-error", [3, 32, 32], 2).unwrap();
    assert_eq!((graph.statistics_count(), graph.parameter_count()), (0, 71_410));
}

#[test]
fn what_cannot_be_tried_is_told_by_its_name() {
    let recipe = Recipe::named("sharpness-and-non-uniformity").unwrap();
    assert!(kind().check(&recipe).is_ok());
    let rates = |learning_rates: &[f64]| SharpnessAndNonUniformity {
        learning_rates: learning_rates.to_vec(),
        ..kind()
    };
    let batches = |batch_sizes: &[usize]| SharpnessAndNonUniformity {
        batch_sizes: batch_sizes.to_vec(),
        ..kind()
    };
    let scales = |initial_scales: &[f64]| SharpnessAndNonUniformity {
        initial_scales: initial_scales.to_vec(),
        ..kind()
    };
    let wrong = [
        ("learning-rates", rates(&[])),
        ("learning-rates", rates(&[0.5, 0.25])),
        ("learning-rate", rates(&[-0.5, 0.25])),
        ("batch-sizes", batches(&[])),
        ("batch-sizes", batches(&[4, 4])),
        ("batch-size", batches(&[0, 4])),
        ("initial-scales", scales(&[])),
        ("initial-scales", scales(&[2.0, 1.0])),
        ("initial-scales", scales(&[0.0, 1.0])),
        ("initial-scales", scales(&[-1.0])),
        ("initial-scales", scales(&[f64::NAN])),
        ("initial-scales", scales(&[1.0, f64::INFINITY])),
        ("loss", SharpnessAndNonUniformity { loss: 0.0, ..kind() }),
        ("steps", SharpnessAndNonUniformity { steps: 0, ..kind() }),
    ];
    for (name, kind) in wrong {
        let message = kind.check(&recipe).unwrap_err().to_string();
        assert!(message.starts_with(name), "{name}: {message}");
    }
}
