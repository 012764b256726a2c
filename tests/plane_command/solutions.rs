//! Planes through solutions: their own losses, and the frame that they are measured in.

use serde_json::Value;
use valleyscope::landscape::direction::{self, DirectionKind};
use valleyscope::network::zoo;

use super::{MODEL, PLANE, ROUNDING, assert_close, line, measured, table, trained};
use crate::common::documents::{numbers, parse, read_json};
use crate::common::program::succeed;

/// Angle between the uniform directions of two seeds, in radians.
fn angle(first: u64, second: u64) -> f64 {
    let graph = zoo::build(MODEL, [3, 16, 16], 10).unwrap();
    let [u, v] = [first, second].map(|seed| direction::random(&graph, DirectionKind::Uniform, seed).unwrap());
    direction::dot(&u, &v).acos()
}

#[test]
fn a_plane_through_three_solutions_has_their_own_losses() {
    let folder = trained();
    let path = folder.path();
    let plane = format!("{PLANE} --to run/sgd.safetensors --to2 run/trajectory/0001.safetensors --points 5x5 --json");
    let to = |solution: &str, more: &str| {
        let words =
            format!("--checkpoint run/swa.safetensors --to run/{solution}.safetensors --range 0..1 --points 2 {more}");
        line(&words, path)
    };
    // Positions along both axes are -0.5, 0, 0.5, 1, 1.5.
    let at = |record: &Value, [a, b]: [usize; 2]| measured(&record["grid"]["values"][5 * (1 + 2 * b) + 1 + 2 * a]);

    let record = parse(&succeed(&plane, path));
    assert_eq!(record["provenance"]["batch_norm"], "recompute");
    assert_eq!(numbers(&record["grid"]["first"]), [-0.5, 0.0, 0.5, 1.0, 1.5]);
    assert_eq!(record["grid"]["first"], record["grid"]["second"]);
    let (sgd, epoch) = (to("sgd", ""), to("trajectory/0001", ""));
    let solutions = record["solutions"].as_array().unwrap();
    assert_eq!(solutions.len(), 3);
    for (solution, (name, position, own)) in solutions.iter().zip([
        ("swa", [0, 0], sgd[0]),
        ("sgd", [1, 0], sgd[1]),
        ("0001", [0, 1], epoch[1]),
    ]) {
        assert_eq!(solution["name"], name);
        assert_close(&numbers(&solution["position"]), &position.map(|x| x as f64), 1e-6, name);
        assert!(solution["distance"].as_f64().unwrap() < 1e-6, "{name}");
        assert_close(&measured(&solution["own"]), &own, ROUNDING, name);
        assert_close(&at(&record, position), &own, ROUNDING, name);
    }
    let results = &read_json(&path.join("run/run.json"))["results"];
    assert_close(&measured(&results["swa"]), &sgd[0], ROUNDING, "the run's average");
    assert_close(&measured(&results["sgd"]), &sgd[1], ROUNDING, "the run's SGD");

    // Under `running` a solution's own loss has its own statistics, and the plane those of its origin.
    let record = parse(&succeed(&format!("{plane} --bn running"), path));
    let own = measured(&record["solutions"][2]["own"]);
    let alone = "--checkpoint run/trajectory/0001.safetensors --direction uniform --range 0..0 --points 1 --bn running";
    assert_close(&own, &line(alone, path)[0], ROUNDING, "0001 alone");
    let below = at(&record, [0, 1]);
    assert_close(
        &below,
        &to("trajectory/0001", "--bn running")[1],
        ROUNDING,
        "the line's end",
    );
    assert!((own[0] - below[0]).abs() > 1e-3, "{own:?} and {below:?}");
}

#[test]
fn an_orthonormal_frame_is_measured_along_unit_vectors_and_tells_the_angle() {
    let folder = trained();
    let path = folder.path();
    let plane = format!("{PLANE} --direction uniform --seed 3");
    let square = "--range -1..1 --points 3x3";
    let said = succeed(&format!("{plane} {square} --orthonormal --out o.csv"), path);
    let angle = angle(3, 4);
    let degrees = angle.to_degrees();
    assert_eq!(said.lines().next_back(), Some(format!("angle {degrees:.1}°").as_str()));
    let record = read_json(&path.join("o.json"));
    assert!((record["angle"].as_f64().unwrap() - degrees).abs() < 1e-3, "{degrees}");
    assert_close(&numbers(&record["lengths"]), &[1.0, 1.0], 1e-6, "lengths");

    // The first axis stays what it is; the second is (v − cos θ u) / sin θ.
    succeed(&format!("{plane} {square} --out given.csv"), path);
    let (rows, given) = (table(&path.join("o.csv")), table(&path.join("given.csv")));
    for column in 0..3 {
        assert_close(
            &rows[3 + column][2..6],
            &given[3 + column][2..6],
            10.0 * ROUNDING,
            "the first axis",
        );
    }
    let (a, b) = (1.0 - 1.0 / angle.tan(), 1.0 / angle.sin());
    let corner = parse(&succeed(
        &format!("{plane} --range {a}..{a} --range2 {b}..{b} --points 1x1 --json"),
        path,
    ));
    let corner = measured(&corner["grid"]["values"][0]);
    assert_close(&rows[8][2..6], &corner, 1e-4, "the corner");
    assert!(
        (given[8][2] / corner[0] - 1.0).abs() > 0.01,
        "{corner:?} and {:?}",
        given[8]
    );

    // Solutions lie at their distances.
    let plane = format!("{PLANE} --to run/sgd.safetensors --to2 run/trajectory/0001.safetensors --points 2x2 --json");
    let record = parse(&succeed(&plane, path));
    let theta = record["angle"].as_f64().unwrap().to_radians();
    let [to, to2] = <[f64; 2]>::try_from(numbers(&record["lengths"])).unwrap();
    let record = parse(&succeed(&format!("{plane} --orthonormal"), path));
    for (index, expected) in [[0.0, 0.0], [to, 0.0], [to2 * theta.cos(), to2 * theta.sin()]]
        .iter()
        .enumerate()
    {
        let solution = &record["solutions"][index];
        assert_close(&numbers(&solution["position"]), expected, 1e-6, "a solution");
        assert!(solution["distance"].as_f64().unwrap() < 1e-6, "{solution}");
    }
}
