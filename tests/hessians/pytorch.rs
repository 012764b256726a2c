//! Products and slopes beside those of PyTorch.

use serde_json::Value;
use valleyscope::network::Loss;
use valleyscope::network::graph::Shape;
use valleyscope::objective::BatchNormPolicy;

use super::exact::exact_products;
use super::{BATCH, Case, EXACT_TOLERANCE, IMAGES, TOLERANCE, assert_near};
use crate::common::derivatives::{derivatives, doubles};
use crate::common::json;

struct Record {
    case: Case,
    what: String,
    policy: BatchNormPolicy,
    loss_function: Loss,
    loss: f64,
    slope: f64,
    hessian: Vec<f64>,
    gauss_newton: Vec<f64>,
}

fn records() -> Vec<Record> {
    let file = json("hessians.json");
    assert_eq!(file["batch_size"], BATCH);
    assert_eq!(file["images"], IMAGES);
    let record = |record: &Value| {
        let input: Shape = serde_json::from_value(record["input"].clone()).unwrap();
        let text = |name: &str| record[name].as_str().unwrap();
        let (model, loss) = (text("model"), text("loss_function"));
        let policy: BatchNormPolicy = serde_json::from_value(record["policy"].clone()).unwrap();
        let vector = |name: &str| serde_json::from_value(record[name].clone()).unwrap();
        Record {
            case: Case::zoo(model, input, record["classes"].as_u64().unwrap() as usize),
            what: format!("{model}, {policy}, {loss}"),
            policy,
            loss_function: match loss {
                "cross_entropy" => Loss::CrossEntropy,
                "squared_error" => Loss::SquaredError,
                other => panic!("no loss {other}"),
            },
            loss: record["loss"].as_f64().unwrap(),
            slope: record["slope"].as_f64().unwrap(),
            hessian: vector("hessian"),
            gauss_newton: vector("gauss_newton"),
        }
    };
    file["networks"].as_array().unwrap().iter().map(record).collect()
}

#[test]
fn products_and_slopes_are_pytorchs() {
    for record in records() {
        let Record { case, what, .. } = &record;
        let objective = case.objective_of(record.loss_function);
        let derivatives = derivatives(&objective, &case.solution, record.policy);
        let vector = case.vector(3);
        let hessian = derivatives.hessian_vector(&vector, &mut |_| true).unwrap();
        assert_near(&format!("{what}: Hv"), &doubles(&hessian), &record.hessian, TOLERANCE);
        let gauss_newton = derivatives.gauss_newton_vector(&vector, &mut |_| true).unwrap();
        let what = format!("{what}: Gv");
        assert_near(&what, &doubles(&gauss_newton), &record.gauss_newton, TOLERANCE);
        // The slopes of single images are of the size of 1, and may cancel.
        let (loss, slope) = derivatives.slope(&vector, &mut |_| true).unwrap();
        let what = &record.what;
        assert!((loss - record.loss).abs() <= TOLERANCE * record.loss, "{what}: {loss}");
        let allowed = TOLERANCE * record.slope.abs().max(1.0);
        assert!((slope - record.slope).abs() <= allowed, "{what}: {slope}");
    }
}

#[test]
fn in_double_precision_products_and_slopes_are_pytorchs() {
    for record in records() {
        let Record { case, what, .. } = &record;
        let vector = doubles(&case.vector(3));
        let values = exact_products(case, &vector, record.loss_function, record.policy);
        let theirs: Vec<f64> = [record.slope].into_iter().chain(record.hessian.clone()).collect();
        assert_near(what, &values, &theirs, EXACT_TOLERANCE);
    }
}
