//! What `curvature --trajectory` prints: how it is measured, a line an epoch, and in the end where a bound is exceeded.

use crate::cli::curvature::words::{line, shown};
use crate::curvature::sharpness::Images;
use crate::curvature::{AlongRun, AtEpoch};
use crate::objective::BatchNormPolicy;

/// The columns of a run's table.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// Whether the run has momentum, and the heavy ball's bound a column.
    momentum: bool,
    /// Whether s is measured.
    non_uniformity: bool,
}

/// Letters of the columns, apart from each other, in their order.
const EPOCH: usize = 6;
const NUMBER: usize = 12;

impl Columns {
    pub(super) fn of(record: &AlongRun) -> Self {
        Self {
            momentum: record.has_momentum(),
            non_uniformity: record.images.is_some(),
        }
    }

    /// What stands above them.
    pub(super) fn names(self) -> String {
        let mut names = vec!["η", "train loss", "a", "residual", "2/η", "a·η/2"];
        if self.momentum {
            names.push("2(1 + μ)/η");
        }
        if self.non_uniformity {
            names.extend(["s", "error", "bound of s", "s/bound"]);
        }
        aligned("epoch", names.into_iter().map(str::to_owned))
    }

    /// The line of an epoch.
    pub(super) fn row(self, row: &AtEpoch) -> String {
        let sharpness = row.sharpness;
        let mut cells = vec![
            shown(row.learning_rate),
            shown(row.loss),
            sharpness.map_or_else(unknown, |found| at_least(found.value, found.converged)),
            sharpness.map_or_else(unknown, |found| format!("{:.1e}", found.residual)),
            shown(row.sharpness_bound),
            share(row.sharpness_share),
        ];
        if self.momentum {
            cells.push(row.heavy_ball_bound.map_or_else(unknown, shown));
        }
        if self.non_uniformity {
            let spread = row.non_uniformity;
            let error = spread.and_then(|found| found.standard_error);
            cells.push(spread.map_or_else(unknown, |found| at_least(found.value, found.converged)));
            cells.push(error.map_or_else(unknown, shown));
            cells.push(row.non_uniformity_bound.map_or_else(|| "none".to_owned(), shown));
            cells.push(share(row.non_uniformity_share));
        }
        let known = aligned(&row.epoch.to_string(), cells);
        match &row.lost {
            Some(reason) => format!("{known}  {reason}"),
            None => known,
        }
    }
}

fn aligned(first: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: String = cells.into_iter().map(|cell| format!("{cell:>NUMBER$}")).collect();
    format!("{first:>EPOCH$}{cells}")
}

fn unknown() -> String {
    "–".to_owned()
}

/// A search that has not converged knows a bound from below.
fn at_least(value: f64, converged: bool) -> String {
    let sign = if converged { "" } else { "≥" };
    format!("{sign}{}", shown(value))
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(unknown, |share| format!("{share:.3}"))
}

/// Of which run, over which images, and whose the bounds are; `has_batch_norm` is of the network.
pub(super) fn head(record: &AlongRun, has_batch_norm: bool) -> String {
    let provenance = &record.provenance;
    let (model, data, policy) = (&provenance.model, &provenance.data, provenance.batch_norm);
    let (origin, parameters) = (&provenance.origin, record.parameters);
    let (samples, all) = (record.samples, record.trained_on);
    let batch = record.options.batch_size.min(all);
    let mut lines = vec![
        line("run", &format!("{origin} ({model}, {parameters} parameters)")),
        line(
            "over",
            &format!("{samples} of {all} train images of {data}, bn {policy}"),
        ),
        line(
            "bounds",
            &format!("of plain SGD with B = {batch} of n = {all}: a ≤ 2/η, s ≤ (1/η)·√(B(n − 1)/(n − B))"),
        ),
    ];
    if record.has_momentum() {
        let momentum = record.options.momentum;
        let text = format!(
            "this run has momentum μ = {momentum}: gradient descent with it stays up to a = 2(1 + μ)/η; of s no bound \
             with momentum is known here"
        );
        lines.push(line("", &text));
    }
    if record.options.weight_decay > 0.0 {
        let decay = record.options.weight_decay;
        let text = format!("its weight decay adds {decay} to every eigenvalue, which is left out here");
        lines.push(line("", &text));
    }
    if has_batch_norm && policy != BatchNormPolicy::Batch {
        let text = format!(
            "SGD's batches have statistics of their own, which move with the weights: the sharpness that it meets is \
             that of --bn batch, and under {policy} a can lie far beyond 2/η"
        );
        lines.push(line("", &text));
    }
    match record.images {
        Some(Images::All) => lines.push(line("s", &format!("from all {all} images"))),
        Some(Images::Sets { count, images }) => {
            let text = format!("from {count} sets of {images} images; of so few it is too large on average");
            lines.push(line("s", &text));
        }
        None => {}
    }
    lines.join("\n")
}

/// At how many epochs each number exceeds the bound of plain SGD, and where the most.
pub(super) fn summary(record: &AlongRun) -> String {
    let of = |what: &str, share: fn(&AtEpoch) -> Option<f64>, bound: &str| {
        let known: Vec<(usize, f64)> = record
            .rows
            .iter()
            .filter_map(|row| Some((row.epoch, share(row)?)))
            .collect();
        let beyond = known.iter().filter(|(_, share)| *share > 1.0).count();
        let (epoch, most) = known.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let text = format!(
            "{what} exceeds {bound} at {beyond} of {} epochs; the most, {most:.3} of it, after epoch {epoch}",
            known.len()
        );
        Some(line("beyond", &text))
    };
    let lines = [
        of("a", |row| row.sharpness_share, "2/η"),
        of("s", |row| row.non_uniformity_share, "its bound"),
    ];
    lines.into_iter().flatten().collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::{Effort, Estimate, NonUniformity, Sharpness};
    use crate::landscape::Provenance;
    use crate::training::TrainingOptions;

    fn row(epoch: usize, sharpness: f64, spread: Option<f64>, converged: bool) -> AtEpoch {
        AtEpoch {
            epoch,
            learning_rate: 0.5,
            loss: 0.25,
            sharpness: Some(Sharpness {
                value: sharpness,
                residual: 0.001,
                converged,
            }),
            sharpness_bound: 4.0,
            sharpness_share: Some(sharpness / 4.0),
            heavy_ball_bound: Some(7.6),
            non_uniformity: spread.map(|value| NonUniformity {
                value,
                standard_error: None,
                squared: Estimate {
                    samples: 1,
                    mean: value * value,
                    standard_error: None,
                },
                converged,
            }),
            non_uniformity_bound: Some(8.0),
            non_uniformity_share: spread.map(|value| value / 8.0),
            lost: None,
        }
    }

    fn record(momentum: f64, images: Option<Images>, rows: Vec<AtEpoch>) -> AlongRun {
        AlongRun {
            provenance: Provenance::default(),
            options: TrainingOptions {
                momentum,
                ..TrainingOptions::default()
            },
            trained_on: 1000,
            samples: 100,
            parameters: 10,
            effort: Effort {
                steps: 10,
                tolerance: 1e-3,
                seed: 1,
            },
            images,
            epochs: rows.iter().map(|row| row.epoch).collect(),
            rows,
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_names() {
        let rows = vec![row(0, 1.0, Some(2.0), true), row(120, 4.5, None, false)];
        let all = Some(Images::All);
        for (momentum, images) in [(0.0, None), (0.9, None), (0.0, all), (0.9, all)] {
            let record = record(momentum, images, rows.clone());
            let columns = Columns::of(&record);
            let names = columns.names();
            assert_eq!(names.contains("2(1 + μ)/η"), momentum > 0.0, "{names}");
            assert_eq!(names.contains("s/bound"), images.is_some(), "{names}");
            for row in &record.rows {
                assert_eq!(columns.row(row).chars().count(), names.chars().count(), "{names}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_told() {
        let record = record(0.0, Some(Images::All), Vec::new());
        let columns = Columns::of(&record);
        let known = columns.row(&row(7, 4.5, Some(2.0), false));
        for words in ["≥4.5000", "≥2.0000", "1.125"] {
            assert!(known.contains(words), "{known}");
        }
        let lost = AtEpoch {
            sharpness: None,
            sharpness_share: None,
            lost: Some("it has diverged".to_owned()),
            ..row(7, 0.0, None, true)
        };
        let said = columns.row(&lost);
        assert!(said.ends_with("  it has diverged"), "{said}");
        assert_eq!(said.matches('–').count(), 6, "{said}");
        assert!(said.trim_start().starts_with('7'), "{said}");
    }

    #[test]
    fn the_head_says_whose_the_bounds_are_and_the_end_where_they_are_exceeded() {
        let rows = vec![
            row(0, 1.0, Some(2.0), true),
            row(5, 5.0, Some(4.0), true),
            row(10, 4.1, Some(3.0), true),
        ];
        let plain = record(0.0, Some(Images::Sets { count: 4, images: 50 }), rows.clone());
        let said = head(&plain, false);
        for words in [
            "plain SGD with B = 128 of n = 1000",
            "4 sets of 50 images",
            "weight decay adds 0.0003",
        ] {
            assert!(said.contains(words), "{said}");
        }
        assert!(!said.contains("momentum"), "{said}");
        let end = summary(&plain);
        assert!(
            end.contains("a exceeds 2/η at 2 of 3 epochs; the most, 1.250 of it, after epoch 5"),
            "{end}"
        );
        let spread = "s exceeds its bound at 0 of 3 epochs; the most, 0.500";
        assert!(end.contains(spread), "{end}");
        let heavy = record(0.9, None, vec![row(0, 1.0, None, true)]);
        let said = head(&heavy, false);
        assert!(
            said.contains("momentum μ = 0.9") && !said.contains("--bn batch"),
            "{said}"
        );
        assert!(head(&heavy, true).contains("that of --bn batch, and under running"));
        assert_eq!(summary(&heavy).lines().count(), 1);
    }
}
