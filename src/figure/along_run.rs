//! Sharpness and non-uniformity along a training run as files: a chart by epoch, a table, and the whole record as JSON.

use std::path::Path;

use super::chart::{BLUE, Chart, GREY, Series, VERMILION};
use super::pictures::phases;
use super::table::{refuse_files_of_a_run, table};
use crate::curvature::along_run::Allowed;
use crate::curvature::{AlongRun, AtEpoch};
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::Scale;

/// Writes a record as its file's ending says: JSON with everything; CSV with a row an epoch; PNG or SVG of `size`
/// pixels with both numbers by epoch, their errors and their bounds. Beside a table or a picture lies the JSON file.
///
/// # Errors
/// [`Error::File`], also for the names of a run folder's own files; [`Error::Request`] where nothing is known that
/// could be drawn, or for a size that cannot be drawn.
pub fn write(path: &Path, record: &AlongRun, size: Option<(u32, u32)>) -> Result<()> {
    refuse_files_of_a_run(path)?;
    whole_file::write(&path.with_extension("json"), json(record)?.as_bytes())?;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Ok(()),
        Some("csv") => whole_file::write(path, &csv(record)?),
        _ => chart(record).write(path, size),
    }
}

fn json(record: &AlongRun) -> Result<String> {
    serde_json::to_string_pretty(record)
        .map_err(|error| Error::Request(format!("the record could not be encoded: {error}")))
}

/// A column of the table: its name, and what it holds of an epoch; nothing where that is not known.
type Column = (&'static str, fn(&AtEpoch) -> Option<String>);

const EPOCH: [Column; 3] = [
    ("epoch", |row| Some(row.epoch.to_string())),
    ("learning_rate", |row| Some(row.learning_rate.to_string())),
    ("train_loss", |row| Some(row.loss?.to_string())),
];
const SHARPNESS: [Column; 5] = [
    ("sharpness", |row| Some(row.sharpness?.value.to_string())),
    ("sharpness_residual", |row| Some(row.sharpness?.residual.to_string())),
    ("sharpness_converged", |row| Some(row.sharpness?.converged.to_string())),
    ("sharpness_bound", |row| Some(row.sharpness_bound.to_string())),
    ("sharpness_share", |row| Some(row.sharpness_share?.to_string())),
];
const HEAVY_BALL: [Column; 1] = [("heavy_ball_bound", |row| Some(row.heavy_ball_bound?.to_string()))];
const NON_UNIFORMITY: [Column; 5] = [
    ("non_uniformity", |row| Some(row.non_uniformity?.value.to_string())),
    ("non_uniformity_error", |row| {
        Some(row.non_uniformity?.standard_error?.to_string())
    }),
    ("non_uniformity_converged", |row| {
        Some(row.non_uniformity?.converged.to_string())
    }),
    ("non_uniformity_bound", |row| {
        Some(row.non_uniformity_bound?.to_string())
    }),
    ("non_uniformity_share", |row| {
        Some(row.non_uniformity_share?.to_string())
    }),
];
const LOST: [Column; 1] = [("lost", |row| row.lost.clone())];

/// A row an epoch: the heavy ball's bound where there is momentum, and s where it is asked for.
fn csv(record: &AlongRun) -> Result<Vec<u8>> {
    let mut columns: Vec<Column> = [&EPOCH[..], &SHARPNESS].concat();
    if record.has_momentum() {
        columns.extend(HEAVY_BALL);
    }
    if record.images.is_some() {
        columns.extend(NON_UNIFORMITY);
    }
    columns.extend(LOST);
    let cells = |row: &AtEpoch| -> Vec<String> {
        let known = columns.iter().map(|(_, cell)| cell(row).unwrap_or_default());
        known.collect()
    };
    let header = columns.iter().map(|(name, _)| (*name).to_owned());
    table(header, record.rows.iter().map(cells))
}

/// Both numbers by epoch, with their errors, and dashed in the same colour what plain SGD allows them.
fn chart(record: &AlongRun) -> Chart {
    let curve = |label: &str, colour, value: fn(&AtEpoch) -> Option<f64>| Series {
        label: label.to_owned(),
        colour,
        points: points(record, value),
        ..Series::default()
    };
    let has_momentum = record.has_momentum();
    let bound = |symbol: &str| match has_momentum {
        true => format!("{symbol}, of plain SGD"),
        false => symbol.to_owned(),
    };
    // The same all through an epoch, measured or not.
    let allowed = Allowed {
        options: &record.options,
        samples: record.trained_on,
    };
    let last = record.epochs.last().copied().unwrap_or_default();
    let limit = |label: String, colour, line: Vec<[f64; 2]>| Series {
        label,
        colour,
        points: line.into_iter().map(|[x, y]| (x, y)).collect(),
        dashed: true,
        ..Series::default()
    };
    let sharpness = |row: &AtEpoch| Some(row.sharpness?.value);
    let mut series = vec![
        curve("sharpness a", BLUE, sharpness),
        limit(bound("2/η"), BLUE, allowed.line(last, Allowed::sharpness)),
        errors(record, BLUE, |row| {
            Some((row.sharpness?.value, row.sharpness?.residual))
        }),
    ];
    if has_momentum {
        let heavy_ball = format!("2(1 + μ)/η, with its momentum μ = {}", record.options.momentum);
        series.push(limit(heavy_ball, GREY, allowed.line(last, Allowed::heavy_ball)));
    }
    let mut title = "Sharpness along training".to_owned();
    if record.images.is_some() {
        title = "Sharpness and non-uniformity along training".to_owned();
        let spread = |row: &AtEpoch| Some(row.non_uniformity?.value);
        let most = allowed.line(last, Allowed::non_uniformity);
        series.push(curve("non-uniformity s", VERMILION, spread));
        series.push(errors(record, VERMILION, |row| {
            let spread = row.non_uniformity?;
            Some((spread.value, spread.standard_error?))
        }));
        if !most.is_empty() {
            series.push(limit(bound("(1/η)·√(B(n − 1)/(n − B))"), VERMILION, most));
        }
    }
    let (batch, of) = (record.options.batch_size, record.trained_on);
    Chart {
        title,
        x_label: "epoch".to_owned(),
        y_label: "eigenvalue, in losses by squared weight".to_owned(),
        series,
        marks: phases(&record.options, last),
        footnote: format!("B = {batch} of n = {of} · {}", record.provenance.footnote()),
        scale: Scale::Automatic,
    }
}

/// A number by epoch; NaN where it is not known.
fn points(record: &AlongRun, value: fn(&AtEpoch) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |row: &AtEpoch| (row.epoch as f64, value(row).unwrap_or(f64::NAN));
    record.rows.iter().map(point).collect()
}

/// A vertical line from one end of each error to the other, apart from each other.
fn errors(record: &AlongRun, colour: [u8; 3], value: fn(&AtEpoch) -> Option<(f64, f64)>) -> Series {
    let known = record
        .rows
        .iter()
        .filter_map(|row| Some((row.epoch as f64, value(row)?)));
    // What has no x is a gap alone.
    let gap = (f64::NAN, f64::NAN);
    let lines = known
        .filter(|(_, (_, error))| *error > 0.0)
        .flat_map(|(epoch, (value, error))| [(epoch, value - error), (epoch, value + error), gap]);
    Series {
        colour,
        points: lines.collect(),
        ..Series::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::lanczos::Effort;
    use crate::curvature::sharpness::{Images, Sharpness};
    use crate::curvature::{Estimate, NonUniformity};
    use crate::landscape::Provenance;
    use crate::training::TrainingOptions;

    fn row(epoch: usize, known: Option<(f64, f64)>) -> AtEpoch {
        let square = |s: f64| Estimate {
            samples: 4,
            mean: s * s,
            standard_error: Some(0.5 * s),
        };
        AtEpoch {
            epoch,
            learning_rate: 0.5,
            loss: known.map(|_| 0.25),
            sharpness: known.map(|(value, _)| Sharpness {
                value,
                residual: 0.125,
                converged: true,
            }),
            sharpness_bound: 4.0,
            sharpness_share: known.map(|(value, _)| value / 4.0),
            heavy_ball_bound: None,
            non_uniformity: known.map(|(_, value)| NonUniformity {
                value,
                standard_error: Some(0.25),
                squared: square(value),
                converged: true,
            }),
            non_uniformity_bound: Some(8.0),
            non_uniformity_share: known.map(|(_, value)| value / 8.0),
            lost: known.is_none().then(|| "it has diverged".to_owned()),
        }
    }

    fn record() -> AlongRun {
        AlongRun {
            provenance: Provenance {
                model: "mlp:5".to_owned(),
                ..Provenance::default()
            },
            options: TrainingOptions {
                epochs: 10,
                learning_rate: 0.5,
                momentum: 0.0,
                swa_start: 0,
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
            images: Some(Images::Sets { count: 4, images: 5 }),
            epochs: vec![0, 5, 10],
            rows: vec![row(0, Some((1.0, 2.0))), row(5, None), row(10, Some((3.5, 6.0)))],
        }
    }

    /// The same with momentum, and without s.
    fn with_momentum() -> AlongRun {
        let mut record = record();
        record.options.momentum = 0.5;
        record.images = None;
        for row in &mut record.rows {
            row.heavy_ball_bound = Some(6.0);
            row.non_uniformity = None;
        }
        record
    }

    #[test]
    fn a_table_has_what_is_known_and_says_what_was_lost() {
        let text = |record: &AlongRun| String::from_utf8(csv(record).unwrap()).unwrap();
        let both = text(&record());
        let lines: Vec<&str> = both.lines().collect();
        assert_eq!(
            lines[0],
            "epoch,learning_rate,train_loss,sharpness,sharpness_residual,sharpness_converged,sharpness_bound,\
             sharpness_share,non_uniformity,non_uniformity_error,non_uniformity_converged,non_uniformity_bound,\
             non_uniformity_share,lost"
        );
        assert_eq!(lines[1], "0,0.5,0.25,1,0.125,true,4,0.25,2,0.25,true,8,0.25,");
        assert_eq!(lines[2], "5,0.5,,,,,4,,,,,8,,it has diverged");
        let alone = text(&with_momentum());
        assert_eq!(
            alone.lines().nth(1),
            Some("0,0.5,0.25,1,0.125,true,4,0.25,6,"),
            "{alone}"
        );
    }

    #[test]
    fn a_chart_has_both_numbers_under_their_bounds_with_errors_and_gaps() {
        let found = chart(&record());
        let named: Vec<(&str, bool)> = found
            .series
            .iter()
            .filter(|series| !series.label.is_empty())
            .map(|series| (series.label.as_str(), series.dashed))
            .collect();
        assert_eq!(
            named,
            [
                ("sharpness a", false),
                ("2/η", true),
                ("non-uniformity s", false),
                ("(1/η)·√(B(n − 1)/(n − B))", true)
            ]
        );
        let sharpness = &found.series[0].points;
        assert!(sharpness[1].0 == 5.0 && sharpness[1].1.is_nan() && sharpness[2] == (10.0, 3.5));
        // The learning rate of 0.5 is that of six epochs; in the seventh a quarter of the way to a hundredth is done, and
        // the last one has that. What is allowed jumps, at epochs that are not measured, too.
        let near = |(x, y): (f64, f64), epoch: f64, expected: f64| x == epoch && (y / expected - 1.0).abs() < 1e-9;
        let allowed = &found.series[1].points;
        assert_eq!(allowed[..2], [(0.0, 4.0), (6.0, 4.0)]);
        let [from, to] = [allowed[2], allowed[3]];
        let seventh = 2.0 / (0.5 - 0.25 * 0.495);
        assert!(near(from, 6.0, seventh) && near(to, 7.0, seventh), "{allowed:?}");
        assert!(near(allowed[allowed.len() - 1], 10.0, 400.0), "{allowed:?}");
        // The bound on s has the same steps.
        let spread = &found.series[5].points;
        assert_eq!(spread.len(), allowed.len());
        let ratio = 0.5 * (128.0_f64 * 999.0 / 872.0).sqrt();
        for (&most, &(epoch, bound)) in spread.iter().zip(allowed) {
            assert!(near(most, epoch, ratio * bound), "{spread:?}");
        }
        // A line for each of two errors, apart, and none where nothing is known.
        let errors = &found.series[2].points;
        assert_eq!(errors[..2], [(0.0, 0.875), (0.0, 1.125)]);
        assert!(errors.len() == 6 && errors[2].0.is_nan() && errors[4] == (10.0, 3.625));
        assert!(
            found.footnote.starts_with("B = 128 of n = 1000 · mlp:5"),
            "{}",
            found.footnote
        );
        let svg = found.svg((640, 400)).unwrap();
        assert!(svg.contains("Sharpness and non-uniformity along training"), "{svg}");
    }

    #[test]
    fn with_momentum_the_bounds_say_whose_they_are() {
        let found = chart(&with_momentum());
        let labels: Vec<&str> = found.series.iter().map(|series| series.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "sharpness a",
                "2/η, of plain SGD",
                "",
                "2(1 + μ)/η, with its momentum μ = 0.5"
            ]
        );
        assert_eq!(found.title, "Sharpness along training");
        let [plain, heavy] = [1, 3].map(|index| &found.series[index].points);
        assert_eq!((plain[1], heavy[1]), ((6.0, 4.0), (6.0, 6.0)));
    }
}
