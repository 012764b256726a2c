//! Products and slopes beside central differences and gradients.

use valleyscope::data::Part;
use valleyscope::network::graph::Builder;
use valleyscope::objective::{BatchNormPolicy, Compute};

use super::exact::{exact_gradient, exact_products};
use super::{BATCH, Case, IMAGES, LOSSES, RANDOM_TOLERANCE, TOLERANCE, assert_near, everything, norm, product};
use crate::common::derivatives::doubles;

#[test]
fn every_operation_agrees_with_central_differences() {
    let case = Case::new(everything(), IMAGES, BATCH);
    let at = doubles(&case.solution.parameters);
    // PyTorch's 64-bit gradients give 8e-9 over such a step, and 3e-7 where a vector is normalised by three or four
    // images. The step is far too short for a ReLU to change sign, or another entry of a window to become the largest.
    let (step, tolerance) = (1e-8, 3e-6);
    for policy in [BatchNormPolicy::Running, BatchNormPolicy::Batch] {
        for (loss, seed) in LOSSES.into_iter().flat_map(|loss| [(loss, 3), (loss, 4)]) {
            let what = format!("{policy}, {loss:?}, vector {seed}");
            let vector = doubles(&case.vector(seed));
            let values = exact_products(&case, &vector, loss, policy);
            let moved = |sign: f64| -> Vec<f64> {
                let point: Vec<f64> = at.iter().zip(&vector).map(|(w, v)| w + sign * step * v).collect();
                exact_gradient(&case, &point, loss, policy)
            };
            let pairs = moved(1.0).into_iter().zip(moved(-1.0));
            let difference: Vec<f64> = pairs.map(|(ahead, behind)| (ahead - behind) / (2.0 * step)).collect();
            assert_near(&what, &values[1..], &difference, tolerance);
            let gradient = exact_gradient(&case, &at, loss, policy);
            let slope: f64 = gradient.iter().zip(&vector).map(|(g, v)| g * v).sum();
            assert!((values[0] - slope).abs() <= 1e-12, "{what}: {} and {slope}", values[0]);
        }
    }
}

#[test]
fn products_agree_with_differences_of_the_objectives_gradients() {
    // Nothing in this network has a kink, so that the step may be long enough for single precision.
    let mut b = Builder::new("smooth", [3, 8, 8]);
    let node = b.convolution(b.input(), "conv1", 4, 3, 1, 1, false).unwrap();
    let node = b.batch_norm(node, "bn1");
    let node = b.average_pool(node, 2).unwrap();
    let node = b.convolution(node, "conv2", 5, 3, 1, 0, true).unwrap();
    let node = b.batch_norm(node, "bn2");
    let node = b.global_average_pool(node);
    b.linear(node, "linear", 4);
    let case = Case::new(b.finish(), 21, 9);
    let mut vector = case.vector(3);
    let length = norm(&vector);
    vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    // Where rounding, which falls with the step, meets the third derivative, which grows with its square: PyTorch's
    // 32-bit gradients give 5.7e-5 there, 1.5e-4 at a third of the step and 1.6e-4 at three times.
    let (step, tolerance) = (0.01, 3e-4);
    for compute in [Compute::flex(), Compute::cpu()] {
        let objective = case.objective(compute);
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Batch] {
            let gradient = |position: f64| {
                let point = case.solution.moved(&vector, position);
                objective.gradient(&point, policy, Part::Train).unwrap().1
            };
            let pairs = gradient(step).into_iter().zip(gradient(-step));
            let difference: Vec<f64> = pairs
                .map(|(ahead, behind)| (f64::from(ahead) - f64::from(behind)) / (2.0 * step))
                .collect();
            let hessian = objective
                .hessian_vector(&case.solution, &vector, policy, Part::Train, usize::MAX)
                .unwrap();
            let what = format!("{policy}, {}", objective.device_name());
            assert_near(&what, &doubles(&hessian), &difference, tolerance);
        }
    }
}

#[test]
fn the_slope_is_the_gradients_product_with_the_direction() {
    for case in [
        Case::zoo("resnet8:width=2", [3, 8, 8], 4),
        Case::zoo("mlp:6x5", [1, 5, 7], 4),
        Case::new(everything(), IMAGES, BATCH),
    ] {
        let direction = case.vector(5);
        for compute in [Compute::flex(), Compute::cpu()] {
            let objective = case.objective(compute);
            for policy in BatchNormPolicy::ALL {
                let (loss, gradient) = objective.gradient(&case.solution, policy, Part::Train).unwrap();
                let (ours, slope) = objective
                    .slope(&case.solution, &direction, policy, Part::Train, usize::MAX)
                    .unwrap();
                let what = format!("{}, {policy}, {}", case.graph.name, objective.device_name());
                assert!((ours - loss).abs() <= TOLERANCE * loss, "{what}: {ours} and {loss}");
                let expected = product(&gradient, &direction);
                let allowed = RANDOM_TOLERANCE * norm(&gradient) * norm(&direction);
                assert!((slope - expected).abs() <= allowed, "{what}: {slope} and {expected}");
            }
        }
    }
}
