//! Work that is stopped, and what has no Hessian.

use valleyscope::data::Part;
use valleyscope::error::Error;
use valleyscope::objective::{BatchNormPolicy, Compute, Solution};

use super::{BATCH, Case, IMAGES, everything};

#[test]
fn work_is_told_and_can_be_stopped() {
    let case = Case::zoo("resnet8:width=2", [3, 8, 8], 4);
    let objective = case.objective(Compute::flex());
    let vector = case.vector(3);
    for policy in BatchNormPolicy::ALL {
        let run = |progress: &mut dyn FnMut(f64) -> bool| {
            objective.hessian_vector_with(&case.solution, &vector, policy, Part::Train, usize::MAX, progress)
        };
        let mut shares = Vec::new();
        run(&mut |share| {
            shares.push(share);
            true
        })
        .unwrap();
        assert!(shares.is_sorted(), "{policy}: {shares:?}");
        assert!((shares[shares.len() - 1] - 1.0).abs() < 1e-12, "{policy}: {shares:?}");
        for stop in 1..=shares.len() {
            let mut told = 0;
            let stopped = run(&mut |_| {
                told += 1;
                told < stop
            });
            let cancelled = matches!(stopped, Err(Error::Cancelled));
            assert!(cancelled, "{policy}, {stop}: {stopped:?}");
        }
    }
}

#[test]
fn what_has_no_hessian_is_explained() {
    let case = Case::zoo("mlp:6x5", [1, 5, 7], 4);
    let objective = case.objective(Compute::flex());
    let vector = case.vector(3);
    let says = |part: &str, solution: &Solution, vector: &[f32], samples: usize| {
        let (policy, split) = (BatchNormPolicy::Running, Part::Train);
        let hessian = objective.hessian_vector(solution, vector, policy, split, samples);
        let gauss_newton = objective.gauss_newton_vector(solution, vector, policy, split, samples);
        let slope = objective.slope(solution, vector, policy, split, samples);
        for error in [hessian.err(), gauss_newton.err(), slope.err()] {
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(part), "`{text}` does not say `{part}`");
        }
    };
    let solution = &case.solution;
    says("parameters; given was one of 274", solution, &vector[1..], 11);
    says("ask for at least one image", solution, &vector, 0);
    let mut endless = vector.clone();
    endless[7] = f32::INFINITY;
    says("a vector that holds inf", solution, &endless, 11);
    let mut diverged = solution.clone();
    diverged.parameters[3] = f32::NAN;
    let reason = "the Hessian at a diverged point does not exist: `fc1.weight` holds NaN";
    says(reason, &diverged, &vector, 11);
    diverged.parameters.pop();
    says("0 statistics; given were 274 and 0", &diverged, &vector, 11);

    // Weights that are finite while the loss is not: the slope shows it, and there are no products.
    let mut far = case.solution.clone();
    far.parameters.iter_mut().for_each(|w| *w *= 1e30);
    let (policy, split) = (BatchNormPolicy::Running, Part::Train);
    let (loss, slope) = objective.slope(&far, &vector, policy, split, 11).unwrap();
    assert!(!loss.is_finite() && !slope.is_finite(), "{loss} {slope}");
    let error = objective.hessian_vector(&far, &vector, policy, split, 11).unwrap_err();
    assert!(error.to_string().contains("at a diverged point"), "{error}");

    let case = Case::new(everything(), IMAGES, BATCH);
    let objective = case.objective(Compute::flex());
    let vector = case.vector(3);
    let at = |solution: &Solution, policy, samples| {
        let answer = objective.hessian_vector(solution, &vector, policy, split, samples);
        answer.unwrap_err().to_string()
    };
    let mut diverged = case.solution.clone();
    diverged.statistics[0] = f32::NEG_INFINITY;
    let text = at(&diverged, BatchNormPolicy::Running, 11);
    assert!(text.contains("statistics hold -inf"), "{text}");
    // A last batch of one image has no variance.
    for policy in [BatchNormPolicy::Recompute, BatchNormPolicy::Batch] {
        let text = at(&case.solution, policy, 5);
        assert!(text.contains("one value per channel"), "{text}");
    }
}
