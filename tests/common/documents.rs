//! What the program writes, read back: JSON and tables.

use std::path::Path;

use serde_json::Value;

/// A document.
#[track_caller]
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// A document in a file.
#[track_caller]
pub fn read_json(file: &Path) -> Value {
    parse(&std::fs::read_to_string(file).unwrap())
}

/// A number of a document.
#[track_caller]
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// A list of numbers.
#[track_caller]
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// A table of numbers: its header and its rows.
#[track_caller]
pub fn read_table(file: &Path) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(|field| field.parse().unwrap()).collect())
        .collect();
    (header, rows)
}
