//! The command `plane` as scripts use it: every kind of file it writes, its values beside those of `line`, solutions
//! and trajectories as seen from it, going on from a file, and what it says of what cannot be done.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use valleyscope::checkpoint::CheckpointFile;
use valleyscope::figure::ColourMap;
use valleyscope::figure::surface::HEADER;
use valleyscope::landscape::direction::{self, DirectionKind};
use valleyscope::landscape::line::positions;
use valleyscope::network::zoo;
use valleyscope::objective::Compute;

const MODEL: &str = "resnet8:width=2";
const DATA: &str = "builtin:train=60:test=30";

/// The initial weights, three epochs, and one that starts from the average.
const SNAPSHOTS: usize = 5;

/// How nearly two commands agree that evaluate the same point.
const ROUNDING: f64 = 1e-6;

/// A plane through the average of the run.
const PLANE: &str = "plane --device cpu --checkpoint run/swa.safetensors";

/// Runs the built program with the words of a command line.
fn run(words: &str, folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_valleyscope"))
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Standard output.
#[track_caller]
fn succeed(words: &str, folder: &Path) -> String {
    let output = run(words, folder);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error and the exit code.
#[track_caller]
fn fail(words: &str, folder: &Path) -> (String, i32) {
    let output = run(words, folder);
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(!output.status.success(), "{words} succeeded");
    assert!(!errors.contains("panicked"), "{words}: {errors}");
    (errors, output.status.code().unwrap())
}

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

#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[track_caller]
fn read_json(file: &Path) -> Value {
    parse(&std::fs::read_to_string(file).unwrap())
}

/// Rows of a surface's table, and that it has the header that is promised.
#[track_caller]
fn table(file: &Path) -> Vec<Vec<f64>> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), HEADER);
    reader
        .records()
        .map(|row| row.unwrap().iter().map(|field| field.parse().unwrap()).collect())
        .collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
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

/// ‖a − b‖².
fn square(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum()
}

/// Angle between the uniform directions of two seeds, in radians.
fn angle(first: u64, second: u64) -> f64 {
    let graph = zoo::build(MODEL, [3, 16, 16], 10).unwrap();
    let [u, v] = [first, second].map(|seed| direction::random(&graph, DirectionKind::Uniform, seed).unwrap());
    direction::dot(&u, &v).acos()
}

#[test]
fn one_survey_is_written_as_every_kind_of_file() {
    let folder = trained();
    let path = folder.path();
    let said = succeed(
        &format!(
            "{PLANE} --direction uniform --seed 3 --range -0.5..0.5 --range2 -1..1 --points 5x7 --bn running \
             --scale linear --size 500x400 --out p.png --out p.svg --out p.glb --out p.csv --out p.json"
        ),
        path,
    );
    // Numbers first, whatever the order asked for.
    let written: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("written: ")).collect();
    assert_eq!(written, ["p.csv", "p.json", "p.png", "p.svg", "p.glb"]);

    let rows = table(&path.join("p.csv"));
    let (first, second) = (positions(-0.5, 0.5, 5), positions(-1.0, 1.0, 7));
    assert_eq!(rows.len(), 35);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row[..2], [first[index % 5], second[index / 5]], "row {index}");
        assert_eq!(row[6], 1.0, "row {index} is measured");
    }
    // The middle row and the middle column are the lines along the two directions.
    let along = |seed: u64, range: &str, points: usize| {
        let words = format!(
            "--checkpoint run/swa.safetensors --direction uniform --seed {seed} --range {range} --points {points} \
             --bn running"
        );
        line(&words, path)
    };
    for (column, expected) in along(3, "-0.5..0.5", 5).iter().enumerate() {
        assert_close(&rows[3 * 5 + column][2..6], expected, ROUNDING, "the middle row");
    }
    for (row, expected) in along(4, "-1..1", 7).iter().enumerate() {
        assert_close(&rows[row * 5 + 2][2..6], expected, ROUNDING, "the middle column");
    }

    let record = read_json(&path.join("p.json"));
    assert_eq!(record["axes"], json!(["uniform (seed 3)", "uniform (seed 4)"]));
    let provenance = &record["provenance"];
    for (name, expected) in [
        ("model", json!(MODEL)),
        ("data", json!(DATA)),
        ("origin", json!("run/swa.safetensors")),
        ("line", json!("uniform (seed 3) and uniform (seed 4)")),
        ("batch_norm", json!("running")),
        ("batch_size", json!(128)),
        ("train_images", json!(60)),
        ("test_images", json!(30)),
        ("device", json!(Compute::cpu().name())),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(provenance[name], expected, "{name}");
    }
    assert_eq!(numbers(&record["grid"]["first"]), first);
    assert_eq!(numbers(&record["grid"]["second"]), second);
    let values = record["grid"]["values"].as_array().unwrap();
    assert_eq!(values.len(), 35);
    for (value, row) in values.iter().zip(&rows) {
        // The record holds twelve digits.
        assert_close(&measured(value), &row[2..6], 1e-11, "the record");
    }

    let picture = image::open(path.join("p.png")).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (500, 400));
    let colours = ColourMap::Viridis.colours();
    for colour in [colours[0], colours[colours.len() - 1]] {
        assert!(picture.pixels().any(|pixel| pixel.0 == colour), "{colour:?}");
    }
    let drawing = std::fs::read_to_string(path.join("p.svg")).unwrap();
    for part in [
        "width=\"500\" height=\"400\"",
        "Loss over uniform (seed 3) and uniform (seed 4)",
        "run/swa.safetensors · bn running (batch 128)",
        "</svg>",
    ] {
        assert!(drawing.contains(part), "{part}");
    }
    let losses: Vec<f64> = rows.iter().map(|row| row[2]).collect();
    check_model(&std::fs::read(path.join("p.glb")).unwrap(), &losses);
}

/// The 3-D model of 5 by 7 losses over a plane twice as deep as it is wide.
#[track_caller]
fn check_model(bytes: &[u8], losses: &[f64]) {
    let gltf = gltf::Gltf::from_slice(bytes).unwrap();
    let mesh = gltf.meshes().find(|mesh| mesh.name() == Some("surface")).unwrap();
    let surface = mesh.primitives().next().unwrap();
    let reader = surface.reader(|_| gltf.blob.as_deref());
    let vertices: Vec<[f32; 3]> = reader.read_positions().unwrap().collect();
    // Vertices about 1/128 apart: 32 intervals from column to column, 43 from row to row.
    let (wide, deep) = (4 * 32, 6 * 43);
    assert_eq!(vertices.len(), (wide + 1) * (deep + 1));
    let indices: Vec<u32> = reader.read_indices().unwrap().into_u32().collect();
    assert_eq!(indices.len(), 6 * wide * deep);
    assert!(indices.iter().all(|&index| (index as usize) < vertices.len()));
    assert!(vertices.as_flattened().iter().all(|number| number.is_finite()));
    let bounds = surface.bounding_box();
    for axis in 0..3 {
        let along = || vertices.iter().map(|vertex| vertex[axis]);
        assert_eq!(bounds.min[axis], along().fold(f32::INFINITY, f32::min));
        assert_eq!(bounds.max[axis], along().fold(f32::NEG_INFINITY, f32::max));
    }
    // Every node stands at its loss, the lowest at 0 and the highest at 1.
    let low = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let high = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let height = |loss: f64| (loss - low) / (high - low);
    for (index, &loss) in losses.iter().enumerate() {
        let x = 0.25 * (index % 5) as f64 - 0.5;
        let z = 1.0 - (index / 5) as f64 / 3.0;
        let near = |vertex: &&[f32; 3]| (f64::from(vertex[0]) - x).abs().max((f64::from(vertex[2]) - z).abs()) < 1e-4;
        let vertex = vertices.iter().find(near).unwrap();
        assert!(
            (f64::from(vertex[1]) - height(loss)).abs() < 1e-4,
            "{vertex:?} for a loss of {loss} between {low} and {high}"
        );
    }
    // The average stands in the middle, at its own loss.
    let mark = gltf.nodes().find(|node| node.name() == Some("swa")).unwrap();
    let place = mark.transform().decomposed().0.map(f64::from);
    assert_close(&place, &[0.0, height(losses[3 * 5 + 2]), 0.0], 1e-4, "the average");
}

#[test]
fn a_plane_through_three_solutions_has_their_own_losses() {
    let folder = trained();
    let path = folder.path();
    let plane = format!("{PLANE} --to run/sgd.safetensors --to2 run/trajectory/0001.safetensors --points 5x5 --json");
    let to = |solution: &str, more: &str| {
        let words =
            format!("--checkpoint run/swa.safetensors --to run/{solution}.safetensors --range 0..1 --points 2 {more}");
        line(&words, path)
    };
    // Positions along both axes are -0.5, 0, 0.5, 1, 1.5.
    let at = |record: &Value, [a, b]: [usize; 2]| measured(&record["grid"]["values"][5 * (1 + 2 * b) + 1 + 2 * a]);

    let record = parse(&succeed(&plane, path));
    assert_eq!(record["provenance"]["batch_norm"], "recompute");
    assert_eq!(numbers(&record["grid"]["first"]), [-0.5, 0.0, 0.5, 1.0, 1.5]);
    assert_eq!(record["grid"]["first"], record["grid"]["second"]);
    let (sgd, epoch) = (to("sgd", ""), to("trajectory/0001", ""));
    let solutions = record["solutions"].as_array().unwrap();
    assert_eq!(solutions.len(), 3);
    for (solution, (name, position, own)) in solutions.iter().zip([
        ("swa", [0, 0], sgd[0]),
        ("sgd", [1, 0], sgd[1]),
        ("0001", [0, 1], epoch[1]),
    ]) {
        assert_eq!(solution["name"], name);
        assert_close(&numbers(&solution["position"]), &position.map(|x| x as f64), 1e-6, name);
        assert!(solution["distance"].as_f64().unwrap() < 1e-6, "{name}");
        assert_close(&measured(&solution["own"]), &own, ROUNDING, name);
        assert_close(&at(&record, position), &own, ROUNDING, name);
    }
    let results = &read_json(&path.join("run/run.json"))["results"];
    assert_close(&measured(&results["swa"]), &sgd[0], ROUNDING, "the run's average");
    assert_close(&measured(&results["sgd"]), &sgd[1], ROUNDING, "the run's SGD");

    // Under `running` a solution's own loss has its own statistics, and the plane those of its origin.
    let record = parse(&succeed(&format!("{plane} --bn running"), path));
    let own = measured(&record["solutions"][2]["own"]);
    let alone = "--checkpoint run/trajectory/0001.safetensors --direction uniform --range 0..0 --points 1 --bn running";
    assert_close(&own, &line(alone, path)[0], ROUNDING, "0001 alone");
    let below = at(&record, [0, 1]);
    assert_close(
        &below,
        &to("trajectory/0001", "--bn running")[1],
        ROUNDING,
        "the line's end",
    );
    assert!((own[0] - below[0]).abs() > 1e-3, "{own:?} and {below:?}");
}

#[test]
fn an_orthonormal_frame_is_measured_along_unit_vectors_and_tells_the_angle() {
    let folder = trained();
    let path = folder.path();
    let plane = format!("{PLANE} --direction uniform --seed 3");
    let square = "--range -1..1 --points 3x3";
    let said = succeed(&format!("{plane} {square} --orthonormal --out o.csv"), path);
    let angle = angle(3, 4);
    let degrees = angle.to_degrees();
    assert_eq!(said.lines().next_back(), Some(format!("angle {degrees:.1}°").as_str()));
    let record = read_json(&path.join("o.json"));
    assert!((record["angle"].as_f64().unwrap() - degrees).abs() < 1e-3, "{degrees}");
    assert_close(&numbers(&record["lengths"]), &[1.0, 1.0], 1e-6, "lengths");

    // The first axis stays what it is; the second is (v − cos θ u) / sin θ.
    succeed(&format!("{plane} {square} --out given.csv"), path);
    let (rows, given) = (table(&path.join("o.csv")), table(&path.join("given.csv")));
    for column in 0..3 {
        assert_close(
            &rows[3 + column][2..6],
            &given[3 + column][2..6],
            10.0 * ROUNDING,
            "the first axis",
        );
    }
    let (a, b) = (1.0 - 1.0 / angle.tan(), 1.0 / angle.sin());
    let corner = parse(&succeed(
        &format!("{plane} --range {a}..{a} --range2 {b}..{b} --points 1x1 --json"),
        path,
    ));
    let corner = measured(&corner["grid"]["values"][0]);
    assert_close(&rows[8][2..6], &corner, 1e-4, "the corner");
    assert!(
        (given[8][2] / corner[0] - 1.0).abs() > 0.01,
        "{corner:?} and {:?}",
        given[8]
    );

    // Solutions lie at their distances.
    let plane = format!("{PLANE} --to run/sgd.safetensors --to2 run/trajectory/0001.safetensors --points 2x2 --json");
    let record = parse(&succeed(&plane, path));
    let theta = record["angle"].as_f64().unwrap().to_radians();
    let [to, to2] = <[f64; 2]>::try_from(numbers(&record["lengths"])).unwrap();
    let record = parse(&succeed(&format!("{plane} --orthonormal"), path));
    for (index, expected) in [[0.0, 0.0], [to, 0.0], [to2 * theta.cos(), to2 * theta.sin()]]
        .iter()
        .enumerate()
    {
        let solution = &record["solutions"][index];
        assert_close(&numbers(&solution["position"]), expected, 1e-6, "a solution");
        assert!(solution["distance"].as_f64().unwrap() < 1e-6, "{solution}");
    }
}

#[test]
fn the_document_on_standard_output_is_that_of_the_file_and_nothing_else() {
    let folder = trained();
    let path = folder.path();
    let words = format!("{PLANE} --direction uniform --orthonormal --points 4x3 --json --out p.csv --out p.png");
    let printed = parse(&succeed(&words, path));
    assert_eq!(printed, read_json(&path.join("p.json")));
    assert_eq!(printed["grid"]["values"].as_array().unwrap().len(), 12);
    assert!(path.join("p.csv").exists() && path.join("p.png").exists());
}

#[test]
fn a_trajectory_is_seen_in_the_plane_that_it_moves_in_most() {
    let folder = trained();
    let path = folder.path();
    let words = "--direction pc1 --trajectory run --range -1..1 --points 9x9 --show train-loss --size 300x250 --out walk.gif --frames walk";
    succeed(&format!("{PLANE} {words}"), path);
    let record = read_json(&path.join("walk.json"));
    let steps = record["trajectory"].as_array().unwrap();
    assert_eq!(steps.len(), SNAPSHOTS);
    let snapshots: Vec<Vec<f32>> = (0..SNAPSHOTS)
        .map(|step| parameters(&path.join(format!("run/trajectory/{step:04}.safetensors"))))
        .collect();
    let origin = parameters(&path.join("run/swa.safetensors"));
    let mut metrics = csv::Reader::from_path(path.join("run/metrics.csv")).unwrap();
    let column = metrics
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "test_loss")
        .unwrap();
    let test_losses: Vec<f64> = metrics
        .records()
        .map(|row| row.unwrap()[column].parse().unwrap())
        .collect();
    assert_eq!(test_losses.len() + 1, SNAPSHOTS);
    let places: Vec<Vec<f64>> = steps.iter().map(|step| numbers(&step["position"])).collect();
    for (index, (step, place)) in steps.iter().zip(&places).enumerate() {
        assert_eq!(step["name"], index.to_string());
        // Pythagoras: the axes are orthogonal unit vectors.
        let distance = step["distance"].as_f64().unwrap();
        let found = place[0].powi(2) + place[1].powi(2) + distance.powi(2);
        let expected = square(&snapshots[index], &origin);
        assert!(
            (found / expected - 1.0).abs() < 1e-4,
            "{found} and {expected} at step {index}"
        );
        if let Some(before) = index.checked_sub(1) {
            let own = measured(&step["own"])[2];
            assert_close(&[own], &[test_losses[before]], ROUNDING, "the run's test loss");
        }
    }
    assert!(places[SNAPSHOTS - 1][0] > places[0][0], "{places:?}");

    // Variance along each axis, as a share of all.
    let pairs = (0..SNAPSHOTS).flat_map(|i| (0..i).map(move |j| (i, j)));
    let count = SNAPSHOTS as f64;
    let total: f64 = pairs.map(|(i, j)| square(&snapshots[i], &snapshots[j])).sum::<f64>() / count;
    for axis in 0..2 {
        let mean = places.iter().map(|place| place[axis]).sum::<f64>() / count;
        let variance: f64 = places.iter().map(|place| (place[axis] - mean).powi(2)).sum();
        let share = 100.0 * variance / total;
        let name = record["axes"][axis].as_str().unwrap();
        let named: f64 = name
            .strip_prefix(&format!("pc{} of {SNAPSHOTS} snapshots, ", axis + 1))
            .and_then(|rest| rest.strip_suffix(" % of variance"))
            .unwrap_or_else(|| panic!("{name}"))
            .parse()
            .unwrap();
        assert!((named - share).abs() < 0.06, "{name}, and {share}");
        let explained = 100.0 * record["explained"][axis].as_f64().unwrap();
        assert!((explained - share).abs() < 0.01, "{explained}, and {share}");
    }

    // A frame a snapshot, each with more of the way.
    let bytes = std::fs::read(path.join("walk.gif")).unwrap();
    let decoder = GifDecoder::new(Cursor::new(bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), SNAPSHOTS);
    for pair in frames.windows(2) {
        assert_eq!(pair[0].buffer().dimensions(), (300, 250));
        assert!(pair[0].buffer() != pair[1].buffer(), "nothing moves");
    }
    for step in 0..SNAPSHOTS {
        let frame = image::open(path.join(format!("walk/frame-{step:04}.png"))).unwrap();
        assert_eq!((frame.width(), frame.height()), (300, 250));
    }
}

#[test]
fn a_surface_through_training_has_the_line_of_every_epoch() {
    let folder = trained();
    let path = folder.path();
    let words = "--direction uniform --through --trajectory run --range -1..1 --points 5x9";
    succeed(&format!("{PLANE} {words} --out t.csv --out t.png --out t.glb"), path);
    let record = read_json(&path.join("t.json"));
    assert_eq!(record["label"], "uniform (seed 1) through training");
    assert_eq!(numbers(&record["grid"]["first"]), [-1.0, -0.5, 0.0, 0.5, 1.0]);
    assert_eq!(numbers(&record["grid"]["second"]), [0.0, 1.0, 2.0, 3.0, 4.0]);
    let rows = table(&path.join("t.csv"));
    assert_eq!(rows.len(), 5 * SNAPSHOTS);
    for (step, rows) in rows.chunks(5).enumerate() {
        let snapshot = format!("run/trajectory/{step:04}.safetensors");
        let words = format!("--checkpoint {snapshot} --direction uniform --range -1..1 --points 5");
        for (row, expected) in rows.iter().zip(line(&words, path)) {
            assert_close(&row[2..6], &expected, ROUNDING, &snapshot);
        }
    }
    assert!(image::open(path.join("t.png")).is_ok());
    assert!(gltf::Gltf::from_slice(&std::fs::read(path.join("t.glb")).unwrap()).is_ok());
}

#[test]
fn what_is_measured_already_is_not_evaluated_again() {
    let folder = trained();
    let path = folder.path();
    let (file, plane) = (
        path.join("p.json"),
        format!("{PLANE} --direction uniform --range -1..1 --points 5x4 --out p.csv"),
    );
    // Where there is nothing to go on with, it starts.
    succeed(&format!("{plane} --resume"), path);
    let rows = table(&path.join("p.csv"));
    let before = std::fs::read_to_string(&file).unwrap();
    succeed(&format!("{plane} --resume"), path);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);

    // Other values in the file: whatever were evaluated would be as before.
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.5];
    let loss = |index: usize| strange.get(index).copied().unwrap_or(100.0 + index as f64);
    let open = 13;
    let mut record = parse(&before);
    for (index, value) in record["grid"]["values"].as_array_mut().unwrap().iter_mut().enumerate() {
        *value = if index == open {
            Value::Null
        } else {
            quality(loss(index))
        };
    }
    std::fs::write(&file, record.to_string()).unwrap();
    succeed(&format!("{plane} --resume --out p.png --out p.svg --out p.glb"), path);
    for (index, row) in table(&path.join("p.csv")).iter().enumerate() {
        if index == open {
            assert_close(row, &rows[open], ROUNDING, "the open node");
        } else {
            // As text, for NaN is not equal to itself.
            let expected = [loss(index), 0.5, loss(index), 0.5].map(|number| number.to_string());
            let found: Vec<String> = row[2..6].iter().map(f64::to_string).collect();
            assert_eq!(found, expected, "node {index}");
        }
    }
    let after = read_json(&file);
    for (index, value) in after["grid"]["values"].as_array().unwrap().iter().enumerate() {
        assert!(
            index == open || *value == quality(loss(index)),
            "{value} at node {index}"
        );
    }
}

#[test]
fn a_smaller_tolerance_keeps_what_a_larger_one_measured() {
    let folder = trained();
    let path = folder.path();
    let plane = format!("{PLANE} --direction uniform --points 17x17");
    let said = succeed(&format!("{plane} --tolerance 0.05 --out p.csv"), path);
    let mut record = read_json(&path.join("p.json"));
    let values = record["grid"]["values"].as_array_mut().unwrap();
    let known: Vec<usize> = (0..values.len()).filter(|&index| !values[index].is_null()).collect();
    // The coarse level alone has 9 nodes a side.
    assert!((81..289).contains(&known.len()), "{}", known.len());
    let told = format!("{} of 289 points measured, the others interpolated", known.len());
    assert!(said.contains(&told), "{said}");
    let marked: Vec<usize> = table(&path.join("p.csv"))
        .iter()
        .enumerate()
        .filter_map(|(index, row)| (row[6] == 1.0).then_some(index))
        .collect();
    assert_eq!(marked, known);

    for &index in &known {
        values[index] = quality(50.0 + index as f64);
    }
    std::fs::write(path.join("p.json"), record.to_string()).unwrap();
    let said = succeed(&format!("{plane} --resume --out p.csv"), path);
    assert!(!said.contains("interpolated"), "{said}");
    succeed(&format!("{plane} --out whole.csv"), path);
    let (rows, whole) = (table(&path.join("p.csv")), table(&path.join("whole.csv")));
    assert_eq!((rows.len(), whole.len()), (289, 289));
    for (index, (row, whole)) in rows.iter().zip(&whole).enumerate() {
        if known.contains(&index) {
            assert_eq!(row[2], 50.0 + index as f64, "node {index} was measured again");
        } else {
            assert_close(row, whole, ROUNDING, "a node measured later");
        }
    }
}

#[test]
fn what_was_measured_of_another_surface_is_not_taken_up() {
    let folder = trained();
    let path = folder.path();
    let file = path.join("p.json");
    let usual = "--direction uniform --points 3x3";
    succeed(&format!("{PLANE} {usual} --out p.csv"), path);
    let before = std::fs::read(&file).unwrap();
    let refused = |words: &str, what: &str| {
        let held = std::fs::read(&file).unwrap();
        let (message, code) = fail(&format!("{words} --out p.csv --resume"), path);
        assert_eq!(code, 1, "{what}: {message}");
        assert!(
            message.starts_with("valleyscope: p.json: it is of another surface") && message.lines().count() == 1,
            "{what}: {message}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), held, "{what}");
    };
    for more in [
        "--seed 2",
        "--seed2 9",
        "--direction2 symmetric",
        "--normalize filter",
        "--orthonormal",
        "--bn batch",
        "--batch-size 64",
        "--data builtin:train=50:test=30",
        "--subset 40",
    ] {
        refused(&format!("{PLANE} {usual} {more}"), more);
    }
    for words in [
        "--direction gaussian --points 3x3",
        "--to run/sgd.safetensors --direction2 uniform --points 3x3",
        "--direction uniform --through --trajectory run --points 3x3",
    ] {
        refused(&format!("{PLANE} {words}"), words);
    }
    for start in [
        "plane --device cpu --checkpoint run/sgd.safetensors",
        "plane --device flex --checkpoint run/swa.safetensors",
    ] {
        refused(&format!("{start} {usual}"), start);
    }
    for (part, name, other) in [
        ("provenance", "model", json!("resnet8:width=4")),
        ("provenance", "data", json!("cifar10:data")),
        ("provenance", "batch_norm", json!("recompute")),
        ("provenance", "test_images", json!(29)),
        ("provenance", "device", json!("abacus")),
        ("provenance", "version", json!("0.0.1")),
        ("grid", "second", json!([-3.0, 0.0, 3.0, 6.0])),
        ("grid", "values", json!([])),
    ] {
        let mut record = parse(std::str::from_utf8(&before).unwrap());
        record[part][name] = other;
        std::fs::write(&file, record.to_string()).unwrap();
        refused(&format!("{PLANE} {usual}"), name);
    }
    // None of it was the file's own fault.
    std::fs::write(&file, &before).unwrap();
    succeed(&format!("{PLANE} {usual} --out p.csv --resume"), path);
}

#[test]
fn another_run_in_the_same_folder_is_another_surface() {
    let folder = trained();
    let path = folder.path();
    let file = path.join("t.json");
    let words =
        format!("{PLANE} --direction uniform --through --trajectory run --range -1..1 --points 3x3 --out t.csv");
    succeed(&words, path);
    let (before, rows) = (read_json(&file), table(&path.join("t.csv")));
    std::fs::remove_dir_all(path.join("run")).unwrap();
    succeed(&train("--lr 0.02"), path);
    let (message, code) = fail(&format!("{words} --resume"), path);
    assert_eq!(code, 1, "{message}");
    assert!(
        message.starts_with("valleyscope: t.json: it is of another surface"),
        "{message}"
    );
    assert_eq!(read_json(&file), before);

    // By name it is the same, and so are the initial weights.
    succeed(&words, path);
    let (after, others) = (read_json(&file), table(&path.join("t.csv")));
    assert_eq!(after["provenance"], before["provenance"]);
    assert_ne!(after["checksum"], before["checksum"]);
    for (row, other) in rows.iter().zip(&others).take(3) {
        assert_close(other, row, ROUNDING, "the initial weights");
    }
    assert_ne!(others[3..], rows[3..]);
}

#[test]
fn a_solution_with_other_statistics_is_another_surface() {
    let folder = trained();
    let path = folder.path();
    let file = path.join("s.json");
    std::fs::copy(path.join("run/swa.safetensors"), path.join("w.safetensors")).unwrap();
    let words =
        "plane --device cpu --checkpoint w.safetensors --direction uniform --bn running --points 3x3 --out s.csv";
    succeed(words, path);
    succeed(&format!("{words} --resume"), path);
    let before = read_json(&file);
    // Statistics of smaller batches.
    let save = "save --device cpu --checkpoint run/swa.safetensors --recompute --batch-size 10 --out w.safetensors";
    succeed(save, path);
    assert_eq!(
        parameters(&path.join("w.safetensors")),
        parameters(&path.join("run/swa.safetensors"))
    );
    let (message, code) = fail(&format!("{words} --resume"), path);
    assert_eq!(code, 1, "{message}");
    assert!(
        message.starts_with("valleyscope: s.json: it is of another surface"),
        "{message}"
    );
    assert_eq!(read_json(&file), before);
    succeed(words, path);
    assert_eq!(read_json(&file)["provenance"], before["provenance"]);
}

#[test]
fn finer_points_and_other_ranges_keep_what_was_measured_at_the_same_positions() {
    let folder = trained();
    let path = folder.path();
    let file = path.join("p.json");
    succeed(&format!("{PLANE} --direction uniform --points 3x3 --out p.csv"), path);
    let mut record = parse(&std::fs::read_to_string(&file).unwrap());
    // A mark that no evaluation gives.
    record["grid"]["values"][5]["train"]["accuracy"] = json!(0.123);
    std::fs::write(&file, record.to_string()).unwrap();
    let marked = |words: &str| -> Vec<[f64; 2]> {
        succeed(
            &format!("{PLANE} --direction uniform {words} --out p.csv --resume"),
            path,
        );
        let rows = table(&path.join("p.csv"));
        rows.iter()
            .filter(|row| row[3] == 0.123)
            .map(|row| [row[0], row[1]])
            .collect()
    };
    assert_eq!(marked("--points 5x9"), [[3.0, 0.0]]);
    assert_eq!(marked("--points 4x3 --range -6..3 --range2 -3..3"), [[3.0, 0.0]]);
    assert_eq!(marked("--points 3x3 --range -1..1"), [[0.0; 2]; 0]);
}

#[test]
fn what_is_no_surface_is_refused_in_one_line() {
    let folder = trained();
    let path = folder.path();
    let file = path.join("p.json");
    let plane = format!("{PLANE} --direction uniform --points 3x3 --out p.csv");
    succeed(&plane, path);
    let whole = std::fs::read_to_string(&file).unwrap();
    let line = succeed(
        "line --device cpu --checkpoint run/swa.safetensors --direction uniform --points 3 --json",
        path,
    );
    let mut wrong = parse(&whole);
    wrong["grid"]["values"][4]["train"]["loss"] = json!("lots\nand lots");
    let mut half = whole.clone();
    half.truncate(whole.len() / 2);
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("half of one", half.into_bytes()),
        ("a list", b"[]".to_vec()),
        ("a deep list", vec![b'['; 100_000]),
        ("no fields", b"{}".to_vec()),
        ("no text", vec![0xff, 0xfe, 0x00, 0x80]),
        ("a line", line.into_bytes()),
        ("a word for a loss", wrong.to_string().into_bytes()),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        let (message, code) = fail(&format!("{plane} --resume"), path);
        assert_eq!(code, 1, "{what}: {message}");
        assert!(
            message.starts_with("valleyscope: p.json: it is not a surface written by valleyscope"),
            "{what}: {message}"
        );
        assert_eq!(message.lines().count(), 1, "{what}: {message}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{what}");
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let (message, code) = fail(&format!("{plane} --resume"), path);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("p.json: this is a folder"), "{message}");
}

#[cfg(unix)]
#[test]
fn stopped_by_ctrl_c_it_keeps_what_is_measured_and_goes_on_from_there() {
    use std::io::{BufRead, BufReader};
    let folder = trained();
    let path = folder.path();
    // Many images, so that the fastest machine is not done in the second before the first word on progress.
    let words = format!("{PLANE} --direction uniform --data builtin:train=1000:test=500 --points 121x121 --out p.csv");
    let mut child = Command::new(env!("CARGO_BIN_EXE_valleyscope"))
        .args(words.split_whitespace())
        .current_dir(path)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(errors.any(|line| line.starts_with("plane: ")), "it was done too soon");
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let said: Vec<String> = errors.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("valleyscope: cancelled"));
    assert!(!path.join("p.csv").exists());

    let file = path.join("p.json");
    let mut record = read_json(&file);
    let values = record["grid"]["values"].as_array_mut().unwrap();
    let known = values.clone();
    let count = known.iter().filter(|value| !value.is_null()).count();
    assert!((1..121 * 121).contains(&count), "{count}");
    let note = format!(
        "note: {count} of {} points are in p.json; --resume goes on from there",
        121 * 121
    );
    assert!(said.contains(&note), "{said:?}");
    // All but the last node are given, so that the rest is quick.
    let last = known.len() - 1;
    for value in &mut values[..last] {
        if value.is_null() {
            *value = quality(7.0);
        }
    }
    std::fs::write(&file, record.to_string()).unwrap();
    succeed(&format!("{words} --resume"), path);
    assert_eq!(table(&path.join("p.csv")).len(), 121 * 121);
    let after = read_json(&file);
    for (after, known) in after["grid"]["values"].as_array().unwrap().iter().zip(&known) {
        assert!(
            !after.is_null() && (known.is_null() || after == known),
            "{after} and {known}"
        );
    }
}

#[test]
fn bad_usage_is_told_before_anything_is_read_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let two = "--direction uniform --out x.csv";
    let endings = "must end in one of .csv, .json, .png, .svg, .gif, .glb";
    for (words, expected) in [
        // Files.
        ("--direction uniform".to_owned(), "--out <FILE>"),
        ("--direction uniform --json --resume".to_owned(), "--out <FILE>"),
        ("--direction uniform --out x".to_owned(), endings),
        ("--direction uniform --out x.csv --out x.pdf".to_owned(), endings),
        ("--direction uniform --out x.gif".to_owned(), "--trajectory RUN"),
        (format!("{two} --frames walk"), "--trajectory <RUN>"),
        // Points.
        (format!("{two} --points 100000x100000"), "2048x2048 would"),
        (format!("{two} --points 1000000x10"), "647634x6 would"),
        (format!("{two} --points 0x5"), "--points = 0x5 is not allowed"),
        (format!("{two} --points 5x0"), "one point along each axis"),
        (format!("{two} --points 5"), "NxM"),
        (format!("{two} --points 5x5x5"), "NxM"),
        (format!("{two} --range 3"), "A..B"),
        (format!("{two} --range nan..1"), "A..B"),
        (format!("{two} --range2 1..inf"), "A..B"),
        (format!("{two} --tolerance 1"), "--tolerance = 1"),
        (format!("{two} --tolerance=-0.1"), "--tolerance = -0.1"),
        (format!("{two} --tolerance nan"), "--tolerance = NaN"),
        // Pictures.
        (format!("{two} --colours blue"), "A..B"),
        (format!("{two} --map jet"), "viridis, cividis, diverging"),
        (format!("{two} --show accuracy"), "train-accuracy"),
        (format!("{two} --scale cubic"), "auto, linear, log"),
        (format!("{two} --size 800"), "NxM"),
        (format!("{two} --size 50x50"), "100 to 16384 pixels"),
        (format!("{two} --lines 1000"), "at most 100 iso-lines"),
        (format!("{two} --relief"), "FILE.png or FILE.gif, or --frames DIR"),
        (
            "--direction uniform --out x.svg --relief".to_owned(),
            "a relief is drawn in pixels",
        ),
        (
            "--direction uniform --out x.png --relief --elevation 95".to_owned(),
            "from 3 to 85 degrees",
        ),
        // Axes.
        ("--out x.csv".to_owned(), "--direction"),
        ("--direction sideways --out x.csv".to_owned(), "inter+random"),
        ("--to b.pt --out x.csv".to_owned(), "--direction2 KIND or --to2 FILE"),
        ("--to b.pt --to2 c.pt --seed2 3 --out x.csv".to_owned(), "--seed2 = 3"),
        (
            "--to b.pt --to2 c.pt --normalize filter --out x.csv".to_owned(),
            "--normalize = filter",
        ),
        (format!("{two} --to b.pt"), "not both"),
        (format!("{two} --to2 b.pt --direction2 gaussian"), "not both"),
        (
            "--direction inter+random --direction2 uniform --out x.csv".to_owned(),
            "--to FILE",
        ),
        ("--direction pc1 --out x.csv".to_owned(), "--trajectory RUN"),
        (format!("{two} --direction2 pc2"), "--trajectory RUN"),
        (format!("{two} --through"), "--trajectory <RUN>"),
        (format!("{two} --through --trajectory run --range2 0..1"), "--range2"),
    ] {
        let (message, code) = fail(
            &format!("plane --device cpu --checkpoint nowhere.pt {words}"),
            folder.path(),
        );
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
fn what_cannot_be_surveyed_is_told_in_one_line_and_ends_with_1() {
    let folder = trained();
    let path = folder.path();
    shortened(path, "one", 1);
    shortened(path, "two", 2);
    shortened(path, "cut", 2);
    let snapshot = path.join("cut/trajectory/0001.safetensors");
    let bytes = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, &bytes[..bytes.len() / 2]).unwrap();
    let record = std::fs::read(path.join("run/run.json")).unwrap();
    for (words, expected) in [
        // A plane has two directions.
        (
            "--direction uniform --direction2 uniform --seed2 1 --out x.csv",
            "parallel",
        ),
        (
            "--to run/sgd.safetensors --to2 run/sgd.safetensors --out x.csv",
            "parallel",
        ),
        (
            "--to run/swa.safetensors --direction2 uniform --out x.csv",
            "the first direction of the plane has length 0",
        ),
        (
            "--direction uniform --to2 run/swa.safetensors --out x.csv",
            "the second direction of the plane has length 0",
        ),
        (
            "--direction inter+random --to run/swa.safetensors --direction2 uniform --out x.csv",
            "the same point",
        ),
        // A trajectory has steps.
        (
            "--direction pc1 --trajectory one --out x.csv",
            "train on, or choose other directions",
        ),
        (
            "--direction pc1 --trajectory two --out x.csv",
            "need 3 snapshots of a trajectory, and this one has 2",
        ),
        (
            "--direction uniform --trajectory cut --out x.csv",
            "cut/trajectory/0001.safetensors: ",
        ),
        (
            "--direction uniform --through --trajectory cut --out x.csv",
            "cut/trajectory/0001.safetensors: ",
        ),
        (
            "--direction uniform --trajectory nowhere --out x.csv",
            "nowhere: no such folder",
        ),
        (
            "--direction uniform --through --trajectory run/trajectory --out x.csv",
            "it has no run.json",
        ),
        // Files.
        (
            "--to nowhere.pt --direction2 uniform --out x.csv",
            "nowhere.pt: could not read this file: no such file",
        ),
        (
            "--direction file:nowhere.safetensors --direction2 uniform --out x.csv",
            "no such file",
        ),
        ("--direction uniform --out nowhere/x.csv", "no such file or folder"),
        ("--direction uniform --out run/run.csv", "one of its own files"),
    ] {
        let (message, code) = fail(&format!("{PLANE} --points 3x3 {words}"), path);
        assert_eq!(code, 1, "{words}: {message}");
        assert!(
            message.starts_with("valleyscope: ") && message.lines().count() == 1,
            "{words}: {message}"
        );
        assert!(message.contains(expected), "{words}: {message}");
    }
    let (message, code) = fail(
        &format!("{PLANE} --points 3x3 --direction uniform --trajectory one --out one.gif"),
        path,
    );
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("an animation needs two; train on"), "{message}");
    for name in ["x.csv", "x.json", "one.gif", "run/run.csv"] {
        assert!(!path.join(name).exists(), "{name}");
    }
    assert_eq!(std::fs::read(path.join("run/run.json")).unwrap(), record);
}

#[test]
fn an_animation_too_large_is_told_before_anything_is_measured() {
    let folder = trained();
    let path = folder.path();
    shortened(path, "long", 0);
    for step in 0..21 {
        let copy = path.join(format!("long/trajectory/{step:04}.safetensors"));
        std::fs::copy(path.join("run/trajectory/0000.safetensors"), copy).unwrap();
    }
    for files in ["--out x.gif", "--out x.csv --frames x"] {
        let words = format!("{PLANE} --direction uniform --trajectory long --size 10000x10000 {files}");
        let (message, code) = fail(&words, path);
        assert_eq!(code, 2, "{files}: {message}");
        assert!(
            message.contains("--size = 10000x10000 is not allowed: 21 frames")
                && message.contains("20 frames of this size fit"),
            "{files}: {message}"
        );
    }
    for name in ["x", "x.gif", "x.csv", "x.json"] {
        assert!(!path.join(name).exists(), "{name}");
    }
}

#[test]
fn a_range_without_width_has_numbers_and_a_picture_and_no_model() {
    let folder = trained();
    let path = folder.path();
    let words = "--direction uniform --range 0..0 --points 3x2 --out z.csv --out z.png";
    let (message, code) = fail(&format!("{PLANE} {words} --out z.glb"), path);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("two points and a range along both axes"), "{message}");
    assert!(!path.join("z.csv").exists());
    succeed(&format!("{PLANE} {words}"), path);
    let own = line(
        "--checkpoint run/swa.safetensors --direction uniform --range 0..0 --points 1",
        path,
    )[0];
    let rows = table(&path.join("z.csv"));
    assert_eq!(rows.len(), 6);
    for row in &rows {
        assert_eq!(row[..2], [0.0, 0.0]);
        assert_close(&row[2..6], &own, ROUNDING, "the solution's own loss");
    }
    assert!(image::open(path.join("z.png")).is_ok());
    assert!(!path.join("z.glb").exists());
}
