//! Experiments from recipes: what `reproduce` writes, what it does once, and what it says of a recipe it cannot use.

mod common;

use std::path::Path;

use common::run;
use valleyscope::experiment::outcome::{Made, PlaceView};
use valleyscope::experiment::recipe::Recipe;

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
        ("points = 11", "pionts = 11", "pionts"),
        ("epochs = 3", "epochs = \"three weeks\"", "expected usize"),
        (
            "learning-rate = 0.02\nswa-start",
            "learning-rate = -1.0\nswa-start",
            "above 0",
        ),
        ("batch-size = 20", "batch-sise = 20", "batch-sise"),
    ] {
        let text = SMALL.replacen(words, wrong, 1);
        assert_ne!(text, SMALL, "{words}");
        let told = message(&text);
        assert!(told.starts_with("small.toml: line "), "{told}");
        assert!(told.contains(expected) && told.lines().count() == 1, "{told}");
    }
    let text = SMALL.replacen("points = 11", "pionts = 11", 1);
    let line = line_of(&text, "pionts");
    assert!(message(&text).contains(&format!("line {line}:")), "{}", message(&text));
    let told = message(&SMALL.replacen("run = \"first\"", "run = \"last\"", 1));
    assert!(
        told.contains("there is no run `last`") && told.contains("first"),
        "{told}"
    );
    let from = SMALL.replacen("epochs = 3", "epochs = 3\nfrom = \"first\"", 1);
    assert!(message(&from).contains("start from each other"), "{}", message(&from));
    let from = SMALL.replacen("epochs = 3", "epochs = 3\nfrom = \"before\"", 1);
    assert!(
        message(&from).contains("no run `before` to start from"),
        "{}",
        message(&from)
    );
    assert!(message("name = ").starts_with("small.toml: line 1: "));
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
    let made = Made::read(&out, "small").unwrap();
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
    let again = Made::read(&out, "small").unwrap();
    assert!(again.cost.training >= made.cost.training, "{:?}", again.cost);
    assert_eq!(again.outcome, made.outcome);
}

/// Runs over two weights, small enough for a test: no noise, and the noise that leaves the minimum fastest.
const RACE: &str = r#"
name = "race"
title = "A small race"
paper = "The Anisotropic Noise in SGD"
figures = ["Zhu et al. Fig. 2"]
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
figures = ["Kleinberg et al. Fig. 3"]
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
        ("race/README.md", "*The Anisotropic Noise in SGD*: Zhu et al. Fig. 2"),
        ("race/README.md", "GD 0 of 6 (0 to 39 %)"),
        ("race/README.md", "Of the 1 orders in the claim"),
        ("race/trajectories.csv", "curve,w₁,w₂\nGD,1,1\n"),
        ("race/indicator.csv", "GLD 1st eigvec(H),59,"),
        ("race/success.csv", "GD: 0 of 6 (0 to 39 %),0.4,0\n"),
        ("spikes/README.md", "*An Alternative View*: Kleinberg et al. Fig. 3"),
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
        let [first, second] = [&out, &again].map(|out| Made::read(out, name).unwrap().outcome);
        assert_eq!(first, second);
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
    assert!(!done && errors.contains("dynamics") && errors.contains("two at least"), "{errors}");
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
    let (done, _, errors) = run(&["reproduce", "nothing.toml"], folder.path());
    assert!(!done && errors.contains("no such file"), "{errors}");
    let (done, _, errors) = run(&["reproduce"], folder.path());
    assert!(!done && errors.contains("NAME"), "{errors}");
}
