//! Experiments on where SGD's gradients point, on logistic regression with two parameters: its loss is convex, so that
//! at any place the negative gradient has a positive inner product with the way to any place of a lower loss. Small
//! steps lower the loss at every epoch, and what is to be found is known.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::experiments::{kept, make, refused};
use valleyscope::data::Dataset;
use valleyscope::experiment::cost::{Estimate, Rates};
use valleyscope::experiment::laboratory::Laboratory;
use valleyscope::experiment::outcome::{Answer, Content};
use valleyscope::experiment::recipe::Recipe;
use valleyscope::network::{Graph, zoo};
use valleyscope::objective::Compute;
use valleyscope::training::RunFolder;

const DATA: &str = "two-gaussians:seed=3";

/// Gradient descent, with a step well below 2 over the largest curvature, which is below 1 for such data.
const DESCENT: &str = r#"
name = "descent"
title = "Gradient descent"
figures = ["nowhere"]
claim = "Every gradient points to the end."
seeds = [1, 2]

[runs.descent]
model = "logistic"
data = "two-gaussians:seed=3"
epochs = 8
batch-size = 20
learning-rate = 0.2
momentum = 0.0
weight-decay = 0.0
swa-start = 0

[measure.one-point-convexity]
run = "descent"
first = 0
radius = 0.001
draws = 3
"#;

/// Steps so small that the order of images hardly matters.
const TRAJECTORIES: &str = r#"
name = "ways"
title = "Ways from a start"
figures = ["nowhere"]
claim = "Every gradient points to all ends."
seeds = [1, 2]

[runs.start]
model = "logistic"
data = "two-gaussians:seed=3"
epochs = 2
batch-size = 10
learning-rate = 0.02
momentum = 0.0
weight-decay = 0.0
swa-start = 0

[runs.way]
model = "logistic"
data = "two-gaussians:seed=3"
from = "start"
epochs = 4
batch-size = 10
learning-rate = 0.02
momentum = 0.0
weight-decay = 0.0
swa-start = 0

[measure.trajectories]
run = "way"
trajectories = 3
"#;

/// A run with small steps from a place on the way of one with large steps.
fn branch(name: &str, from_epoch: &str) -> String {
    format!(
        "[runs.{name}]\nmodel = \"logistic\"\ndata = \"{DATA}\"\nfrom = \"large\"\n{from_epoch}epochs = 2\n\
         batch-size = 20\nlearning-rate = 0.02\nmomentum = 0.0\nweight-decay = 0.0\nswa-start = 0\n\n"
    )
}

fn spectrum() -> String {
    let large = DESCENT
        .replace("descent", "large")
        .replace("epochs = 8", "epochs = 6")
        .replace("seeds = [1, 2]", "seeds = [1]");
    let (runs, _) = large.split_once("[measure").unwrap();
    let measure = "[measure.minima-spectrum]\nrun = \"large\"\nminima = [\"late\", \"early\", \"middle\"]\n";
    let late = branch("late", "");
    let [early, middle] = [("early", 1), ("middle", 3)].map(|(name, epoch)| {
        let from_epoch = format!("from-epoch = {epoch}\n");
        branch(name, &from_epoch)
    });
    format!("{runs}{late}{early}{middle}{measure}")
}

fn graph() -> Graph {
    zoo::build("logistic", Dataset::open(DATA).unwrap().shape, 2).unwrap()
}

fn runs(folder: &Path) -> Vec<RunFolder> {
    let entries = std::fs::read_dir(folder.join("out/runs")).unwrap();
    entries
        .map(|entry| RunFolder::open(&entry.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn gradients_of_a_convex_loss_point_to_the_end_and_so_they_do_around() {
    let folder = tempfile::tempdir().unwrap();
    let made = make(DESCENT, folder.path());
    let outcome = &made.outcome;
    assert_eq!(outcome.verdict.answer, Answer::Shown, "{}", outcome.verdict.measured);
    assert!(
        outcome.verdict.measured.contains("positive at 16 of 16 epochs"),
        "{}",
        outcome.verdict.measured
    );
    let rows = &outcome.tables[0].rows;
    let cells: Vec<[&str; 4]> = rows
        .iter()
        .map(|row| [0, 1, 2, 5].map(|column| row[column].as_str()))
        .collect();
    assert_eq!(
        cells,
        [["1", "8 of 8", "8 of 8", "24 of 24"], ["2", "8 of 8", "8 of 8", ""]]
    );
    let names: Vec<&str> = outcome.figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "inner-products",
            "cosines",
            "neighbourhood",
            "gradient-norms",
            "step-sizes",
        ]
    );
    assert!(made.cost.measuring > 0.0);
    // At every epoch a step of gradient descent is one towards the end: of a convex loss its gradients hardly turn.
    assert!(
        outcome.verdict.measured.contains("useful step at 16 of 16 epochs"),
        "{}",
        outcome.verdict.measured
    );
    let Content::Chart { series, .. } = &outcome.figures[4].content else {
        panic!("a chart");
    };
    let [useful, of_sgd, rate] = [0, 1, 2].map(|index| series[index].points[7].1);
    // The step from the last epoch ends the run, and one twice as large leads as far beyond. It is some thousandth of
    // the weights, which are of single precision. The one batch of all images is no other than its average.
    assert!((useful / (2.0 * rate) - 1.0).abs() < 1e-3, "{useful} {rate}");
    assert!((of_sgd / useful - 1.0).abs() < 1e-5, "{of_sgd} {useful}");

    // A file for each epoch of both trials: what is made again is found there, but for other points around the first.
    let before = kept(folder.path());
    assert_eq!(before.len(), 16);
    let again = make(DESCENT, folder.path()).outcome;
    assert_eq!((&again.tables, &again.verdict), (&outcome.tables, &outcome.verdict));
    assert_eq!(kept(folder.path()), before);
    make(&DESCENT.replace("radius = 0.001", "radius = 0.002"), folder.path());
    let after = kept(folder.path());
    assert!(after.len() == 24 && before.iter().all(|(name, time)| after[name] == *time));
    let late = DESCENT.replace("first = 0", "first = 8");
    let told = refused(&late, folder.path());
    assert!(
        told.contains("first = 8") && told.contains("below the 8 epochs"),
        "{told}"
    );
}

#[test]
fn trajectories_part_from_the_same_weights_and_lead_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let estimate = |text: &str| -> Estimate {
        let recipe = Recipe::parse(text, Path::new("recipe.toml")).unwrap();
        let mut report = |_: &str, _: f64| true;
        let mut laboratory = Laboratory::new(Compute::cpu(), &folder.path().join("out"), &mut report);
        let rates = Rates {
            evaluating: 1.0,
            training: 1.0,
        };
        recipe.estimate(&mut laboratory, rates).unwrap()
    };
    // For each start 2 epochs, and 4 for each of 3 ways: 20 gradients of 2 multiply-adds, and 2,000 test images of 1.
    // Then a gradient for each of the ways' epochs, as 3 evaluations of the 20 images.
    let before = estimate(TRAJECTORIES);
    assert_eq!(before.training, 2.0 * 14.0 * (20.0 * 2.0 + 2000.0));
    assert_eq!(before.measuring, 2.0 * 12.0 * 3.0 * 20.0);
    let made = make(TRAJECTORIES, folder.path());
    assert_eq!(estimate(TRAJECTORIES).training, 0.0);

    let graph = graph();
    let found: BTreeMap<u64, RunFolder> = runs(folder.path())
        .into_iter()
        .map(|run| (run.record().options.seed, run))
        .collect();
    let seeds: Vec<u64> = found.keys().copied().collect();
    assert_eq!(seeds, [1, 2, 1001, 1002, 1003, 2001, 2002, 2003]);
    let weights = |seed: u64, epoch: usize| found[&seed].snapshot(&graph, epoch).unwrap().parameters;
    for start in [1, 2] {
        for number in 1..=3 {
            assert_eq!(weights(1000 * start + number, 0), weights(start, 2));
        }
        assert_ne!(weights(1000 * start + 1, 4), weights(1000 * start + 2, 4));
        assert_ne!(weights(1000 * start + 1, 4), weights(1000 * start + 3, 4));
    }

    let outcome = &made.outcome;
    for (row, seed) in outcome.tables[0].rows.iter().zip(["1", "2"]) {
        assert_eq!(row[0], seed);
        // At the last of 4 epochs the ways to the ends of the others are short, and lead anywhere.
        let (positive, all) = row[1].split_once(" of ").unwrap();
        assert_eq!(all, "24");
        assert!((18..=24).contains(&positive.parse::<usize>().unwrap()), "{row:?}");
        assert_eq!(row[4], "9 of 9");
    }
    assert!(
        outcome.verdict.measured.contains("to its own end 18 of 18"),
        "{}",
        outcome.verdict.measured
    );
    // A file for each epoch of the ways, with the ends of all; two of them have other ends.
    let before = kept(folder.path());
    assert_eq!(before.len(), 24);
    let again = make(TRAJECTORIES, folder.path()).outcome;
    assert_eq!((&again.tables, &again.verdict), (&outcome.tables, &outcome.verdict));
    assert_eq!(kept(folder.path()), before);
    make(
        &TRAJECTORIES.replace("trajectories = 3", "trajectories = 2"),
        folder.path(),
    );
    let after = kept(folder.path());
    assert!(after.len() == 40 && before.iter().all(|(name, time)| after[name] == *time));
    let alone = TRAJECTORIES.replace("trajectories = 3", "trajectories = 1");
    assert!(refused(&alone, folder.path()).contains("from 2 to 999"));
    let other = TRAJECTORIES.replacen("model = \"logistic\"", "model = \"mlp:3\"", 1);
    let told = refused(&other, folder.path());
    assert!(
        told.contains("`way` is of logistic, and the run that it starts from of mlp:3"),
        "{told}"
    );
    let nowhere = TRAJECTORIES.replace("from = \"start\"\n", "");
    let told = refused(&nowhere, folder.path());
    assert!(told.contains("`way` has no common start"), "{told}");
}

#[test]
fn minima_are_those_of_runs_that_go_on_from_an_epoch_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let made = make(&spectrum(), folder.path());
    let outcome = &made.outcome;
    // Gradient descent: later is further on the same way, with a lower loss, and farther from its start.
    for words in [
        "lower is the train loss for 1 of 1 seeds",
        "initial weights for 1 (",
        "at 16 of 16 epochs",
        "for 3 of 3 minima",
    ] {
        let measured = &outcome.verdict.measured;
        assert!(measured.contains(words), "{words} in {measured}");
    }
    let cells: Vec<[&str; 2]> = outcome.tables[0]
        .rows
        .iter()
        .map(|row| [1, 7].map(|column| row[column].as_str()))
        .collect();
    assert_eq!(cells, [["1", "3 of 3"], ["3", "5 of 5"], ["6", "8 of 8"]]);

    let graph = graph();
    let found = runs(folder.path());
    let (large, branches): (Vec<&RunFolder>, Vec<&RunFolder>) =
        found.iter().partition(|run| run.record().options.epochs == 6);
    assert_eq!((large.len(), branches.len()), (1, 3));
    // The run that three others start from counts once in what it took.
    let seconds = |run: &RunFolder| -> f64 {
        let text = std::fs::read_to_string(run.path().join("seconds.json")).unwrap();
        text.trim().parse().unwrap()
    };
    let spent: f64 = found.iter().map(seconds).sum();
    assert!((made.cost.training - spent).abs() < 1e-9, "{:?} {spent}", made.cost);
    for epoch in [1, 3, 6] {
        let place = large[0].snapshot(&graph, epoch).unwrap();
        let begun_there = |run: &&&RunFolder| run.snapshot(&graph, 0).unwrap() == place;
        assert_eq!(branches.iter().filter(begun_there).count(), 1, "{epoch}");
    }
    let page = std::fs::read_to_string(folder.path().join("out/large/README.md")).unwrap();
    assert!(page.contains("from the weights of `large` after epoch 3"), "{page}");

    // A file for each epoch of the large steps and of each way from there.
    let before = kept(folder.path());
    assert_eq!(before.len(), 12);
    let again = make(&spectrum(), folder.path()).outcome;
    assert_eq!((&again.tables, &again.verdict), (&outcome.tables, &outcome.verdict));
    assert_eq!(kept(folder.path()), before);

    let two = spectrum().replace(", \"middle\"]", "]");
    assert!(refused(&two, folder.path()).contains("name 3 runs at least"));
    let elsewhere = spectrum().replace("from = \"large\"\nfrom-epoch = 1\n", "");
    let told = refused(&elsewhere, folder.path());
    assert!(told.contains("`early` has no start on the way of `large`"), "{told}");
}

#[test]
fn a_surface_through_training_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = DESCENT.split_once("[measure").unwrap();
    let surface = format!("{run}[measure.trajectory-surface]\nrun = \"descent\"\nrange = [-1.0, 1.0]\npoints = 5\n");
    let made = make(&surface, folder.path()).outcome;
    // One for each seed.
    let before = kept(folder.path());
    assert_eq!(before.len(), 2);
    let again = make(&surface, folder.path()).outcome;
    assert_eq!((&again.tables, &again.verdict), (&made.tables, &made.verdict));
    assert_eq!(kept(folder.path()), before);
    // Other positions, another direction and another accuracy are other surfaces.
    for (count, other) in [
        surface.replace("points = 5", "points = 7"),
        surface.replace("points = 5", "points = 5\ndraw = 2"),
        surface.replace("points = 5", "points = 5\ntolerance = 0.0"),
    ]
    .into_iter()
    .enumerate()
    {
        make(&other, folder.path());
        assert_eq!(kept(folder.path()).len(), 2 * (count + 2));
    }
}

#[test]
fn an_epoch_to_start_from_must_be_one_of_a_run() {
    let message = |text: &str| Recipe::parse(text, Path::new("recipe.toml")).unwrap_err().to_string();
    let line = |text: &str| {
        let header = text.lines().position(|line| line == "[runs.middle]").unwrap();
        let key = text
            .lines()
            .skip(header)
            .position(|line| line.starts_with("from-epoch"));
        format!("recipe.toml: line {}: ", header + key.unwrap() + 1)
    };
    let beyond = spectrum().replace("from-epoch = 3", "from-epoch = 7");
    let told = message(&beyond);
    assert!(told.starts_with(&line(&beyond)), "{told}");
    assert!(
        told.contains("`large` has 6 epochs") && told.contains("after its epoch 7"),
        "{told}"
    );
    let from_nothing = spectrum().replace("from = \"large\"\nfrom-epoch = 3", "from-epoch = 3");
    let told = message(&from_nothing);
    assert!(told.starts_with(&line(&from_nothing)), "{told}");
    assert!(
        told.contains("name the run that it starts from, too, with `from`"),
        "{told}"
    );
    let initial = spectrum().replace("from-epoch = 3", "from-epoch = 0");
    assert!(Recipe::parse(&initial, Path::new("recipe.toml")).is_ok());
}
