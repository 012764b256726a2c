//! The command `curvature --trajectory`: sharpness and non-uniformity by epoch beside those of the snapshots alone, the
//! bounds of each epoch's learning rate, the files that it writes, and what it says of what cannot be measured.

mod common;

use std::path::Path;

use common::documents::{number, parse, read_json};
use common::program::{fail, succeed};
use serde_json::Value;
use tempfile::TempDir;
use valleyscope::checkpoint::NamedTensors;
use valleyscope::data::Dataset;
use valleyscope::network::zoo;
use valleyscope::training::RunFolder;

const MODEL: &str = "mlp:3";
const IMAGES: usize = 24;
const EPOCHS: usize = 4;
const BATCH: usize = 8;
/// Without averaging, the learning rate is that of the start for half of the epochs, and then falls.
const RATES: [f64; EPOCHS + 1] = [0.05, 0.05, 0.05, 0.05, 0.05 - 0.625 * (0.05 - 0.0005)];

/// A folder with a run of some epochs, trained by the program on hashed images, and their data.
fn trained(words: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::data_file(&folder.path().join("data.safetensors"), IMAGES, [1, 3, 2]);
    let train = format!(
        "train --device cpu --model {MODEL} --data safetensors:data.safetensors --epochs {EPOCHS} --batch-size {BATCH} \
         --lr 0.05 --swa-start 0 --seed 3 --out run {words}"
    );
    succeed(&train, folder.path());
    folder
}

/// A run of plain SGD.
fn plain() -> TempDir {
    trained("--momentum 0 --weight-decay 0")
}

#[track_caller]
fn document(words: &str, folder: &Path) -> Value {
    parse(&succeed(&format!("curvature --device cpu --json {words}"), folder))
}

fn rows(record: &Value) -> &[Value] {
    record["rows"].as_array().unwrap()
}

fn epochs(record: &Value) -> Vec<u64> {
    rows(record).iter().map(|row| row["epoch"].as_u64().unwrap()).collect()
}

/// The first numbers of a table's lines.
fn printed(text: &str) -> Vec<u64> {
    let words = text.lines().filter_map(|line| line.split_whitespace().next());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn every_epoch_has_the_numbers_of_its_snapshot_beside_its_own_bounds() {
    let folder = plain();
    let path = folder.path();
    let record = document("--trajectory run --tolerance 1e-5 --non-uniformity", path);
    assert_eq!(epochs(&record), [0, 1, 2, 3, 4]);
    for (row, rate) in rows(&record).iter().zip(RATES) {
        let epoch = row["epoch"].as_u64().unwrap();
        let words = format!(
            "--checkpoint run/trajectory/{epoch:04}.safetensors --eigenvalues 1 --tolerance 1e-5 --non-uniformity"
        );
        let alone = document(&words, path);
        let (found, expected) = (&row["sharpness"], &alone["spectrum"]["largest"][0]);
        let within = number(&found["residual"]) + number(&expected["residual"]);
        let [a, other] = [&found["value"], &expected["value"]].map(number);
        // An eigenvalue lies within each residual, and rounding of single precision beside it.
        assert!((a - other).abs() <= within + 1e-6 * other.abs(), "{row}: {expected}");
        assert_eq!(found["converged"], true, "{row}");
        let (found, expected) = (&row["non_uniformity"], &alone["non_uniformity"]["measured"]);
        let [s, other] = [&found["value"], &expected["value"]].map(number);
        // The tolerance and roundings of two products, as shares of λ_max, of which s has half.
        assert!((s / other - 1.0).abs() < 1e-4, "{row}: {expected}");
        assert!(found["standard_error"].is_null(), "all at once have none: {row}");
        let [loss, other] = [&row["loss"], &alone["loss"]].map(number);
        assert!((loss / other - 1.0).abs() < 1e-9, "{row}");
        // The bounds of the epoch's own learning rate.
        let near = |value: &Value, expected: f64| (number(value) / expected - 1.0).abs() < 1e-9;
        let bound = (BATCH as f64 * (IMAGES - 1) as f64 / (IMAGES - BATCH) as f64).sqrt() / rate;
        assert!(near(&row["learning_rate"], rate), "{row}");
        assert!(near(&row["sharpness_bound"], 2.0 / rate), "{row}");
        assert!(near(&row["sharpness_share"], a * rate / 2.0), "{row}");
        assert!(near(&row["non_uniformity_bound"], bound), "{row}");
        assert!(near(&row["non_uniformity_share"], s / bound), "{row}");
        assert!(row["heavy_ball_bound"].is_null() && row["lost"].is_null(), "{row}");
    }
    assert_eq!(record["images"], "all");
    assert_eq!(record["trained_on"], IMAGES);
}

#[test]
fn a_line_is_printed_for_each_of_the_epochs_asked_for() {
    let folder = plain();
    let path = folder.path();
    let text = succeed("curvature --device cpu --trajectory run --every 3", path);
    assert_eq!(printed(&text), [0, 3, 4], "{text}");
    for words in [
        "3 epochs of run (mlp:3, 61 parameters)",
        "24 of 24 train images of safetensors:data.safetensors, bn running",
        "of plain SGD with B = 8 of n = 24",
        "a exceeds 2/η at ",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!text.contains("momentum") && !text.contains("s exceeds"), "{text}");
    let widths: Vec<usize> = text
        .lines()
        .skip_while(|line| !line.contains("train loss"))
        .take(4)
        .map(|line| line.chars().count())
        .collect();
    assert_eq!(widths, [widths[0]; 4], "{text}");
    let text = succeed("curvature --device cpu --trajectory run", path);
    assert_eq!(printed(&text), [0, 1, 2, 3, 4], "{text}");
}

#[test]
fn part_of_the_images_stands_for_all_with_an_error() {
    let folder = plain();
    let record = document(
        "--trajectory run --every 4 --samples 16 --non-uniformity 12",
        folder.path(),
    );
    assert_eq!(record["samples"], 16);
    assert_eq!(record["trained_on"], IMAGES);
    assert_eq!(record["images"]["sets"]["count"], 4);
    assert_eq!(record["images"]["sets"]["images"], 3);
    assert_eq!(record["provenance"]["train_images"], 16);
    for row in rows(&record) {
        assert!(number(&row["non_uniformity"]["standard_error"]) > 0.0, "{row}");
    }
    let text = succeed(
        "curvature --device cpu --trajectory run --every 4 --samples 16 --non-uniformity 12",
        folder.path(),
    );
    assert!(text.contains("from 4 sets of 3 images"), "{text}");
}

#[test]
fn all_images_of_the_mean_are_taken_at_once_as_at_a_checkpoint() {
    let folder = plain();
    let path = folder.path();
    let record = document("--trajectory run --every 4 --samples 16 --non-uniformity 16", path);
    assert_eq!(record["images"], "all");
    for row in rows(&record) {
        let epoch = row["epoch"].as_u64().unwrap();
        let words = format!("--checkpoint run/trajectory/{epoch:04}.safetensors --samples 16 --non-uniformity 16");
        let alone = document(&words, path);
        let (found, expected) = (&row["non_uniformity"], &alone["non_uniformity"]["measured"]);
        let [s, other] = [&found["value"], &expected["value"]].map(number);
        // Either search ends once the residual of λ_max is within the tolerance of 0.001, and s is its root.
        assert!((s / other - 1.0).abs() < 1e-3, "{row}: {expected}");
        assert!(found["standard_error"].is_null(), "{row}");
    }
    let words = "curvature --device cpu --trajectory run --every 4 --samples 16 --non-uniformity";
    let text = succeed(words, path);
    assert!(text.contains("from all 16 images at once"), "{text}");
}

#[cfg(unix)]
#[test]
fn what_is_measured_before_ctrl_c_is_written() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    common::data_file(&path.join("data.safetensors"), 600, [1, 3, 2]);
    let train = "train --device cpu --model mlp:8 --data safetensors:data.safetensors --epochs 60 --batch-size 100 \
                 --swa-start 0 --seed 3 --out run";
    succeed(train, path);
    let words = "curvature --device cpu --trajectory run --every 1 --tolerance 1e-6 --non-uniformity 600 --out c.csv";
    let mut child = common::program::program(words.split_whitespace(), path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| printed(&line) == [1]), "no epoch was measured");
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().last(), Some("valleyscope: cancelled"));
    let record = read_json(&path.join("c.json"));
    let known = rows(&record).len();
    assert!((2..61).contains(&known), "{known}");
    let note = format!("note: {known} of 61 epochs are measured, and the results are of those");
    assert!(said.contains(&note) && !said.contains("no results"), "{said}");
    assert_eq!(record["epochs"].as_array().unwrap().len(), 61);
    let table = std::fs::read_to_string(path.join("c.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + known, "{table}");
    assert_eq!(rest.last().map(String::as_str), Some("written: c.csv"));
}

#[test]
fn with_momentum_the_bounds_say_whose_they_are() {
    let folder = trained("");
    let path = folder.path();
    let record = document("--trajectory run --every 2", path);
    assert_eq!(record["options"]["momentum"], 0.9);
    for row in rows(&record) {
        let ratio = number(&row["heavy_ball_bound"]) / number(&row["sharpness_bound"]);
        assert!((ratio - 1.9).abs() < 1e-12, "{row}");
    }
    let text = succeed("curvature --device cpu --trajectory run --every 2 --out m.csv", path);
    for words in ["of plain SGD", "momentum μ = 0.9", "2(1 + μ)/η", "weight decay"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let table = std::fs::read_to_string(path.join("m.csv")).unwrap();
    assert!(table.lines().next().unwrap().contains("heavy_ball_bound"), "{table}");
}

#[test]
fn files_hold_the_table_the_chart_and_the_whole_record() {
    let folder = plain();
    let path = folder.path();
    let words = "curvature --device cpu --trajectory run --non-uniformity 13 --bn recompute --seed 5 --out c.csv \
                 --out c.png --out c.svg --out all.json";
    let said = succeed(words, path);
    for name in ["c.csv", "c.png", "c.svg", "all.json"] {
        assert!(said.contains(&format!("written: {name}")), "{said}");
    }
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let record = read_json(&path.join("all.json"));
    assert_eq!(read_json(&path.join("c.json")), record);
    let provenance = &record["provenance"];
    for (key, expected) in [
        ("model", MODEL),
        ("data", "safetensors:data.safetensors"),
        ("run", "run"),
        ("origin", "5 epochs of run"),
        ("line", "hessian of the train loss along training"),
        ("batch_norm", "recompute"),
        ("version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(provenance[key], expected, "{key}");
    }
    assert_eq!(provenance["seed"], 3);
    assert_eq!(record["effort"]["seed"], 5);
    let table = read("c.csv");
    let lines: Vec<&str> = table.lines().collect();
    let header = "epoch,learning_rate,train_loss,sharpness,sharpness_residual,";
    assert!(lines[0].starts_with(header), "{table}");
    assert_eq!(lines.len(), 1 + EPOCHS + 1);
    for (line, row) in lines[1..].iter().zip(rows(&record)) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), lines[0].split(',').count(), "{line}");
        let (sharpness, known) = (cells[3].parse::<f64>().unwrap(), number(&row["sharpness"]["value"]));
        assert!((sharpness / known - 1.0).abs() < 1e-12, "{line}");
        assert_eq!(cells[0], row["epoch"].to_string());
    }
    let image = image::open(path.join("c.png")).unwrap().to_rgb8();
    let pixels = |colour: [u8; 3]| image.pixels().filter(|pixel| pixel.0 == colour).count();
    assert!(pixels([0, 114, 178]) > 300, "the sharpness");
    assert!(pixels([213, 94, 0]) > 300, "the non-uniformity");
    let svg = read("c.svg");
    assert!(svg.contains("Sharpness and non-uniformity along training") && svg.contains("5 epochs of run"));
}

#[test]
fn a_diverged_epoch_is_a_line_that_says_so() {
    let folder = plain();
    let path = folder.path();
    let run = RunFolder::open(&path.join("run")).unwrap();
    let data = format!("safetensors:{}", path.join("data.safetensors").display());
    let data = Dataset::open(&data).unwrap();
    let graph = zoo::build(MODEL, data.shape, data.classes.len()).unwrap();
    let lose = |epoch: usize| {
        let mut lost = run.snapshot(&graph, epoch).unwrap();
        lost.parameters[5] = f32::NAN;
        let file = run.snapshot_path(epoch);
        NamedTensors::of_solution(&graph, &lost).write(&file, "{}").unwrap();
    };
    lose(2);
    let text = succeed("curvature --device cpu --trajectory run --out lost.png", path);
    assert_eq!(printed(&text), [0, 1, 2, 3, 4], "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("diverged")).collect();
    assert!(lines.len() == 1 && printed(lines[0]) == [2], "{text}");
    let record = read_json(&path.join("lost.json"));
    let known: Vec<bool> = rows(&record).iter().map(|row| row["sharpness"].is_object()).collect();
    assert_eq!(known, [true, true, false, true, true]);
    // Where there is nothing else, that is an error.
    for epoch in [0, 4] {
        lose(epoch);
    }
    let (message, code) = fail("curvature --device cpu --trajectory run --every 4 --out none.csv", path);
    assert!(code == 1 && message.contains("no epoch could be measured"), "{message}");
    assert!(!path.join("none.csv").exists());
}

#[test]
fn what_says_nothing_of_a_run_is_refused_by_name_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (words, expected) in [
        (
            "--checkpoint a.pt",
            "--checkpoint = a.pt is not allowed: --trajectory looks at",
        ),
        ("--model mlp:3", "--model = mlp:3 is not allowed: the run's record"),
        (
            "--subset 5",
            "--subset = 5 is not allowed: a run is looked at on the data",
        ),
        ("--part test", "--part = test is not allowed: SGD goes down"),
        ("--matrix gauss-newton", "--matrix = gauss-newton is not allowed"),
        (
            "--eigenvalues 3",
            "--eigenvalues = 3 is not allowed: it is of one point",
        ),
        ("--smallest 2", "--smallest = 2 is not allowed: it is of one point"),
        ("--copies", "--copies: it is of one point"),
        (
            "--save-eigenvectors e.safetensors",
            "--save-eigenvectors = e.safetensors",
        ),
        ("--trace 5", "--trace = 5 is not allowed: it is of one point"),
        ("--density", "--density: it is of one point"),
        ("--covariance", "--covariance: it is of one point"),
        (
            "--learning-rate 0.1 --batch-size 4",
            "--learning-rate = 0.1 is not allowed: the run's record",
        ),
        ("--batch-size 4", "--batch-size = 4 is not allowed: the run's record"),
        ("--every 0", "--every = 0 is not allowed: it must be at least 1"),
        ("--samples 0", "--samples = 0"),
        ("--tolerance 2", "--tolerance = 2"),
        ("--out x.pdf", "must end in one of .json, .csv, .png, .svg"),
    ] {
        let (message, code) = fail(&format!("curvature --trajectory nowhere {words}"), folder.path());
        assert_eq!(code, 2, "{words}: {message}");
        assert!(message.contains(expected), "{words}: {message}");
    }
    for (words, expected) in [
        ("--every 2 --checkpoint nowhere.pt", "--trajectory <RUN>"),
        ("--samples 5", "--checkpoint <FILE[::KEY]>"),
    ] {
        let (message, code) = fail(&format!("curvature {words}"), folder.path());
        assert!(code == 2 && message.contains(expected), "{words}: {message}");
    }
    let (message, code) = fail("curvature --trajectory nowhere", folder.path());
    assert!(code == 1 && message.contains("no such folder"), "{message}");
    let written = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(written, 0, "nothing was written");
}

#[test]
fn what_does_not_fit_the_run_is_told_in_one_line() {
    let folder = plain();
    let path = folder.path();
    let (message, code) = fail("curvature --device cpu --trajectory run --non-uniformity 7", path);
    let expected = "--non-uniformity = 7 is not allowed: give 8 at least";
    assert!(code == 2 && message.contains(expected), "{message}");
    // Where the data have been moved, they can be named anew.
    std::fs::rename(path.join("data.safetensors"), path.join("moved.safetensors")).unwrap();
    let (message, code) = fail("curvature --device cpu --trajectory run", path);
    assert!(code == 1 && message.contains("data.safetensors"), "{message}");
    for other in ["builtin", "safetensors:moved.safetensors:subset=12"] {
        let (message, code) = fail(&format!("curvature --trajectory run --data {other}"), path);
        let expected = format!("--data = {other} is not allowed: the run was trained on safetensors:data.safetensors");
        assert!(code == 2 && message.contains(&expected), "{message}");
    }
    let text = succeed(
        "curvature --device cpu --trajectory run --data safetensors:moved.safetensors --every 4",
        path,
    );
    assert_eq!(printed(&text), [0, 4], "{text}");
    for entry in std::fs::read_dir(path.join("run/trajectory")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let (message, code) = fail("curvature --trajectory run --data safetensors:moved.safetensors", path);
    assert!(code == 2 && message.contains("no snapshots yet"), "{message}");
}
