//! Experiments from recipes: what `reproduce` writes, what it does once, and what it says of a recipe it cannot use.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::program::run;
use valleyscope::error::Error;
use valleyscope::experiment::laboratory::Laboratory;
use valleyscope::experiment::logistic;
use valleyscope::experiment::outcome::{Made, PlaceView};
use valleyscope::experiment::recipe::Recipe;
use valleyscope::landscape::Line;
use valleyscope::objective::{BatchNormPolicy, Compute, Solution};
use valleyscope::training::{RunFolder, RunRecord, TrainingOptions};

/// A recipe done in a second: a perceptron on a few images.
const SMALL: &str = r#"
name = "small"
title = "A small interpolation"
figures = ["arXiv Fig. 8"]
claim = "No bump lies between SWA and SGD."
seeds = [1, 2]

[runs.first]
model = "mlp:8"
data = "builtin:train=140:test=60"
epochs = 3
batch-size = 20
learning-rate = 0.02
swa-start = 2
swa-learning-rate = 0.02
sgd-epochs = 1

[measure.interpolation]
run = "first"
points = 11

[[published]]
what = "somewhere"
value = "0.5 | 1"
"#;

fn message(text: &str) -> String {
    Recipe::parse(text, Path::new("small.toml")).unwrap_err().to_string()
}

/// Number of the line that holds some words, from 1.
fn line_of(text: &str, words: &str) -> usize {
    text.lines().position(|line| line.contains(words)).unwrap() + 1
}

#[test]
fn every_recipe_of_the_program_is_understood() {
    let recipes = Recipe::built_in().unwrap();
    assert!(recipes.len() >= 12);
    for recipe in &recipes {
        assert_eq!(Recipe::named(&recipe.name).unwrap(), *recipe);
        assert!(
            !recipe.figures.is_empty() && recipe.claim.ends_with('.'),
            "{}",
            recipe.name
        );
    }
}

#[test]
fn what_is_wrong_in_a_recipe_is_told_with_its_line() {
    assert!(Recipe::parse(SMALL, Path::new("small.toml")).is_ok());
    for (words, wrong, expected) in [
        // Unknown fields.
        ("points = 11", "pionts = 11", "pionts"),
        ("batch-size = 20", "batch-sise = 20", "batch-sise"),
        ("name = \"small\"", "name = \"../small\"", "a name is of letters"),
        ("name = \"small\"", "name = \"runs\"", "neither `runs`"),
        // Wrong types and units.
        ("epochs = 3", "epochs = \"three weeks\"", "expected a whole number"),
        ("epochs = 3", "epochs = -1", "expected a whole number"),
        ("points = 11", "points = 1.5", "expected a whole number"),
        ("learning-rate = 0.02", "learning-rate = \"0.02\"", "expected a number"),
        ("seeds = [1, 2]", "seeds = [1, -2]", "expected a whole number"),
        // Numbers out of range.
        (
            "learning-rate = 0.02",
            "learning-rate = -1.0",
            "learning-rate = -1 is not allowed: a",
        ),
        ("swa-start = 2", "swa-start = 9", "it must be from 1 to epochs (3)"),
        ("points = 11", "points = 1", "points = 1 is not allowed"),
        ("points = 11", "range = [3.0, -2.0]", "range = 3..-2 is not allowed"),
        ("seeds = [1, 2]", "seeds = []", "one seed at least"),
        // Runs that are not there, or lead nowhere.
        (
            "run = \"first\"",
            "run = \"last\"",
            "there is no run `last` to measure; there are: first",
        ),
        (
            "epochs = 3",
            "from = \"first\"",
            "these runs start from each other: first from first",
        ),
        (
            "epochs = 3",
            "from = \"before\"",
            "there is no run `before` to start from",
        ),
        ("data = \"builtin", "checkpoint = \"builtin", "leave out model, epochs"),
    ] {
        let text = SMALL.replacen(words, wrong, 1);
        assert_ne!(text, SMALL, "{words}");
        let told = message(&text);
        // Beside a checkpoint, the first of the fields that are too many is where to look.
        let place = if expected.starts_with("leave out") {
            "model = "
        } else {
            wrong
        };
        let line = line_of(&text, place);
        assert!(
            told.starts_with(&format!("small.toml: line {line}: ")),
            "{line}: {told}"
        );
        assert!(told.contains(expected) && told.lines().count() == 1, "{told}");
    }
    let missing = SMALL.replacen("model = \"mlp:8\"\n", "", 1);
    let header = line_of(&missing, "[runs.first]");
    let told = message(&missing);
    assert!(
        told.starts_with(&format!("small.toml: line {header}: ")) && told.contains("needs `model`"),
        "{told}"
    );
    let circle = SMALL.replacen("epochs = 3", "from = \"second\"", 1)
        + "\n[runs.second]\nmodel = \"mlp:8\"\ndata = \"builtin\"\nfrom = \"first\"\n";
    let told = message(&circle);
    let line = line_of(&circle, "from = \"second\"");
    assert!(
        told.starts_with(&format!("small.toml: line {line}: ")) && told.contains("first from second from first"),
        "{told}"
    );
    assert!(message("name = ").starts_with("small.toml: line 1: "));
}

/// A recipe that measures a run which is there already.
fn kept(checkpoint: &str) -> String {
    let (head, _) = SMALL.split_once("[runs.first]").unwrap();
    let head = head.replacen("small", "kept", 1).replacen("seeds = [1, 2]\n", "", 1);
    let rest = "[measure.interpolation]\nrun = \"first\"\npoints = 11\n";
    format!("{head}[runs.first]\ncheckpoint = \"{checkpoint}\"\n\n{rest}")
}

#[test]
fn a_checkpoint_that_cannot_be_measured_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("kept.toml");
    let unfinished = folder.path().join("unfinished");
    let record = RunRecord::new("mlp:8", "builtin", "cpu", TrainingOptions::default());
    RunFolder::create(&unfinished, record).unwrap().update(|_| ()).unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for (checkpoint, expected) in [
        ("elsewhere", "no such folder"),
        ("empty", "it has no run.json"),
        ("unfinished", "this run is not finished"),
    ] {
        let text = kept(checkpoint);
        let told = Recipe::parse(&text, &source).unwrap_err().to_string();
        let line = line_of(&text, "checkpoint");
        let start = format!("{}: line {line}: ", source.display());
        assert!(told.starts_with(&start) && told.contains(expected), "{told}");
    }
}

/// The only folder in a folder.
fn only(folder: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).unwrap();
    let first = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    first
}

#[test]
fn a_run_that_is_there_already_is_measured_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let small = SMALL.replacen("seeds = [1, 2]", "seeds = [7]", 1);
    std::fs::write(folder.path().join("small.toml"), small).unwrap();
    let (done, _, errors) = run(
        &["reproduce", "small.toml", "--out", "out", "--device", "cpu"],
        folder.path(),
    );
    assert!(done, "{errors}");
    let trained = only(&folder.path().join("out/runs"));
    let name = trained.file_name().unwrap().to_str().unwrap();
    let written = || -> Vec<_> {
        [
            "run.json",
            "metrics.csv",
            "state.safetensors",
            "swa.safetensors",
            "sgd.safetensors",
        ]
        .map(|file| std::fs::metadata(trained.join(file)).unwrap().modified().unwrap())
        .to_vec()
    };
    let before = written();

    std::fs::create_dir(folder.path().join("recipes")).unwrap();
    let text = kept(&format!("../out/runs/{name}"));
    std::fs::write(folder.path().join("recipes/kept.toml"), &text).unwrap();
    let (done, _, errors) = run(
        &["reproduce", "recipes/kept.toml", "--out", "again", "--device", "cpu"],
        folder.path(),
    );
    assert!(done, "{errors}");
    assert_eq!(written(), before);
    assert!(!folder.path().join("again/runs").exists());
    let page = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    let row = |page: &str| page.lines().find(|line| line.starts_with("| 7 |")).unwrap().to_owned();
    let (first, second) = (page("out/small/README.md"), page("again/kept/README.md"));
    assert_eq!(row(&first), row(&second));
    for words in ["3 epochs in batches of 20", "there already in", "| seeds | 7 |"] {
        assert!(second.contains(words), "{words} in {second}");
    }
    let twice = text.replacen("figures", "seeds = [7, 8]\nfigures", 1);
    let told = Recipe::parse(&twice, &folder.path().join("recipes/kept.toml"))
        .unwrap_err()
        .to_string();
    let line = line_of(&twice, "seeds");
    assert!(
        told.contains(&format!("line {line}: ")) && told.contains("leave the seeds out"),
        "{told}"
    );
}

/// The outcome of the small runs, measured in another way.
fn outcome_of(measure: &str) -> (serde_json::Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let text = SMALL.replacen("[measure.interpolation]\nrun = \"first\"\npoints = 11\n", measure, 1);
    assert_ne!(text, SMALL);
    std::fs::write(folder.path().join("small.toml"), text).unwrap();
    let (done, _, errors) = run(
        &["reproduce", "small.toml", "--out", "out", "--device", "cpu"],
        folder.path(),
    );
    assert!(done, "{errors}");
    let file = std::fs::read_to_string(folder.path().join("out/small/outcome.json")).unwrap();
    (serde_json::from_str(&file).unwrap(), folder)
}

#[test]
fn theorem_1_is_tried_along_every_direction() {
    let (outcome, folder) =
        outcome_of("[measure.biased-solution]\nrun = \"first\"\ndraws = 3\nreach = 1.0\npoints = 41\nwidth = 0.2\n");
    let rows = outcome["tables"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    // Away from a minimum, which so short a training does not reach, a side falls and the other rises along nearly
    // every direction.
    let asymmetric = rows.iter().filter(|row| row[3] != "none").count();
    assert!(asymmetric > 0, "{rows:?}");
    let measured = outcome["verdict"]["measured"].as_str().unwrap();
    assert!(
        measured.starts_with(&format!("Along {asymmetric} of 6 directions")),
        "{measured}"
    );
    let drawn = folder.path().join("out/small/gains.csv").exists();
    assert!(drawn, "{measured}");
    // What the proof says of every certificate is so.
    let proven = format!("it is so for {asymmetric} of {asymmetric}.");
    assert!(measured.contains(&proven), "{measured}");
}

#[test]
fn the_most_asymmetric_direction_of_each_seed_is_told_from_exact_slopes_too() {
    let (outcome, _folder) = outcome_of(
        "[measure.asymmetric-direction]\nrun = \"first\"\ndraws = 2\nreach = 1.0\npoints = 21\nwidth = 0.2\n",
    );
    let exact = &outcome["tables"][1];
    assert!(exact["caption"].as_str().unwrap().contains("exact slopes"), "{exact}");
    let rows = exact["rows"].as_array().unwrap();
    let seeds: Vec<&str> = rows.iter().map(|row| row[0].as_str().unwrap()).collect();
    assert_eq!(seeds, ["1", "2"]);
    // Beside what differences say of the same direction in the first table.
    for row in rows {
        let first = outcome["tables"][0]["rows"].as_array().unwrap();
        let same = first.iter().find(|one| one[0] == row[0] && one[1] == row[1]).unwrap();
        assert_eq!(row[2], same[3]);
    }
    let measured = outcome["verdict"]["measured"].as_str().unwrap();
    assert!(measured.contains("From exact slopes"), "{measured}");
}

/// Error allowed on a slope relative to the largest one: the gradient's sums of single precision.
const SLOPE_TOLERANCE: f64 = 2e-5;

#[test]
fn slopes_of_logistic_regression_are_those_of_its_closed_form() {
    let folder = tempfile::tempdir().unwrap();
    let samples = logistic::run(4).samples;
    let (from, to) = ([0.25_f32, -0.5], [1.5_f32, 0.75]);
    let solution = |parameters: [f32; 2]| {
        Arc::new(Solution {
            parameters: parameters.to_vec(),
            statistics: Vec::new(),
        })
    };
    let way = [to[0] - from[0], to[1] - from[1]];
    for compute in [Compute::flex(), Compute::cpu()] {
        let mut report = |_: &str, _: f64| true;
        let mut laboratory = Laboratory::new(compute, folder.path(), &mut report);
        let objective = laboratory.objective("logistic", "two-gaussians:seed=4").unwrap();
        for (line, axis) in [
            (Line::ray(solution(from), Arc::new(vec![0.6, 0.8])), [0.6_f32, 0.8]),
            (Line::segment(solution(from), solution(to)), way),
        ] {
            let axis = axis.map(f64::from);
            let positions = [-4.0, -1.0, 0.0, 0.5, 3.0];
            let expected = positions.map(|l| {
                let point = [0_usize, 1].map(|index| f64::from(from[index]) + l * axis[index]);
                let [by_weight, by_bias] = logistic::gradient(&samples, point);
                by_weight * axis[0] + by_bias * axis[1]
            });
            let largest = expected.iter().fold(0.0_f64, |most, slope| most.max(slope.abs()));
            // Without batch norm every policy is the same.
            for policy in BatchNormPolicy::ALL {
                let slopes = laboratory.slopes(&objective, &line, &positions, policy).unwrap();
                for (slope, expected) in slopes.iter().zip(&expected) {
                    assert!(
                        (slope - expected).abs() <= SLOPE_TOLERANCE * largest,
                        "{slope} is not {expected} ({policy})"
                    );
                }
            }
        }
    }
}

#[test]
fn slopes_that_would_not_be_exact_are_refused_and_told_to_stop_they_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut going_on = |_: &str, _: f64| true;
    let mut laboratory = Laboratory::new(Compute::cpu(), folder.path(), &mut going_on);
    let objective = laboratory
        .objective("resnet8:width=4", "builtin:train=40:test=20")
        .unwrap();
    let graph = objective.graph();
    let origin = Arc::new(Solution {
        parameters: vec![0.1; graph.parameter_count()],
        statistics: vec![1.0; graph.statistics_count()],
    });
    let line = Line::ray(origin, Arc::new(vec![0.01; graph.parameter_count()]));
    let told = laboratory
        .slopes(&objective, &line, &[0.0], BatchNormPolicy::Recompute)
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("under `recompute`") && told.contains("`running`"),
        "{told}"
    );
    let slopes = laboratory.slopes(&objective, &line, &[0.0, 0.5], BatchNormPolicy::Running);
    assert_eq!(slopes.unwrap().len(), 2);
    let mut stopping = |_: &str, done: f64| done < 0.5;
    let mut laboratory = Laboratory::new(Compute::cpu(), folder.path(), &mut stopping);
    // Others than those that are kept.
    let stopped = laboratory.slopes(&objective, &line, &[0.0, 0.75], BatchNormPolicy::Running);
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
}

#[test]
fn an_experiment_leaves_a_page_figures_and_numbers_and_its_runs_are_trained_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), SMALL).unwrap();
    let reproduce = ["reproduce", "small.toml", "--out", "out", "--device", "cpu"];
    let (done, said, errors) = run(&reproduce, folder.path());
    assert!(done, "{errors}");
    assert!(said.contains("small: "), "{said}");
    let out = folder.path().join("out");
    let page = std::fs::read_to_string(out.join("small/README.md")).unwrap();
    for words in [
        "**Claim.** No bump",
        "**Verdict: ",
        "interpolation-seed1.png",
        "0.5 \\| 1",
        "mlp:8 on builtin:train=140:test=60: 3 epochs in batches of 20",
        "| seeds | 1, 2 |",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    for ending in ["png", "svg", "csv", "json"] {
        assert!(
            out.join(format!("small/interpolation-seed2.{ending}")).exists(),
            "{ending}"
        );
    }
    let picture = image::open(out.join("small/thumbnail.png")).unwrap();
    assert_eq!(picture.width(), 320);
    let recipe = Recipe::parse(SMALL, Path::new("small.toml")).unwrap();
    let made = Made::read(&out, &recipe).unwrap();
    assert_eq!(made.outcome.figures.len(), 2);
    let place = made.outcome.figures[1].place.as_ref().unwrap();
    assert!(out.join("runs").join(&place.run).join("run.json").exists());
    assert_eq!(place.view, PlaceView::Interpolation);
    assert!(made.cost.training > 0.0 && made.cost.measuring > 0.0);
    let costs = std::fs::read_to_string(out.join("costs.csv")).unwrap();
    assert!(costs.lines().count() == 2 && costs.contains("\nsmall,"), "{costs}");
    let index = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(index.contains("[A small interpolation](small/README.md)"), "{index}");
    let runs: Vec<_> = std::fs::read_dir(out.join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(runs.len(), 2);
    let trained: Vec<_> = runs
        .iter()
        .map(|run| std::fs::metadata(run.join("metrics.csv")).unwrap().modified().unwrap())
        .collect();

    let lines = || {
        let files = std::fs::read_dir(out.join("lines")).unwrap();
        let mut times: Vec<_> = files
            .map(|entry| entry.unwrap().metadata().unwrap().modified().unwrap())
            .collect();
        times.sort();
        times
    };
    let measured = lines();
    assert_eq!(measured.len(), 2);

    // A second experiment on the same runs trains nothing, and measures no line again.
    let (done, said, errors) = run(&[&reproduce[..], &["--json"]].concat(), folder.path());
    assert!(done, "{errors}");
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document[0]["name"], "small");
    for (run, before) in runs.iter().zip(trained) {
        assert_eq!(
            std::fs::metadata(run.join("metrics.csv")).unwrap().modified().unwrap(),
            before
        );
    }
    assert_eq!(lines(), measured);
    // What it takes is what it takes from nothing.
    let again = Made::read(&out, &recipe).unwrap();
    assert!(again.cost.training >= made.cost.training, "{:?}", again.cost);
    assert_eq!(again.outcome, made.outcome);
    // Of another recipe of this name it is not the outcome.
    let other = Recipe::parse(&SMALL.replace("points = 11", "points = 21"), Path::new("small.toml")).unwrap();
    assert!(
        Made::read(&out, &other)
            .unwrap_err()
            .to_string()
            .contains("make it again")
    );

    // Several are made one after another, and the index has all that is in the folder.
    std::fs::write(
        folder.path().join("second.toml"),
        SMALL.replace("\"small\"", "\"second\""),
    )
    .unwrap();
    let several = [
        "reproduce",
        "small.toml",
        "second.toml",
        "--out",
        "out",
        "--device",
        "cpu",
    ];
    let (done, said, errors) = run(&several, folder.path());
    assert!(
        done && said.contains("small: ") && said.contains("second: "),
        "{said}{errors}"
    );
    assert_eq!(said.matches("pages, figures").count(), 1, "{said}");
    let index = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(
        index.contains("small/README.md") && index.contains("second/README.md"),
        "{index}"
    );
    assert_eq!(lines(), measured);
}

/// Runs over two weights, small enough for a test: no noise, and the noise that leaves the minimum fastest.
const RACE: &str = r#"
name = "race"
title = "A small race"
paper = "The Anisotropic Noise in SGD"
figures = ["Fig. 2"]
claim = "Noise along the first eigenvector leads out."
seeds = [1, 2, 3, 4, 5, 6]

[measure.noise-race]
dynamics = ["gd", "gld-first-eigenvector"]
steps = 60
"#;

/// Trials on the spiky function, a dozen with noise and as many without.
const SPIKES: &str = r#"
name = "spikes"
title = "A few spikes"
paper = "An Alternative View"
figures = ["Fig. 3"]
claim = "Noise leads home."
seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]

[measure.spiky]
widths = [0.0, 0.3]
suitable = 0.3
start = 3.0
near = 1.5
close = 0.25
learning-rate = 0.0075
steps = 50
stages = [{ start = 1.5, width = 0.15 }, { start = 0.4, width = 0.03 }]
"#;

#[test]
fn experiments_without_a_network_are_made_again_alike_and_grouped_by_paper() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("race.toml"), RACE).unwrap();
    std::fs::write(folder.path().join("spikes.toml"), SPIKES).unwrap();
    let make = |out: &str| {
        let arguments = ["reproduce", "race.toml", "spikes.toml", "--out", out, "--device", "cpu"];
        let (done, _, errors) = run(&arguments, folder.path());
        assert!(done, "{errors}");
        folder.path().join(out)
    };
    let out = make("out");
    for (file, words) in [
        ("race/README.md", "*The Anisotropic Noise in SGD*: Fig. 2"),
        ("race/README.md", "GD 0 of 6 (0 to 39 %)"),
        ("race/README.md", "Of the 1 orders in the claim"),
        ("race/trajectories.csv", "curve,w₁,w₂,train loss\nGD,1,1,\n"),
        ("race/trajectories.csv", "\nsurface,-3,-3,"),
        ("race/trajectories.svg", "flat minimum"),
        ("race/indicator.csv", "GLD 1st eigvec(H),59,"),
        ("race/success.csv", "GD: 0 of 6 (0 to 39 %),0.4,0\n"),
        ("spikes/README.md", "*An Alternative View*: Fig. 3"),
        ("spikes/README.md", "leave bad minima: noise 0.3 over no noise, "),
        ("spikes/README.md", "| ±1.20, ±1.85, ±2.49 |"),
        ("spikes/stages.csv", "stage 2: noise 0.03"),
        ("README.md", "## The Anisotropic Noise in SGD\n"),
        ("README.md", "## An Alternative View\n"),
        ("README.md", "### A few spikes\n"),
    ] {
        let text = std::fs::read_to_string(out.join(file)).unwrap();
        assert!(text.contains(words), "{words} in {text}");
    }
    let again = make("again");
    for name in ["race", "spikes"] {
        // The recipe is kept beside what it made.
        let path = out.join(name).join("recipe.toml");
        let recipe = Recipe::parse(&std::fs::read_to_string(&path).unwrap(), &path).unwrap();
        let [first, second] = [&out, &again].map(|out| Made::read(out, &recipe).unwrap().outcome);
        // In words, in which what only parts points is equal, too.
        assert!(format!("{first:?}") == format!("{second:?}"), "{name}");
        for figure in &first.figures {
            for ending in ["png", "svg", "csv"] {
                let file = out.join(name).join(format!("{}.{ending}", figure.name));
                assert!(file.exists(), "{}", file.display());
            }
        }
    }
    // What is wrong in one is told without making it.
    let wrong = RACE.replacen("[\"gd\", \"gld-first-eigenvector\"]", "[\"gd\"]", 1);
    std::fs::write(folder.path().join("race.toml"), wrong).unwrap();
    let (done, _, errors) = run(&["reproduce", "race.toml", "--device", "cpu"], folder.path());
    assert!(
        !done && errors.contains("dynamics") && errors.contains("two at least"),
        "{errors}"
    );
}

#[test]
fn experiments_are_listed_and_unknown_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (done, said, _) = run(&["reproduce", "--list"], folder.path());
    assert!(
        done && said.contains("interpolation") && said.contains("arXiv Fig. 8"),
        "{said}"
    );
    for paper in ["Asymmetric Valleys", "The Anisotropic Noise in SGD"] {
        assert_eq!(said.lines().filter(|line| *line == paper).count(), 1, "{said}");
    }
    let (done, _, errors) = run(&["reproduce", "nothing"], folder.path());
    assert!(!done && errors.contains("there are asymmetric-direction"), "{errors}");
    std::fs::write(folder.path().join("mine.toml"), SMALL.replace("\"small\"", "\"shift\"")).unwrap();
    let (done, _, errors) = run(&["reproduce", "mine.toml"], folder.path());
    assert!(
        !done && errors.contains("line 2: `shift` is an experiment of the program"),
        "{errors}"
    );
    let (done, _, errors) = run(&["reproduce", "nothing.toml"], folder.path());
    assert!(!done && errors.contains("no such file"), "{errors}");
    let (done, _, errors) = run(&["reproduce"], folder.path());
    assert!(!done && errors.contains("NAME"), "{errors}");
}
