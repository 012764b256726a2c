//! Curves and the table of dynamics from a minimum on.

use super::NoiseNetwork;
use super::way::{Look, Way, sharpness, test_accuracy, train_accuracy, train_loss};
use crate::experiment::kinds::convexity::chart;
use crate::experiment::kinds::curves::columns;
use crate::experiment::kinds::dynamical_stability::{STEP_AXIS, loss_axis};
use crate::experiment::kinds::noise_on_networks::{error_text, over_seeds};
use crate::experiment::outcome::{Figure, Series, Table, significant};
use crate::objective::Objective;

impl NoiseNetwork {
    /// Sharpness, accuracies and train loss by step.
    pub(super) fn figures(&self, objective: &Objective, ways: &[Way], foot: &str) -> Vec<Figure> {
        let steps = self.looks();
        let seeds = ways.first().map_or(0, |way| way.records.len());
        let over = match seeds {
            1 => "one seed".to_owned(),
            count => format!("mean of {count} seeds and its standard error"),
        };
        let sharpness_axis = self.around.change.formula();
        let loss_axis = loss_axis(objective);
        let curves = |value: fn(&Look) -> f64, logarithmic: bool| -> Vec<Series> {
            ways.iter().map(|way| way.curve(&steps, value, logarithmic)).collect()
        };
        [
            (
                "sharpness",
                "Expected sharpness",
                sharpness_axis,
                curves(sharpness, false),
            ),
            (
                "test-accuracy",
                "Test accuracy",
                "test accuracy (%)",
                curves(test_accuracy, false),
            ),
            (
                "train-accuracy",
                "Train accuracy",
                "train accuracy (%)",
                curves(train_accuracy, false),
            ),
            ("train-loss", "Train loss", loss_axis.as_str(), curves(train_loss, true)),
        ]
        .into_iter()
        .map(|(name, title, axis, series)| {
            let title = format!("{title} from the minimum of gradient descent on: {over}");
            chart(name, title, (STEP_AXIS, axis), series, Vec::new(), foot)
        })
        .collect()
    }

    /// A row a dynamics: whether it left, and where it came to.
    pub(super) fn table(&self, ways: &[Way], losses: &[f64]) -> Table {
        let last = self.steps;
        let row = |way: &Way| {
            let left = way.left.iter().filter(|&&left| left).count();
            let diverged = way.records.iter().filter(|record| record.diverged.is_some()).count();
            let cell =
                |value: fn(&Look) -> f64, digits: usize| error_text(over_seeds(&way.values(last, value)), digits);
            vec![
                way.noise.name().to_owned(),
                format!("{left} of {}", way.left.len()),
                format!("{diverged} of {}", way.left.len()),
                cell(train_loss, 4),
                cell(train_accuracy, 1),
                cell(test_accuracy, 2),
                cell(sharpness, 5),
            ]
        };
        let start = ways.first().map_or_else(String::new, |way| {
            let cell = |value: fn(&Look) -> f64, digits: usize| error_text(over_seeds(&way.values(0, value)), digits);
            format!(
                "train loss {}, test accuracy {} %, expected sharpness {}",
                error_text(over_seeds(losses), 4),
                cell(test_accuracy, 2),
                cell(sharpness, 5)
            )
        });
        Table {
            caption: format!(
                "After {last} steps from the minimum of gradient descent ({start}); means over {} seeds with their \
                 standard errors. It has been left where the train loss was {} times as large",
                losses.len(),
                significant(self.burst, 3)
            ),
            header: columns(
                "dynamics | left | diverged | train loss | train accuracy (%) | test accuracy (%) | expected sharpness",
            ),
            rows: ways.iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind, lost, way};
    use crate::dynamics::noise::Noise;

    #[test]
    fn what_diverged_has_no_end_in_the_table() {
        let mut leaves = way(Noise::Sgd, 1.0, 0.6, 0.05);
        leaves.records[1] = lost();
        let table = kind().table(&[leaves, way(Noise::Gd, 0.02, 0.5, 0.1)], &[0.01; 3]);
        assert_eq!(table.rows[0][..4], ["SGD", "3 of 3", "1 of 3", "–"]);
        assert_eq!(table.rows[1][..3], ["GD", "0 of 3", "0 of 3"]);
        assert_eq!(table.rows[1].len(), table.header.len());
    }
}
