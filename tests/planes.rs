//! Planes through a network's loss beside the lines and solutions that they hold, on grids of every shape; and surfaces
//! evaluated only where it matters, against the formulas that they come from.

mod common;

use std::sync::Arc;

use valleyscope::Result;
use valleyscope::experiment::hashed;
use valleyscope::landscape::line::positions;
use valleyscope::landscape::refinement;
use valleyscope::landscape::survey::{MOST_NODES, Survey, SurveyRequest, check_size};
use valleyscope::landscape::sweep::{Slice, SweepRequest};
use valleyscope::landscape::{
    Axis, DirectionKind, Frame, Grid, Known, Landmarks, Line, Memory, Plane, Quantity, Scale, Sweep, direction,
};
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Measurement, Objective, Quality, Solution};

/// Three solutions of a small network with batch norm, each with its own statistics, and two directions.
struct Network {
    objective: Objective,
    solutions: [Arc<Solution>; 3],
    directions: [Arc<Vec<f32>>; 2],
}

fn network() -> Network {
    let shape = [3, 8, 8];
    let graph = Arc::new(zoo::build("resnet8:width=4", shape, 10).unwrap());
    let data = Arc::new(hashed::dataset(shape, 10, 12, 7));
    Network {
        solutions: [1, 2, 3].map(|seed| Arc::new(hashed::solution(&graph, seed))),
        directions: [4, 5].map(|seed| Arc::new(direction::random(&graph, DirectionKind::Uniform, seed).unwrap())),
        objective: Objective::new(graph, data, Compute::cpu(), 6).unwrap(),
    }
}

/// A survey of which nothing is evaluated yet.
fn prepared<S: Slice<Position = [f64; 2]>>(
    objective: &Objective,
    slice: S,
    grid: Grid,
    policy: BatchNormPolicy,
    tolerance: f64,
) -> Result<Survey<S>> {
    let request = SurveyRequest {
        slice,
        grid,
        policy,
        samples: usize::MAX,
        tolerance,
    };
    Survey::new(objective, request)
}

/// The whole of a plane.
fn measured(objective: &Objective, plane: &Plane, grid: Grid, policy: BatchNormPolicy) -> Grid {
    let mut survey = prepared(objective, plane.clone(), grid, policy, 0.0).unwrap();
    assert!(survey.run(objective, |_| true).unwrap());
    survey.grid()
}

/// The loss at a solution, with the statistics of another one under `running`.
fn evaluated(objective: &Objective, at: &Solution, normalised_by: &Solution, policy: BatchNormPolicy) -> Measurement {
    objective
        .evaluate(&at.parameters, &normalised_by.statistics, policy)
        .unwrap()[0]
}

#[test]
fn the_central_row_and_column_are_the_two_lines() {
    let Network {
        objective,
        solutions: [swa, sgd, third],
        directions: [u, v],
    } = network();
    let grid = Grid::new(positions(-0.5, 1.5, 5), positions(-1.0, 1.0, 9));
    let (central_column, central_row) = (1, 4);
    assert_eq!([grid.first[central_column], grid.second[central_row]], [0.0, 0.0]);
    let cases = [
        (
            [Axis::Towards(sgd.clone()), Axis::Towards(third.clone())],
            [Line::segment(swa.clone(), sgd), Line::segment(swa.clone(), third)],
        ),
        (
            [Axis::Along(u.clone()), Axis::Along(v.clone())],
            [Line::ray(swa.clone(), u), Line::ray(swa.clone(), v)],
        ),
    ];
    for (axes, [first, second]) in cases {
        let plane = Plane::new(swa.clone(), axes, Frame::Given).unwrap();
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Recompute] {
            let surface = measured(&objective, &plane, grid.clone(), policy);
            let line = |line: &Line, positions: &[f64]| {
                let request = SweepRequest {
                    slice: line.clone(),
                    positions: positions.to_vec(),
                    policy,
                    samples: usize::MAX,
                };
                Sweep::new(&objective, request)
                    .run(&objective, |_, _| true)
                    .unwrap()
                    .values
            };
            // Every point is computed by itself and every sum taken in the order of the images: the bits are the same.
            let rows: Vec<&[Option<Measurement>]> = surface.values.chunks(5).collect();
            assert_eq!(rows[central_row], line(&first, &grid.first), "{policy}");
            let column: Vec<Option<Measurement>> = rows.iter().map(|row| row[central_column]).collect();
            assert_eq!(column, line(&second, &grid.second), "{policy}");
            // Lines that are flat would agree in any order.
            assert_ne!(column[0], column[8]);
            assert_ne!(rows[central_row][0], rows[central_row][4]);
        }
    }
}

#[test]
fn a_plane_through_three_solutions_holds_the_loss_of_each() {
    let Network {
        objective, solutions, ..
    } = network();
    let [swa, sgd, third] = solutions.clone();
    let plane = Plane::new(swa.clone(), [Axis::Towards(sgd), Axis::Towards(third)], Frame::Given).unwrap();
    let names = ["swa", "sgd", "third"].map(str::to_owned);
    let landmarks = Landmarks {
        trajectory: None,
        solutions: names.iter().cloned().zip(solutions.clone()).collect(),
    };
    // The nodes of a grid of two by two where the solutions are.
    let places = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
    for (index, place) in places.into_iter().enumerate() {
        let seen = landmarks.projected(index, &plane).unwrap();
        assert_eq!((seen.name.as_str(), seen.own), (names[index].as_str(), None));
        // Least squares in double precision, of vectors whose lengths are some tens.
        assert!(seen.distance < 1e-9, "{}", seen.distance);
        for (found, expected) in seen.position.into_iter().zip(place) {
            assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
        }
    }
    for policy in BatchNormPolicy::ALL {
        let grid = Grid::new(vec![0.0, 1.0], vec![0.0, 1.0]);
        let surface = measured(&objective, &plane, grid, policy);
        let request = SweepRequest {
            slice: landmarks.clone(),
            positions: vec![0, 1, 2],
            policy,
            samples: usize::MAX,
        };
        let mut own = Sweep::idle(&objective, request);
        own.ask(0..3);
        let mut memory = Memory::default();
        while !own.is_finished() {
            own.step(&objective, &mut memory).unwrap();
        }
        for (index, solution) in solutions.iter().enumerate() {
            let what = format!("{policy}, {}", names[index]);
            let alone = evaluated(&objective, solution, solution, policy);
            assert!(alone.train.loss.is_finite() && alone.test.loss.is_finite(), "{what}");
            assert_eq!(own.values()[index], Some(alone), "{what}");
            // Only `running` knows whose statistics are held: in the plane they are the origin's.
            let below = evaluated(&objective, solution, &swa, policy);
            assert_eq!(surface.values[index], Some(below), "{what}");
            let statistics_matter = policy == BatchNormPolicy::Running && index > 0;
            assert_eq!(alone != below, statistics_matter, "{what}");
        }
    }
}

#[test]
fn every_node_of_a_grid_with_unequal_sides_is_measured_at_its_own_positions() {
    let Network {
        objective,
        solutions: [swa, ..],
        directions,
    } = network();
    let plane = Plane::new(swa.clone(), directions.map(Axis::Along), Frame::Orthonormal).unwrap();
    let (first, second) = (positions(-2.0, 1.0, 5), positions(0.5, 3.0, 9));
    let policy = BatchNormPolicy::Running;
    let grid = Grid::new(first.clone(), second.clone());
    let surface = measured(&objective, &plane, grid, policy);
    assert_eq!(surface.values.len(), 45);
    for (row, &b) in second.iter().enumerate() {
        for (column, &a) in first.iter().enumerate() {
            let index = row * 5 + column;
            assert_eq!(surface.position(index), [a, b]);
            let there = Solution {
                parameters: plane.point([a, b]),
                statistics: vec![],
            };
            let expected = evaluated(&objective, &there, &swa, policy);
            assert_eq!(surface.values[index], Some(expected), "at {a}, {b}");
        }
    }
}

#[test]
fn axes_without_length_give_numbers() {
    let Network {
        objective,
        solutions: [swa, ..],
        directions,
    } = network();
    let plane = Plane::new(swa, directions.map(Axis::Along), Frame::Given).unwrap();
    for (first, second) in [
        (positions(0.0, 0.0, 3), positions(0.0, 2.0, 5)),
        (positions(-1.0, 1.0, 5), positions(0.0, 0.0, 2)),
        (positions(0.5, 0.5, 4), positions(-1.0, -1.0, 3)),
        (vec![0.0], positions(-1.0, 1.0, 5)),
        (vec![0.0], vec![0.0]),
    ] {
        let what = format!("{first:?} and {second:?}");
        let grid = Grid::new(first.clone(), second.clone());
        let surface = measured(&objective, &plane, grid, BatchNormPolicy::Running);
        assert_eq!(surface.measured(), surface.values.len(), "{what}");
        let [a, b] = [&first, &second].map(|axis| axis[axis.len() - 1]);
        for quantity in Quantity::ALL {
            let field = surface.field(quantity);
            assert!(field.values.iter().all(|value| value.is_finite()), "{what}");
            let heights = field.heights(Scale::Automatic);
            assert!(heights.node([a, b]).into_iter().all(f64::is_finite), "{what}");
            assert!(heights.value([a, b]).unwrap().is_finite(), "{what}");
        }
        // Points that are one have one loss.
        for (index, value) in surface.values.iter().enumerate() {
            let same = |other: &usize| surface.position(*other) == surface.position(index);
            let other = (0..surface.values.len()).find(same).unwrap();
            assert_eq!(*value, surface.values[other], "{what}");
        }
    }
    let line = |[_, b]: [f64; 2]| 1.0 + b * b;
    let grid = refined(Grid::new(positions(0.0, 0.0, 33), positions(-2.0, 2.0, 49)), 0.01, line);
    assert!(error(&grid, line) < 1e-9 && grid.measured() < grid.values.len());
}

#[test]
fn the_size_named_for_a_grid_too_large_fits() {
    for (columns, rows) in [
        (5000, 5000),
        (100_000, 50),
        (MOST_NODES + 1, 1),
        (1, 2 * MOST_NODES),
        (2 * MOST_NODES, 1),
        (usize::MAX, 2),
    ] {
        let message = check_size(columns, rows).unwrap_err().to_string();
        let size = message.rsplit(' ').nth(1).unwrap();
        let (width, height) = size.split_once('x').unwrap();
        let (width, height): (usize, usize) = (width.parse().unwrap(), height.parse().unwrap());
        assert!(check_size(width, height).is_ok(), "{message}");
        assert!(
            width <= columns && height <= rows && width * height > MOST_NODES / 2,
            "{message}"
        );
    }
    let Network {
        objective,
        solutions: [swa, ..],
        directions,
    } = network();
    let plane = Plane::new(swa, directions.map(Axis::Along), Frame::Given).unwrap();
    let nothing = prepared(&objective, plane, Grid::default(), BatchNormPolicy::Running, 0.0);
    let message = nothing.err().unwrap().to_string();
    assert!(message.contains("one point along each axis"), "{message}");
}

/// The loss of tests/reference/make_planes.py.
fn two_basins([w1, w2]: [f64; 2]) -> f64 {
    let (s1, s2, c) = (w1 - 1.0, w2 - 1.0, std::f64::consts::FRAC_PI_4.cos());
    let sharp = 10.0 * (c * s1 - c * s2).powi(2) + 100.0 * (c * s1 + c * s2).powi(2);
    sharp.min((w1 + 1.0).powi(2) + (w2 + 1.0).powi(2))
}

/// The same without a 0, from 2 to 20, so that heights are not logarithms.
fn raised_basins(position: [f64; 2]) -> f64 {
    2.0 + two_basins(position)
}

/// A bowl whose floor is a two-hundredth of its rim: its heights are logarithms.
fn bowl([a, b]: [f64; 2]) -> f64 {
    0.1 + a * a + 4.0 * b * b
}

/// [−2, 2]².
fn square(columns: usize, rows: usize) -> Grid {
    Grid::new(positions(-2.0, 2.0, columns), positions(-2.0, 2.0, rows))
}

fn measurement(loss: f64) -> Measurement {
    let quality = Quality { loss, accuracy: 0.5 };
    Measurement {
        train: quality,
        test: quality,
    }
}

/// Gives nodes the values of a formula until no more are asked for.
#[track_caller]
fn refined(mut grid: Grid, tolerance: f64, loss: impl Fn([f64; 2]) -> f64) -> Grid {
    loop {
        let asked = refinement::next(&grid, tolerance);
        if asked.is_empty() {
            return grid;
        }
        for index in asked {
            assert!(grid.values[index].is_none(), "node {index} is known, and asked for");
            grid.values[index] = Some(measurement(loss(grid.position(index))));
        }
    }
}

/// Largest difference between the heights of a grid and those of the formula, as a share of their range.
#[track_caller]
fn error(grid: &Grid, loss: impl Fn([f64; 2]) -> f64) -> f64 {
    let field = grid.field(Quantity::TrainLoss);
    let (low, high) = field.range().unwrap();
    let height = Scale::Automatic.height(low, high);
    let mut worst = 0.0_f64;
    for (index, &value) in field.values.iter().enumerate() {
        let error = (height.of(value) - height.of(loss(grid.position(index)))).abs();
        assert!(error.is_finite(), "{value} at {:?}", grid.position(index));
        worst = worst.max(error / (height.of(high) - height.of(low)));
    }
    worst
}

#[test]
fn every_node_of_the_two_basins_is_the_reference_s() {
    let record = common::json("planes.json")["two_basins"].clone();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let grid = refined(square(9, 7), 0.0, two_basins);
    let field = grid.field(Quantity::TrainLoss);
    assert_eq!((field.columns, field.rows), (9, 7));
    let heights = field.heights(Scale::Linear);
    for (row, &b) in grid.second.iter().enumerate() {
        for (column, &a) in grid.first.iter().enumerate() {
            // Twelve digits are kept of numbers up to 18.
            let close = |found: f64, expected: f64| (found - expected).abs() < 1e-10;
            assert!(close(a, number(&record["first"][column])) && close(b, number(&record["second"][row])));
            let expected = number(&record["values"][row][column]);
            let index = row * 9 + column;
            assert!(close(field.values[index], expected), "at {a}, {b}");
            assert_eq!(field.values[index], two_basins([a, b]));
            assert_eq!(field.known[index], Known::Measured);
            // The picture's heights are in single precision.
            let drawn = heights.value([a, b]).unwrap();
            assert!((drawn - expected).abs() < 1e-5, "{drawn} at {a}, {b}");
        }
    }
}

#[test]
fn surfaces_are_met_within_the_tolerance_with_fewer_nodes() {
    for (columns, rows) in [(65, 97), (97, 65), (33, 49)] {
        let share = |grid: &Grid| grid.measured() as f64 / grid.values.len() as f64;
        for tolerance in [0.01, 0.004] {
            let grid = refined(square(columns, rows), tolerance, bowl);
            let error = error(&grid, bowl);
            assert!(error < tolerance && share(&grid) < 0.6, "{columns}x{rows}: {error}");
        }
        // At the edge between two basins a finer level is predicted twice as well; the survey counts on four times.
        let grid = refined(square(columns, rows), 0.01, raised_basins);
        let off = error(&grid, raised_basins);
        assert!(off < 0.02 && share(&grid) < 0.4, "{columns}x{rows}: {off}");
        // Cubics meet a quadratic but for rounding, and its coarsest level tells.
        let quadratic = |[a, b]: [f64; 2]| a * a + 4.0 * b * b;
        let grid = refined(square(columns, rows), 0.01, quadratic);
        assert!(error(&grid, quadratic) < 1e-12 && grid.measured() == 9 * 13);
    }
}

#[test]
fn both_axes_are_looked_at_however_unequal_their_sides() {
    let along_first = |[a, _]: [f64; 2]| (3.0 * a).sin();
    let along_second = |[_, b]: [f64; 2]| (3.0 * b).sin();
    for (columns, rows) in [(51, 101), (101, 51), (65, 33), (33, 65), (97, 61)] {
        let what = format!("{columns}x{rows}");
        let first = error(&refined(square(columns, rows), 0.01, along_first), along_first);
        assert!(first < 0.01, "{what}, along the first axis: {first}");
        let second = error(&refined(square(columns, rows), 0.01, along_second), along_second);
        assert!(second < 0.01, "{what}, along the second axis: {second}");
    }
}

#[test]
fn a_flat_surface_is_known_from_its_coarsest_level() {
    for loss in [0.0, 0.3, 10.0_f64.ln(), 1e-7] {
        let grid = refined(square(65, 97), 0.01, |_| loss);
        assert_eq!(grid.measured(), 9 * 13, "{loss}");
    }
}

#[test]
fn known_nodes_are_never_asked_for_again() {
    for tolerance in [0.0, 0.01] {
        let mut grid = square(33, 49);
        // Some nodes of every level.
        for index in (0..grid.values.len()).filter(|index| (index * index + 3 * index) % 11 == 4) {
            grid.values[index] = Some(measurement(raised_basins(grid.position(index))));
        }
        let known = grid.clone();
        assert!(known.measured() > 200);
        let grid = refined(grid, tolerance, raised_basins);
        for (before, after) in known.values.iter().zip(&grid.values) {
            assert!(before.is_none() || before == after);
        }
        assert_eq!(grid.measured() == grid.values.len(), tolerance == 0.0);
        // Twice the tolerance at the edge between the basins.
        let off = error(&grid, raised_basins);
        assert!(off <= 2.0 * tolerance, "{off}");
    }
}

#[test]
fn losses_that_are_not_finite_stay_marked_and_leave_the_others_alone() {
    let smooth = |[a, b]: [f64; 2]| 1.0 + a * a + 0.5 * b * b;
    let holes = |[a, b]: [f64; 2]| {
        if (a - 1.0).hypot(b - 0.9) < 0.5 {
            f64::INFINITY
        } else if (a + 0.8).hypot(b + 1.1) < 0.4 {
            f64::NAN
        } else {
            smooth([a, b])
        }
    };
    let grid = refined(square(65, 97), 0.01, holes);
    assert!(grid.measured() < grid.values.len() * 2 / 3, "{}", grid.measured());
    let field = grid.field(Quantity::TrainLoss);
    for (index, &value) in field.values.iter().enumerate() {
        let expected = holes(grid.position(index));
        // A quadratic is met by cubics but for rounding; infinity stays infinity and NaN stays NaN.
        let right = match expected.is_finite() {
            true => (value - expected).abs() < 1e-12,
            false => value.total_cmp(&expected).is_eq(),
        };
        assert!(right, "{value} at {:?}", grid.position(index));
    }

    // One such loss on the coarsest level, of which every fourth node is a part.
    for lost in [f64::NAN, f64::INFINITY] {
        let mut grid = square(33, 49);
        for index in (0..grid.values.len()).filter(|index| index / 33 % 4 == 0 && index % 33 % 4 == 0) {
            grid.values[index] = Some(measurement(smooth(grid.position(index))));
        }
        let (hole_row, hole_column) = (20, 16);
        grid.values[hole_row * 33 + hole_column] = Some(measurement(lost));
        let field = grid.field(Quantity::TrainLoss);
        assert!(refinement::has_shape(&grid) && !refinement::next(&grid, 0.01).is_empty());
        for (index, &value) in field.values.iter().enumerate() {
            let (rows, columns) = ((index / 33).abs_diff(hole_row), (index % 33).abs_diff(hole_column));
            let expected = smooth(grid.position(index));
            // It takes the place of what lies between it and its neighbours, and no cubic runs through it. What stands
            // in for it there reaches six nodes on one finer level, and three more on the next.
            match rows.max(columns) {
                0 => assert!(value.total_cmp(&lost).is_eq() && field.known[index] == Known::Measured),
                1..4 => {}
                4..12 => assert!(value.is_finite(), "{rows} rows and {columns} columns away"),
                _ => assert!(
                    (value - expected).abs() < 1e-12,
                    "{value} instead of {expected}, {rows} rows and {columns} columns away"
                ),
            }
        }
    }
}

/// A formula as the loss of a network: of two classes with the logits 0 and z the first has the loss f = ln(1 + eᶻ), so
/// that z = ln(eᶠ − 1). The model `logistic` with the weight 0 has its bias for z.
struct Formula {
    origin: Arc<Solution>,
    loss: fn([f64; 2]) -> f64,
}

impl Slice for Formula {
    type Position = [f64; 2];

    fn point(&self, position: [f64; 2]) -> Result<Vec<f32>> {
        Ok(vec![0.0, (self.loss)(position).exp_m1().ln() as f32])
    }

    fn statistics(&self, _position: [f64; 2]) -> Result<Arc<Solution>> {
        Ok(self.origin.clone())
    }
}

#[test]
fn a_survey_is_stopped_and_taken_up_again() {
    let graph = Arc::new(zoo::build("logistic", [1, 1, 1], 2).unwrap());
    let mut data = hashed::dataset([1, 1, 1], 2, 3, 2);
    data.train.labels.fill(0);
    data.test.labels.fill(0);
    let objective = Objective::new(graph, Arc::new(data), Compute::cpu(), 8).unwrap();
    let survey = |grid: Grid, tolerance: f64| {
        let slice = Formula {
            origin: Arc::new(Solution {
                parameters: vec![0.0; 2],
                statistics: vec![],
            }),
            loss: raised_basins,
        };
        prepared(&objective, slice, grid, BatchNormPolicy::Running, tolerance).unwrap()
    };
    let mut begun = survey(square(33, 49), 0.01);
    assert!(!begun.run(&objective, |survey| survey.measured().0 < 150).unwrap());
    assert!(begun.has_shape() && !begun.is_finished());
    let mut known = begun.grid();
    let before = known.measured();
    let images = begun.images_per_node(&objective);
    assert_eq!(images, 5);
    // Where the formula has the same value the network has the same weights, and these are evaluated once.
    assert!(begun.evaluated() <= images * before && begun.evaluated() > images * before / 2);

    // Their losses are what they were; another accuracy marks what is known already.
    let mark = 0.125;
    for value in known.values.iter_mut().flatten() {
        value.test.accuracy = mark;
    }
    let mut goes_on = survey(known.clone(), 0.01);
    assert!(goes_on.run(&objective, |_| true).unwrap() && goes_on.is_finished());
    let grid = goes_on.grid();
    assert!(grid.measured() > before && grid.measured() < grid.values.len() / 2);
    assert!(goes_on.evaluated() <= images * (grid.measured() - before));
    for (before, after) in known.values.iter().zip(&grid.values) {
        match before {
            Some(_) => assert_eq!(before, after),
            None => assert!(after.is_none_or(|after| after.test.accuracy != mark)),
        }
    }
    // Twice the tolerance at the edge between the basins.
    let off = error(&grid, raised_basins);
    assert!(off < 0.02, "{off}");

    let mut again = survey(grid.clone(), 0.01);
    assert!(again.run(&objective, |_| true).unwrap());
    assert_eq!((again.evaluated(), again.grid()), (0, grid.clone()));

    let mut whole = survey(grid.clone(), 0.0);
    assert!(whole.run(&objective, |_| true).unwrap());
    let all = whole.grid();
    assert_eq!(all.measured(), all.values.len());
    assert!(whole.evaluated() <= images * (all.values.len() - grid.measured()));
    for (index, value) in all.values.iter().enumerate() {
        let (found, expected) = (value.unwrap(), raised_basins(all.position(index)));
        for quality in [found.train, found.test] {
            // z is rounded to single precision, by 6e-8 of it, and the loss changes by no more than z does.
            assert!((quality.loss - expected).abs() < 1e-7 * expected, "{}", quality.loss);
        }
    }
}
