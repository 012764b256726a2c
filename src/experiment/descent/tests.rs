//! Descents on small networks: where they end, what is recorded, and what is kept.

use super::*;
use crate::landscape::direction::distance;
use crate::objective::Compute;

const MODEL: &str = "mlp:6:loss=squared-error";
const DATA: &str = "builtin:train=20:test=10:augment=off";

fn descent(method: Method) -> Descent {
    Descent {
        method,
        loss: 0.0,
        steps: 30,
        every: 10,
        sharpness_every: Some(15),
        non_uniformity_every: None,
        seed: 2,
    }
}

/// Makes descents in a folder, and counts how often it was told how far they are.
fn descend(folder: &std::path::Path, descent: &Descent) -> (Descended, usize) {
    let mut told = 0;
    let mut report = |_: &str, _: f64| {
        told += 1;
        true
    };
    let mut laboratory = Laboratory::new(Compute::cpu(), folder, &mut report);
    let objective = laboratory.objective(MODEL, DATA).unwrap();
    let from = start(&objective, 1).unwrap();
    let found = laboratory.descend(&objective, &from, descent, "descent").unwrap();
    drop(laboratory);
    (found, told)
}

#[test]
fn a_method_is_written_as_it_is_read_in_a_recipe() {
    #[derive(Deserialize)]
    struct Methods {
        methods: Vec<Method>,
    }
    let text = "methods = [{ gradient-descent = { learning-rate = 0.2 } }, \
                { sgd = { learning-rate = 0.1, batch-size = 4 } }, { l-bfgs = { memory = 10 } }]";
    let read: Methods = toml::from_str(text).unwrap();
    let names: Vec<String> = read.methods.iter().map(|method| method.name()).collect();
    assert_eq!(names, ["GD, η = 0.2", "SGD, η = 0.1, B = 4", "L-BFGS, 10 pairs"]);
    assert!(read.methods.iter().all(|method| method.check().is_ok()));
    for wrong in [
        "{ sgd = { learning-rate = 0.1 } }",
        "{ l-bfgs = { memory = 1, rate = 2.0 } }",
        "{ adam = {} }",
    ] {
        assert!(
            toml::from_str::<Methods>(&format!("methods = [{wrong}]")).is_err(),
            "{wrong}"
        );
    }
    let sgd = |learning_rate, batch_size| Method::Sgd {
        learning_rate,
        batch_size,
    };
    assert!(sgd(0.0, 4).check().is_err() && sgd(0.1, 0).check().is_err());
    assert!(Method::LimitedBfgs { memory: 0 }.check().is_err());
    assert_eq!(sgd(0.1, 4).passes(50, 20), 10.0);
    let bounds = sgd(0.5, 4).stability(20).unwrap().unwrap();
    assert_eq!(bounds.sharpness_bound(), 4.0);
    assert!((bounds.non_uniformity_bound() - 2.0 * (4.0_f64 * 19.0 / 16.0).sqrt()).abs() < 1e-12);
    let whole = Method::GradientDescent { learning_rate: 0.5 }
        .stability(20)
        .unwrap()
        .unwrap();
    assert_eq!(whole.non_uniformity_bound(), f64::INFINITY);
}

#[test]
fn descents_are_recorded_and_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let gradient = Method::GradientDescent { learning_rate: 0.02 };
    let whole = Method::Sgd {
        learning_rate: 0.02,
        batch_size: 20,
    };
    let batches = Method::Sgd {
        learning_rate: 0.02,
        batch_size: 5,
    };
    let mut found = Vec::new();
    for method in [gradient, whole, batches, Method::LimitedBfgs { memory: 5 }] {
        let (made, told) = descend(folder.path(), &descent(method));
        assert!(told >= 2, "{told}");
        let record = &made.record;
        let steps = |points: &[(f64, f64)]| points.iter().map(|point| point.0).collect::<Vec<_>>();
        assert_eq!((record.end, record.steps), (End::Steps, 30), "{method:?}");
        assert_eq!(steps(&record.losses), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(steps(&record.distances), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(steps(&record.sharpness), [0.0, 15.0, 30.0]);
        assert_eq!(record.losses[3].1, record.loss);
        assert_eq!(record.highest, record.losses[0].1);
        assert!(record.loss < record.losses[0].1 && record.distances[0].1 == 0.0 && record.distance() > 0.0);
        let (again, told) = descend(folder.path(), &descent(method));
        assert_eq!((again.solution, told), (made.solution.clone(), 0));
        assert_eq!((again.record.end, again.record.losses.len()), (record.end, 4));
        found.push(made);
    }
    // SGD with one batch is gradient descent, but for the order in which its images are summed up.
    let apart = distance(&found[0].solution.parameters, &found[1].solution.parameters);
    assert!(apart < 1e-4 * found[0].record.distance(), "{apart}");
    assert!(distance(&found[0].solution.parameters, &found[2].solution.parameters) > 100.0 * apart);
    // Other steps, another seed: another descent.
    let other = Descent {
        seed: 3,
        ..descent(batches)
    };
    let (other, told) = descend(folder.path(), &other);
    assert!(told > 0 && other.solution != found[2].solution);
}

#[test]
fn the_non_uniformity_on_the_way_is_that_of_its_points() {
    let folder = tempfile::tempdir().unwrap();
    let method = Method::GradientDescent { learning_rate: 0.02 };
    let watched = Descent {
        non_uniformity_every: Some(20),
        ..descent(method)
    };
    let (made, told) = descend(folder.path(), &watched);
    let points = &made.record.non_uniformity;
    assert_eq!(points.iter().map(|point| point.0).collect::<Vec<_>>(), [0.0, 20.0]);
    let mut report = |_: &str, _: f64| true;
    let mut laboratory = Laboratory::new(Compute::cpu(), folder.path(), &mut report);
    let objective = laboratory.objective(MODEL, DATA).unwrap();
    let from = start(&objective, 1).unwrap();
    let found = laboratory.non_uniformity(&objective, &from, "start").unwrap();
    // An eigenvalue of Σ lies within a residual of a twentieth of it, and s has half of that.
    let off = (points[0].1 / found.value - 1.0).abs();
    assert!(found.value > 0.0 && off < 0.03, "{points:?} {found:?}");
    drop(laboratory);
    // It is another descent than one without, and leads to the same place.
    let (alone, _) = descend(folder.path(), &descent(method));
    assert!(alone.record.non_uniformity.is_empty() && alone.solution == made.solution);
    assert_eq!(descend(folder.path(), &watched).1, 0, "{told}");
}

#[test]
fn measuring_does_not_move_where_sgd_ends() {
    let folder = tempfile::tempdir().unwrap();
    let method = Method::Sgd {
        learning_rate: 0.02,
        batch_size: 5,
    };
    let (far, _) = descend(folder.path(), &descent(method));
    let losses: Vec<f64> = far.record.losses.iter().map(|point| point.1).collect();
    // Reached on the way to the second recorded loss, where it is first looked for.
    let alone = Descent {
        loss: 0.5 * (losses[0] + losses[1]),
        sharpness_every: None,
        ..descent(method)
    };
    let watched = Descent {
        sharpness_every: Some(1),
        ..alone
    };
    let ((alone, _), (watched, _)) = (descend(folder.path(), &alone), descend(folder.path(), &watched));
    assert_eq!((alone.record.end, alone.record.steps), (End::Loss, 10));
    assert_eq!((watched.record.end, watched.record.steps), (End::Loss, 10));
    assert_eq!(watched.solution, alone.solution);
    assert_eq!(watched.record.losses, alone.record.losses);
    assert_eq!(watched.record.highest, alone.record.highest);
    assert_eq!(watched.record.sharpness.len(), 11);
}

#[test]
fn leaving_the_finite_numbers_is_an_end() {
    let folder = tempfile::tempdir().unwrap();
    for method in [
        Method::GradientDescent { learning_rate: 1e4 },
        Method::Sgd {
            learning_rate: 1e4,
            batch_size: 5,
        },
    ] {
        let descent = Descent {
            steps: 3000,
            ..descent(method)
        };
        let (lost, _) = descend(folder.path(), &descent);
        assert_eq!(lost.record.end, End::Diverged);
        assert!(lost.record.highest == f64::INFINITY && !lost.record.has_arrived());
        let (again, told) = descend(folder.path(), &descent);
        assert_eq!(
            (again.record.end, again.record.loss, told),
            (End::Diverged, f64::INFINITY, 0)
        );
    }
}

#[test]
fn a_loss_that_was_asked_for_is_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (far, _) = descend(folder.path(), &descent(Method::LimitedBfgs { memory: 5 }));
    let descent = Descent {
        loss: 10.0 * far.record.loss,
        ..descent(Method::LimitedBfgs { memory: 5 })
    };
    let (found, _) = descend(folder.path(), &descent);
    assert!(found.record.has_arrived() && found.record.steps < 30 && found.record.loss <= descent.loss);
}

#[test]
fn batch_norm_is_refused_and_cancelling_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = |_: &str, _: f64| false;
    let mut laboratory = Laboratory::new(Compute::cpu(), folder.path(), &mut report);
    let objective = laboratory.objective("resnet8:width=2", DATA).unwrap();
    let message = start(&objective, 1).unwrap_err().to_string();
    assert!(message.contains(":bn=off"), "{message}");
    let objective = laboratory.objective(MODEL, DATA).unwrap();
    let from = start(&objective, 1).unwrap();
    let descent = descent(Method::GradientDescent { learning_rate: 0.1 });
    let stopped = laboratory.descend(&objective, &from, &descent, "descent");
    assert!(matches!(stopped, Err(Error::Cancelled)));
    let stopped = laboratory.sharpness(&objective, &from, "start");
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert!(!folder.path().join("lines").exists());
}
