//! A loss in JSON that may not be known: null, or as every loss is written.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::objective::loss_value;

#[derive(Serialize, Deserialize)]
struct Value(#[serde(with = "loss_value")] f64);

pub fn serialize<S: Serializer>(loss: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    loss.map(Value).serialize(serializer)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let loss = Option::<Value>::deserialize(deserializer)?;
    Ok(loss.map(|Value(loss)| loss))
}
