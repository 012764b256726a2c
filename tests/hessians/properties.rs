//! What makes a Hessian one, at random points, and what it is of: points, directions and images.

use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;
use valleyscope::data::Part;
use valleyscope::experiment::hashed;
use valleyscope::network::forward::{Images, Leaves};
use valleyscope::network::{tangent, zoo};
use valleyscope::objective::{BatchNormPolicy, Compute, Derivatives};

use super::exact::{normaliser, row};
use super::{
    BATCH, Case, IMAGES, LOSSES, RANDOM_BATCH, RANDOM_TOLERANCE, TOLERANCE, assert_near, everything, norm, product,
};
use crate::common::derivatives::doubles;

fn network(index: usize) -> Case {
    let graph = match index {
        0 => zoo::build("mlp:6x5", [1, 5, 7], 4).unwrap(),
        1 => zoo::build("resnet8:width=2", [3, 8, 8], 4).unwrap(),
        2 => zoo::build("resnet8:width=2:bn=off", [3, 8, 8], 4).unwrap(),
        3 => zoo::build("densenet-bc-10:growth=2", [2, 8, 8], 3).unwrap(),
        _ => everything(),
    };
    Case::new(graph, IMAGES, RANDOM_BATCH)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// ⟨u, Hv⟩ = ⟨v, Hu⟩, H(au + bv) = a·Hu + b·Hv, and ⟨v, Gv⟩ ≥ 0 with the same symmetry, at any point near the
    /// hashed one, on any of the first images.
    #[test]
    fn products_are_symmetric_and_linear_and_gauss_newton_is_not_negative(
        index in 0_usize..5,
        policy in prop::sample::select(BatchNormPolicy::ALL.to_vec()),
        loss in prop::sample::select(LOSSES.to_vec()),
        samples in prop::sample::select(vec![RANDOM_BATCH, IMAGES]),
        (first, second, moved) in (100_u64..200, 200_u64..300, 300_u64..400),
        (a, b) in (-2.0_f32..2.0, -2.0_f32..2.0),
    ) {
        let case = network(index);
        let objective = case.objective_of(loss);
        let solution = case.solution.moved(&case.vector(moved), 0.05);
        let silent = &mut |_: f64| true;
        let derivatives =
            Derivatives::new(&objective, &solution, policy, Part::Train, samples, silent).unwrap();
        let (u, v) = (case.vector(first), case.vector(second));
        let mut hessian = |vector: &[f32]| derivatives.hessian_vector(vector, silent).unwrap();
        let (hu, hv) = (hessian(&u), hessian(&v));
        let scale = norm(&u) * norm(&hv) + norm(&v) * norm(&hu);
        let (left, right) = (product(&u, &hv), product(&v, &hu));
        prop_assert!((left - right).abs() <= RANDOM_TOLERANCE * scale, "{} and {} at {}", left, right, scale);

        let mixed: Vec<f32> = u.iter().zip(&v).map(|(u, v)| a * u + b * v).collect();
        let ours = hessian(&mixed);
        let parts = hu.iter().zip(&hv);
        let expected: Vec<f32> = parts.map(|(u, v)| a * u + b * v).collect();
        let apart: Vec<f32> = ours.iter().zip(&expected).map(|(x, y)| x - y).collect();
        let scale = f64::from(a.abs()) * norm(&hu) + f64::from(b.abs()) * norm(&hv);
        prop_assert!(norm(&apart) <= RANDOM_TOLERANCE * scale, "{} at {}", norm(&apart), scale);

        let mut gauss_newton = |vector: &[f32]| derivatives.gauss_newton_vector(vector, silent).unwrap();
        let (gu, gv) = (gauss_newton(&u), gauss_newton(&v));
        let scale = norm(&v) * norm(&gv);
        prop_assert!(scale > 0.0 && product(&v, &gv) >= -RANDOM_TOLERANCE * scale, "{}", product(&v, &gv));
        let scale = scale + norm(&u) * norm(&gu);
        let (left, right) = (product(&u, &gv), product(&v, &gu));
        prop_assert!((left - right).abs() <= RANDOM_TOLERANCE * scale, "{} and {} at {}", left, right, scale);
    }
}

#[test]
fn several_points_and_directions_in_one_pass_are_several_passes() {
    for index in [1, 3, 4] {
        let case = network(index);
        let graph = &case.graph;
        let points = [1, 2].map(|seed| doubles(&hashed::solution(graph, seed).parameters));
        let vectors = [3, 4].map(|seed| doubles(&case.vector(seed)));
        let statistics = row(&doubles(&case.solution.statistics));
        let [channels, height, width] = case.data.shape;
        let mut images = Vec::new();
        case.data.push_images(Part::Train, 0..BATCH, &mut images);
        let images = TensorData::new(doubles(&images), [BATCH, channels, height, width]);
        let images = Tensor::<4>::from_data(images, (&Device::flex(), DType::F64));
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Batch] {
            let tangents = |points: Tensor<2>, vectors: Tensor<2>, statistics: &Tensor<2>| -> Vec<f64> {
                let (leaves, directions) = (Leaves::new(graph, &points), Leaves::new(graph, &vectors));
                let images = Images::Shared(images.clone());
                let pass = tangent::forward(graph, &leaves, &directions, images, normaliser(policy, statistics));
                Tensor::cat(vec![pass.logits, pass.tangents], 2)
                    .into_data()
                    .try_to_vec()
                    .unwrap()
            };
            let alone: Vec<f64> = [0, 1]
                .into_iter()
                .flat_map(|i| tangents(row(&points[i]), row(&vectors[i]), &statistics))
                .collect();
            let both = |rows: &[Vec<f64>; 2]| Tensor::cat(vec![row(&rows[0]), row(&rows[1])], 0);
            let twice = Tensor::cat(vec![statistics.clone(), statistics.clone()], 0);
            let together = tangents(both(&points), both(&vectors), &twice);
            assert_near(&format!("{}, {policy}", graph.name), &together, &alone, 1e-12);
        }
    }
}

#[test]
fn the_first_images_alone_count_on_every_device() {
    let case = Case::zoo("resnet8:width=2", [3, 8, 8], 4);
    let few = Case::new((*case.graph).clone(), 7, BATCH);
    let vector = case.vector(3);
    for policy in BatchNormPolicy::ALL {
        let hessian = |case: &Case, compute: Compute, samples: usize| {
            let objective = case.objective(compute);
            objective
                .hessian_vector(&case.solution, &vector, policy, Part::Train, samples)
                .unwrap()
        };
        let expected = doubles(&hessian(&few, Compute::flex(), usize::MAX));
        for compute in [Compute::flex(), Compute::cpu()] {
            let ours = doubles(&hessian(&case, compute, 7));
            assert_near(policy.name(), &ours, &expected, TOLERANCE);
        }
        let all = doubles(&hessian(&case, Compute::flex(), usize::MAX));
        assert_ne!(all, expected, "{policy}");
    }
}
