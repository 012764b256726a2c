//! The demo's findings as files: figures, tables and a Markdown summary.

use std::fmt::Write as _;
use std::path::Path;

use super::{pictures, table};
use crate::data::Part;
use crate::error::Result;
use crate::experiment::demo::Findings;
use crate::files::whole_file;
use crate::landscape::LineRecord;
use crate::landscape::Scale;

/// Writes training curve, slices and interpolation, each as PNG, SVG and CSV, and a summary with the numbers.
///
/// # Errors
/// [`Error::File`].
pub fn write(findings: &Findings, out: &Path) -> Result<()> {
    whole_file::write(&out.join("summary.md"), summary(findings).as_bytes())?;
    // Tables before pictures: whatever happens to those, the numbers are there.
    for ending in ["csv", "svg", "png"] {
        let file = |name: &str| out.join(format!("{name}.{ending}"));
        table::write_training(&file("training"), &findings.record, &findings.metrics, None)?;
        let uniform = std::slice::from_ref(&findings.uniform);
        let slices: [(&str, &str, &[LineRecord]); 2] = [
            (
                "uniform-direction",
                "Loss along a random U(0,1) direction from SWA",
                uniform,
            ),
            (
                "batch-norm-directions",
                "Loss along batch-norm and other directions from SWA",
                &findings.batch_norm,
            ),
        ];
        for (name, title, records) in slices {
            table::write_lines(&file(name), records, None, || {
                pictures::lines(title, pictures::RAY_AXIS, records, Scale::Automatic)
            })?;
        }
        let interpolation = &findings.interpolation;
        table::write_lines(
            &file("interpolation"),
            std::slice::from_ref(interpolation),
            None,
            || pictures::interpolation(&["SWA", "SGD"].map(str::to_owned), interpolation, Scale::Automatic),
        )?;
    }
    Ok(())
}

/// The numbers as Markdown.
fn summary(findings: &Findings) -> String {
    let mut text = String::new();
    let Findings { record, solutions, .. } = findings;
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# The valleys of {}\n\n\
         Data {}, seed {}, {} epochs, averaging from epoch {}, then {} epochs of SGD from the average at learning rate {}.\n\
         Device {}, valleyscope {}.\n\n\
         | solution | train loss | test loss | train accuracy | test accuracy |\n|---|---|---|---|---|\n",
        record.model,
        record.data,
        record.options.seed,
        record.options.epochs,
        record.options.swa_start,
        record.options.sgd_epochs,
        record.options.sgd_learning_rate,
        record.device,
        record.version
    );
    for (name, m) in [
        ("last SGD iterate", solutions.last),
        ("SWA", solutions.swa),
        ("SGD from SWA", solutions.sgd),
    ] {
        let _ = writeln!(
            text,
            "| {name} | {:.4} | {:.4} | {:.1} % | {:.1} % |",
            m.train.loss,
            m.test.loss,
            100.0 * m.train.accuracy,
            100.0 * m.test.accuracy
        );
    }
    text.push_str("\nBatch-norm statistics recomputed at each solution.\n");
    let ends = |record: &LineRecord| {
        let losses: Vec<(f64, f64)> = record.curve.losses(Part::Train).collect();
        let at = |position: f64| {
            losses
                .iter()
                .find(|(x, _)| (x - position).abs() < 1e-9)
                .map_or(f64::NAN, |(_, y)| *y)
        };
        (at(-3.0), at(0.0), at(3.0))
    };
    let [bn, rest] = &findings.batch_norm;
    text.push_str("\n| direction from SWA (policy running) | train loss at l = −3 | 0 | 3 |\n|---|---|---|---|\n");
    for record in [&findings.uniform, bn, rest] {
        let (left, middle, right) = ends(record);
        let _ = writeln!(text, "| {} | {left:.3} | {middle:.3} | {right:.3} |", record.label);
    }
    let curve = &findings.interpolation.curve;
    if let (Some(train), Some(test)) = (curve.minimum(Part::Train), curve.minimum(Part::Test)) {
        let _ = write!(
            text,
            "\nFrom SWA (t = 0) to SGD (t = 1), statistics recomputed at every point: the train loss is lowest at \
             t = {:.2} ({:.4}), the test loss at t = {:.2} ({:.4}): a shift of {:+.2}.\n",
            train.position,
            train.loss,
            test.position,
            test.loss,
            test.position - train.position
        );
    }
    text
}
