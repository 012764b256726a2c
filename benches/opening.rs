//! How long it takes to open a large checkpoint and data set, and how much memory. Prints its figures; run it with
//!
//! ```text
//! cargo bench --bench opening [-- CHECKPOINT[::KEY] DATA]
//! ```
//!
//! Without arguments a ResNet-110 and a data set of CIFAR-10's size and format are made up first. Files are read once
//! before they are timed, so that the disk is warm.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use valleyscope::checkpoint::{CheckpointFile, NamedTensors, Reference};
use valleyscope::data::{Dataset, Part};
use valleyscope::engine::{Anchor, CheckpointRequest, Engine, Request, SliceRequest, Turn, Update, View};
use valleyscope::landscape::{Basis, DirectionKind, Normalisation};
use valleyscope::network::initialisation::initial_parameters;
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Solution};

const MEGABYTE: f64 = 1e6;
const RECORD: usize = 3073;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (checkpoint, data) = match arguments.as_slice() {
        [checkpoint, data] => (checkpoint.clone(), data.clone()),
        _ => made_up(folder.path()),
    };
    let reference = Reference::from(checkpoint.as_str());
    let file_bytes = std::fs::metadata(&reference.path).expect("the checkpoint").len();

    // Warm, and timed the second time.
    for round in 0..2 {
        let before = resident();
        let start = Instant::now();
        let set = Dataset::open(&data).expect("the data");
        let reading = start.elapsed();
        let bytes = Part::BOTH
            .map(|part| set.split(part).len() * set.shape.iter().product::<usize>())
            .iter()
            .sum::<usize>();
        let start = Instant::now();
        let file = CheckpointFile::open(&reference.path).expect("the checkpoint");
        let state = file.state_dict(reference.key.as_deref()).expect("the entry");
        let model = state.only_fit(set.shape).expect("one network fits");
        let graph = zoo::build(&model, set.shape, set.classes.len()).expect("the network");
        let solution = state.solution(&graph).expect("the solution");
        let opening = start.elapsed();
        if round == 1 {
            println!(
                "data        {:.0} MB of pixels read in {:.2} s; the process grew by {:.0} MB",
                bytes as f64 / MEGABYTE,
                reading.as_secs_f64(),
                (resident() - before) / MEGABYTE
            );
            println!(
                "checkpoint  {model}, {:.1} MB, {} parameters, recognised and read in {:.3} s",
                file_bytes as f64 / MEGABYTE,
                solution.parameters.len(),
                opening.as_secs_f64()
            );
        }
    }
    println!("memory      at most {:.0} MB so far", peak() / MEGABYTE);
    first_point(reference, data);
    println!("memory      at most {:.0} MB in all", peak() / MEGABYTE);
}

/// From the request to open, as the window sends it, to the first measured point of a slice and to the first curve.
fn first_point(reference: Reference, data: String) {
    let engine = Engine::start(Compute::cpu(), Arc::new(|| {})).expect("the worker");
    let start = Instant::now();
    engine.send(Request::OpenCheckpoint(Box::new(CheckpointRequest {
        path: reference.path,
        first: reference.key.unwrap_or_default(),
        second: None,
        model: None,
        data,
    })));
    let session = loop {
        match engine.updates().pop() {
            Some(Update::Opened(summary)) => break summary.session,
            Some(Update::Failed(message)) => panic!("{message}"),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    println!("opened      after {:.2} s", start.elapsed().as_secs_f64());
    let basis = |kind| Basis::Random(kind, 1);
    engine.send(Request::Slice(Some(Box::new(SliceRequest {
        session,
        anchor: Anchor::Swa,
        walk: Vec::new(),
        view: View::Direction(Turn {
            first: basis(DirectionKind::BatchNorm),
            second: basis(DirectionKind::NonBatchNorm),
            angle: 0.8,
            normalisation: Normalisation::Unit,
        }),
        policy: BatchNormPolicy::Running,
        range: (-3.0, 3.0),
        marked: 0.0,
        compass: None,
        surface: None,
    }))));
    let mut first = true;
    loop {
        if let Some(slice) = engine.slots().slice.get() {
            let curve = &slice.lines[0].record.curve;
            let measured = curve.measured().count();
            if first && measured > 0 {
                let images = slice.level.train_images;
                println!(
                    "first point after {:.2} s ({images} + {images} images)",
                    start.elapsed().as_secs_f64()
                );
                first = false;
            }
            if measured == curve.positions.len() {
                println!(
                    "first curve after {:.2} s ({measured} points)",
                    start.elapsed().as_secs_f64()
                );
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A ResNet-110 as it is before training, and 60,000 images in CIFAR-10's binary format.
fn made_up(folder: &Path) -> (String, String) {
    let graph = zoo::build("resnet110", [3, 32, 32], 10).expect("the network");
    let solution = Solution {
        parameters: initial_parameters(&graph, 1),
        statistics: graph.initial_statistics(),
    };
    let checkpoint = folder.join("resnet110.safetensors");
    NamedTensors::of_solution(&graph, &solution)
        .write(&checkpoint, "{}")
        .expect("the checkpoint is written");
    let batch: Vec<u8> = (0..10_000 * RECORD)
        .map(|i| match i % RECORD {
            0 => (i / RECORD % 10) as u8,
            _ => (i.wrapping_mul(2_654_435_761) >> 13) as u8,
        })
        .collect();
    for name in (1..=5)
        .map(|i| format!("data_batch_{i}.bin"))
        .chain(["test_batch.bin".to_owned()])
    {
        std::fs::write(folder.join(name), &batch).expect("the data are written");
    }
    (
        checkpoint.display().to_string(),
        format!("cifar10:{}", folder.display()),
    )
}

/// A line of /proc/self/status in bytes; 0 where there is none.
fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    1024.0 * kilobytes.unwrap_or(0.0)
}

fn resident() -> f64 {
    status("VmRSS")
}

fn peak() -> f64 {
    status("VmHWM")
}
