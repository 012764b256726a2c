//! Directions: read from files, and those of the command line with the lengths they are given.

mod common;

use std::path::Path;

use common::files;
use common::program::run;
use valleyscope::checkpoint::Reference;
use valleyscope::experiment::hashed;
use valleyscope::landscape::direction_file;
use valleyscope::network::graph::Shape;
use valleyscope::network::zoo;

/// The network of the reference checkpoints.
const MODEL: &str = "resnet8:width=4";
const SHAPE: Shape = [3, 16, 16];

#[test]
fn directions_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let graph = zoo::build(MODEL, SHAPE, 10).unwrap();
    let read = |path: &Path| {
        let reference = Reference::from(path.display().to_string().as_str());
        direction_file::read(&reference, &graph)
    };
    let write = |name: &str, values: &[f32]| {
        let path = folder.path().join(name);
        let view = safetensors::tensor::TensorView::new(
            safetensors::Dtype::F32,
            vec![values.len()],
            bytemuck::cast_slice(values),
        )
        .unwrap();
        std::fs::write(&path, safetensors::serialize([("direction", view)], None).unwrap()).unwrap();
        path
    };
    let flat: Vec<f32> = (0..graph.parameter_count()).map(|i| i as f32).collect();
    assert_eq!(read(&write("flat.safetensors", &flat)).unwrap(), flat);
    // One tensor a parameter: any checkpoint of the network will do, its statistics are left aside.
    let by_name = read(&files("plain.safetensors")).unwrap();
    assert_eq!(by_name, hashed::solution(&graph, 1).parameters);
    let short = read(&write("short.safetensors", &flat[1..])).unwrap_err().to_string();
    assert!(
        short.contains("5213 entries") && short.contains("5214 parameters"),
        "{short}"
    );
    let mut lost = flat;
    lost[7] = f32::INFINITY;
    let lost = read(&write("lost.safetensors", &lost)).unwrap_err().to_string();
    assert!(lost.contains("entry 7 of `direction` is inf"), "{lost}");
}

#[test]
fn directions_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    common::data_file(&folder.path().join("data.safetensors"), 5, SHAPE);
    let data = "safetensors:data.safetensors";
    let path = |key: &str| format!("{}::{key}", files("papers.pt").display());
    let (swa, sgd) = (path("swa_state_dict"), path("state_dict"));
    let file = format!("file:{}", files("plain.safetensors").display());
    let line = |more: &[&str]| {
        let mut arguments = vec![
            "line",
            "--checkpoint",
            &swa,
            "--data",
            data,
            "--range",
            "1..1",
            "--points",
            "1",
            "--json",
        ];
        arguments.extend(more);
        run(&arguments, folder.path())
    };
    let value = |more: &[&str]| -> (f64, String) {
        let (done, text, errors) = line(more);
        assert!(done, "{errors}");
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        let label = record["label"].as_str().unwrap().to_owned();
        (record["curve"]["values"][0]["train"]["loss"].as_f64().unwrap(), label)
    };
    let (unit, label) = value(&["--direction", "inter+random", "--to", &sgd, "--seed", "3"]);
    assert!(
        label.starts_with("inter+random to") && label.ends_with("(seed 3)"),
        "{label}"
    );
    let (sum, label) = value(&[
        "--direction",
        "inter+random",
        "--to",
        &sgd,
        "--seed",
        "3",
        "--normalize",
        "none",
    ]);
    let length: f64 = label.rsplit(' ').next().unwrap().parse().unwrap();
    // Two unit vectors that are nearly orthogonal.
    assert!((length - 2.0_f64.sqrt()).abs() < 0.2, "{label}");
    assert_ne!(unit, sum);
    // As drawn, the numbers are in [0, 1): for so many the length is near √(d/3).
    let (_, label) = value(&["--direction", "uniform", "--normalize", "none"]);
    let length: f64 = label.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((length - (5214.0_f64 / 3.0).sqrt()).abs() < 1.0, "{label}");
    let (_, label) = value(&["--direction", &file]);
    assert!(label.starts_with("file "), "{label}");
    for (more, part) in [
        (vec!["--direction", "inter+random"], "name it with --to"),
        (vec!["--direction", "uniform", "--to", sgd.as_str()], "not both"),
        (vec!["--direction", "sideways"], "inter+random, pc1, pc2 and file:"),
        (vec!["--to", sgd.as_str(), "--seed", "3"], "nothing random is asked for"),
        (vec!["--direction", "file:nowhere.safetensors"], "no such file"),
    ] {
        let (done, _, errors) = line(&more);
        assert!(!done && errors.contains(part), "{more:?}: {errors}");
    }
}
