//! The measured values along a line, what can be read off them, and the record of how they were made.

use serde::{Deserialize, Serialize};

use crate::data::{Normalisation, Part, Pixels};
use crate::objective::{BatchNormPolicy, Measurement, Objective, Quality};

/// Values along a line. A position not measured yet has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Positions in the order asked.
    pub positions: Vec<f64>,
    /// One entry a position.
    pub values: Vec<Option<Measurement>>,
}

/// The lowest measured loss of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Minimum {
    /// Where along the line.
    pub position: f64,
    /// The loss there.
    pub loss: f64,
    /// Whether it is the first or last measured position: the valley's floor may lie beyond.
    pub at_edge: bool,
}

impl Curve {
    /// Position and loss of one split wherever it was measured, infinite and NaN losses included.
    pub fn losses(&self, part: Part) -> impl Iterator<Item = (f64, f64)> {
        self.measured()
            .map(move |(position, value)| (position, value.part(part).loss))
    }

    /// Position and measurement wherever there is one.
    pub fn measured(&self) -> impl Iterator<Item = (f64, Measurement)> {
        self.positions
            .iter()
            .zip(&self.values)
            .filter_map(|(&position, value)| value.map(|value| (position, value)))
    }

    /// The measured position of lowest finite loss.
    pub fn minimum(&self, part: Part) -> Option<Minimum> {
        self.losses(part)
            .filter(|(_, loss)| loss.is_finite())
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(position, loss)| Minimum {
                position,
                loss,
                at_edge: !self.measured().any(|(x, _)| x < position) || !self.measured().any(|(x, _)| x > position),
            })
    }

    /// Test minimum's position minus train minimum's: the shift of the two valleys along the line. Where a minimum lies
    /// at the edge of what was measured, there is none to tell.
    pub fn shift(&self) -> Option<f64> {
        let inside = |part| self.minimum(part).filter(|minimum| !minimum.at_edge);
        Some(inside(Part::Test)?.position - inside(Part::Train)?.position)
    }

    /// The measurement at a position, linear between the measured neighbours; nothing outside them.
    pub fn at(&self, position: f64) -> Option<Measurement> {
        let mut below: Option<(f64, Measurement)> = None;
        let mut above: Option<(f64, Measurement)> = None;
        for (at, value) in self.measured() {
            if at <= position && below.is_none_or(|b| at >= b.0) {
                below = Some((at, value));
            }
            if at >= position && above.is_none_or(|a| at <= a.0) {
                above = Some((at, value));
            }
        }
        let ((x0, low), (x1, high)) = (below?, above?);
        if x1 == x0 {
            return Some(low);
        }
        let share = (position - x0) / (x1 - x0);
        let between = |a: Quality, b: Quality| Quality {
            loss: a.loss + share * (b.loss - a.loss),
            accuracy: a.accuracy + share * (b.accuracy - a.accuracy),
        };
        Some(Measurement {
            train: between(low.train, high.train),
            test: between(low.test, high.test),
        })
    }

    /// Positions and losses by ascending position, cut into stretches of finite losses: what is not finite stays a
    /// gap.
    pub fn stretches(&self, part: Part) -> Vec<Vec<(f64, f64)>> {
        let mut points: Vec<(f64, f64)> = self.losses(part).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
            .split(|(_, loss)| !loss.is_finite())
            .filter(|stretch| !stretch.is_empty())
            .map(<[_]>::to_vec)
            .collect()
    }
}

/// The lowest finite loss and the highest, over several curves and both splits.
pub fn loss_range<'a>(curves: impl IntoIterator<Item = &'a Curve>) -> Option<(f64, f64)> {
    let mut range: Option<(f64, f64)> = None;
    for curve in curves {
        for part in Part::BOTH {
            for (_, loss) in curve.losses(part).filter(|(_, loss)| loss.is_finite()) {
                let (low, high) = range.unwrap_or((loss, loss));
                range = Some((low.min(loss), high.max(loss)));
            }
        }
    }
    range
}

/// How a curve was made: all that is needed to make it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Model name with options.
    pub model: String,
    /// Data specification.
    pub data: String,
    /// Run folder that the origin belongs to, where it is one of a run open in the window.
    pub run: Option<String>,
    /// Where the origin came from: a file, or a solution or epoch of the run.
    pub origin: String,
    /// The line: a direction with its seed, or the solution it leads to.
    pub line: String,
    /// What happens to batch-norm statistics.
    pub batch_norm: BatchNormPolicy,
    /// Images an evaluation batch.
    pub batch_size: usize,
    /// How bytes became numbers; nothing where the images are numbers on disk.
    #[serde(default)]
    pub normalisation: Option<Normalisation>,
    /// Images of the training split used, from its start.
    pub train_images: usize,
    /// Images of the test split used, from its start.
    pub test_images: usize,
    /// Seed of the run, where the origin is one of ours.
    pub seed: Option<u64>,
    /// Device that evaluated.
    pub device: String,
    /// Version of the program.
    pub version: String,
}

impl Provenance {
    /// Of a `line` from `origin` over the first `samples` images of each split.
    pub fn new(
        objective: &Objective,
        origin: &str,
        line: &str,
        policy: BatchNormPolicy,
        samples: usize,
        seed: Option<u64>,
    ) -> Self {
        let data = objective.data();
        Self {
            model: objective.graph().name.clone(),
            data: data.name.clone(),
            run: None,
            origin: origin.to_owned(),
            line: line.to_owned(),
            batch_norm: policy,
            batch_size: objective.batch_size(),
            normalisation: matches!(data.train.images, Pixels::Bytes(_)).then(|| data.normalisation.clone()),
            train_images: data.train.len().min(samples),
            test_images: data.test.len().min(samples),
            seed,
            device: objective.device_name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// One line for a figure's foot.
    pub fn footnote(&self) -> String {
        let seed = self.seed.map_or(String::new(), |seed| format!(" · seed {seed}"));
        format!(
            "{} · {} ({} train, {} test images) · {} · bn {} (batch {}){seed} · {} · valleyscope {}",
            self.model,
            self.data,
            self.train_images,
            self.test_images,
            self.origin,
            self.batch_norm,
            self.batch_size,
            self.device,
            self.version
        )
    }
}

/// A curve with its provenance: what is exported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineRecord {
    /// Short name of the curve, such as `uniform (seed 1)`.
    pub label: String,
    /// How it was made.
    pub provenance: Provenance,
    /// Its values.
    pub curve: Curve,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(train: &[f64], test: &[f64]) -> Curve {
        let quality = |loss| Quality { loss, accuracy: 0.5 };
        Curve {
            positions: (0..train.len()).map(|i| i as f64 - 2.0).collect(),
            values: train
                .iter()
                .zip(test)
                .map(|(&a, &b)| {
                    Some(Measurement {
                        train: quality(a),
                        test: quality(b),
                    })
                })
                .collect(),
        }
    }

    #[test]
    fn minima_ignore_values_that_are_not_finite_and_accept_negative_ones() {
        let curve = curve(
            &[f64::NAN, 3.0, -1.0, 2.0, f64::INFINITY],
            &[4.0, 1.0, 2.0, f64::NAN, 9.0],
        );
        assert_eq!(
            curve.minimum(Part::Train),
            Some(Minimum {
                position: 0.0,
                loss: -1.0,
                at_edge: false,
            })
        );
        assert_eq!(curve.shift(), Some(-1.0));
        assert_eq!(Curve::default().minimum(Part::Train), None);
        let falling = self::curve(&[5.0, 4.0, 3.0, 2.0, 1.0], &[2.0, 1.0, 0.0, 1.0, 2.0]);
        assert!(falling.minimum(Part::Train).is_some_and(|minimum| minimum.at_edge));
        assert_eq!(falling.shift(), None);
    }

    #[test]
    fn values_between_positions_are_linear_and_end_with_them() {
        let mut curve = curve(&[4.0, 2.0, 0.0, 2.0, 4.0], &[0.0; 5]);
        curve.values[1] = None;
        let loss = |position| curve.at(position).map(|m| m.train.loss);
        assert_eq!(loss(0.0), Some(0.0));
        assert_eq!(loss(0.5), Some(1.0));
        assert_eq!(loss(-1.5), Some(3.0));
        assert_eq!(loss(2.5), None);
    }

    #[test]
    fn stretches_are_cut_where_a_loss_is_not_finite() {
        let curve = curve(&[4.0, f64::NAN, 0.0, 2.0, f64::INFINITY], &[1.0; 5]);
        assert_eq!(
            curve.stretches(Part::Train),
            [vec![(-2.0, 4.0)], vec![(0.0, 0.0), (1.0, 2.0)]]
        );
        assert_eq!(loss_range([&curve]), Some((0.0, 4.0)));
    }
}
