//! The numbers beside a picture: CSV for spreadsheets and pandas, JSON with all that is needed to repeat it.

use std::path::Path;

use crate::checkpoint::whole_file;
use crate::error::{Error, Result};
use crate::landscape::LineRecord;
use crate::training::EpochMetrics;
use crate::training::run::metrics_csv;

/// Header of a line's CSV file; accuracies are in 0..1.
pub const LINE_HEADER: [&str; 5] = ["position", "train_loss", "train_accuracy", "test_loss", "test_accuracy"];

/// CSV of one line under [`LINE_HEADER`], or of several with a first column `curve`.
///
/// # Errors
/// When a row cannot be written.
pub fn lines_csv(records: &[LineRecord]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let several = records.len() > 1;
    let failed = |error: csv::Error| Error::Request(format!("the table could not be written: {error}"));
    let header = several.then_some("curve").into_iter().chain(LINE_HEADER);
    writer.write_record(header).map_err(failed)?;
    for record in records {
        for (position, value) in record.curve.measured() {
            let row = [
                position,
                value.train.loss,
                value.train.accuracy,
                value.test.loss,
                value.test.accuracy,
            ];
            let label = several.then(|| record.label.clone());
            writer
                .write_record(label.into_iter().chain(row.map(|v| v.to_string())))
                .map_err(failed)?;
        }
    }
    writer
        .into_inner()
        .map_err(|error| Error::Request(format!("the table could not be written: {error}")))
}

/// Writes the CSV file, and the JSON file of the same name beside it.
///
/// # Errors
/// [`Error::File`].
pub fn write_lines(path: &Path, records: &[LineRecord]) -> Result<()> {
    whole_file::write(path, &lines_csv(records)?)?;
    whole_file::write(&path.with_extension("json"), lines_json(records)?.as_bytes())
}

/// Writes the training curve as CSV, a row an epoch.
///
/// # Errors
/// [`Error::File`].
pub fn write_metrics(path: &Path, rows: &[EpochMetrics]) -> Result<()> {
    whole_file::write(path, &metrics_csv(rows)?)
}

/// The records as JSON.
///
/// # Errors
/// When they cannot be encoded.
pub fn lines_json(records: &[LineRecord]) -> Result<String> {
    serde_json::to_string_pretty(records)
        .map_err(|error| Error::Request(format!("the record could not be encoded: {error}")))
}
