//! What the command writes: documents, tables and pictures, and eigenvectors that are directions.

use valleyscope::checkpoint::Reference;
use valleyscope::data::Part;
use valleyscope::landscape::direction_file;
use valleyscope::objective::BatchNormPolicy;

use super::{Fixture, MODEL, PARAMETERS, ROUNDING, command, distance, norm, pairs};
use crate::common::derivatives::doubles;
use crate::common::documents::{number, parse};
use crate::common::program::succeed;

#[test]
fn a_document_says_how_it_was_made_and_a_text_says_the_same_numbers() {
    let fixture = Fixture::new();
    let words = "--samples 20 --part test --bn recompute --evaluation-batch 7 --seed 5 --eigenvalues 2";
    let record = fixture.measured(words);
    let provenance = &record["provenance"];
    for (key, expected) in [
        ("model", "mlp:3"),
        ("data", "safetensors:data.safetensors"),
        ("origin", "point.safetensors"),
        ("line", "hessian of the test loss"),
        ("batch_norm", "recompute"),
        ("device", "flex (CPU)"),
        ("version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(provenance[key], expected, "{key}");
    }
    for (key, expected) in [("batch_size", 7), ("train_images", 0), ("test_images", 20)] {
        assert_eq!(provenance[key], expected, "{key}");
    }
    for (key, expected) in [("samples", 20), ("parameters", PARAMETERS), ("seed", 5)] {
        assert_eq!(record[key], expected, "{key}");
    }
    assert_eq!(record["part"], "test");
    let (part, policy, nowhere) = (Part::Test, BatchNormPolicy::Running, [0.0; PARAMETERS]);
    let (loss, _) = fixture
        .objective
        .slope(&fixture.solution, &nowhere, policy, part, 20)
        .unwrap();
    assert!((number(&record["loss"]) / loss - 1.0).abs() < ROUNDING);
    let text = succeed(&command(words), fixture.path());
    assert!(
        text.contains("sharpness       a = ") && text.contains("over 20 test images"),
        "{text}"
    );
    assert_eq!(fixture.measured(words), record, "the same seed gives the same numbers");
}

#[test]
fn files_hold_the_density_the_eigenvalues_and_the_whole_record() {
    let fixture = Fixture::new();
    let path = fixture.path();
    let words = "--eigenvalues 3 --smallest 2 --density --out d.csv --out d.png --out d.svg --out all.json";
    let said = succeed(&command(words), path);
    for name in ["d.csv", "d.png", "d.svg", "all.json"] {
        assert!(said.contains(&format!("written: {name}")), "{said}");
    }
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let record = parse(&read("all.json"));
    assert_eq!(parse(&read("d.json")), record);
    let grid = record["density"]["smoothed"]["grid"].as_array().unwrap();
    let table = read("d.csv");
    assert_eq!(table.lines().next(), Some("eigenvalue,density,standard_error"));
    assert_eq!(table.lines().count(), 1 + grid.len());
    let (row, _) = table.lines().nth(7).unwrap().split_once(',').unwrap();
    let row: f64 = row.parse().unwrap();
    assert!((row - number(&grid[6])).abs() <= 1e-12 * row.abs());
    let image = image::open(path.join("d.png")).unwrap().to_rgb8();
    assert!(
        image.pixels().filter(|p| p.0 == [0, 114, 178]).count() > 300,
        "the density's blue"
    );
    assert!(read("d.svg").contains("Eigenvalues of the hessian of the train loss"));
    succeed(&command("--eigenvalues 3 --smallest 2 --out e.csv"), path);
    let table = read("e.csv");
    let ends: Vec<&str> = table.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ends, ["end", "largest", "largest", "largest", "smallest", "smallest"]);
}

#[test]
fn saved_eigenvectors_are_directions() {
    let fixture = Fixture::new();
    let path = fixture.path();
    let record = fixture.measured("--eigenvalues 3 --smallest 1 --tolerance 1e-5 --save-eigenvectors e.safetensors");
    let derivatives = fixture.derivatives();
    let graph = fixture.objective.graph();
    let read = |key: &str| {
        let name = format!("{}{key}", path.join("e.safetensors").display());
        direction_file::read(&Reference::from(name.as_str()), graph)
    };
    let (largest, smallest) = (pairs(&record, "largest"), pairs(&record, "smallest"));
    let scale = largest[0].0.abs().max(smallest[0].0.abs());
    for (key, (value, residual)) in [
        ("", largest[0]),
        ("::1", largest[0]),
        ("::2", largest[1]),
        ("::3", largest[2]),
        ("::smallest-1", smallest[0]),
    ] {
        let vector = read(key).unwrap();
        let product = doubles(&derivatives.hessian_vector(&vector, &mut |_| true).unwrap());
        let scaled: Vec<f64> = doubles(&vector).iter().map(|v| value * v).collect();
        let off = distance(&product, &scaled);
        // The program computed the same product.
        assert!((off - residual).abs() <= 1e-6 * scale, "{key}: {off} and {residual}");
        assert!((norm(&doubles(&vector)) - 1.0).abs() < 1e-6, "{key}");
    }
    let missing = read("::9").unwrap_err().to_string();
    assert!(
        missing.contains("no direction `direction.9`") && missing.contains("`direction.3`"),
        "{missing}"
    );
    let line = "line --device flex --checkpoint point.safetensors --points 3 --json --direction file:e.safetensors::2";
    let line = parse(&succeed(line, path));
    assert_eq!(line["label"], "file e.safetensors::2");
    assert_eq!(line["curve"]["values"].as_array().unwrap().len(), 3);
    // It is no checkpoint, and says how it was made.
    let info = parse(&succeed("info e.safetensors --json", path));
    assert_eq!(info["provenance"]["model"], MODEL);
    let kept = number(&info["provenance"]["largest"][1]);
    assert!((kept / largest[1].0 - 1.0).abs() < 1e-12, "{kept}");
}
