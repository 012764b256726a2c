//! Bumps on the line between two solutions: is there a barrier, or do the two lie in one basin?

use crate::data::Part;
use crate::error::{Error, Result};
use crate::experiment::outcome::spread_text;
use crate::landscape::Curve;

/// A train loss between the ends that lies above the chord, the straight line from the loss at one end to that at the
/// other, by more than this share of the basin's height is a bump. See [`bump`].
pub(super) const BUMP: f64 = 0.02;
/// A loss above the chord by no more than this share of itself is rounding: the sums of single precision, over all
/// images, with other batch-norm statistics at every point.
const ROUNDING: f64 = 1e-5;

/// Refuses a line that does not hold the whole way from one solution, at 0, to the other, at 1.
pub(super) fn check_between([start, end]: [f64; 2]) -> Result<()> {
    match start <= 0.0 && end >= 1.0 {
        true => Ok(()),
        false => Err(Error::option(
            "range",
            format!("{start}..{end}"),
            "it must hold 0 to 1, which is the way from one solution to the other",
        )),
    }
}

/// How far the train loss between the ends, at 0 and at 1, rises above the chord that joins them, as a share of the
/// basin's height; infinite where a loss from 0 to 1 is not finite, or not known.
///
/// The height is the larger of two: the range of the losses from 0 to 1; and how far the loss rises on the lower of the
/// two sides when one goes on beyond both ends, equally far and no farther than they are apart. The first alone would
/// make a bump of any unevenness between two ends of nearly the same loss, and with the whole line for it a steep
/// side far away would hide any bump.
pub(super) fn bump(curve: &Curve) -> f64 {
    let at = |position: f64| curve.at(position).map_or(f64::NAN, |value| value.train.loss);
    let (start, end) = (at(0.0), at(1.0));
    let inside = |(position, _): &(f64, f64)| (0.0..=1.0).contains(position);
    let mut between: Vec<(f64, f64)> = curve.losses(Part::Train).filter(inside).collect();
    between.extend([(0.0, start), (1.0, end)]);
    if between.iter().any(|(_, loss)| !loss.is_finite()) {
        return f64::INFINITY;
    }
    let over = between
        .iter()
        .map(|(position, loss)| loss - (start + position * (end - start)))
        .fold(0.0, f64::max);
    let high = between.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let low = between.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    if over <= ROUNDING * high.abs() {
        return 0.0;
    }
    let beyond = beyond(curve);
    let sides = [at(-beyond) - start, at(1.0 + beyond) - end];
    // A side that is not finite tells nothing of how high it is where losses are.
    let finite = sides.into_iter().filter(|side| side.is_finite());
    let lower = finite.reduce(f64::min).unwrap_or(0.0);
    over / lower.max(high - low)
}

/// How far a curve goes on beyond both ends, up to 1.
fn beyond(curve: &Curve) -> f64 {
    let measured = || curve.measured().map(|(position, _)| position);
    let before = -measured().fold(0.0, f64::min);
    let after = measured().fold(1.0, f64::max) - 1.0;
    before.min(after).min(1.0)
}

/// A bump's height for a table or a sentence.
pub(super) fn height_text(bump: f64) -> String {
    match bump.is_finite() {
        true => format!("{:.1} %", 100.0 * bump),
        false => "∞".to_owned(),
    }
}

/// A bump for a table, where there is one.
pub(super) fn bump_text(bump: f64) -> String {
    match bump > BUMP {
        true => height_text(bump),
        false => "none".to_owned(),
    }
}

/// Mean and standard deviation of the bumps of several seeds, and how many are infinite.
pub(super) fn bumps_text(bumps: &[f64]) -> String {
    let finite: Vec<f64> = bumps
        .iter()
        .filter(|bump| bump.is_finite())
        .map(|bump| 100.0 * bump)
        .collect();
    match bumps.len() - finite.len() {
        0 => format!("{} %", spread_text(&finite, 1)),
        _ if finite.is_empty() => "∞".to_owned(),
        infinite => format!("{} % (and ∞ for {infinite})", spread_text(&finite, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::line::positions;
    use crate::objective::{Measurement, Quality};

    fn curve(range: [f64; 2], count: usize, loss: impl Fn(f64) -> f64) -> Curve {
        let positions = positions(range[0], range[1], count);
        let measured = |&position: &f64| {
            Some(Measurement {
                train: Quality {
                    loss: loss(position),
                    accuracy: 0.5,
                },
                test: Quality {
                    loss: 0.0,
                    accuracy: 0.5,
                },
            })
        };
        Curve {
            values: positions.iter().map(measured).collect(),
            positions,
        }
    }

    /// 0 at both ends, a hill of a height halfway between them, and walls beyond.
    fn hill(height: f64, left: f64, right: f64) -> impl Fn(f64) -> f64 {
        move |l: f64| match l {
            l if l < 0.0 => -left * l,
            l if l > 1.0 => right * (l - 1.0),
            l => height * (1.0 - (2.0 * l - 1.0).abs()),
        }
    }

    #[test]
    fn a_convex_basin_has_no_bump() {
        assert_eq!(bump(&curve([-2.0, 3.0], 41, |l| 0.1 + (l - 0.3).powi(2))), 0.0);
        assert_eq!(bump(&curve([0.0, 1.0], 11, |l| 2.0 + l)), 0.0);
    }

    #[test]
    fn a_bump_is_measured_by_the_lower_side_of_the_basin() {
        // A side of 4 as far beyond as the ends are apart, and one of 1000 which hides nothing.
        let found = bump(&curve([-2.0, 3.0], 41, hill(0.2, 1000.0, 4.0)));
        assert!((found - 0.05).abs() < 1e-9, "{found}");
        // Half as far is measured: the side is 2 high there.
        let found = bump(&curve([-0.5, 1.5], 41, hill(0.2, 1000.0, 4.0)));
        assert!((found - 0.1).abs() < 1e-9, "{found}");
        // Higher than the basin, it is its own height.
        assert!((bump(&curve([-2.0, 3.0], 41, hill(8.0, 5.0, 4.0))) - 1.0).abs() < 1e-9);
        // Beyond an end the loss falls, or nothing is measured there: the range between the ends is left.
        assert!((bump(&curve([-1.0, 2.0], 31, hill(0.2, -1.0, 4.0))) - 1.0).abs() < 1e-9);
        assert!((bump(&curve([0.0, 1.0], 11, hill(0.2, 1.0, 4.0))) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn unevenness_between_equal_ends_is_none() {
        let uneven = |height: f64| bump(&curve([-2.0, 3.0], 41, move |l| 0.5 + hill(height, 4.0, 4.0)(l)));
        assert!(uneven(0.01) < BUMP && uneven(0.01) > 0.0);
        // Nor is rounding where the basin is flat beyond the ends, too.
        let flat = |height: f64| bump(&curve([-2.0, 3.0], 41, move |l| 0.5 + hill(height, 0.0, 0.0)(l)));
        assert_eq!(flat(1e-6), 0.0);
        assert!((flat(1e-3) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_loss_that_is_lost_between_the_ends_is_an_infinite_bump() {
        for lost in [f64::NAN, f64::INFINITY] {
            let at = |place: f64| {
                let loss = move |l: f64| if (l - place).abs() < 1e-9 { lost } else { l * l };
                bump(&curve([-2.0, 3.0], 41, loss))
            };
            assert_eq!([at(0.0), at(0.5), at(1.0)], [f64::INFINITY; 3]);
            assert_eq!([at(-2.0), at(3.0)], [0.0; 2]);
        }
        // The ends are not measured.
        assert_eq!(bump(&curve([0.25, 2.0], 8, |l| l * l)), f64::INFINITY);
        // A side that is lost tells nothing, and the other is the lower one.
        let wall = |l: f64| {
            if l < -0.5 {
                f64::INFINITY
            } else {
                hill(0.2, 1.0, 4.0)(l)
            }
        };
        assert!((bump(&curve([-2.0, 3.0], 41, wall)) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn a_line_holds_both_solutions() {
        assert!(check_between([-2.0, 3.0]).is_ok() && check_between([0.0, 1.0]).is_ok());
        for range in [[0.1, 2.0], [-1.0, 0.9], [2.0, 3.0]] {
            let told = check_between(range).unwrap_err().to_string();
            assert!(told.contains("range") && told.contains("0 to 1"), "{told}");
        }
    }

    #[test]
    fn bumps_are_told_with_those_that_are_infinite() {
        assert_eq!(
            (bump_text(BUMP), bump_text(0.1)),
            ("none".to_owned(), "10.0 %".to_owned())
        );
        assert_eq!(bump_text(f64::INFINITY), "∞");
        assert_eq!(bumps_text(&[0.25, 0.25]), "25.0 ± 0.0 %");
        assert_eq!(bumps_text(&[0.25, f64::INFINITY]), "25.0 % (and ∞ for 1)");
        assert_eq!(bumps_text(&[f64::INFINITY]), "∞");
    }
}
