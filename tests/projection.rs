//! Principal components, points as seen from a plane and normalised directions, against the numbers that
//! tests/reference/make_planes.py computes in double precision; and what spans no plane.

mod common;

use std::sync::Arc;

use common::documents::numbers;
use serde_json::Value;
use valleyscope::landscape::projection::{PrincipalComponents, principal_components};
use valleyscope::landscape::{Axis, Frame, Normalisation, Plane};
use valleyscope::network::Graph;
use valleyscope::network::graph::{Builder, Parameter, Role};
use valleyscope::objective::Solution;
use valleyscope::{Error, Result};

/// Snapshots and entries of the reference trajectory.
const SNAPSHOTS: usize = 12;
const WIDTH: usize = 40;

/// A part of the reference file.
fn reference(part: &str) -> Value {
    common::json("planes.json")[part].clone()
}

/// The formula that all inputs come from.
fn value(k: f64, i: f64) -> f64 {
    (1.0 + 0.37 * k + 1.13 * i + 0.011 * k * i).sin()
}

/// `count` entries, each rounded to single precision once.
fn rounded(count: usize, entry: impl Fn(f64) -> f64) -> Vec<f32> {
    (0..count).map(|i| entry(i as f64) as f32).collect()
}

/// Compares the sums of all inputs with the reference's, so that wrong inputs are told from wrong results.
#[track_caller]
fn check_inputs(inputs: &[&[f32]], expected: &Value) {
    let all: Vec<f64> = inputs.iter().copied().flatten().map(|&x| f64::from(x)).collect();
    let sums = [all.iter().sum::<f64>(), all.iter().map(|x| x * x).sum()];
    for (sum, name) in sums.into_iter().zip(["sum", "sum_of_squares"]) {
        let expected = expected[name].as_f64().unwrap();
        // Twelve digits are kept.
        assert!(
            (sum - expected).abs() < 1e-11 * expected.abs(),
            "{name} of the inputs: {sum} instead of {expected}"
        );
    }
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{what}: {found} instead of {expected}");
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// a − b in double precision.
fn difference(a: &[f32], b: &[f32]) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)).collect()
}

fn solution(parameters: Vec<f32>) -> Arc<Solution> {
    Arc::new(Solution {
        parameters,
        statistics: vec![],
    })
}

fn trajectory() -> Vec<Arc<Solution>> {
    let snapshot = |step: usize| {
        let k = step as f64;
        solution(rounded(WIDTH, |i| value(k, i) + 0.5 * k * (0.3 * i).cos()))
    };
    (0..SNAPSHOTS).map(snapshot).collect()
}

fn components(steps: &[Arc<Solution>], wanted: usize) -> Result<PrincipalComponents> {
    principal_components(steps.len(), wanted, |step| Ok(steps[step].clone()), &mut |_| true)
}

#[test]
fn principal_components_and_what_is_seen_from_their_plane_are_the_reference_s() {
    let record = reference("trajectory");
    let snapshots = trajectory();
    let inputs: Vec<&[f32]> = snapshots.iter().map(|step| step.parameters.as_slice()).collect();
    check_inputs(&inputs, &record["inputs"]);
    let found = components(&snapshots, 2).unwrap();

    // Twelve points about their mean have eleven components; the reference's twelfth is 0.
    let explained = numbers(&record["explained"]);
    assert_eq!(found.explained.len(), SNAPSHOTS - 1);
    assert_eq!(explained[SNAPSHOTS - 1], 0.0);
    for (place, (&found, &expected)) in found.explained.iter().zip(&explained).enumerate() {
        // Twelve digits are kept of shares below 1, and a matrix of inner products has an error of some 1e-15 of the
        // largest.
        assert_close(found, expected, 1e-12, &format!("share of component {place}"));
    }

    let expected = [0_usize, 1].map(|place| numbers(&record["components"][place]));
    let coordinates: Vec<Vec<f64>> = record["coordinates"].as_array().unwrap().iter().map(numbers).collect();
    // The reference's signs are its own. Here the last step, of coordinates 0, lies farther along than the first.
    let signs = [0_usize, 1].map(|place| -coordinates[0][place].signum());
    for place in 0..2 {
        assert_eq!(found.components[place].len(), WIDTH);
        for (index, &entry) in found.components[place].iter().enumerate() {
            // Entries are below 1/2: rounding to single precision moves them by 1.5e-8 at most.
            let expected = signs[place] * expected[place][index];
            let what = format!("entry {index} of component {place}");
            assert_close(f64::from(entry), expected, 2e-8, &what);
        }
    }

    let last = snapshots[SNAPSHOTS - 1].clone();
    let axes = [0_usize, 1].map(|place| Axis::Along(found.components[place].clone()));
    let plane = Plane::new(last.clone(), axes, Frame::Given).unwrap();
    for (step, snapshot) in snapshots.iter().enumerate() {
        let offset = difference(&snapshot.parameters, &last.parameters);
        let foot = plane.foot(&snapshot.parameters);
        // Forty entries rounded by 1.5e-8 turn a component by 9.4e-8, and there are two of them.
        let tolerance = 3e-7 * length(&offset);
        for place in 0..2 {
            let expected = signs[place] * coordinates[step][place];
            let what = format!("coordinate {place} of step {step}");
            assert_close(foot.position[place], expected, tolerance, &what);
        }
        let left: Vec<f64> = offset
            .iter()
            .enumerate()
            .map(|(i, x)| x - coordinates[step][0] * expected[0][i] - coordinates[step][1] * expected[1][i])
            .collect();
        let what = format!("distance of step {step}");
        assert_close(foot.distance, length(&left), tolerance, &what);
    }
}

#[test]
fn trajectories_that_span_no_plane_are_refused_with_what_to_do() {
    let snapshots = trajectory();
    let refused = |steps: &[Arc<Solution>]| components(steps, 2).unwrap_err().to_string();
    for count in 1..3 {
        let message = refused(&snapshots[..count]);
        assert!(
            message.contains(&format!(
                "need 3 snapshots of a trajectory, and this one has {count}: train on"
            )),
            "{message}"
        );
    }
    let still = refused(&vec![snapshots[4].clone(); 5]);
    assert!(
        still.contains("fewer than 2 dimensions") && still.contains("choose other directions"),
        "{still}"
    );
    // Whole numbers, so that no rounding leads away from the line.
    let straight: Vec<Arc<Solution>> = (0..6)
        .map(|step| solution(rounded(WIDTH, |i| f64::from(step) * (i - 7.0))))
        .collect();
    assert!(refused(&straight).contains("fewer than 2 dimensions"));
    let along = components(&straight, 1).unwrap();
    assert_close(along.explained[0], 1.0, 1e-12, "share of the line");
    let way = difference(&straight[1].parameters, &straight[0].parameters);
    for (&entry, step) in along.components[0].iter().zip(&way) {
        // Entries below 1/2, rounded once.
        assert_close(f64::from(entry), step / length(&way), 2e-8, "the way along the line");
    }
}

#[test]
fn principal_components_can_be_stopped_and_say_what_could_not_be_read() {
    let snapshots = trajectory();
    let stopped = principal_components(SNAPSHOTS, 2, |step| Ok(snapshots[step].clone()), &mut |_| false);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    let lost = |step: usize| match step {
        5 => Err(Error::Request("snapshot 5 is lost".to_owned())),
        _ => Ok(snapshots[step].clone()),
    };
    let message = principal_components(SNAPSHOTS, 2, lost, &mut |_| true).unwrap_err();
    assert_eq!(message.to_string(), "snapshot 5 is lost");
}

#[test]
fn points_are_projected_on_directions_neither_unit_nor_orthogonal() {
    let record = reference("projection");
    let origin = rounded(WIDTH, |i| value(0.0, i));
    let first = rounded(WIDTH, |i| 1.5 * value(30.0, i));
    let second = rounded(WIDTH, |i| 0.8 * value(31.0, i) + 0.6 * value(30.0, i));
    let point = |number: usize| -> Vec<f32> {
        let j = number as f64;
        let (a, b) = (0.75 * j - 1.0, 1.25 - 0.5 * j * j);
        let entry = |i: usize| {
            let [w, u, v] = [&origin, &first, &second].map(|vector| f64::from(vector[i]));
            (w + a * u + b * v + 0.1 * j * value(40.0 + j, i as f64)) as f32
        };
        (0..WIDTH).map(entry).collect()
    };
    let points: Vec<Vec<f32>> = (0..5).map(point).collect();
    let mut inputs = vec![origin.as_slice(), first.as_slice(), second.as_slice()];
    inputs.extend(points.iter().map(Vec::as_slice));
    check_inputs(&inputs, &record["inputs"]);

    let axes = [first, second].map(|direction| Axis::Along(Arc::new(direction)));
    let origin = solution(origin);
    let [given, orthonormal] =
        [Frame::Given, Frame::Orthonormal].map(|frame| Plane::new(origin.clone(), axes.clone(), frame).unwrap());
    // Everything is in double precision, of which directions 20° apart lose a digit or two; twelve are kept.
    let tolerance = 1e-10;
    let degrees = record["angle_degrees"].as_f64().unwrap();
    let lengths = numbers(&record["lengths"]);
    for plane in [&given, &orthonormal] {
        assert_close(plane.angle(), degrees, 1e-9, "angle");
    }
    for (axis, &length) in lengths.iter().enumerate() {
        assert_close(given.lengths()[axis], length, tolerance, "length");
        assert_close(orthonormal.lengths()[axis], 1.0, tolerance, "length of a unit vector");
    }
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let distances = numbers(&record["distances"]);
    for (number, point) in points.iter().enumerate() {
        let [a, b] = [0_usize, 1].map(|axis| record["coordinates"][number][axis].as_f64().unwrap());
        let foot = given.foot(point);
        // The same point along the first direction and across it.
        let turned = [a * lengths[0] + b * lengths[1] * cosine, b * lengths[1] * sine];
        let foot_of_units = orthonormal.foot(point);
        let again = orthonormal.multiples(foot_of_units.position);
        for (axis, expected) in [a, b].into_iter().enumerate() {
            let what = format!("coordinate {axis} of point {number}");
            assert_close(foot.position[axis], expected, tolerance, &what);
            assert_close(again[axis], expected, tolerance, &what);
            // Coordinates up to 25 from three numbers of twelve digits each.
            assert_close(foot_of_units.position[axis], turned[axis], 1e-9, &what);
        }
        for found in [foot.distance, foot_of_units.distance] {
            assert_close(found, distances[number], 1e-11, &format!("distance of point {number}"));
        }
    }
}

#[test]
fn what_spans_no_plane_is_refused_with_what_to_do() {
    // The last entry is left for what lies across.
    let mut along = rounded(WIDTH, |i| value(30.0, i));
    along[WIDTH - 1] = 0.0;
    let origin = solution(rounded(WIDTH, |i| value(0.0, i)));
    let other = solution(rounded(WIDTH, |i| value(1.0, i)));
    let plane = |axes: [Axis; 2]| Plane::new(origin.clone(), axes, Frame::Given);
    let refused = |axes: [Axis; 2]| plane(axes).unwrap_err().to_string();
    let nowhere = Axis::Towards(origin.clone());
    let [first, second] = [
        refused([nowhere.clone(), Axis::Towards(other.clone())]),
        refused([Axis::Towards(other.clone()), nowhere]),
    ];
    assert!(first.contains("first direction") && second.contains("second direction"));
    for message in [first, second] {
        assert!(
            message.contains("has length 0") && message.contains("choose another"),
            "{message}"
        );
    }
    // A multiple in single precision differs from its direction by rounding, some 3e-8 of its length.
    let mut multiple: Vec<f32> = along.iter().map(|entry| -0.1 * entry).collect();
    let along = Axis::Along(Arc::new(along));
    for parallel in [
        [along.clone(), Axis::Along(Arc::new(multiple.clone()))],
        [Axis::Towards(other.clone()), Axis::Towards(other)],
    ] {
        let message = refused(parallel);
        assert!(
            message.contains("parallel") && message.contains("another direction, or another seed"),
            "{message}"
        );
    }
    // A thousandth of the length across is a direction of its own.
    let whole = multiple.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    multiple[WIDTH - 1] = (1e-3 * whole) as f32;
    let angle = plane([along, Axis::Along(Arc::new(multiple))]).unwrap().angle();
    // The entry is rounded to single precision, by 3e-9 degrees.
    let expected = 180.0 - 1e-3_f64.atan().to_degrees();
    assert_close(angle, expected, 1e-8, "angle");
}

/// A graph with the parameters of the reference; what it computes plays no part.
fn graph(parameters: &Value) -> Graph {
    let mut graph = Builder::new("layers", [2, 5, 5]).finish();
    for entry in parameters.as_array().unwrap() {
        let name = entry[0].as_str().unwrap().to_owned();
        let role = match name.as_str() {
            "conv.weight" => Role::ConvolutionWeight,
            "linear.weight" => Role::LinearWeight,
            "bn.weight" => Role::BatchNormScale,
            "bn.bias" => Role::BatchNormShift,
            _ => Role::Bias,
        };
        let shape = numbers(&entry[1]).into_iter().map(|side| side as usize).collect();
        let offset = graph.parameter_count();
        graph.parameters.push(Parameter {
            name,
            shape,
            role,
            offset,
        });
    }
    graph
}

#[test]
fn directions_are_normalised_as_the_reference_says() {
    let record = reference("directions");
    let graph = graph(&record["parameters"]);
    let (mut weights, mut direction) = (Vec::<f32>::new(), Vec::<f32>::new());
    for (place, parameter) in graph.parameters.iter().enumerate() {
        let t = place as f64;
        weights.extend(rounded(parameter.size(), |i| 0.1 * (t + 1.0) * value(t, i)));
        direction.extend(rounded(parameter.size(), |i| value(10.0 + t, i)));
    }
    // A filter of eighteen entries without a direction, and one without weights.
    direction[18..36].fill(0.0);
    weights[36..54].fill(0.0);
    check_inputs(&[&weights, &direction], &record["inputs"]);

    // Entries are below 1, rounded to single precision once: by 3.0e-8 at most.
    let tolerance = 4e-8;
    for mode in [
        Normalisation::Filter,
        Normalisation::FilterAll,
        Normalisation::Layer,
        Normalisation::LayerAll,
    ] {
        let found = mode.apply(&graph, &weights, direction.clone()).unwrap();
        let expected = numbers(&record["modes"][mode.name()]);
        assert_eq!(found.len(), expected.len(), "{mode}");
        for (index, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            assert_close(f64::from(found), expected, tolerance, &format!("{mode}, entry {index}"));
        }
        assert!(mode.follows_weights());
    }
    let whole = direction.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let unit = Normalisation::Unit.apply(&graph, &weights, direction.clone()).unwrap();
    for (&found, &entry) in unit.iter().zip(&direction) {
        assert_close(f64::from(found), f64::from(entry) / whole, tolerance, "unit");
    }
    let none = Normalisation::None.apply(&graph, &weights, direction.clone());
    assert_eq!(none, Some(direction));
}

#[test]
fn a_direction_of_which_no_length_is_left_is_none() {
    let graph = graph(&reference("directions")["parameters"]);
    let count = graph.parameter_count();
    let (nothing, ones) = (vec![0.0; count], vec![1.0; count]);
    let mut lost = ones.clone();
    lost[3] = f32::NAN;
    for mode in Normalisation::ALL {
        assert_eq!(mode.apply(&graph, &ones, nothing.clone()), None, "{mode}");
        assert_eq!(mode.apply(&graph, &ones, lost.clone()), None, "{mode}, not a number");
        let kept = mode.apply(&graph, &nothing, ones.clone());
        assert_eq!(kept.is_none(), mode.follows_weights(), "{mode}, weights of length 0");
    }
}
