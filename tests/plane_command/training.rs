//! Trajectories: seen in the plane that they move in most, and a direction through every epoch.

use std::io::Cursor;

use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;

use super::{PLANE, ROUNDING, SNAPSHOTS, assert_close, line, measured, parameters, table, trained};
use crate::common::documents::{numbers, read_json};
use crate::common::program::succeed;

/// ‖a − b‖².
fn square(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum()
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
