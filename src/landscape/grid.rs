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

    /// Of a difference, the quantity that it begins with and the one that is subtracted.
    pub fn parts(self) -> Option<[Self; 2]> {
        match self {
            Self::LossDifference => Some([Self::TrainLoss, Self::TestLoss]),
            Self::AccuracyDifference => Some([Self::TrainAccuracy, Self::TestAccuracy]),
            _ => None,
        }
    }

    /// Whether 0 is its middle.
    pub fn is_difference(self) -> bool {
        self.parts().is_some()
    }

    /// Whether it is a share of images, 0..1.
    pub fn is_accuracy(self) -> bool {
        matches!(
            self,
            Self::TrainAccuracy | Self::TestAccuracy | Self::AccuracyDifference
        )
    }

    /// The scale that it has where `asked` is asked for: a difference has no logarithm, and a share of images, which is
    /// read as it is, only where one is asked for by name.
    pub fn scale(self, asked: Scale) -> Scale {
        match asked {
            _ if self.is_difference() => Scale::Linear,
            Scale::Automatic if self.is_accuracy() => Scale::Linear,
            asked => asked,
        }
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
    /// fine, of the logarithm where losses span decades: exact for a cubic polynomial (for a quadratic one near the
    /// edge), and never across a value that is not finite. A difference is that of its two interpolated parts, so that
    /// it is off by no more than both of them are.
    pub fn field(&self, quantity: Quantity) -> Field {
        if let Some(parts) = quantity.parts() {
            let [whole, less] = parts.map(|part| self.field(part));
            return whole.minus(&less, quantity);
        }
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

    /// It less another field of the same nodes; what either has not is missing.
    fn minus(mut self, less: &Self, quantity: Quantity) -> Self {
        self.quantity = quantity;
        let others = less.values.iter().zip(&less.known);
        for ((value, known), (other, other_known)) in self.values.iter_mut().zip(&mut self.known).zip(others) {
            *value -= other;
            if *other_known == Known::Missing {
                *known = Known::Missing;
            }
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::line::positions;
    use crate::objective::Quality;

    /// Train and test loss and accuracy on every fourth row and column of a square.
    fn coarse(train: impl Fn([f64; 2]) -> [f64; 2], test: impl Fn([f64; 2]) -> [f64; 2]) -> Grid {
        let mut grid = Grid::new(positions(-2.0, 2.0, 33), positions(-2.0, 2.0, 33));
        for index in (0..grid.values.len()).filter(|index| index / 33 % 4 == 0 && index % 33 % 4 == 0) {
            let position = grid.position(index);
            let quality = |[loss, accuracy]: [f64; 2]| Quality { loss, accuracy };
            grid.values[index] = Some(Measurement {
                train: quality(train(position)),
                test: quality(test(position)),
            });
        }
        grid
    }

    #[test]
    fn a_difference_is_that_of_its_interpolated_parts() {
        // Losses over decades, of which the logarithm is interpolated; accuracies that are cut off at 0 and at 1.
        let train = |[a, b]: [f64; 2]| [(2.0 * a + b).exp(), f64::from(a + b > 0.3)];
        let test = |[a, b]: [f64; 2]| [1.1 * (2.0 * a + 0.9 * b).exp(), f64::from(a - b > 0.1)];
        let grid = coarse(train, test);
        for quantity in Quantity::ALL {
            let field = grid.field(quantity);
            assert_eq!(field.quantity, quantity);
            let Some(parts) = quantity.parts() else { continue };
            let [whole, less] = parts.map(|part| grid.field(part));
            for (index, value) in field.values.iter().enumerate() {
                assert_eq!(*value, whole.values[index] - less.values[index]);
                assert_eq!(field.known[index], whole.known[index]);
                if let Some(measured) = &grid.values[index] {
                    assert_eq!(*value, quantity.of(measured));
                    assert_eq!(field.known[index], Known::Measured);
                }
            }
        }
        // Exponentials have linear logarithms, which are met but for rounding. Their difference is no such thing.
        let field = grid.field(Quantity::LossDifference);
        for (index, value) in field.values.iter().enumerate() {
            let position = grid.position(index);
            let expected = train(position)[0] - test(position)[0];
            assert!((value - expected).abs() < 1e-9, "{value} instead of {expected}");
        }
    }

    #[test]
    fn where_one_part_has_no_value_a_difference_has_none() {
        let grid = coarse(|[a, b]| [1.0 + a * a + b * b, 0.5], |_| [f64::INFINITY, 0.5]);
        let field = grid.field(Quantity::LossDifference);
        for (index, known) in field.known.iter().enumerate() {
            let expected = match grid.values[index] {
                Some(_) => Known::Measured,
                None => Known::Missing,
            };
            assert_eq!(*known, expected);
            assert!(!field.values[index].is_finite());
        }
    }

    #[test]
    fn only_losses_have_a_logarithm_unasked() {
        for quantity in Quantity::ALL {
            let (loss, difference) = (!quantity.is_accuracy(), quantity.is_difference());
            let unasked = quantity.scale(Scale::Automatic);
            assert_eq!(unasked == Scale::Automatic, loss && !difference, "{}", quantity.name());
            let asked = quantity.scale(Scale::Logarithmic);
            assert_eq!(asked == Scale::Logarithmic, !difference, "{}", quantity.name());
            assert_eq!(quantity.scale(Scale::Linear), Scale::Linear);
        }
    }
}
