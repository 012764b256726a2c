//! Training: the same seed gives the same run to the bit, an interrupted run goes on as if it had not been, the average
//! is the plain mean, and what goes wrong leaves what was done before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use valleyscope::Error;
use valleyscope::data::{Dataset, Pixels};
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Objective};
use valleyscope::training::{Event, Trainer, TrainingOptions};
use valleyscope::training::{RunFolder, RunStatus};

fn objective(model: &str) -> Arc<Objective> {
    let data = Arc::new(Dataset::open("builtin:train=70:test=30").unwrap());
    let graph = Arc::new(zoo::build(model, data.shape, 10).unwrap());
    Arc::new(Objective::new(graph, data, Compute::cpu(), 32).unwrap())
}

fn options() -> TrainingOptions {
    TrainingOptions {
        epochs: 3,
        batch_size: 32,
        swa_start: 2,
        sgd_epochs: 2,
        seed: 5,
        ..TrainingOptions::default()
    }
}

fn finish(trainer: &mut Trainer) {
    for _ in 0..10_000 {
        if matches!(trainer.step().unwrap(), Event::Finished) {
            return;
        }
    }
    panic!("training does not end");
}

/// Every file of a run by its path inside.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(run).unwrap().display().to_string();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn an_interrupted_run_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let objective = objective("resnet8:width=2");
    let whole = folder.path().join("whole");
    finish(&mut Trainer::start(objective.clone(), &options(), &whole).unwrap());
    let expected = files(&whole);
    let trajectory = expected.keys().filter(|name| name.starts_with("trajectory")).count();
    assert_eq!(trajectory, 6, "initial weights and five epochs: {:?}", expected.keys());
    // Interrupted in the middle of every epoch, while measuring, and in the phase of SGD from the average.
    for steps in [2, 5, 9, 13, 17, 21, 25, 30, 33] {
        let cut = folder.path().join(format!("cut-{steps}"));
        let mut trainer = Trainer::start(objective.clone(), &options(), &cut).unwrap();
        for _ in 0..steps {
            trainer.step().unwrap();
        }
        drop(trainer);
        let reopened = RunFolder::open(&cut).unwrap();
        finish(&mut Trainer::resume(objective.clone(), reopened).unwrap());
        let resumed = files(&cut);
        assert_eq!(resumed.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &expected {
            assert!(
                resumed[name] == *bytes,
                "{name} differs after an interruption at step {steps}"
            );
        }
    }
}

#[test]
fn the_average_is_the_mean_of_the_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let objective = objective("resnet8:width=2");
    let mut trainer = Trainer::start(objective.clone(), &options(), &folder.path().join("run")).unwrap();
    finish(&mut trainer);
    let graph = objective.graph();
    let run = trainer.folder();
    let [second, third] = [2, 3].map(|epoch| run.snapshot(graph, epoch).unwrap().parameters);
    let swa = run.solution(graph, "swa").unwrap();
    for ((a, b), mean) in second.iter().zip(&third).zip(&swa.parameters) {
        assert!(
            ((a + b) / 2.0 - mean).abs() <= 1e-7 * mean.abs().max(1.0),
            "{a} {b} {mean}"
        );
    }
    // Its statistics are those that a pass over the training images gives.
    assert_eq!(swa.statistics, objective.recompute_statistics(&swa.parameters).unwrap());
    let recorded = run.record().results.swa.unwrap();
    let measured = objective
        .evaluate(&swa.parameters, &swa.statistics, BatchNormPolicy::Running)
        .unwrap()[0];
    assert_eq!(recorded, measured);
    assert_eq!(run.record().status, RunStatus::Finished);
}

#[test]
fn a_run_that_diverges_says_so_and_keeps_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let wild = TrainingOptions {
        learning_rate: 1e30,
        ..options()
    };
    let mut trainer = Trainer::start(objective("mlp:8"), &wild, &path).unwrap();
    let error = loop {
        match trainer.step() {
            Ok(Event::Finished) => panic!("a learning rate of 1e30 did not diverge"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("learning rate"), "{error}");
    let reopened = RunFolder::open(&path).unwrap();
    assert!(matches!(reopened.record().status, RunStatus::Diverged(_)));
    assert!(reopened.snapshots() >= 1);
}

#[test]
fn a_disk_that_refuses_a_write_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let objective = objective("mlp:8");
    let mut trainer = Trainer::start(objective, &options(), &path).unwrap();
    // A folder where the first snapshot should go makes the write fail, as a full disk would.
    let obstacle = path.join("trajectory/0001.safetensors");
    std::fs::create_dir_all(obstacle.join("in the way")).unwrap();
    let error = loop {
        match trainer.step() {
            Ok(Event::Epoch(_)) => panic!("the epoch was saved into a folder"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("0001.safetensors"), "{error}");
    std::fs::remove_dir_all(&obstacle).unwrap();
    finish(&mut trainer);
    assert_eq!(trainer.metrics().len(), 5);
}

#[test]
fn a_batch_of_one_value_per_channel_is_refused_before_it_is_trained_on() {
    // On 1×1 images every channel has one value an image, so a last batch of one image has no variance.
    let mut data = Dataset::open("builtin:train=70:test=30").unwrap();
    data.shape = [3, 1, 1];
    for split in [&mut data.train, &mut data.test] {
        let Pixels::Floats(values) = &mut split.images else {
            panic!("the built-in images are numbers")
        };
        values.truncate(3 * split.labels.len());
    }
    let graph = Arc::new(zoo::build("resnet8:width=2", data.shape, 10).unwrap());
    let objective = Arc::new(Objective::new(graph, Arc::new(data), Compute::cpu(), 32).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let start = |batch_size: usize| {
        let options = TrainingOptions {
            batch_size,
            ..options()
        };
        let path = folder.path().join(batch_size.to_string());
        Trainer::start(objective.clone(), &options, &path).map(drop)
    };
    start(35).unwrap();
    let message = start(69).unwrap_err().to_string();
    assert!(message.contains("one value per channel"), "{message}");
    let message = start(71).unwrap_err().to_string();
    assert!(message.contains("--batch-size = 71"), "{message}");
}

#[test]
fn a_step_that_leaves_the_finite_numbers_is_not_saved() {
    // One batch an epoch: the loss before the step is finite, the weights after it are not.
    let wild = TrainingOptions {
        batch_size: 70,
        learning_rate: 1e39,
        swa_start: 0,
        ..options()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let mut trainer = Trainer::start(objective("mlp:8"), &wild, &path).unwrap();
    let error = loop {
        match trainer.step() {
            Ok(Event::Epoch(_)) => panic!("an epoch of weights that are not finite was saved"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Diverged { epoch: 1, .. }), "{error}");
    assert_eq!(RunFolder::open(&path).unwrap().snapshots(), 1);
}

#[test]
fn logistic_regression_by_full_batch_descent_finds_the_boundary() {
    let data = Arc::new(Dataset::open("two-gaussians:seed=2").unwrap());
    let graph = Arc::new(zoo::build("logistic", data.shape, 2).unwrap());
    assert_eq!(graph.parameter_count(), 2);
    let objective = Arc::new(Objective::new(graph, data, Compute::cpu(), 128).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let options = TrainingOptions {
        epochs: 60,
        batch_size: 20,
        learning_rate: 0.5,
        momentum: 0.0,
        weight_decay: 0.0,
        swa_start: 0,
        ..options()
    };
    let mut trainer = Trainer::start(objective, &options, &folder.path().join("run")).unwrap();
    finish(&mut trainer);
    let metrics = trainer.metrics();
    assert!(
        metrics.windows(2).all(|w| w[1].train_loss < w[0].train_loss),
        "full-batch descent goes down"
    );
    // Bayes' rule for N(1,1) against N(−1,1) errs on 16 %.
    assert!(metrics[59].test_accuracy > 0.8, "{}", metrics[59].test_accuracy);
    assert!(trainer.current().parameters[0] < 0.0, "label 1 lies at −1");
}
