//! What several kinds share: curves as series of a chart, and what is read off them.

use crate::data::Part;
use crate::experiment::outcome::Series;
use crate::landscape::{Band, Curve};

/// Horizontal axis of a curve along a direction.
pub(super) const RAY_AXIS: &str = "position l of w + l·u, |u| = 1";
/// Vertical axis of a loss.
pub(super) const LOSS_AXIS: &str = "loss";

/// Names of a table's columns, with ` | ` between them.
pub(super) fn columns(names: &str) -> Vec<String> {
    names.split(" | ").map(str::to_owned).collect()
}

/// One split of a curve.
pub(super) fn series(label: &str, curve: &Curve, part: Part) -> Series {
    Series {
        label: label.to_owned(),
        points: curve.losses(part).collect(),
        dashed: false,
    }
}

/// The mean of several curves; a position where a loss is not finite has none.
pub(super) fn mean_series(label: &str, band: &Band) -> Series {
    Series {
        label: label.to_owned(),
        points: at_multiple(band, 0.0),
        dashed: false,
    }
}

/// One standard deviation above the mean of several curves, and one below.
pub(super) fn deviation_series(band: &Band) -> [Series; 2] {
    [
        ("one standard deviation above", 1.0),
        ("one standard deviation below", -1.0),
    ]
    .map(|(label, multiple)| Series {
        label: label.to_owned(),
        points: at_multiple(band, multiple),
        dashed: true,
    })
}

/// Mean and a multiple of the standard deviation at every position.
fn at_multiple(band: &Band, multiple: f64) -> Vec<(f64, f64)> {
    let moments = band.mean.iter().zip(&band.deviation);
    band.positions
        .iter()
        .zip(moments)
        .map(|(&position, (&mean, &deviation))| match (mean, deviation) {
            (Some(mean), Some(deviation)) => (position, mean + multiple * deviation),
            _ => (position, f64::NAN),
        })
        .collect()
}

/// Where the parabola through the lowest loss and its two neighbours is lowest, for evenly spaced ascending positions:
/// nearer to the minimum than any position. Nothing where the lowest loss has no neighbour on one side.
pub(super) fn lowest(curve: &Curve, part: Part) -> Option<f64> {
    let points: Vec<(f64, f64)> = curve.losses(part).filter(|(_, loss)| loss.is_finite()).collect();
    let index = (0..points.len()).min_by(|&a, &b| points[a].1.total_cmp(&points[b].1))?;
    let before = points.get(index.checked_sub(1)?)?.1;
    let ((position, at), (next, after)) = (points[index], *points.get(index + 1)?);
    let curvature = before - 2.0 * at + after;
    let offset = match curvature > 0.0 {
        true => 0.5 * (before - after) / curvature,
        false => 0.0,
    };
    Some(position + offset * (next - position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::Profile;
    use crate::landscape::line::positions;
    use crate::objective::{Measurement, Quality};

    #[test]
    fn the_minimum_of_a_parabola_is_found_between_positions() {
        let found = |loss: fn(f64) -> f64| {
            let positions = positions(-1.0, 1.0, 41);
            let measured = |&l: &f64| {
                let quality = |loss| Quality { loss, accuracy: 0.5 };
                Some(Measurement {
                    train: quality(loss(l)),
                    test: quality(0.0),
                })
            };
            let values = positions.iter().map(measured).collect();
            lowest(&Curve { positions, values }, Part::Train)
        };
        let vertex = found(|l| 3.0 * (l + 0.123).powi(2) + 1.0).unwrap();
        assert!((vertex + 0.123).abs() < 1e-9, "{vertex}");
        assert_eq!(found(|l| l), None);
        assert_eq!(found(|_| f64::NAN), None);
    }

    #[test]
    fn a_band_is_drawn_as_far_as_it_is_known() {
        let profiles =
            [[1.0, 2.0, f64::NAN], [3.0, 2.0, 1.0]].map(|losses| Profile::new(&[-1.0, 0.0, 1.0], &losses).unwrap());
        let band = Band::of(&profiles, 1.0).unwrap();
        let [above, below] = deviation_series(&band);
        assert_eq!(mean_series("mean", &band).points[..2], [(-1.0, 2.0), (0.0, 2.0)]);
        assert_eq!(above.points[..2], [(-1.0, 3.0), (0.0, 2.0)]);
        assert_eq!(below.points[..2], [(-1.0, 1.0), (0.0, 2.0)]);
        assert!(above.points[2].1.is_nan() && above.dashed && below.dashed);
    }
}
