//! The numbers beside a picture: CSV for spreadsheets and pandas, JSON with all that is needed to repeat it.

use std::path::Path;

use super::{Chart, pictures};
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::LineRecord;
use crate::training::run::metrics_csv;
use crate::training::{EpochMetrics, RunRecord};

/// Header of a line's CSV file; accuracies are in 0..1.
pub const LINE_HEADER: [&str; 5] = ["position", "train_loss", "train_accuracy", "test_loss", "test_accuracy"];

/// CSV of one line under [`LINE_HEADER`], or of several with a first column `curve`.
///
/// # Errors
/// When a row cannot be written.
pub fn lines_csv(records: &[LineRecord]) -> Result<Vec<u8>> {
    let several = records.len() > 1;
    let header = several
        .then_some("curve")
        .into_iter()
        .chain(LINE_HEADER)
        .map(str::to_owned);
    let rows = records.iter().flat_map(|record| {
        record.curve.measured().map(move |(position, value)| {
            let row = [
                position,
                value.train.loss,
                value.train.accuracy,
                value.test.loss,
                value.test.accuracy,
            ];
            let label = several.then(|| record.label.clone());
            label.into_iter().chain(row.map(|v| v.to_string())).collect()
        })
    });
    table(header, rows)
}

/// A CSV table.
pub(super) fn table(
    header: impl IntoIterator<Item = String>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Request(format!("the table could not be written: {reason}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in std::iter::once(header.into_iter().collect()).chain(rows) {
        writer.write_record(row).map_err(|error| failed(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| failed(error.to_string()))
}

/// Writes the numbers of an export: a CSV file, or a figure through `chart`, and beside it a JSON file of the same name
/// with all that is needed to draw or repeat it. A figure has `size` pixels, or [`super::chart::SIZE`].
///
/// # Errors
/// [`Error::File`], also for the names of a run folder's own files; [`Error::Request`] for a size that cannot be drawn.
pub fn write_lines(
    path: &Path,
    records: &[LineRecord],
    size: Option<(u32, u32)>,
    chart: impl FnOnce() -> Chart,
) -> Result<()> {
    refuse_files_of_a_run(path)?;
    whole_file::write(&path.with_extension("json"), lines_json(records)?.as_bytes())?;
    if is_table(path) {
        whole_file::write(path, &lines_csv(records)?)
    } else {
        chart().write(path, size)
    }
}

/// Writes a training curve, as CSV with a row an epoch or as a figure of `size` pixels (or [`super::chart::SIZE`]), and the
/// run's record beside it as JSON.
///
/// # Errors
/// [`Error::File`], also for the names of a run folder's own files; [`Error::Request`] for a size that cannot be drawn.
pub fn write_training(path: &Path, record: &RunRecord, rows: &[EpochMetrics], size: Option<(u32, u32)>) -> Result<()> {
    refuse_files_of_a_run(path)?;
    let text = serde_json::to_string_pretty(record)
        .map_err(|error| Error::Request(format!("the record could not be encoded: {error}")))?;
    whole_file::write(&path.with_extension("json"), text.as_bytes())?;
    if is_table(path) {
        whole_file::write(path, &metrics_csv(rows)?)
    } else {
        pictures::training(record, rows).write(path, size)
    }
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "csv")
}

/// Refuses the names of a run folder's own files: `run.csv` would bring `run.json` with it.
///
/// # Errors
/// [`Error::File`] with what to do.
pub fn refuse_files_of_a_run(path: &Path) -> Result<()> {
    let stem = path.file_stem().unwrap_or_default();
    if (stem == "run" || stem == "metrics") && path.with_file_name("run.json").exists() {
        return Err(Error::file_reason(
            path,
            "this folder holds a run, and that name is one of its own files; choose another name",
        ));
    }
    Ok(())
}

/// The records as JSON.
///
/// # Errors
/// When they cannot be encoded.
pub fn lines_json(records: &[LineRecord]) -> Result<String> {
    serde_json::to_string_pretty(records)
        .map_err(|error| Error::Request(format!("the record could not be encoded: {error}")))
}
