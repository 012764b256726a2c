//! Experiments with noise on networks, on a perceptron so small that each is done in seconds: what they write, what
//! they do once, and what is said of a recipe that cannot be used.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use common::experiments::{kept, make, refused};
use valleyscope::experiment::cost::Rates;
use valleyscope::experiment::laboratory::Laboratory;
use valleyscope::experiment::outcome::{Answer, Content, Outcome, Table, Verdict};
use valleyscope::experiment::recipe::Recipe;
use valleyscope::objective::Compute;

/// The head of a recipe.
fn recipe(name: &str, kind: &str, rest: &str) -> String {
    format!(
        "name = \"{name}\"\ntitle = \"Small\"\npaper = \"The Anisotropic Noise in SGD\"\nfigures = [\"nowhere\"]\n\
         claim = \"It is so.\"\nseeds = [1, 2]\n\n[measure.{kind}]\n{rest}"
    )
}

/// The network that all walk on, and where they start: a minimum, but for a little.
const START: &str = r#"
model = "mlp:6"
data = "builtin:train=24:test=12:random-labels=4:augment=off"
minimum = { learning-rate = 0.1, loss = 0.2, steps = 2000 }
"#;

/// Six batches of four images, and everything renewed once on the way.
const WALK: &str = r#"
[measure.KIND.walk]
learning-rate = 0.01
batch-size = 4
deviation = 0.1
leading = 2
renew-sigma = 2
renew-hessian = 4
hessian-products = 6
"#;

fn network() -> String {
    let rest = "steps = 6\nevery = 4\naround = { deviation = 0.01, draws = 4 }\n";
    let kind = "noise-network";
    recipe("walks", kind, &format!("{START}{rest}{}", WALK.replace("KIND", kind)))
}

fn indicators() -> String {
    let rest = "steps = 4\nevery = 2\nprobes = 3\neigenvalues = 3\nfrom-start = { steps = 5, every = 3 }\n";
    let kind = "noise-indicators";
    recipe(
        "indicators",
        kind,
        &format!("{START}{rest}{}", WALK.replace("KIND", kind)),
    )
}

/// What an outcome says: what is read from a file may differ in the last bit from what was written.
fn words(outcome: &Outcome) -> (&[Table], &Verdict) {
    (&outcome.tables, &outcome.verdict)
}

/// How many of them are weights, and how many there are.
fn counts(kept: &BTreeMap<String, SystemTime>) -> (usize, usize) {
    let weights = kept.keys().filter(|name| name.ends_with(".safetensors"));
    (weights.count(), kept.len())
}

#[test]
fn every_dynamics_walks_from_the_minimum_and_its_way_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let made = make(&network(), folder.path());
    let outcome = &made.outcome;
    let table = &outcome.tables[0];
    let names: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(
        names,
        [
            "SGD",
            "GLD 1st eigvec(H)",
            "GLD Hessian",
            "GLD leading",
            "GLD diag",
            "GLD dynamic",
            "GLD const",
            "GD"
        ]
    );
    for row in &table.rows {
        // Six small steps from a train loss of 0.2 lead nowhere else.
        assert_eq!(row[1..3], ["0 of 2", "0 of 2"], "{row:?}");
        assert!(row[3..].iter().all(|cell| cell.contains(" ± ")), "{row:?}");
    }
    // Four dynamics that the paper says leave and four that it says stay: none has left for either seed.
    assert!(
        outcome.verdict.measured.contains("stayed in 0 of 32;"),
        "{}",
        outcome.verdict.measured
    );
    let page = std::fs::read_to_string(folder.path().join("out/walks/README.md")).unwrap();
    for said in [
        "| network | mlp:6 on builtin:train=24:test=12:random-labels=4:augment=off |",
        "| GD, η = 0.1 | 2000 steps at most |",
        "| is there at a train loss of | 0.2 |",
        "| noise | Σ of batches of 4 |",
        "| expected sharpness | E[L(θ+ν)] − L(θ), δ = 0.01, 4 draws |",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    let Content::Chart { series, .. } = &outcome.figures[0].content else {
        panic!("a chart");
    };
    assert_eq!((series.len(), outcome.figures.len()), (8, 4));
    // At 0, 4 and 6, and behind them a gap and a bar of each; all begin at the same place.
    for one in series {
        assert_eq!(one.points.len(), 12);
        assert_eq!(one.points[0], series[0].points[0]);
        assert_eq!(
            [0, 1, 2, 4, 7, 10].map(|index| one.points[index].0),
            [0.0, 4.0, 6.0, 0.0, 4.0, 6.0]
        );
    }
    // But they part.
    let ends: Vec<f64> = series.iter().map(|one| one.points[2].1).collect();
    assert!(
        ends.iter().enumerate().all(|(index, end)| !ends[..index].contains(end)),
        "{ends:?}"
    );

    // For each seed the minimum and eight ways, which are made once.
    let first = kept(folder.path());
    assert_eq!(counts(&first), (18, 18));
    let again = make(&network(), folder.path());
    assert_eq!(kept(folder.path()), first);
    assert_eq!(words(&again.outcome), words(outcome));
    assert!((again.cost.training / made.cost.training - 1.0).abs() < 1e-9);
    // What was cut off is made again, and nothing else.
    let lost = first.keys().next().unwrap();
    std::fs::remove_file(folder.path().join("out/lines").join(lost)).unwrap();
    assert_eq!(words(&make(&network(), folder.path()).outcome), words(outcome));
    for (name, time) in kept(folder.path()) {
        assert_eq!(first[&name] == time, name != *lost, "{name}");
    }
    // Another sharpness is looked for on other ways, from the same minima.
    let code = network().replace("draws = 4", "draws = 4, change = \"code\"");
    let absolute = make(&code, folder.path()).outcome;
    assert_eq!(counts(&kept(folder.path())), (18 + 16, 18 + 16));
    let Content::Chart { series, y_label, .. } = &absolute.figures[0].content else {
        panic!("a chart");
    };
    assert!(y_label == "E|L(θ+ν) − L(θ)|" && series.iter().all(|one| one.points[0].1 > 0.0));
}

#[test]
fn indicators_are_measured_along_the_ways_and_eigenvalues_at_the_minima() {
    let folder = tempfile::tempdir().unwrap();
    let made = make(&indicators(), folder.path());
    let outcome = &made.outcome;
    let [along, trained, minima] = &outcome.tables[..] else {
        panic!("three tables");
    };
    let columns: Vec<[&str; 3]> = along
        .rows
        .iter()
        .map(|row| [0, 1, 2].map(|index| row[index].as_str()))
        .collect();
    let expected = ["1", "2"].into_iter().flat_map(|seed| {
        let names = ["SGD", "GD"].into_iter();
        names.flat_map(move |name| ["0", "2", "4"].map(|step| [seed, name, step]))
    });
    assert_eq!(columns, expected.collect::<Vec<_>>());
    // Both begin at the same place, with the same Σ, and part.
    assert_eq!(along.rows[0][3..], along.rows[3][3..]);
    assert_ne!(along.rows[2][3..], along.rows[5][3..]);
    assert_eq!((minima.rows.len(), minima.rows[0].len()), (2, minima.header.len()));
    let value = |cell: &str| cell.parse::<f64>().unwrap_or_else(|_| panic!("`{cell}` is no number"));
    // SGD from the weights that each seed starts from.
    let steps: Vec<[&str; 3]> = trained
        .rows
        .iter()
        .map(|row| [0, 1, 2].map(|index| row[index].as_str()))
        .collect();
    let expected = ["1", "2"].map(|seed| ["0", "3", "5"].map(|step| [seed, "SGD", step]));
    assert_eq!(steps, expected.concat());
    for row in &trained.rows {
        // A gradient, and the noise with its error: no longer than the root of its expected square.
        let (noise, error) = row[4].split_once(" ± ").unwrap();
        assert!(value(&row[3]) > 0.0 && value(error) > 0.0, "{row:?}");
        assert!(value(noise) <= value(&row[5]), "{row:?}");
    }
    let names: Vec<&str> = outcome.figures.iter().map(|figure| figure.name.as_str()).collect();
    let expected = ["traces", "projection", "norms", "eigenvalues", "norms-from-start"];
    assert_eq!(names, expected);
    for row in &minima.rows {
        assert!(value(&row[1]) > value(&row[2]) && value(&row[2]) > 0.0, "{row:?}");
    }
    // A network of thousands of weights and 24 images: few directions carry both.
    assert!(
        outcome.verdict.measured.contains("isotropic noise has at 12 of 12"),
        "{}",
        outcome.verdict.measured
    );
    assert_ne!(outcome.verdict.answer, Answer::NotShown);
    // For each seed the minimum, two ways from there, one from the start, and the eigenvalues.
    let first = kept(folder.path());
    assert_eq!(counts(&first), (8, 10));
    assert_eq!(words(&make(&indicators(), folder.path()).outcome), words(outcome));
    assert_eq!(kept(folder.path()), first);
    // Both experiments start from the same minima.
    make(&network(), folder.path());
    assert_eq!(counts(&kept(folder.path())), (8 + 16, 10 + 16));
}

#[test]
fn one_hidden_layer_needs_no_run_and_wider_is_more_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let rest = "hidden = [4, 64]\npoints = 300\nsteps = 100\nevery = 50\n";
    let text = recipe("layers", "noise-one-hidden-layer", rest);
    let outcome = make(&text, folder.path()).outcome;
    // The ratio is at most D: 12, and 192.
    assert_eq!(outcome.verdict.answer, Answer::Shown, "{}", outcome.verdict.measured);
    assert!(
        outcome.verdict.measured.contains("at 6 of 6 looks"),
        "{}",
        outcome.verdict.measured
    );
    assert_eq!(outcome.tables[0].rows[1][..2], ["64", "192"]);
    let Content::Chart { series, .. } = &outcome.figures[0].content else {
        panic!("a chart");
    };
    assert_eq!(
        series.iter().map(|one| one.dashed).collect::<Vec<_>>(),
        [false, false, true, true]
    );
    assert!(series.iter().all(|one| one.points.len() == 3));
    assert_eq!(make(&text, folder.path()).outcome, outcome);
    assert!(!folder.path().join("out/lines").exists());
}

#[test]
fn what_walks_take_is_told_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = |_: &str, _: f64| true;
    let mut laboratory = Laboratory::new(Compute::cpu(), folder.path(), &mut report);
    let rates = Rates {
        evaluating: 1.0,
        training: 1.0,
    };
    for text in [network(), indicators()] {
        let recipe = Recipe::parse(&text, Path::new("recipe.toml")).unwrap();
        let estimate = recipe.estimate(&mut laboratory, rates).unwrap();
        assert!(estimate.training > 0.0 && estimate.measuring > 0.0, "{estimate:?}");
    }
}

#[test]
fn what_cannot_be_walked_is_told_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    let told = |from: &str, to: &str| {
        let text = network().replace(from, to);
        assert_ne!(text, network());
        refused(&text, folder.path())
    };
    for (from, to, words) in [
        ("mlp:6", "resnet8:width=2", ":bn=off"),
        ("batch-size = 4", "batch-size = 5", "must divide the 24 training images"),
        ("leading = 2", "leading = 7", "one for each leading eigenpair"),
        ("every = 4", "every = 0", "at least 1"),
        (
            "learning-rate = 0.1",
            "learning-rate = 1e20",
            "diverges from the weights of seed 1",
        ),
        ("batch-size", "batch-sizes", "unknown field"),
    ] {
        let said = told(from, to);
        assert!(said.contains(words), "{words} in {said}");
    }
}
