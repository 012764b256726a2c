//! The charts of this program: a slice, two slices over each other, an interpolation, a training run.

use super::chart::{BLUE, Chart, GREEN, Mark, PURPLE, Series, VERMILION};
use crate::data::Part;
use crate::landscape::{LineRecord, Normalisation, Scale};
use crate::network::Loss;
use crate::training::{EpochMetrics, RunRecord, TrainingOptions, schedule};

/// Horizontal axis of a slice along a direction of unit length.
pub const RAY_AXIS: &str = "position l of w + l·u, |u| = 1";

/// Horizontal axis of a slice along a direction of some normalisation.
pub fn ray_axis(normalisation: Normalisation) -> &'static str {
    match normalisation {
        Normalisation::Unit => RAY_AXIS,
        Normalisation::Filter => "position l of w + l·u, u normalised by filter",
        Normalisation::FilterAll => "position l of w + l·u, u normalised by filter-all",
        Normalisation::Layer => "position l of w + l·u, u normalised by layer",
        Normalisation::LayerAll => "position l of w + l·u, u normalised by layer-all",
        Normalisation::None => "position l of w + l·u",
    }
}

/// Horizontal axis of the two curves through a point of a plane.
pub const PLANE_AXIS: &str = "position along each of the two directions";

/// Vertical axis of curves.
pub fn loss_axis(records: &[LineRecord]) -> &'static str {
    let model = records.first().map_or("", |record| record.provenance.model.as_str());
    Loss::of_model(model).axis()
}

/// Train and test loss along one line, or along several over each other.
pub fn lines(title: &str, x_label: &str, records: &[LineRecord], scale: Scale) -> Chart {
    let mut series = Vec::new();
    let several = records.len() > 1;
    for (index, record) in records.iter().enumerate() {
        for part in Part::BOTH {
            // One line: train and test in two colours. Two lines: a colour each, test dashed.
            let colour = match (several, part) {
                (true, _) => [GREEN, PURPLE][index % 2],
                (false, Part::Train) => BLUE,
                (false, Part::Test) => VERMILION,
            };
            let mut points: Vec<(f64, f64)> = record.curve.losses(part).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let label = if several {
                format!("{}, {}", record.label, part.name())
            } else {
                part.name().to_owned()
            };
            series.push(Series {
                label,
                colour,
                dashed: several && part == Part::Test,
                points,
                mark_minimum: true,
            });
        }
    }
    Chart {
        title: title.to_owned(),
        x_label: x_label.to_owned(),
        y_label: loss_axis(records).to_owned(),
        series,
        marks: Vec::new(),
        footnote: records
            .first()
            .map(|record| record.provenance.footnote())
            .unwrap_or_default(),
        scale,
    }
}

/// Train and test loss by epoch, with the phases marked.
pub fn training(record: &RunRecord, metrics: &[EpochMetrics]) -> Chart {
    let points = |loss: fn(&EpochMetrics) -> f64| metrics.iter().map(|row| (row.epoch as f64, loss(row))).collect();
    let options = &record.options;
    let last = schedule::learning_rate(options, options.epochs);
    let mut rates = format!("{} to {last}", options.learning_rate);
    if options.total_epochs() > options.epochs {
        rates += &format!(", then {}", options.sgd_learning_rate);
    }
    Chart {
        title: "Training".to_owned(),
        x_label: "epoch".to_owned(),
        y_label: Loss::of_model(&record.model).axis().to_owned(),
        series: vec![
            Series {
                label: "train (augmented, as the weights move)".to_owned(),
                colour: BLUE,
                points: points(|row| row.train_loss),
                mark_minimum: false,
                dashed: false,
            },
            Series {
                label: "test".to_owned(),
                colour: VERMILION,
                points: points(|row| row.test_loss),
                mark_minimum: false,
                dashed: false,
            },
        ],
        marks: phases(options, metrics.len()),
        footnote: format!(
            "{} · {} · batch {} · lr {rates} · momentum {} · weight decay {} · seed {} · {} · valleyscope {}",
            record.model,
            record.data,
            options.batch_size,
            options.momentum,
            options.weight_decay,
            options.seed,
            record.device,
            record.version
        ),
        scale: Scale::Automatic,
    }
}

/// Where averaging and SGD from the average begin in a run of which so many epochs are shown.
pub(super) fn phases(options: &TrainingOptions, epochs: usize) -> Vec<Mark> {
    let mut marks = Vec::new();
    if options.averages() {
        marks.push(Mark {
            position: options.swa_start as f64,
            label: "averaging".to_owned(),
        });
        if epochs > options.epochs {
            marks.push(Mark {
                position: options.epochs as f64,
                label: "SGD from SWA".to_owned(),
            });
        }
    }
    marks
}

/// The horizontal axis of the way between two solutions.
pub fn interpolation_axis([first, second]: &[String; 2]) -> String {
    match (first.as_str(), second.as_str()) {
        ("SWA", "SGD") => "position t of w_SWA + t·(w_SGD − w_SWA)".to_owned(),
        _ => format!("position t: {first} at 0, {second} at 1"),
    }
}

/// The way from one solution to another by their names, SWA and SGD if they are those.
pub fn interpolation(names: &[String; 2], record: &LineRecord, scale: Scale) -> Chart {
    let [first, second] = names;
    let title = format!("From {first} to {second}");
    segment(&title, &interpolation_axis(names), [first, second], record, scale)
}

/// A line from one solution (position 0) to another (position 1), with its two ends marked by name.
fn segment(title: &str, x_label: &str, ends: [&str; 2], record: &LineRecord, scale: Scale) -> Chart {
    let mut chart = lines(title, x_label, std::slice::from_ref(record), scale);
    chart.marks = [0.0, 1.0]
        .into_iter()
        .zip(ends)
        .map(|(position, end)| Mark {
            position,
            label: end.to_owned(),
        })
        .collect();
    chart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_of_a_slice_says_what_was_done_to_its_direction_s_length() {
        for normalisation in Normalisation::ALL {
            let axis = ray_axis(normalisation);
            let is_unit = normalisation == Normalisation::Unit;
            assert!(axis.starts_with("position l of w + l·u"), "{axis}");
            assert_eq!(axis.contains("|u| = 1"), is_unit, "{axis}");
            let is_named = axis.ends_with(&format!("normalised by {normalisation}"));
            assert_eq!(is_named, normalisation.follows_weights(), "{axis}");
        }
    }
}
