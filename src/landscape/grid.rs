//! Measurements over a grid of two positions, and what of them is drawn: a field of one number a node, in which nodes
//! not measured are interpolated and say so.

use serde::{Deserialize, Serialize};

use super::heights::Heights;
use super::scale::Scale;
use crate::data::Part;
use crate::objective::Measurement;

/// Largest difference of positions, as a share of the largest, that comes of writing and reading them.
const ROUNDING: f64 = 1e-9;

/// Measurements over a grid. A node not measured has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Positions along the first axis, in the order asked.
    pub first: Vec<f64>,
    /// Positions along the second axis.
    pub second: Vec<f64>,
    /// One entry a node, `[second][first]`: the first axis varies fastest.
    pub values: Vec<Option<Measurement>>,
}

/// What of a measurement is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Loss on the training split
    #[default]
    TrainLoss,
    /// Loss on the test split
    TestLoss,
    /// Train loss minus test loss
    LossDifference,
    /// Accuracy on the training split
    TrainAccuracy,
    /// Accuracy on the test split
    TestAccuracy,
    /// Train accuracy minus test accuracy
    AccuracyDifference,
}

impl Quantity {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 6] = [
        Self::TrainLoss,
        Self::TestLoss,
        Self::LossDifference,
        Self::TrainAccuracy,
        Self::TestAccuracy,
        Self::AccuracyDifference,
    ];

    /// Its name on screen and on figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::TrainLoss => "train loss",
            Self::TestLoss => "test loss",
            Self::LossDifference => "train − test loss",
            Self::TrainAccuracy => "train accuracy",
            Self::TestAccuracy => "test accuracy",
            Self::AccuracyDifference => "train − test accuracy",
        }
    }

    /// Whether 0 is its middle.
    pub fn is_difference(self) -> bool {
        matches!(self, Self::LossDifference | Self::AccuracyDifference)
    }

    /// Whether it is a share of images, 0..1.
    pub fn is_accuracy(self) -> bool {
        matches!(
            self,
            Self::TrainAccuracy | Self::TestAccuracy | Self::AccuracyDifference
        )
    }

    /// Its value.
    pub fn of(self, measured: &Measurement) -> f64 {
        let (train, test) = (measured.part(Part::Train), measured.part(Part::Test));
        match self {
            Self::TrainLoss => train.loss,
            Self::TestLoss => test.loss,
            Self::LossDifference => train.loss - test.loss,
            Self::TrainAccuracy => train.accuracy,
            Self::TestAccuracy => test.accuracy,
            Self::AccuracyDifference => train.accuracy - test.accuracy,
        }
    }
}

/// How a node of a field came by its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// It has none.
    #[default]
    Missing,
    /// From its measured neighbours.
    Interpolated,
    /// By evaluating the network there.
    Measured,
}

/// One number a node over a grid: what is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// What it shows.
    pub quantity: Quantity,
    /// First and last position of the first axis.
    pub first: (f64, f64),
    /// First and last position of the second axis.
    pub second: (f64, f64),
    /// Nodes along the first axis.
    pub columns: usize,
    /// Nodes along the second axis.
    pub rows: usize,
    /// `[rows][columns]`; NaN where missing, and NaN or infinite where the loss is.
    pub values: Vec<f64>,
    /// How each came about.
    pub known: Vec<Known>,
}

impl Grid {
    /// An empty grid over two axes.
    pub fn new(first: Vec<f64>, second: Vec<f64>) -> Self {
        Self {
            values: vec![None; first.len() * second.len()],
            first,
            second,
        }
    }

    /// The two positions of a node.
    pub fn position(&self, index: usize) -> [f64; 2] {
        let columns = self.first.len().max(1);
        [self.first[index % columns], self.second[index / columns]]
    }

    /// Takes over the values that another grid has at the same positions, but for the rounding of their last digits.
    pub fn take(&mut self, known: &Self) {
        let [columns, rows] = [shared(&known.first, &self.first), shared(&known.second, &self.second)];
        let across = self.first.len();
        for (from, row) in known.values.chunks(known.first.len().max(1)).zip(rows) {
            let Some(row) = row else { continue };
            for (value, column) in from.iter().zip(&columns) {
                if let (Some(value), Some(column)) = (value, column) {
                    self.values[row * across + column] = Some(*value);
                }
            }
        }
    }

    /// Number of nodes measured.
    pub fn measured(&self) -> usize {
        self.values.iter().flatten().count()
    }

    /// The measured node of lowest finite value.
    pub fn minimum(&self, quantity: Quantity) -> Option<([f64; 2], f64)> {
        self.values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| Some((index, quantity.of(value.as_ref()?))))
            .filter(|(_, value)| value.is_finite())
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(index, value)| (self.position(index), value))
    }

    /// Lowest and highest finite measured value.
    pub fn range(&self, quantity: Quantity) -> Option<(f64, f64)> {
        range(self.values.iter().flatten().map(|value| quantity.of(value)))
    }

    /// What is measured of `quantity`, the rest interpolated. Interpolation is cubic along the axes, from coarse to
    /// fine, of the logarithm where the values span decades: exact for a cubic polynomial (for a quadratic one near the
    /// edge), and never across a value that is not finite.
    pub fn field(&self, quantity: Quantity) -> Field {
        let (columns, rows) = (self.first.len(), self.second.len());
        let mut field = Field {
            quantity,
            first: ends(&self.first),
            second: ends(&self.second),
            columns,
            rows,
            values: vec![f64::NAN; columns * rows],
            known: vec![Known::Missing; columns * rows],
        };
        for (index, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                field.values[index] = quantity.of(value);
                field.known[index] = Known::Measured;
            }
        }
        super::refinement::fill(&mut field);
        field
    }
}

/// For each of the known positions of an axis, its number among others where it is one of them.
fn shared(known: &[f64], others: &[f64]) -> Vec<Option<usize>> {
    let mut sorted: Vec<(f64, usize)> = others.iter().copied().zip(0..).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let largest = known
        .iter()
        .chain(others)
        .fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let rounding = ROUNDING * largest;
    let number = |&position: &f64| {
        let place = sorted.partition_point(|(other, _)| *other < position - rounding);
        let (other, number) = *sorted.get(place)?;
        (other <= position + rounding).then_some(number)
    };
    known.iter().map(number).collect()
}

impl Field {
    /// Lowest and highest finite value.
    pub fn range(&self) -> Option<(f64, f64)> {
        range(self.values.iter().copied())
    }

    /// Node coordinates (column, row) of two positions, fractional; an axis of one node has it everywhere.
    pub fn node(&self, position: [f64; 2]) -> [f64; 2] {
        let along = |(start, end): (f64, f64), count: usize, x: f64| match count {
            0 | 1 => 0.0,
            _ if start == end => 0.0,
            _ => (x - start) / (end - start) * (count - 1) as f64,
        };
        [
            along(self.first, self.columns, position[0]),
            along(self.second, self.rows, position[1]),
        ]
    }

    /// The heights that pictures are made of.
    pub fn heights(&self, scale: Scale) -> Heights {
        Heights::new(self, scale)
    }
}

fn ends(positions: &[f64]) -> (f64, f64) {
    match (positions.first(), positions.last()) {
        (Some(&first), Some(&last)) => (first, last),
        _ => (0.0, 0.0),
    }
}

/// Lowest and highest finite number.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}
