//! What cannot be done is told in one line, and before anything is measured.

use super::{PLANE, shortened, trained};
use crate::common::program::fail;

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
