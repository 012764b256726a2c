//! The command `plane` as scripts use it: every kind of file it writes, its values beside those of `line`, solutions
//! and trajectories as seen from it, going on from a file, and what it says of what cannot be done.

mod common;
#[path = "plane_command/files.rs"]
mod files;
#[path = "plane_command/refused.rs"]
mod refused;
#[path = "plane_command/resumed.rs"]
mod resumed;
#[path = "plane_command/solutions.rs"]
mod solutions;
#[path = "plane_command/training.rs"]
mod training;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::documents::{parse, read_table};
use common::program::succeed;
use serde_json::{Value, json};
use tempfile::TempDir;
use valleyscope::checkpoint::CheckpointFile;
use valleyscope::figure::surface::HEADER;
use valleyscope::network::zoo;

const MODEL: &str = "resnet8:width=2";
const DATA: &str = "builtin:train=60:test=30";

/// The initial weights, three epochs, and one that starts from the average.
const SNAPSHOTS: usize = 5;

/// How nearly two commands agree that evaluate the same point.
const ROUNDING: f64 = 1e-6;

/// A plane through the average of the run.
const PLANE: &str = "plane --device cpu --checkpoint run/swa.safetensors";

/// A command that trains a run in `run`.
fn train(more: &str) -> String {
    format!(
        "train --device cpu --model {MODEL} --data {DATA} --epochs 3 --batch-size 20 --swa-start 2 --sgd-epochs 1 \
         --seed 5 --out run {more}"
    )
}

/// A folder with a finished run in `run`, which is trained once and copied for every test.
fn trained() -> TempDir {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        succeed(&train(""), folder.path());
        ["run", "run/trajectory"]
            .into_iter()
            .flat_map(|part| std::fs::read_dir(folder.path().join(part)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.is_file())
            .map(|file| {
                let bytes = std::fs::read(&file).unwrap();
                (file.strip_prefix(folder.path()).unwrap().to_owned(), bytes)
            })
            .collect()
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("run/trajectory")).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// A run folder `name` of which only the first `count` snapshots are there.
fn shortened(folder: &Path, name: &str, count: usize) {
    let target = folder.join(name);
    std::fs::create_dir_all(target.join("trajectory")).unwrap();
    std::fs::copy(folder.join("run/run.json"), target.join("run.json")).unwrap();
    for step in 0..count {
        let snapshot = format!("trajectory/{step:04}.safetensors");
        std::fs::copy(folder.join("run").join(&snapshot), target.join(&snapshot)).unwrap();
    }
}

/// Rows of a surface's table, and that it has the header that is promised.
#[track_caller]
fn table(file: &Path) -> Vec<Vec<f64>> {
    let (header, rows) = read_table(file);
    assert_eq!(header, HEADER);
    rows
}

/// Loss and accuracy on the training images, then on the test images.
fn measured(value: &Value) -> [f64; 4] {
    let [train, test] = ["train", "test"].map(|part| &value[part]);
    [&train["loss"], &train["accuracy"], &test["loss"], &test["accuracy"]].map(|x| x.as_f64().unwrap())
}

/// The same in the form of a record.
fn quality(loss: f64) -> Value {
    let loss = if loss.is_finite() {
        json!(loss)
    } else {
        json!(loss.to_string())
    };
    json!({ "train": { "loss": loss, "accuracy": 0.5 }, "test": { "loss": loss, "accuracy": 0.5 } })
}

/// What `line` measures point by point.
#[track_caller]
fn line(words: &str, folder: &Path) -> Vec<[f64; 4]> {
    let record = parse(&succeed(&format!("line --device cpu --json {words}"), folder));
    let values = record["curve"]["values"].as_array().unwrap();
    values.iter().map(measured).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "{what}: {found:?} instead of {expected:?}"
        );
    }
}

fn parameters(file: &Path) -> Vec<f32> {
    let graph = zoo::build(MODEL, [3, 16, 16], 10).unwrap();
    let file = CheckpointFile::open(file).unwrap();
    file.state_dict(None).unwrap().solution(&graph).unwrap().parameters
}
