//! The built program as scripts use it: files, standard output, exit codes and messages.

mod common;

use std::sync::Arc;

use common::documents::{parse, read_json, read_table};
use common::program::{fail, program, run, succeed};
use valleyscope::experiment::hashed;
use valleyscope::objective::{BatchNormPolicy, Compute, Objective};

const TRAIN: &str = "train --model resnet8:width=2 --data builtin:train=60:test=30 --epochs 2 --batch-size 20 \
                     --swa-start 1 --sgd-epochs 1 --out run";

fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeed(TRAIN, folder.path());
    folder
}

#[test]
fn a_line_between_solutions_ends_at_their_own_losses() {
    let folder = trained();
    let path = folder.path();
    let info = parse(&succeed("info run --json", path));
    assert_eq!(info["snapshots"], 4);
    assert_eq!(info["solutions"], serde_json::json!(["swa", "sgd"]));
    succeed(
        "line --checkpoint run/swa.safetensors --to run/sgd.safetensors --range -1..2 --points 4 --bn recompute \
         --out line.csv --out line.png --out line.svg",
        path,
    );
    let (header, rows) = read_table(&path.join("line.csv"));
    assert_eq!(
        header,
        ["position", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    );
    assert_eq!(rows.iter().map(|r| r[0]).collect::<Vec<_>>(), [-1.0, 0.0, 1.0, 2.0]);
    for (row, name) in [(1, "swa"), (2, "sgd")] {
        let result = &info["run"]["results"][name];
        let expected = [
            result["train"]["loss"].as_f64().unwrap(),
            result["train"]["accuracy"].as_f64().unwrap(),
            result["test"]["loss"].as_f64().unwrap(),
            result["test"]["accuracy"].as_f64().unwrap(),
        ];
        for (value, expected) in rows[row][1..].iter().zip(expected) {
            // The record holds twelve digits.
            assert!(
                (value - expected).abs() <= 1e-11 * expected.abs(),
                "{name}: {value} and {expected}"
            );
        }
    }
    let record = read_json(&path.join("line.json"));
    let provenance = &record[0]["provenance"];
    assert_eq!(provenance["batch_norm"], "recompute");
    assert_eq!(provenance["model"], "resnet8:width=2");
    let image = image::open(path.join("line.png")).unwrap().to_rgb8();
    assert!(image.pixels().any(|p| p.0 == [0, 114, 178]), "the train curve's blue");
    assert!(std::fs::read_to_string(path.join("line.svg")).unwrap().contains("<svg"));
}

#[test]
fn the_same_seed_gives_the_same_slice() {
    let folder = trained();
    let slice = |seed: u64| {
        let line = "line --checkpoint run/swa.safetensors --direction uniform --range -2..2 --points 3 --json";
        succeed(&format!("{line} --seed {seed}"), folder.path())
    };
    let one = slice(1);
    assert_eq!(one, slice(1));
    let (one, two) = (parse(&one), parse(&slice(2)));
    assert_eq!(
        one["curve"]["values"][1], two["curve"]["values"][1],
        "the middle is the solution itself"
    );
    assert_ne!(one["curve"]["values"][2], two["curve"]["values"][2]);
}

/// The demo shows the phenomenon on its small configuration, with figures that decode and are not blank.
#[test]
fn the_quick_demo_shows_that_averaging_helps() {
    let folder = tempfile::tempdir().unwrap();
    let result = parse(&succeed("demo --quick --out demo --json", folder.path()));
    let loss = |name: &str| result["run"]["results"][name]["test"]["loss"].as_f64().unwrap();
    assert!(
        loss("swa") < 0.95 * loss("last"),
        "SWA {} against the last SGD iterate {}",
        loss("swa"),
        loss("last")
    );
    for name in [
        "training",
        "uniform-direction",
        "batch-norm-directions",
        "interpolation",
    ] {
        let file = |ending: &str| folder.path().join(format!("demo/{name}.{ending}"));
        let image = image::open(file("png")).unwrap().to_rgb8();
        assert!(
            image
                .pixels()
                .filter(|p| [[0, 114, 178], [0, 140, 100]].contains(&p.0))
                .count()
                > 500,
            "{name} has a curve"
        );
        assert!(std::fs::read_to_string(file("svg")).unwrap().contains("<svg"), "{name}");
        assert!(
            std::fs::read_to_string(file("csv")).unwrap().lines().count() > 10,
            "{name}"
        );
    }
    let summary = std::fs::read_to_string(folder.path().join("demo/summary.md")).unwrap();
    assert!(summary.contains("| SWA |"), "{summary}");
}

#[test]
fn an_interrupted_run_is_resumed_and_a_finished_one_is_left_alone() {
    let folder = trained();
    let path = folder.path();
    let before = std::fs::read(path.join("run/swa.safetensors")).unwrap();
    // As if it had been killed while it wrote the results: the last epoch is there, the measurements are not.
    let record = path.join("run/run.json");
    let mut value = read_json(&record);
    value["status"] = "unfinished".into();
    value["results"]["sgd"] = serde_json::Value::Null;
    std::fs::write(&record, value.to_string()).unwrap();
    std::fs::remove_file(path.join("run/sgd.safetensors")).unwrap();
    let output = succeed("train --resume run --json", path);
    assert_eq!(parse(&output)["status"], "finished");
    assert!(path.join("run/sgd.safetensors").exists());
    assert_eq!(std::fs::read(path.join("run/swa.safetensors")).unwrap(), before);
    let (message, code) = fail(TRAIN, path);
    assert_eq!(code, 1);
    assert!(message.contains("already holds a run"), "{message}");
}

#[test]
fn a_data_set_is_described_with_its_normalisation() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}/tests/reference/files/cifar10-binary", env!("CARGO_MANIFEST_DIR"));
    // By its specification, and by its folder alone.
    for what in [format!("cifar10:{path}"), path.clone()] {
        let (done, text, errors) = run(&["info", &what, "--mean", "0.5", "--json"], folder.path());
        assert!(done, "{errors}");
        let described = parse(&text);
        assert_eq!(described["data"], format!("cifar10:{path}:mean=0.5"));
        assert_eq!(described["shape"], serde_json::json!([3, 32, 32]));
        assert_eq!(
            (described["train_images"].as_u64(), described["test_images"].as_u64()),
            (Some(10), Some(3))
        );
        assert_eq!(described["normalisation"]["mean"], serde_json::json!([0.5, 0.5, 0.5]));
        assert_eq!(described["classes"][3], "cat");
    }
    let (_, text, _) = run(&["info", &path], folder.path());
    assert!(
        text.contains("mean [0.4914, 0.4822, 0.4465], std [0.2023, 0.1994, 0.201]"),
        "{text}"
    );
}

#[test]
fn the_benchmark_says_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    let report = parse(&succeed("bench demo --json --device cpu", folder.path()));
    assert!(report["peak_gflops"].as_f64().unwrap() > 0.0);
    let measured = report["measurements"].as_array().unwrap();
    let tasks: Vec<_> = measured
        .iter()
        .map(|m| (m["task"].as_str().unwrap(), m["policy"].as_str().unwrap()))
        .collect();
    assert_eq!(
        tasks,
        [("line", "running"), ("line", "recompute"), ("training step", "batch")]
    );
    let graph = valleyscope::network::zoo::build("resnet8:width=8", [3, 16, 16], 10).unwrap();
    let one_image = valleyscope::network::cost::multiply_adds(&graph);
    let passes = [2048, 2 * 2048];
    for (line, passes) in measured.iter().zip(passes) {
        assert_eq!(line["multiply_adds"].as_u64().unwrap(), one_image * passes);
        let (rate, points) = (line["rate"].as_f64().unwrap(), line["points"].as_f64().unwrap());
        assert!((rate * line["seconds"].as_f64().unwrap() / points - 1.0).abs() < 1e-9);
    }
    // Burn's tensors find the same loss at the first point.
    let data = Arc::new(hashed::dataset([3, 16, 16], 10, 2048, 0));
    let objective = Objective::new(Arc::new(graph), data, Compute::flex(), 128).unwrap();
    let solution = hashed::solution(objective.graph(), 1);
    for (line, policy) in measured
        .iter()
        .zip([BatchNormPolicy::Running, BatchNormPolicy::Recompute])
    {
        let theirs = objective
            .evaluate(&solution.parameters, &solution.statistics, policy)
            .unwrap()[0]
            .train
            .loss;
        assert!((line["loss"].as_f64().unwrap() / theirs - 1.0).abs() < 1e-5, "{policy}");
    }
}

#[test]
fn bad_usage_is_told_in_a_sentence_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (words, expected) in [
        ("bench nosuch", "preresnet20"),
        ("train --out run --batch-size 0", "--batch-size = 0"),
        ("train --out run --lr=-0.1", "--lr = -0.1"),
        ("train --out run --epochs 5 --swa-start 6", "--swa-start = 6"),
        ("train --out run --epochs many", "--epochs"),
        ("train", "--out"),
        ("line --checkpoint x --direction uniform --range 3 --out x.csv", "A..B"),
        ("line --checkpoint x --direction sideways --out x.csv", "sideways"),
    ] {
        let (message, code) = fail(words, folder.path());
        assert_eq!(code, 2, "{words}: {message}");
        assert!(message.contains(expected), "{words}: {message}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was written"
    );
}

#[test]
fn failures_are_told_in_one_line_and_end_with_1() {
    let folder = trained();
    let path = folder.path();
    std::fs::write(path.join("file"), "in the way").unwrap();
    let run = path.join("run");
    let copy = |name: &str| {
        let target = path.join(name);
        std::fs::create_dir_all(target.join("trajectory")).unwrap();
        for file in ["run.json", "metrics.csv", "state.safetensors", "swa.safetensors"] {
            std::fs::copy(run.join(file), target.join(file)).unwrap();
        }
        target
    };
    let truncated = copy("truncated");
    let bytes = std::fs::read(run.join("swa.safetensors")).unwrap();
    std::fs::write(truncated.join("swa.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    let half_record = copy("half-record");
    let text = std::fs::read_to_string(run.join("run.json")).unwrap();
    std::fs::write(half_record.join("run.json"), &text[..text.len() / 2]).unwrap();
    let newer = copy("newer");
    std::fs::write(newer.join("run.json"), text.replace("\"format\": 1", "\"format\": 99")).unwrap();
    let foreign = copy("foreign");
    std::fs::write(foreign.join("run.json"), "{\"name\": \"someone else's\"}").unwrap();
    let absurd = copy("absurd");
    std::fs::write(
        absurd.join("run.json"),
        text.replace("\"batch_size\": 20", "\"batch_size\": 0"),
    )
    .unwrap();
    copy("no-snapshots");
    for (words, expected) in [
        ("info nowhere", "no such file or folder"),
        ("info cifar11:nowhere", "no such data set"),
        ("info cifar10:nowhere", "no such file or folder"),
        ("info run/swa.safetensors::ema", "no entry `ema`"),
        ("info .", "no run.json"),
        ("info half-record", "not whole JSON"),
        ("info newer", "newer version"),
        ("info foreign", "not written by valleyscope"),
        ("info absurd", "--batch-size = 0"),
        ("info truncated/swa.safetensors", "not a whole safetensors file"),
        ("train --resume no-snapshots", "0003.safetensors"),
        (
            "train --out file/run --data builtin:train=20:test=20 --batch-size 10",
            "file",
        ),
        ("train --out new --model resnet9", "6n+2"),
        ("train --out new --model mlp:65536x65536", "parameters"),
        ("info /dev/zero.safetensors", "no such file"),
        (
            "line --checkpoint run/swa.safetensors --direction bn --out run/run.csv",
            "one of its own files",
        ),
        ("train --out new --data cifar11:x", "no such data set"),
        (
            "line --model resnet8:width=4 --checkpoint run/swa.safetensors --direction bn --out x.csv",
            "does not hold the model",
        ),
    ] {
        let (message, code) = fail(words, path);
        assert_eq!(code, 1, "{words}: {message}");
        let line = message.lines().last().unwrap();
        assert!(
            line.starts_with("valleyscope: ") && line.contains(expected),
            "{words}: {message}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_display_the_window_command_says_so() {
    // The demo that follows is the full one, so only its first words are awaited.
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let mut child = program([""; 0], folder.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.starts_with("training"))
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.iter().any(|line| line.contains("no display")), "{said:?}");
    assert!(folder.path().join("valleyscope-demo/run/run.json").exists());
}
