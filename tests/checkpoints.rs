//! Checkpoints: what PyTorch saved opens and gives PyTorch's numbers, what we save opens in PyTorch, and what is said of
//! files that are not what they should be. The files are made by tests/reference/make_files.py.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{DType, Tensor, TensorData};
use common::files;
use common::program::run;
use valleyscope::checkpoint::CheckpointFile;
use valleyscope::data::{Dataset, Part, Pixels, Split};
use valleyscope::engine::{Anchor, CheckpointRequest, Engine, Request, SaveRequest, SliceRequest, Turn, Update, View};
use valleyscope::error::Error;
use valleyscope::experiment::hashed;
use valleyscope::landscape::Normalisation;
use valleyscope::landscape::direction::{self, Basis, DirectionKind};
use valleyscope::network::forward::{self, Images, Leaves, Normaliser};
use valleyscope::network::zoo;
use valleyscope::network::{Graph, graph::Shape};
use valleyscope::objective::{BatchNormPolicy, Compute, DeviceChoice, Objective, Solution};

const MODEL: &str = "resnet8:width=4";
const SHAPE: Shape = [3, 16, 16];
const IMAGES: usize = 5;

/// Logits are of the size of 0.1; PyTorch's are computed in 64 bits.
const LOGIT_TOLERANCE: f64 = 1e-6;

fn graph() -> Graph {
    zoo::build(MODEL, SHAPE, 10).unwrap()
}

fn load(name: &str, key: Option<&str>) -> Result<Solution, Error> {
    CheckpointFile::open(&files(name))?.state_dict(key)?.solution(&graph())
}

fn message(name: &str, key: Option<&str>) -> String {
    match load(name, key) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_layout_gives_the_same_solution() {
    let (sgd, swa) = (hashed::solution(&graph(), 1), hashed::solution(&graph(), 2));
    for (name, key, expected) in [
        ("papers.pt", Some("state_dict"), &sgd),
        ("papers.pt", Some("swa_state_dict"), &swa),
        ("papers_legacy.pt", Some("state_dict"), &sgd),
        ("papers_legacy.pt", Some("swa_state_dict"), &swa),
        ("parallel.pt", None, &sgd),
        ("averaged.pt", None, &swa),
        ("double.pt", None, &sgd),
        ("whole_model.pt", None, &sgd),
        ("plain.safetensors", None, &sgd),
        ("callable.pt", Some("state_dict"), &sgd),
    ] {
        assert_eq!(load(name, key).unwrap(), *expected, "{name}");
    }
    // A callable in a pickle is never called.
    assert!(!Path::new("/tmp/valleyscope-was-here").exists());
}

#[test]
fn sixteen_bit_floats_are_converted_with_a_note() {
    let expected = hashed::solution(&graph(), 1);
    for (name, bits, note) in [
        ("half.pt", 11, "float16 converted to float32"),
        ("bfloat16.pt", 8, "bfloat16 converted to float32"),
        ("bfloat16.safetensors", 8, "bfloat16 converted to float32"),
    ] {
        let file = CheckpointFile::open(&files(name)).unwrap();
        let state = file.state_dict(None).unwrap();
        assert_eq!(state.notes(), [note], "{name}");
        let solution = state.solution(&graph()).unwrap();
        for (ours, exact) in solution.parameters.iter().zip(&expected.parameters) {
            // Rounded to so many bits; float16 is coarser below its smallest normal number.
            let rounding = exact.abs() * 0.5_f32.powi(bits) + 3e-8;
            assert!((ours - exact).abs() <= rounding, "{name}: {ours} for {exact}");
        }
    }
    let file = CheckpointFile::open(&files("double.pt")).unwrap();
    assert_eq!(file.state_dict(None).unwrap().notes(), ["float64 converted to float32"]);
}

#[test]
fn a_prefix_of_somebodys_own_is_taken_off_where_a_network_fits_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let describe = |model: &str, shape: Shape, prefix: &str| {
        let graph = zoo::build(model, shape, 10).unwrap();
        let zeros = vec![0_u8; 4 * graph.parameter_count()];
        let tensors = graph.state_dict().into_iter().map(|entry| {
            let bytes = &zeros[..4 * entry.shape.iter().product::<usize>()];
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, entry.shape, bytes).unwrap();
            (format!("{prefix}{}", entry.name), view)
        });
        let path = folder.path().join("file.safetensors");
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        let listing = CheckpointFile::open(&path).unwrap().listings().unwrap().remove(0);
        (listing.fits[0].model.clone(), listing.notes)
    };
    let note = |prefix: &str| vec![format!("prefix `{prefix}` taken off")];
    assert_eq!(describe(MODEL, SHAPE, "model."), (MODEL.to_owned(), note("model.")));
    assert_eq!(
        describe(MODEL, SHAPE, "module.net."),
        (MODEL.to_owned(), note("module.net."))
    );
    // The names of this one all begin alike, and are right as they are.
    assert_eq!(describe("fnn", [1, 28, 28], ""), ("fnn".to_owned(), vec![]));
    assert_eq!(describe("fnn", [1, 28, 28], "net."), ("fnn".to_owned(), note("net.")));
}

#[test]
fn a_file_is_described() {
    let file = CheckpointFile::open(&files("papers.pt")).unwrap();
    assert_eq!(file.keys(), ["state_dict", "swa_state_dict"]);
    let others: Vec<&str> = file.others().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(others, ["epoch", "swa_n"]);
    for listing in file.listings().unwrap() {
        assert_eq!((listing.entries, listing.parameters), (56, 5214));
        assert_eq!(listing.types, ["float32"]);
        assert_eq!(listing.fits.len(), 1);
        assert_eq!((listing.fits[0].model.as_str(), listing.fits[0].classes), (MODEL, 10));
    }
    for name in ["parallel.pt", "averaged.pt"] {
        let file = CheckpointFile::open(&files(name)).unwrap();
        assert_eq!(file.state_dict(None).unwrap().notes(), ["prefix `module.` taken off"]);
        assert_eq!(file.listings().unwrap()[0].fits[0].model, MODEL);
    }
}

/// Logits of the hashed images, one row an image.
fn logits(solution: &Solution) -> Vec<f64> {
    let split = |count: usize| Split {
        images: Pixels::Floats(hashed::hashed_images("train", count, SHAPE)),
        labels: vec![0; count],
    };
    let data = Dataset {
        shape: SHAPE,
        classes: (0..10).map(|c| c.to_string()).collect(),
        train: split(IMAGES),
        test: split(1),
        ..Dataset::open("two-gaussians").unwrap()
    };
    let graph = Arc::new(graph());
    let objective = Objective::new(graph.clone(), Arc::new(data), Compute::flex(), IMAGES).unwrap();
    let tensor = |values: &[f32]| -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [1, values.len()]);
        Tensor::from_data(data, (objective.compute().device(), DType::F32))
    };
    let (images, _) = objective.batch(Part::Train, 0..IMAGES);
    let leaves = Leaves::new(&graph, &tensor(&solution.parameters));
    let statistics = tensor(&solution.statistics);
    let pass = forward::forward(
        &graph,
        &leaves,
        Images::Shared(images),
        Normaliser::Statistics(&statistics),
    );
    let values: Vec<f32> = pass.logits.into_data().try_to_vec().unwrap();
    values.into_iter().map(f64::from).collect()
}

#[track_caller]
fn assert_logits(ours: &[f64], theirs: &serde_json::Value) {
    let theirs: Vec<Vec<f64>> = serde_json::from_value(theirs.clone()).unwrap();
    let theirs: Vec<f64> = theirs.into_iter().flatten().collect();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < LOGIT_TOLERANCE, "{ours} instead of {theirs}");
    }
}

#[test]
fn what_pytorch_saved_computes_what_pytorch_computes() {
    let expected = common::json("files/logits.json");
    for key in ["state_dict", "swa_state_dict"] {
        assert_logits(&logits(&load("papers.pt", Some(key)).unwrap()), &expected[key]);
    }
}

/// The midpoint of the two solutions of papers.pt, saved by the program.
fn saved(folder: &Path) -> PathBuf {
    let path = |key: &str| format!("{}::{key}", files("papers.pt").display());
    let arguments = [
        "save",
        "--checkpoint",
        &path("swa_state_dict"),
        "--to",
        &path("state_dict"),
        "--position",
        "0.5",
        "--out",
        "midpoint.safetensors",
    ];
    let (done, _, errors) = run(&arguments, folder);
    assert!(done, "{errors}");
    folder.join("midpoint.safetensors")
}

#[test]
fn what_we_save_pytorch_loads() {
    // loaded.json is what make_files.py --check printed of this very file: load_state_dict(strict=True), and logits.
    let folder = tempfile::tempdir().unwrap();
    let file = CheckpointFile::open(&saved(folder.path())).unwrap();
    let solution = file.state_dict(None).unwrap().solution(&graph()).unwrap();
    let (swa, sgd) = (hashed::solution(&graph(), 2), hashed::solution(&graph(), 1));
    let middle = |a: f32, b: f32| (f64::from(a) + 0.5 * (f64::from(b) - f64::from(a))) as f32;
    let expected: Vec<f32> = swa
        .parameters
        .iter()
        .zip(&sgd.parameters)
        .map(|(&a, &b)| middle(a, b))
        .collect();
    assert_eq!(solution.parameters, expected);
    assert_eq!(solution.statistics, swa.statistics);
    let loaded = common::json("loaded.json");
    assert_eq!(loaded["strict"], true);
    assert_logits(&logits(&solution), &loaded["logits"]);
    assert_eq!(file.provenance().unwrap()["model"], MODEL);
}

/// A data set of the images that logits.json is about, with labels in turn.
fn data_file(folder: &Path) -> String {
    common::data_file(&folder.join("data.safetensors"), IMAGES, SHAPE);
    "safetensors:data.safetensors".to_owned()
}

/// Mean cross-entropy of PyTorch's logits for the labels 0, 1, 2, ….
fn loss(logits: &serde_json::Value) -> f64 {
    let rows: Vec<Vec<f64>> = serde_json::from_value(logits.clone()).unwrap();
    let of = |(label, row): (usize, &Vec<f64>)| row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[label];
    rows.iter().enumerate().map(of).sum::<f64>() / rows.len() as f64
}

#[test]
fn a_line_between_the_papers_two_solutions_has_pytorchs_losses() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_file(folder.path());
    let path = |key: &str| format!("{}::{key}", files("papers.pt").display());
    let (from, to) = (path("swa_state_dict"), path("state_dict"));
    let arguments = [
        "line",
        "--checkpoint",
        &from,
        "--to",
        &to,
        "--data",
        &data,
        "--range",
        "0..1",
        "--points",
        "3",
        "--bn",
        "running",
        "--json",
    ];
    let (done, text, errors) = run(&arguments, folder.path());
    assert!(done, "{errors}");
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["provenance"]["model"], MODEL);
    assert_eq!(record["provenance"]["origin"], from);
    let at = |index: usize| record["curve"]["values"][index]["train"]["loss"].as_f64().unwrap();
    let expected = common::json("files/logits.json");
    assert!((at(0) - loss(&expected["swa_state_dict"])).abs() < 1e-6);
    // The statistics are those of position 0 all along the line, so its end is the checkpoint's own loss only where
    // the statistics are too.
    assert!((at(1) - loss(&common::json("loaded.json")["logits"])).abs() < 1e-6);
    let own = [
        "line",
        "--checkpoint",
        &to,
        "--direction",
        "uniform",
        "--data",
        &data,
        "--range",
        "0..0",
        "--points",
        "1",
        "--json",
    ];
    let (_, text, _) = run(&own, folder.path());
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let loss_there = record["curve"]["values"][0]["train"]["loss"].as_f64().unwrap();
    assert!((loss_there - loss(&expected["state_dict"])).abs() < 1e-6);
}

#[test]
fn what_does_not_fit_is_listed_with_the_nearest_names() {
    let several = message("papers.pt", None);
    assert!(
        several.contains("papers.pt::state_dict") && several.contains("papers.pt::swa_state_dict"),
        "{several}"
    );
    let missing = message("papers.pt", Some("ema"));
    assert!(
        missing.contains("no entry `ema`") && missing.contains("::swa_state_dict"),
        "{missing}"
    );
    let nan = message("nan.pt", None);
    assert!(
        nan.contains("`layer2.0.conv1.weight` is NaN") && nan.contains("diverged"),
        "{nan}"
    );
    let optimizer = message("papers.pt", Some("optimizer"));
    assert!(
        optimizer.contains("missing: `conv1.weight`") && optimizer.contains("left over: "),
        "{optimizer}"
    );
    let other = |model: &str, classes: usize| {
        let graph = zoo::build(model, SHAPE, classes).unwrap();
        let file = CheckpointFile::open(&files("plain.safetensors")).unwrap();
        file.state_dict(None).unwrap().solution(&graph).unwrap_err().to_string()
    };
    let wider = other("resnet8:width=8", 10);
    assert!(
        wider.contains("`conv1.weight` is [4, 3, 3, 3] instead of [8, 3, 3, 3]"),
        "{wider}"
    );
    assert!(wider.contains("resnet8:width=4 fits it"), "{wider}");
    let classes = other(MODEL, 100);
    assert!(
        classes.contains("`linear.weight` is [10, 16] instead of [100, 16]"),
        "{classes}"
    );
    let family = other("preresnet8", 10);
    assert!(family.contains("(the nearest is `"), "{family}");
}

#[test]
fn what_is_no_checkpoint_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let whole = |name: &str| std::fs::read(files(name)).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let huge = br#"{"conv1.weight":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}"#;
    let mut lying = (huge.len() as u64).to_le_bytes().to_vec();
    lying.extend(huge);
    lying.extend([0; 4]);
    let cut = |name: &str, end: usize| whole(name)[..end].to_vec();
    let zip = whole("papers.pt");
    for (name, bytes, part) in [
        ("empty.pt", Vec::new(), "it is empty"),
        ("empty.safetensors", Vec::new(), "it is empty"),
        (
            "page.pt",
            b"<html>404 not found</html>".to_vec(),
            "not a checkpoint that can be read",
        ),
        ("half.zip.pt", zip[..zip.len() / 2].to_vec(), "checkpoint"),
        ("legacy.pt", cut("papers_legacy.pt", 40_000), "checkpoint"),
        (
            "cut.safetensors",
            cut("plain.safetensors", 20_000),
            "not a whole safetensors file",
        ),
        ("lying.safetensors", lying, "not a whole safetensors file"),
        (
            "list.pt",
            b"\x80\x02]q\x00.".to_vec(),
            "not a checkpoint that can be read",
        ),
        (
            "deep.pt",
            [b"\x80\x02".to_vec(), vec![b']'; 100_000], b".".to_vec()].concat(),
            "not a checkpoint",
        ),
    ] {
        let path = write(name, &bytes);
        let error = CheckpointFile::open(&path).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(name), "{name}: {error}");
        assert!(!error.contains('\n'), "{name}: {error}");
    }
    let error = CheckpointFile::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("this is a folder"), "{error}");
    let error = CheckpointFile::open(&folder.path().join("nowhere.pt"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no such file"), "{error}");
    // A data set is no checkpoint.
    let error = CheckpointFile::open(&files("tensors-u8.safetensors"))
        .unwrap()
        .state_dict(None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("holds no weights"), "{error}");
}

#[test]
fn options_that_could_do_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = files("plain.safetensors").display().to_string();
    let to = format!("{}::swa_state_dict", files("papers.pt").display());
    let save = |more: &[&str]| {
        let mut arguments = vec!["save", "--checkpoint", &path, "--out", "x.safetensors"];
        arguments.extend(more);
        run(&arguments, folder.path())
    };
    for (more, part) in [
        (vec!["--to", to.as_str()], "say which point"),
        (vec!["--position", "0.5"], "give --direction KIND or --to FILE"),
        (vec!["--to", to.as_str(), "--position", "inf"], "--position = inf"),
        (vec!["--subset", "3"], "--subset = 3"),
        (vec!["--recompute"], "give --data"),
        (vec!["--batch-size", "3"], "--recompute"),
    ] {
        let (done, _, errors) = save(&more);
        assert!(!done && errors.contains(part), "{more:?}: {errors}");
    }
    // What is saved without a pass over data says whose statistics it has.
    let (done, said, errors) = save(&["--to", &to, "--position", "0.5"]);
    assert!(done && said.contains("--recompute"), "{said}{errors}");
    let file = CheckpointFile::open(&folder.path().join("x.safetensors")).unwrap();
    assert_eq!(file.own("statistics").unwrap(), format!("those of {path}"));
    // The file names its model and, were there data, those; a copy of it needs neither flag nor data.
    let (done, _, errors) = run(
        &["save", "--checkpoint", "x.safetensors", "--out", "y.safetensors"],
        folder.path(),
    );
    assert!(done, "{errors}");
}

#[test]
fn the_worker_keeps_a_checkpoint_through_a_change_of_device_and_writes_nothing_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.safetensors");
    common::data_file(&data, IMAGES, SHAPE);
    let engine = Engine::start(Compute::cpu(), Arc::new(|| {})).unwrap();
    let next = |what: &str| {
        let start = Instant::now();
        loop {
            if let Some(update) = engine.updates().into_iter().find(|u| !matches!(u, Update::Device(_))) {
                return update;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let opened = |update: Update| match update {
        Update::Opened(summary) => summary,
        other => panic!("{other:?}"),
    };
    engine.send(Request::OpenCheckpoint(Box::new(CheckpointRequest {
        path: files("papers.pt"),
        first: "swa_state_dict".to_owned(),
        second: Some("state_dict".to_owned()),
        model: None,
        data: format!("safetensors:{}", data.display()),
    })));
    let first = opened(next("the checkpoint"));
    assert!(first.checkpoint && first.sgd);
    assert_eq!(first.names, ["SWA", "SGD"]);
    engine.send(Request::Device(DeviceChoice::Flex));
    let second = opened(next("the same on the device"));
    assert_eq!((second.session, second.checkpoint), (first.session + 1, true));
    // A point of the session before is not written from this one.
    let save = |session: u64, name: &str| {
        let turn = Turn {
            first: Basis::SwaToSgd,
            second: Basis::Random(DirectionKind::Uniform, 1),
            angle: 0.0,
            normalisation: Normalisation::Unit,
        };
        engine.send(Request::Save(Box::new(SaveRequest {
            slice: SliceRequest {
                session,
                anchor: Anchor::Swa,
                walk: Vec::new(),
                view: View::Direction(turn),
                policy: BatchNormPolicy::Running,
                range: (-1.0, 1.0),
                marked: 0.5,
                compass: None,
                surface: None,
            },
            position: 0.5,
            path: folder.path().join(name),
        })));
        next("an answer")
    };
    assert!(matches!(save(first.session, "old.safetensors"), Update::Failed(text) if text.contains("another run")));
    assert!(!folder.path().join("old.safetensors").exists());
    assert!(matches!(save(second.session, "new.safetensors"), Update::Exported(_)));
    let file = CheckpointFile::open(&folder.path().join("new.safetensors")).unwrap();
    assert_eq!(file.own("what").unwrap(), "SWA +0.5 along SWA → SGD");
    let (saved, swa) = (
        file.state_dict(None).unwrap().solution(&graph()).unwrap(),
        hashed::solution(&graph(), 2),
    );
    let way: Vec<f32> = saved
        .parameters
        .iter()
        .zip(&swa.parameters)
        .map(|(a, b)| a - b)
        .collect();
    assert!((direction::dot(&way, &way).sqrt() - 0.5).abs() < 1e-4);
    assert_eq!(saved.statistics, swa.statistics);
}
