//! What cannot be measured, and what is said where it is stopped.

use valleyscope::checkpoint::NamedTensors;
use valleyscope::experiment::hashed;
use valleyscope::network::zoo;
use valleyscope::objective::BatchNormPolicy;

use super::{Fixture, MODEL, SHAPE, command};
use crate::common::program::fail;

#[test]
fn bad_usage_is_told_before_anything_is_read_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (words, expected) in [
        ("--eigenvalues 0", "--eigenvalues = 0 is not allowed"),
        ("--eigenvalues 1001", "from 1 to 1000"),
        ("--trace 0", "--trace = 0"),
        ("--samples 0", "--samples = 0"),
        ("--steps 0", "--steps = 0"),
        ("--evaluation-batch 0", "--evaluation-batch = 0"),
        ("--tolerance 0", "--tolerance = 0"),
        ("--tolerance 1", "from 0.000001"),
        ("--tolerance nan", "--tolerance = NaN"),
        ("--learning-rate 0.1", "--batch-size"),
        (
            "--learning-rate 0 --batch-size 4",
            "--learning-rate = 0 is not allowed: it must be above 0",
        ),
        ("--learning-rate -0.5 --batch-size 4", "--learning-rate = -0.5"),
        ("--learning-rate inf --batch-size 4", "--learning-rate = inf"),
        ("--learning-rate 0.1 --batch-size 0", "--batch-size = 0"),
        (
            "--learning-rate 0.1 --batch-size 4 --part test",
            "leave out --part test",
        ),
        (
            "--learning-rate 0.1 --batch-size 4 --matrix gauss-newton",
            "leave out --matrix gauss-newton",
        ),
        ("--batch-size 4", "belongs to --learning-rate or --covariance"),
        ("--out x.pdf", "must end in one of .json, .csv, .png, .svg"),
        ("--out x.png", "ask for it with --density"),
        ("--density --out x.png --size 50x50", "100 to 16384 pixels"),
        ("--save-eigenvectors x.pt", "must end in .safetensors"),
        ("--covariance --save-noise x.pt", "--save-noise = x.pt"),
        ("--matrix fisher", "gauss-newton"),
        ("--part validation", "train, test"),
    ] {
        let (message, code) = fail(&format!("curvature --checkpoint nowhere.pt {words}"), folder.path());
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
fn what_does_not_fit_the_point_or_the_data_is_told_in_one_line_and_ends_with_2() {
    let plain = Fixture::new();
    for (words, expected) in [
        (
            "--learning-rate 0.1 --batch-size 25",
            "--batch-size = 25 is not allowed: give 1 to 24",
        ),
        ("--covariance --batch-size 13", "--batch-size = 13"),
        ("--covariance 25", "from 2 to 24 of these 24 images"),
        ("--covariance --samples 1", "--samples = 1"),
        (
            "--non-uniformity 7",
            "give 8 at least, for 4 sets of two, or 24 for all",
        ),
        ("--eigenvalues 20 --steps 5", "--steps = 5"),
    ] {
        let (message, code) = fail(&command(words), plain.path());
        assert_eq!(code, 2, "{words}: {message}");
        let last = message.lines().last().unwrap();
        assert!(
            last.starts_with("valleyscope: ") && last.contains(expected),
            "{words}: {message}"
        );
    }
    let normalised = Fixture::of("resnet8:width=2", [3, 8, 8], |_| {});
    for words in ["--bn batch --non-uniformity", "--bn batch --covariance"] {
        let (message, code) = fail(&command(words), normalised.path());
        assert_eq!(code, 2, "{words}: {message}");
        assert!(
            message.contains("--bn = batch") && message.contains("running or recompute"),
            "{message}"
        );
    }
    // The mean loss itself has a Hessian under every policy.
    for policy in BatchNormPolicy::ALL {
        let record = normalised.measured(&format!("--bn {policy} --eigenvalues 1 --evaluation-batch 12"));
        assert_eq!(record["spectrum"]["largest"].as_array().unwrap().len(), 1, "{policy}");
    }
}

#[test]
fn a_diverged_point_is_refused_in_one_line() {
    let lost = Fixture::of(MODEL, SHAPE, |solution| solution.parameters[3] = f32::NAN);
    let far = Fixture::of(MODEL, SHAPE, |solution| {
        solution.parameters.iter_mut().for_each(|w| *w *= 1e30);
    });
    for (fixture, expected) in [
        (lost, "this network has diverged"),
        (far, "the training has diverged here"),
    ] {
        let (message, code) = fail(&command("--eigenvalues 1"), fixture.path());
        assert_eq!(code, 1, "{message}");
        let last = message.lines().last().unwrap();
        assert!(
            last.starts_with("valleyscope: ") && last.contains(expected),
            "{message}"
        );
    }
    let nameless = Fixture::new();
    let graph = nameless.objective.graph();
    NamedTensors::of_solution(graph, &nameless.solution)
        .write(&nameless.path().join("point.safetensors"), "{\"model\": \"mlp:3\"}")
        .unwrap();
    let (message, code) = fail(&command(""), nameless.path());
    assert!(code == 1 && message.contains("give --data"), "{message}");
}

#[cfg(unix)]
#[test]
fn stopped_by_ctrl_c_it_says_what_is_known_by_then() {
    let folder = tempfile::tempdir().unwrap();
    let graph = zoo::build("resnet8:width=2", [3, 16, 16], 10).unwrap();
    let point = folder.path().join("point.safetensors");
    NamedTensors::of_solution(&graph, &hashed::solution(&graph, 1))
        .write(&point, "{\"model\": \"resnet8:width=2\"}")
        .unwrap();
    // Far more work than is done by the first word on progress, a second later.
    let words = command("--data builtin:train=400:test=20 --eigenvalues 100 --tolerance 1e-6 --out x.csv");
    let (said, output) = crate::common::program::interrupt(&words, folder.path(), "eigenvalues");
    assert_eq!(output.status.code(), Some(1), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("valleyscope: cancelled"));
    assert!(
        said.iter().any(|line| line.starts_with("note: what is printed holds")),
        "{said:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("stopped after") && text.contains("estimated residuals"),
        "{text}"
    );
    assert!(!folder.path().join("x.csv").exists());
}
