//! What the command writes: every kind of file of one survey, and the document on standard output.

use serde_json::json;
use valleyscope::figure::ColourMap;
use valleyscope::landscape::line::positions;
use valleyscope::objective::Compute;

use super::{DATA, MODEL, PLANE, ROUNDING, assert_close, line, measured, table, trained};
use crate::common::documents::{numbers, parse, read_json};
use crate::common::program::{fail, succeed};

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
