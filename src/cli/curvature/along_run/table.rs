//! What `curvature --trajectory` prints: how it is measured, a line an epoch, and in the end where a bound is exceeded.

use crate::cli::curvature::words::{line, shown};
use crate::curvature::sharpness::Images;
use crate::curvature::{AlongRun, AtEpoch, NonUniformity};
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
            row.loss.map_or_else(unknown, shown),
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
            cells.push(spread.map_or_else(unknown, about));
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

/// A search that has not converged knows s of all images from below, and of sets nothing but roughly.
fn about(found: NonUniformity) -> String {
    match found.is_estimate() && !found.converged {
        true => format!("~{}", shown(found.value)),
        false => at_least(found.value, found.converged),
    }
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
    let batch = record.options.batch_size;
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
        Some(Images::All) => lines.push(line("s", &format!("from all {samples} images at once"))),
        Some(Images::Sets { count, images }) => {
            let text = format!("from {count} sets of {images} images; of so few it is too large on average");
            lines.push(line("s", &text));
        }
        None => {}
    }
    lines.join("\n")
}

/// A number as a share of its bound, and whether it is within it, where that is decided.
type Compared = (f64, Option<bool>);

/// At how many epochs each number exceeds a bound, at how many that is not known well enough, and where the most.
pub(super) fn summary(record: &AlongRun) -> String {
    let of = |what: &str, bound: &str, compared: fn(&AtEpoch) -> Option<Compared>| {
        let rows = record.rows.iter();
        let known: Vec<(usize, Compared)> = rows.filter_map(|row| Some((row.epoch, compared(row)?))).collect();
        let (epoch, (most, _)) = known.iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
        let count = |within: Option<bool>| known.iter().filter(|(_, compared)| compared.1 == within).count();
        let (beyond, all) = (count(Some(false)), known.len());
        let undecided = match count(None) {
            0 => String::new(),
            undecided => format!(", undecided at {undecided}"),
        };
        let text = format!(
            "{what} exceeds {bound} at {beyond} of {all} epochs{undecided}; the most, {most:.3} of it, after epoch {epoch}"
        );
        Some(line("beyond", &text))
    };
    let plain = of("a", "2/η", |row| {
        let (found, bound) = (row.sharpness?, row.sharpness_bound);
        Some((found.value / bound, found.is_within(bound)))
    });
    let with_momentum = of("a", "2(1 + μ)/η", |row| {
        let (found, bound) = (row.sharpness?, row.heavy_ball_bound?);
        Some((found.value / bound, found.is_within(bound)))
    });
    let non_uniformity = of("s", "its bound", |row| {
        let (found, bound) = (row.non_uniformity?, row.non_uniformity_bound?);
        Some((found.value / bound, found.is_within(bound)))
    });
    let lines = [plain, with_momentum, non_uniformity];
    lines.into_iter().flatten().collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::{Effort, Estimate, Sharpness};
    use crate::landscape::Provenance;
    use crate::training::TrainingOptions;

    fn row(epoch: usize, sharpness: f64, spread: Option<f64>, converged: bool) -> AtEpoch {
        AtEpoch {
            epoch,
            learning_rate: 0.5,
            loss: Some(0.25),
            sharpness: Some(Sharpness {
                value: sharpness,
                residual: 0.001,
                converged,
            }),
            sharpness_bound: 4.0,
            sharpness_share: Some(sharpness / 4.0),
            heavy_ball_bound: None,
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
        // What is from sets is no lower bound.
        let sets = AtEpoch {
            non_uniformity: NonUniformity::of(&[3.0, 5.0], false),
            ..row(7, 4.5, None, true)
        };
        assert!(columns.row(&sets).contains(" ~2.0000"), "{}", columns.row(&sets));
        let lost = AtEpoch {
            sharpness: None,
            sharpness_share: None,
            loss: None,
            lost: Some("it has diverged".to_owned()),
            ..row(7, 0.0, None, true)
        };
        let said = columns.row(&lost);
        assert!(said.ends_with("  it has diverged"), "{said}");
        assert_eq!(said.matches('–').count(), 7, "{said}");
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
        let all = record(0.0, Some(Images::All), rows);
        assert!(head(&all, false).contains("from all 100 images at once"));
        let heavy = record(0.9, None, vec![row(0, 1.0, None, true)]);
        let said = head(&heavy, false);
        assert!(
            said.contains("momentum μ = 0.9") && !said.contains("--bn batch"),
            "{said}"
        );
        assert!(head(&heavy, true).contains("that of --bn batch, and under running"));
        assert_eq!(summary(&heavy).lines().count(), 1);
    }

    #[test]
    fn the_end_leaves_open_what_is_not_known_and_counts_the_bound_with_momentum() {
        let with_momentum = |epoch: usize, sharpness: f64, converged: bool| AtEpoch {
            heavy_ball_bound: Some(7.6),
            ..row(epoch, sharpness, None, converged)
        };
        // s of 8.2 ± 0.3 and a bound of 8.
        let near = AtEpoch {
            non_uniformity: Some(NonUniformity {
                value: 8.2,
                standard_error: Some(0.3),
                squared: Estimate {
                    samples: 4,
                    mean: 8.2 * 8.2,
                    standard_error: Some(2.0 * 8.2 * 0.3),
                },
                converged: true,
            }),
            ..with_momentum(3, 2.0, true)
        };
        // Before it has converged, a is known to be beyond where it is already.
        let rows = vec![
            with_momentum(0, 3.0, false),
            with_momentum(1, 5.0, false),
            with_momentum(2, 7.7, true),
            near,
        ];
        let said = summary(&record(0.9, Some(Images::Sets { count: 4, images: 5 }), rows));
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        for (line, words) in lines.into_iter().zip([
            "a exceeds 2/η at 2 of 4 epochs, undecided at 1; the most, 1.925 of it, after epoch 2",
            "a exceeds 2(1 + μ)/η at 1 of 4 epochs, undecided at 2; the most, 1.013 of it, after epoch 2",
            "s exceeds its bound at 0 of 1 epochs, undecided at 1; the most, 1.025 of it, after epoch 3",
        ]) {
            assert!(line.contains(words), "{line}");
        }
    }
}
