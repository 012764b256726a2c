//! A ratio in files: a number, or its name where it is infinite, as JSON has no infinity.

use serde::Serializer;

pub use crate::objective::loss_value::deserialize;

pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else {
        serializer.serialize_str(&value.to_string())
    }
}
