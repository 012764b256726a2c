//! Experiments on dynamical stability, on a perceptron so small that each is done in seconds: what they write, what they
//! do once, what happens where a descent diverges, and what is said of a recipe that cannot be used.

mod common;

use std::path::Path;

use common::experiments::{kept, make, refused};
use valleyscope::data::Dataset;
use valleyscope::experiment::cost::Rates;
use valleyscope::experiment::laboratory::Laboratory;
use valleyscope::experiment::outcome::{Answer, Content};
use valleyscope::experiment::recipe::Recipe;
use valleyscope::network::{cost, zoo};
use valleyscope::objective::Compute;

const MODEL: &str = "mlp:10:loss=squared-error";
const DATA: &str = "builtin:train=20:test=10:augment=off";

/// The head of a recipe, and the network that all of them descend on.
fn recipe(name: &str, kind: &str, rest: &str) -> String {
    format!(
        "name = \"{name}\"\ntitle = \"Small\"\npaper = \"A paper\"\nfigures = [\"nowhere\"]\nclaim = \"It is so.\"\n\
         seeds = [1, 2]\n\n[measure.{kind}]\nmodel = \"{MODEL}\"\ndata = \"{DATA}\"\n{rest}"
    )
}

/// Its sharpness at the start is near 20: a rate of 1 diverges at once.
fn by_rate() -> String {
    let rest = "learning-rates = [0.02, 0.05, 1.0]\nloss = 0.05\nsteps = 4000\n";
    recipe("by-rate", "sharpness-by-rate", rest)
}

fn number(cell: &str) -> f64 {
    let first = cell.split(' ').next().unwrap();
    first.parse().unwrap_or_else(|_| panic!("`{cell}` is no number"))
}

#[test]
fn sharpness_by_rate_is_measured_where_a_descent_arrives_and_its_stages_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let made = make(&by_rate(), folder.path());
    let rows = &made.outcome.tables[0].rows;
    let columns: Vec<[&str; 3]> = rows
        .iter()
        .map(|row| [0, 1, 5].map(|index| row[index].as_str()))
        .collect();
    assert_eq!(
        columns,
        [
            ["0.02", "100", "2 of 2"],
            ["0.05", "40.0", "2 of 2"],
            ["1", "2.00", "0 of 2"]
        ]
    );
    for row in &rows[..2] {
        let (sharpness, share) = (number(&row[2]), number(&row[3]));
        assert!(
            sharpness > 0.0 && (share / (sharpness / number(&row[1])) - 1.0).abs() < 0.05,
            "{row:?}"
        );
        // A ten-thousandth of the largest eigenvalue is asked for, and single precision leaves a little more.
        assert!(number(&row[4]) < 1e-2 * sharpness, "{row:?}");
    }
    assert_eq!(rows[2][2..5], ["–", "–", "–"]);
    let page = std::fs::read_to_string(folder.path().join("out/by-rate/README.md")).unwrap();
    for words in [
        "| network | mlp:10:loss=squared-error on builtin:train=20:test=10:augment=off |",
        "| GD, η = 0.05 | 4000 steps at most |",
        "| has arrived at a train loss of | 0.05 |",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let Content::Chart { series, .. } = &made.outcome.figures[1].content else {
        panic!("a chart");
    };
    assert!(series[0].label == "η = 0.02: arrived" && series[2].label == "η = 1: diverged");
    assert!(series[0].points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(series[2].points.last().unwrap().1, f64::INFINITY);

    // Six descents, and four solutions.
    let first = kept(folder.path());
    let weights = first.keys().filter(|name| name.ends_with(".safetensors")).count();
    assert_eq!((weights, first.len()), (6, 10));
    let again = make(&by_rate(), folder.path());
    assert_eq!((kept(folder.path()), &again.outcome), (first.clone(), &made.outcome));
    // What it takes is what it takes from nothing.
    assert!(made.cost.training > 0.0 && (again.cost.training / made.cost.training - 1.0).abs() < 1e-9);
    // What was cut off is made again, and nothing else.
    let lost = first.keys().find(|name| name.ends_with(".safetensors")).unwrap();
    std::fs::remove_file(folder.path().join("out/lines").join(lost)).unwrap();
    let whole = make(&by_rate(), folder.path()).outcome;
    assert_eq!(
        (&whole.tables, &whole.verdict),
        (&made.outcome.tables, &made.outcome.verdict)
    );
    let after = kept(folder.path());
    for (name, time) in &first {
        assert_eq!(after[name] == *time, name != lost, "{name}");
    }
}

#[test]
fn what_descents_take_is_told_before_with_all_the_steps_they_may_make() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe::parse(&by_rate(), Path::new("recipe.toml")).unwrap();
    let mut report = |_: &str, _: f64| true;
    let mut laboratory = Laboratory::new(Compute::cpu(), folder.path(), &mut report);
    let rates = Rates {
        evaluating: 1.0,
        training: 1.0,
    };
    let estimate = recipe.estimate(&mut laboratory, rates).unwrap();
    let graph = zoo::build(MODEL, Dataset::open(DATA).unwrap().shape, 10).unwrap();
    let gradient = 20.0 * cost::gradient(&graph).multiply_adds as f64;
    assert_eq!(estimate.training, 2.0 * 3.0 * 4000.0 * gradient);
    assert!(estimate.measuring > 0.0);
}

#[test]
fn a_diagram_has_a_row_and_a_dot_for_every_solution() {
    let folder = tempfile::tempdir().unwrap();
    let rest = "learning-rate = 0.02\nbatch-sizes = [5, 10]\nloss = 0.05\nsteps = 8000\n";
    let made = make(&recipe("diagram", "stability-diagram", rest), folder.path());
    let outcome = &made.outcome;
    let rows = &outcome.tables[0].rows;
    let methods: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(methods, ["B = 5", "B = 10", "GD", "B = 5", "B = 10", "GD"]);
    for row in rows {
        assert!(row[2].starts_with("arrived after "), "{row:?}");
        assert!(number(&row[3]) > 0.0 && number(&row[6]) > 0.0, "{row:?}");
        if row[1] != "GD" {
            let share = number(&row[6]) / number(&row[7]);
            assert!((number(&row[8]) / share - 1.0).abs() < 0.02, "{row:?}");
        }
    }
    // √(5·19/15)/0.02.
    assert_eq!((rows[0][7].as_str(), rows[2][7].as_str()), ("125.8", "none"));
    assert!(
        outcome.verdict.measured.starts_with("Of 6 solutions "),
        "{}",
        outcome.verdict.measured
    );
    let csv = std::fs::read_to_string(folder.path().join("out/diagram/diagram.csv")).unwrap();
    // A header, two bounds of two ends, and six solutions.
    assert!(csv.lines().count() == 1 + 4 + 6 && !csv.contains("NaN"), "{csv}");
    let csv = std::fs::read_to_string(folder.path().join("out/diagram/regions-by-rate.csv")).unwrap();
    // A header, and three outlines with two corners and two ends.
    assert_eq!(csv.lines().count(), 1 + 3 * 4, "{csv}");
    let too_large = recipe("diagram", "stability-diagram", &rest.replace("[5, 10]", "[5, 20]"));
    let told = refused(&too_large, folder.path());
    assert!(told.contains("must be below 20"), "{told}");
}

#[test]
fn combinations_are_tried_from_scaled_weights_and_those_of_a_diagram_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let rest = "learning-rate = 0.02\nbatch-sizes = [5, 10]\nloss = 0.05\nsteps = 8000\n";
    let diagram = make(&recipe("diagram", "stability-diagram", rest), folder.path());
    let before = kept(folder.path());
    let rest = rest.replace("learning-rate = 0.02", "learning-rates = [0.02, 1.0]");
    let rest = format!("{rest}initial-scales = [1.0, 1.2]\n");
    let made = make(
        &recipe("combinations", "sharpness-and-non-uniformity", &rest),
        folder.path(),
    );
    let rows = &made.outcome.tables[0].rows;
    assert_eq!(rows.len(), 2 * 2 * 2 * 3);
    let tried: Vec<[&str; 4]> = rows
        .iter()
        .map(|row| [0, 1, 2, 3].map(|index| row[index].as_str()))
        .collect();
    assert_eq!(tried[0], ["1", "1", "0.02", "B = 5"]);
    assert_eq!(tried[5], ["1", "1", "1", "GD"]);
    assert_eq!(tried[6], ["1", "1.2", "0.02", "B = 5"]);
    assert_eq!(tried[23], ["2", "1.2", "1", "GD"]);
    for row in rows {
        if row[2] == "1" {
            assert!(row[4].starts_with("diverged after "), "{row:?}");
            assert_eq!(row[5..8], ["–", "–", "–"]);
        } else {
            assert!(row[4].starts_with("arrived after "), "{row:?}");
            let ratio = number(&row[8]) / number(&row[5]);
            assert!((number(&row[12]) / ratio - 1.0).abs() < 0.01, "{row:?}");
        }
    }
    // Scaled weights lead elsewhere, and those that are not are the diagram's.
    assert_ne!(rows[6][5], rows[0][5]);
    let known = &diagram.outcome.tables[0].rows;
    assert_eq!((&rows[0][4..12], &rows[2][4..12]), (&known[0][2..], &known[2][2..]));
    let after = kept(folder.path());
    assert!(before.iter().all(|(name, time)| after[name] == *time));
    // Of six descents with two numbers each a second scale makes as many anew; twelve that diverge have none.
    assert_eq!((before.len(), after.len()), (18, 18 + 18 + 12));
    let verdict = &made.outcome.verdict.measured;
    assert!(
        verdict.starts_with("Of 24 descents 12 arrive and are counted (diverged: 12, not there after 8000 steps: 0)."),
        "{verdict}"
    );
    let page = std::fs::read_to_string(folder.path().join("out/combinations/README.md")).unwrap();
    let words = "| each from the usual initial weights times | 1, 1.2 |";
    assert!(page.contains(words), "{words} in {page}");
}

#[test]
fn from_a_minimum_some_methods_stay_and_others_diverge() {
    let folder = tempfile::tempdir().unwrap();
    let rest = "start = { gradient-descent = { learning-rate = 0.02 } }\nloss = 0.05\nstart-steps = 4000\n\
                switches = [{ gradient-descent = { learning-rate = 0.02 } }, \
                { gradient-descent = { learning-rate = 1.0 } }, \
                { sgd = { learning-rate = 0.01, batch-size = 10 } }]\nsteps = 60\nsharpness-every = 20\n";
    let made = make(&recipe("leave", "escape", rest), folder.path());
    let [starts, table] = &made.outcome.tables[..] else {
        panic!("two tables");
    };
    assert_eq!(
        starts.rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert!(
        starts
            .rows
            .iter()
            .all(|row| number(&row[2]) <= 0.05 && number(&row[3]) > 0.0)
    );
    // Beyond a bound, left, diverged.
    let outcomes: Vec<[&str; 3]> = table
        .rows
        .iter()
        .map(|row| [3, 4, 5].map(|index| row[index].as_str()))
        .collect();
    let (none, both) = ("0 of 2", "2 of 2");
    assert_eq!(outcomes, [[none, none, none], [both, both, both], [none, none, none]]);
    assert!(
        table.rows[1][7] == "–" && table.rows[1][6] == "inf",
        "{:?}",
        table.rows[1]
    );
    assert!(
        made.outcome.verdict.measured.contains("Of 6 switches 6 went"),
        "{}",
        made.outcome.verdict.measured
    );
    assert_eq!(made.outcome.verdict.answer, Answer::PartlyShown);
    let names: Vec<&str> = made.outcome.figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(names, ["losses", "sharpness", "distances"]);
    let Content::Chart { series, .. } = &made.outcome.figures[1].content else {
        panic!("a chart");
    };
    let steps: Vec<f64> = series[0].points.iter().map(|point| point.0).collect();
    assert_eq!(steps, [0.0, 20.0, 40.0, 60.0]);

    // From L-BFGS, which finds its minimum in far fewer steps, with what it found before kept.
    let before = kept(folder.path());
    let rest = rest.replace(
        "gradient-descent = { learning-rate = 0.02 } }\nloss",
        "l-bfgs = { memory = 5 } }\nloss",
    );
    let made = make(&recipe("leave-l-bfgs", "escape", &rest), folder.path());
    let steps: Vec<f64> = made.outcome.tables[0].rows.iter().map(|row| number(&row[1])).collect();
    assert!(steps.iter().all(|steps| *steps < 300.0), "{steps:?}");
    let after = kept(folder.path());
    assert!(after.len() > before.len() && before.iter().all(|(name, time)| after[name] == *time));
    // A start that does not arrive is told, and no error.
    let short = rest.replace("start-steps = 4000", "start-steps = 1");
    let made = make(&recipe("leave", "escape", &short), folder.path());
    let verdict = &made.outcome.verdict;
    assert_eq!(verdict.answer, Answer::NotShown);
    assert!(
        verdict
            .measured
            .contains("start of seed 2 does not arrive: all steps made"),
        "{}",
        verdict.measured
    );
}

#[test]
fn along_training_every_method_has_its_curves_and_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let rest = "learning-rates = [0.02, 0.05]\nsgd-learning-rate = 0.02\nbatch-sizes = [5, 10]\nloss = 0.05\n\
                steps = 8000\nsharpness-every = 50\nnon-uniformity-every = 100\n";
    let made = make(&recipe("along", "sharpness-along-training", rest), folder.path());
    let rows = &made.outcome.tables[0].rows;
    let methods: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    let each = [
        "GD, η = 0.02",
        "GD, η = 0.05",
        "SGD, η = 0.02, B = 5",
        "SGD, η = 0.02, B = 10",
    ];
    assert_eq!(methods, [each, each].concat());
    for row in rows {
        assert!(row[2].starts_with("arrived after "), "{row:?}");
        // a·η/2 at the end, and the largest on the way, which its end belongs to.
        let (share, highest) = (number(&row[8]), number(&row[7]));
        let expected = number(&row[3]) / number(&row[5]);
        assert!((share / expected - 1.0).abs() < 0.05, "{row:?}");
        assert!(highest >= 0.99 * share && number(&row[6]) <= highest, "{row:?}");
        assert_eq!(row[9] == "–", row[1].starts_with("GD"), "{row:?}");
    }
    let names: Vec<&str> = made.outcome.figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(names, ["sharpness", "non-uniformity", "shares", "losses"]);
    let Content::Chart { series, .. } = &made.outcome.figures[1].content else {
        panic!("a chart");
    };
    // Every hundred steps from the start on, and where it arrived.
    let steps: Vec<f64> = series[0].points.iter().map(|point| point.0).collect();
    assert!(steps.len() >= 2 && steps[0] == 0.0, "{steps:?}");
    let (last, way) = steps.split_last().unwrap();
    assert!(way.iter().all(|step| step % 100.0 == 0.0 && step < last), "{steps:?}");
    let verdict = &made.outcome.verdict.measured;
    assert!(verdict.starts_with("Of 4 gradient descents "), "{verdict}");
    let too_large = recipe("along", "sharpness-along-training", &rest.replace("[5, 10]", "[5, 20]"));
    let told = refused(&too_large, folder.path());
    assert!(told.contains("must be below 20"), "{told}");
}

#[test]
fn the_toy_needs_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"toy\"\ntitle = \"Small\"\nfigures = [\"nowhere\"]\nclaim = \"It is so.\"\n\n\
                [measure.stability-toy]\nlearning-rates = [0.5, 0.7]\ndrawn = 0.7\nruns = 10\nsteps = 400\n";
    let made = make(text, folder.path());
    assert_eq!(
        made.outcome.verdict.answer,
        Answer::Shown,
        "{}",
        made.outcome.verdict.measured
    );
    assert!(!folder.path().join("out/lines").exists());
}

#[test]
fn what_cannot_be_used_is_told_with_its_line() {
    let told = |text: &str| Recipe::parse(text, Path::new("small.toml")).unwrap_err().to_string();
    for (words, wrong, expected) in [
        ("[0.02, 0.05, 1.0]", "[0.05, 0.02]", "in rising order"),
        ("loss = 0.05", "loss = -1.0", "above 0"),
        ("steps = 4000", "steps = 0", "at least 1"),
        ("steps = 4000", "stepps = 4000", "stepps"),
    ] {
        let text = by_rate().replace(words, wrong);
        assert_ne!(text, by_rate());
        let message = told(&text);
        assert!(
            message.starts_with("small.toml: line ") && message.contains(expected),
            "{message}"
        );
    }
    let rest = "start = { adam = { learning-rate = 0.02 } }\n";
    let message = told(&recipe("leave", "escape", rest));
    assert!(
        message.contains("adam") && message.contains("gradient-descent"),
        "{message}"
    );
    let folder = tempfile::tempdir().unwrap();
    let told = refused(&by_rate().replace(MODEL, "resnet8:width=2"), folder.path());
    assert!(told.contains("has batch norm") && told.contains(":bn=off"), "{told}");
}
