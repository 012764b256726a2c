//! A loss in JSON: a number, or the name of what it is when it is not finite (JSON has no NaN or infinity).
//!
//! Twelve digits are written, far beyond single precision and few enough to be read back exactly: a file that is read
//! and written again is the same file.

use serde::{Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Name(String),
}

pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        let rounded = format!("{value:.11e}").parse().unwrap_or(*value);
        serializer.serialize_f64(rounded)
    } else {
        serializer.serialize_str(&value.to_string())
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Number(value) => Ok(value),
        Written::Name(name) => name.parse().map_err(serde::de::Error::custom),
    }
}

/// The same for a list of numbers.
pub mod list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Value(#[serde(with = "super")] f64);

    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&value| Value(value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Value>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|Value(value)| value).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use crate::objective::Quality;

    #[derive(Serialize, Deserialize)]
    struct Numbers(#[serde(with = "super::list")] Vec<f64>);

    #[test]
    fn reading_and_writing_again_changes_nothing() {
        for i in 1..10_000 {
            let loss = 1.0 / f64::from(i) * 7.0f64.sqrt();
            let text = serde_json::to_string(&Quality { loss, accuracy: 0.1 }).unwrap();
            let again = serde_json::to_string(&serde_json::from_str::<Quality>(&text).unwrap()).unwrap();
            assert_eq!(text, again);
        }
    }

    #[test]
    fn values_that_are_not_finite_survive_json() {
        for loss in [1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let text = serde_json::to_string(&Quality { loss, accuracy: 0.5 }).unwrap();
            let back: Quality = serde_json::from_str(&text).unwrap();
            assert_eq!(back.loss.to_string(), loss.to_string(), "{text}");
        }
        let text = serde_json::to_string(&Numbers(vec![0.5, f64::NAN, f64::NEG_INFINITY])).unwrap();
        assert_eq!(text, "[0.5,\"NaN\",\"-inf\"]");
        let Numbers(back) = serde_json::from_str(&text).unwrap();
        assert!(back[0] == 0.5 && back[1].is_nan() && back[2] == f64::NEG_INFINITY);
    }
}
