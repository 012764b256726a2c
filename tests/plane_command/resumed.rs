//! Going on from a file: what is measured already is kept, and what is of another surface is not taken up.

use serde_json::{Value, json};

use super::{PLANE, ROUNDING, assert_close, parameters, quality, table, train, trained};
use crate::common::documents::{parse, read_json};
use crate::common::program::{fail, succeed};

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
    let folder = trained();
    let path = folder.path();
    // Many images, so that the fastest machine is not done in the second before the first word on progress.
    let words = format!("{PLANE} --direction uniform --data builtin:train=1000:test=500 --points 121x121 --out p.csv");
    let (said, output) = crate::common::program::interrupt(&words, path, "plane: ");
    assert_eq!(output.status.code(), Some(1), "{said:?}");
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
