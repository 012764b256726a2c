//! Theorem 1 on one measured line: where the biased solution lies, what it gains by the theorem, and what it does.

use super::{BiasedDirection, MeasuredGain, PredictedGain, measured_gain, observed_gain};
use crate::error::Result;
use crate::landscape::asymmetry::{Certificate, Profile, Side};
use crate::landscape::line::is_within;
use crate::landscape::shift::{LEAST_SHARE, Shift, ShiftGap};

/// The smallest p that is used, as a share of the sharp side's slope: Definition 1 wants p > 0, and where the flat side
/// falls it holds for every such p.
const FLATTEST: f64 = 1e-3;
/// Share of the farthest bias that is taken: all of it but rounding, with which it would leave the interval.
const FARTHEST: f64 = 1.0 - 1e-9;
/// A gain may be missed by this share of the loss through rounding.
const ROUNDING: f64 = 1e-9;

/// A biased solution along one asymmetric direction.
///
/// Assumption 1 needs a shift δ̄ from r to r̄ of the certificate, and is about the gap ξ that this shift leaves. δ̄ is
/// the length of the shift that lays the test loss best over the train loss, where that is such a length, and halfway
/// between r and r̄ elsewhere. ξ is compared wherever the proof reads the losses, which is within ±r̄.
#[derive(Clone, Debug, PartialEq)]
pub struct Biased {
    /// Of the train loss.
    pub certificate: Certificate,
    /// The shift that lays the test loss best over the train loss.
    pub best: Shift,
    /// Whether its length lies between r and r̄, and so is δ̄.
    pub is_shift_inside: bool,
    /// p, c, r, r̄, δ̄, and the farthest l for which the proof holds.
    pub direction: BiasedDirection,
    /// With the gap ξ that a shift by δ̄ leaves.
    pub predicted: PredictedGain,
    /// With the gap that the best shift leaves, whatever its length: not what the theorem asks for.
    pub predicted_at_best: PredictedGain,
    /// What the mean of the train loss over shifts by +δ̄ and −δ̄ falls by.
    pub measured: MeasuredGain,
    /// What the test loss falls by; nothing where it is not finite.
    pub observed: Option<f64>,
}

impl Biased {
    /// Of a train and a test loss along a line through a minimum at 0, each (position, loss) by ascending position.
    /// Nothing where the train loss is not asymmetric within `reach`, a distance, over an interval at least `width`
    /// long, or the two losses cannot be compared. Losses beyond the reach keep a shifted test loss comparable.
    ///
    /// # Errors
    /// When positions do not ascend, or nothing on the line is finite.
    pub fn of(train: &[(f64, f64)], test: &[(f64, f64)], reach: f64, width: f64) -> Result<Option<Self>> {
        let within = train
            .iter()
            .copied()
            .filter(|&(position, _)| is_within(position, reach));
        let (places, losses): (Vec<f64>, Vec<f64>) = within.unzip();
        let found = Certificate::of(&Profile::new(&places, &losses)?, width);
        let Some(certificate) = found.filter(Certificate::is_asymmetric) else {
            return Ok(None);
        };
        let (inner, outer) = (certificate.from, certificate.to);
        let gap = ShiftGap::new(train, test, (-outer, outer))?;
        let Some(best) = gap.best() else {
            return Ok(None);
        };
        let is_shift_inside = inner < best.delta.abs() && best.delta.abs() < outer;
        let (delta, xi) = match is_shift_inside {
            true => (best.delta.abs(), best.gap),
            false => {
                let halfway = 0.5 * (inner + outer);
                let Some(xi) = smaller_gap(&gap, halfway) else {
                    return Ok(None);
                };
                (halfway, xi)
            }
        };
        let p = certificate.p.max(FLATTEST * certificate.sharp);
        let direction = BiasedDirection {
            p,
            c: certificate.sharp / p,
            inner,
            outer,
            delta,
            l: FARTHEST * (outer - delta).min(delta - inner),
        };
        let l = towards(&certificate) * direction.l;
        Ok(Some(Self {
            certificate,
            best,
            is_shift_inside,
            direction,
            predicted: PredictedGain::new(&[direction], xi)?,
            predicted_at_best: PredictedGain::new(&[direction], best.gap)?,
            measured: measured_gain(train, delta, l)?,
            observed: observed_gain(test, l).ok(),
        }))
    }

    /// δ of the best shift, above 0 towards the flat side.
    pub fn shift_to_flat_side(&self) -> f64 {
        towards(&self.certificate) * self.best.delta
    }

    /// (c − 1)·l·p/2: the theorem's bound but for ξ.
    pub fn without_gap(&self) -> f64 {
        (self.direction.c - 1.0) * self.direction.l * self.direction.p / 2.0
    }

    /// 4ξ/((c − 1)·p), which l has to exceed.
    pub fn least_bias(&self) -> f64 {
        self.predicted.terms.iter().map(|term| term.lower).sum()
    }

    /// How many times too large ξ is for l.
    pub fn excess(&self) -> f64 {
        self.least_bias() / self.direction.l
    }

    /// Whether the theorem says something of it.
    pub fn is_covered(&self) -> bool {
        self.predicted.is_valid()
    }

    /// Whether it would, were the best shift's gap that of δ̄.
    pub fn is_covered_at_best(&self) -> bool {
        self.predicted_at_best.is_valid()
    }

    /// Whether the train loss's gain over shifts by ±δ̄ is (c − 1)·l·p/2 at least. The certificate, which is of the
    /// same train loss, proves that it is: where it is not, the program is wrong.
    pub fn is_proof_kept(&self) -> bool {
        self.measured.gain >= self.without_gap() - ROUNDING * self.measured.at_minimum.abs()
    }

    /// Whether the test loss is lower at the biased solution than at the minimum: what the theorem promises of the mean
    /// over draws of the training data, seen at one. Nothing proves it.
    pub fn is_test_lower(&self) -> bool {
        self.observed.is_some_and(|gain| gain > 0.0)
    }
}

/// The sign of positions on the flat side.
fn towards(certificate: &Certificate) -> f64 {
    match certificate.flat {
        Side::Positive => 1.0,
        Side::Negative => -1.0,
    }
}

/// The gap left by a shift of this length to the side on which it leaves less: in one draw of the training data the
/// shift has one sign, and of a length that is not the best shift's nobody knows which. Nothing where too little can be
/// compared.
fn smaller_gap(gap: &ShiftGap, length: f64) -> Option<f64> {
    let shifts = [length, -length].into_iter().filter_map(|delta| gap.at(delta));
    shifts
        .filter(|shift| shift.share >= LEAST_SHARE)
        .map(|shift| shift.gap)
        .reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::landscape::line::positions;

    const REACH: f64 = 1.0;

    /// A loss from −2 to 2, in steps of 0.05.
    fn curve(loss: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let places = positions(-2.0 * REACH, 2.0 * REACH, 81);
        places.into_iter().map(|l| (l, loss(l))).collect()
    }

    fn found(train: impl Fn(f64) -> f64, test: impl Fn(f64) -> f64) -> Option<Biased> {
        Biased::of(&curve(train), &curve(test), REACH, 0.3).unwrap()
    }

    /// Slope 0.2 for l > 0 and 1.2 for l < 0: p = 0.2 and c = 6.
    fn valley(l: f64) -> f64 {
        (0.2 * l).max(-1.2 * l)
    }

    #[test]
    fn a_valley_that_is_shifted_as_the_theorem_asks_gains_its_bound() {
        let biased = found(valley, |l| valley(l - 0.6) + 0.5).unwrap();
        assert!(biased.is_shift_inside && (biased.direction.delta - 0.6).abs() < 1e-6);
        // A shift by −0.6, which it was not, would leave a difference of more than 1.
        assert!((biased.direction.l - 0.4).abs() < 1e-6 && biased.predicted.xi < 1e-6);
        // (6 − 1)·0.4·0.2/2
        assert!((biased.without_gap() - 0.2).abs() < 1e-6);
        assert!((biased.measured.gain - 0.2).abs() < 1e-6 && biased.measured.l > 0.0);
        assert!(biased.is_covered() && biased.is_proof_kept());
        // The test loss at −0.6 and at −0.2 of the valley.
        assert!((biased.observed.unwrap() - 0.48).abs() < 1e-6 && biased.is_test_lower());
    }

    #[test]
    fn a_shift_to_the_sharp_side_is_covered_and_loses() {
        let biased = found(valley, |l| valley(l + 0.6)).unwrap();
        assert!(biased.is_covered() && biased.is_proof_kept() && biased.shift_to_flat_side() < 0.0);
        // The test loss at 0.6 and at 1 of the valley: of the two signs the one in which the bias does not help.
        assert!((biased.observed.unwrap() + 0.08).abs() < 1e-6 && !biased.is_test_lower());
    }

    #[test]
    fn a_mirrored_valley_gains_as_much_on_its_other_side() {
        let biased = found(|l| valley(-l), |l| valley(-l - 0.6)).unwrap();
        assert!(biased.measured.l < 0.0 && (biased.measured.gain - 0.2).abs() < 1e-6);
        assert!((biased.observed.unwrap() - 0.48).abs() < 1e-6);
        assert!((biased.shift_to_flat_side() - 0.6).abs() < 1e-6);
    }

    #[test]
    fn a_shift_shorter_than_the_interval_s_begin_is_not_what_the_theorem_asks_for() {
        // Nothing within 0.5, then slopes 0.2 and 2: the interval is from 0.5 to 1, and a shift by 0.1 is too short.
        let loss = |l: f64| (0.2 * (l - 0.5)).max(-2.0 * (l + 0.5)).max(0.0);
        let biased = found(loss, move |l| loss(l - 0.1)).unwrap();
        assert!((biased.certificate.from - 0.5).abs() < 1e-9 && (biased.best.delta - 0.1).abs() < 1e-6);
        assert!(!biased.is_shift_inside && (biased.direction.delta - 0.75).abs() < 1e-6);
        // A shift by 0.75 leaves a difference of 1 at −1; the best one leaves nothing.
        assert!(!biased.is_covered() && biased.is_covered_at_best() && biased.is_proof_kept());
        assert!(biased.excess() > 1.0 && biased.predicted.xi > 0.5 && biased.best.gap < 1e-6);
    }

    #[test]
    fn a_flat_side_that_falls_has_a_small_p_above_0() {
        let biased = found(|l| (-0.1 * l).max(-2.0 * l), |l| (-0.1 * l).max(-2.0 * l)).unwrap();
        assert!((biased.direction.p - 0.002).abs() < 1e-9 && (biased.direction.c - 1000.0).abs() < 1e-6);
        assert!(biased.is_proof_kept());
    }

    #[test]
    fn what_is_not_asymmetric_has_no_biased_solution() {
        assert!(found(f64::abs, f64::abs).is_none());
    }

    #[test]
    fn a_test_loss_that_is_lost_at_the_biased_solution_is_not_lower() {
        let lost = |l: f64| {
            if (l - 0.4).abs() < 0.07 {
                f64::NAN
            } else {
                valley(l - 0.6)
            }
        };
        let biased = found(valley, lost).unwrap();
        assert!(biased.observed.is_none() && !biased.is_test_lower(), "{biased:?}");
    }

    proptest! {
        #[test]
        fn the_proof_holds_wherever_there_is_a_certificate(
            slopes in proptest::collection::vec((0.0_f64..1.0, 0.5_f64..6.0), 40),
            shift in -0.5_f64..0.5,
            flip in proptest::bool::ANY,
        ) {
            // Flat and sharp sides of 40 pieces each; a few of either rise as fast as the other side.
            let side = |pick: fn(&(f64, f64)) -> f64| -> Vec<f64> {
                let mut height = 0.0;
                slopes.iter().map(|pair| { height += 0.05 * pick(pair); height }).collect()
            };
            let (flat, sharp) = (side(|pair| pair.0 - 0.2), side(|pair| pair.1));
            let loss = |l: f64| {
                let l = if flip { -l } else { l };
                let place = (l.abs() / 0.05).round() as usize;
                let heights = if l > 0.0 { &flat } else { &sharp };
                place.checked_sub(1).map_or(0.0, |index| heights[index.min(39)])
            };
            if let Some(biased) = found(loss, |l| loss(l) + shift * l) {
                prop_assert!(biased.is_proof_kept(), "{:?} {:?}", biased.direction, biased.measured);
                prop_assert!(!biased.is_covered() || biased.predicted.gain > -1e-12);
                prop_assert!(biased.is_covered() || biased.excess() >= 1.0);
                prop_assert!(biased.direction.c > 1.0 && biased.direction.p > 0.0);
            }
        }
    }
}
