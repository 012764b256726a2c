//! A loss over two numbers with ways over it, as an experiment's figure.

use serde::{Deserialize, Serialize};

use crate::landscape::{Field, Known, Scale};
use crate::objective::loss_value;

/// A train loss over a rectangle, with ways over it and places in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// What is written at the two axes.
    pub axes: [String; 2],
    /// First and last position along each axis.
    pub spans: [(f64, f64); 2],
    /// Nodes along the first axis.
    pub columns: usize,
    /// The loss at even positions, `[rows][columns]`: the first axis varies fastest. Not all need be finite.
    #[serde(with = "loss_value::list")]
    pub values: Vec<f64>,
    /// How values become heights and colours.
    pub scale: Scale,
    /// The ways, each in its own colour.
    pub ways: Vec<Way>,
    /// Places with their names.
    pub places: Vec<(String, [f64; 2])>,
    /// How it was made, in a line.
    pub footnote: String,
}

/// A way over a map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// Its name.
    pub label: String,
    /// Where it leads, in the order of its steps. Finite.
    pub points: Vec<[f64; 2]>,
}

impl Map {
    /// What is drawn; nothing where a file has another number of values than nodes.
    pub fn field(&self) -> Option<Field> {
        let rows = self.values.len().checked_div(self.columns)?;
        let [first, second] = self.spans;
        (rows > 0 && rows * self.columns == self.values.len()).then(|| Field {
            first,
            second,
            columns: self.columns,
            rows,
            values: self.values.clone(),
            known: vec![Known::Measured; self.values.len()],
            ..Field::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(columns: usize, values: &[f64]) -> Map {
        Map {
            axes: ["a", "b"].map(str::to_owned),
            spans: [(-1.0, 1.0), (0.0, 3.0)],
            columns,
            values: values.to_vec(),
            scale: Scale::Linear,
            ways: vec![Way {
                label: "way".to_owned(),
                points: vec![[0.0, 0.1], [0.5, -0.25]],
            }],
            places: vec![("here".to_owned(), [0.5, 0.5])],
            footnote: "made so".to_owned(),
        }
    }

    #[test]
    fn a_map_is_read_as_it_was_written() {
        let map = map(2, &[0.1, 2.0, f64::NAN, f64::INFINITY]);
        let text = serde_json::to_string(&map).unwrap();
        let back: Map = serde_json::from_str(&text).unwrap();
        // NaN is no NaN's equal.
        assert_eq!(format!("{back:?}"), format!("{map:?}"), "{text}");
    }

    #[test]
    fn only_whole_rows_are_drawn() {
        let field = map(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).field().unwrap();
        assert_eq!((field.columns, field.rows), (2, 3));
        assert_eq!((field.first, field.second), ((-1.0, 1.0), (0.0, 3.0)));
        assert_eq!(field.range(), Some((1.0, 6.0)));
        for broken in [map(4, &[1.0; 6]), map(0, &[1.0]), map(3, &[])] {
            assert!(broken.field().is_none(), "{broken:?}");
        }
    }
}
