//! Hessians that have closed forms.

use valleyscope::data::Part;
use valleyscope::network::graph::Builder;
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute};

use super::{BATCH, Case, IMAGES, LOSSES, TOLERANCE, assert_near};
use crate::common::derivatives::{derivatives, doubles};

#[test]
fn the_hessian_of_logistic_regression_is_its_closed_form() {
    let case = Case::new(zoo::build("logistic", [1, 1, 1], 2).unwrap(), 50, 16);
    let objective = case.objective(Compute::flex());
    let parameters = doubles(&case.solution.parameters);
    let (weight, bias) = (parameters[0], parameters[1]);
    for samples in [50, 20, 1] {
        let mut inputs = Vec::new();
        case.data.push_images(Part::Train, 0..samples, &mut inputs);
        // The mean of p(1 − p)·(x, 1)(x, 1)ᵀ.
        let mut expected = [[0.0; 2]; 2];
        for x in doubles(&inputs) {
            let p = 1.0 / (1.0 + (-(weight * x + bias)).exp());
            for (i, a) in [x, 1.0].into_iter().enumerate() {
                for (j, b) in [x, 1.0].into_iter().enumerate() {
                    expected[i][j] += p * (1.0 - p) * a * b / samples as f64;
                }
            }
        }
        for (column, unit) in expected.iter().zip([[1.0, 0.0], [0.0, 1.0]]) {
            let (solution, policy) = (&case.solution, BatchNormPolicy::Running);
            let hessian = objective.hessian_vector(solution, &unit, policy, Part::Train, samples);
            let gauss_newton = objective.gauss_newton_vector(solution, &unit, policy, Part::Train, samples);
            // A handful of roundings of 6e-8 each.
            for ours in [hessian.unwrap(), gauss_newton.unwrap()] {
                assert_near(&format!("{samples} images"), &doubles(&ours), column, 2e-6);
            }
        }
    }
}

#[test]
fn gauss_newton_is_the_hessian_where_logits_are_linear() {
    let mut b = Builder::new("softmax regression", [2, 3, 3]);
    b.linear(b.input(), "out", 3);
    let case = Case::new(b.finish(), IMAGES, BATCH);
    for loss in LOSSES {
        let objective = case.objective_of(loss);
        let derivatives = derivatives(&objective, &case.solution, BatchNormPolicy::Running);
        let vector = case.vector(3);
        let hessian = derivatives.hessian_vector(&vector, &mut |_| true).unwrap();
        let gauss_newton = derivatives.gauss_newton_vector(&vector, &mut |_| true).unwrap();
        let (what, theirs) = (format!("{loss:?}"), doubles(&hessian));
        assert_near(&what, &doubles(&gauss_newton), &theirs, TOLERANCE);
    }
}
