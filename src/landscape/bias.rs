//! What a solution gains by lying off the minimum on the flat side of an asymmetric valley (*Asymmetric Valleys*,
//! Theorem 1; its proof is Appendix B of arXiv v1).
//!
//! Assumption 1 has the population loss L and the train loss L̂ differ by a random shift δ, +δ̄ᵢ or −δ̄ᵢ along each
//! direction uⁱ with probability ½ each, up to a shift gap ξ ([`super::shift`]). Assumption 2 has every uⁱ be
//! asymmetric over the distances r to r̄: slopes below pᵢ on the flat side and above cᵢ·pᵢ on the sharp one
//! (Definition 1; arXiv v1 writes r for r̄ and ζ for r). Then, with ŵ* the minimum of L̂,
//!
//! E L(ŵ*) − E L(ŵ* + Σ lᵢ·uⁱ) ≥ Σ (cᵢ − 1)·lᵢ·pᵢ/2 − 2kξ > 0
//!
//! where 4ξ/((cᵢ − 1)·pᵢ) < lᵢ ≤ max(r̄ − δ̄ᵢ, δ̄ᵢ − r), as both versions print it. The proof needs the smaller of the
//! two: its equation (3) follows L̂ on the sharp side from −δ̄ᵢ to lᵢ − δ̄ᵢ, no nearer than r, and its equation (4) on
//! the flat side from δ̄ᵢ to δ̄ᵢ + lᵢ, no farther than r̄. With the larger, the inequality can fail: beyond r̄ the flat
//! side may be as steep as it likes. Here lᵢ is valid up to the smaller, and the printed bound stands beside it.
//!
//! The proof reads L̂ at up to ‖δ̄‖ + ‖l‖ from ŵ*, so ξ has to hold there: the printed R = ‖l‖ is too short.
//!
//! Along one direction the proof's two sides are averages of L̂ itself: E L'(ŵ* + l·u) is ½·(L̂(l + δ̄) + L̂(l − δ̄)) up to
//! ξ. [`measured_gain`] reads these off a curve; the theorem bounds its gain from below by (c − 1)·l·p/2, and the
//! population's gain differs from it by at most 2ξ. All this is put together for one measured line by [`Biased`].

mod solution;

use serde::{Deserialize, Serialize};

pub use solution::Biased;

use super::shift::piecewise::ascending;
use crate::error::{Error, Result};

/// Share by which a bound may be missed through rounding.
const ROUNDING: f64 = 1e-12;

/// An asymmetric direction uⁱ and the bias along it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BiasedDirection {
    /// pᵢ: what the slope on the flat side is below, in losses per length.
    pub p: f64,
    /// cᵢ: how many times steeper the sharp side is at least.
    pub c: f64,
    /// r (ζ in arXiv v1): the distance from which on the two hold.
    pub inner: f64,
    /// r̄ (r in arXiv v1): the distance up to which they hold.
    pub outer: f64,
    /// δ̄ᵢ: length of the shift along uⁱ, from r to r̄.
    pub delta: f64,
    /// lᵢ: how far the solution lies towards the flat side.
    pub l: f64,
}

/// One direction's part in a predicted gain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// cᵢ.
    pub c: f64,
    /// pᵢ, in losses per length.
    pub p: f64,
    /// lᵢ, a length.
    pub l: f64,
    /// Whether the proof holds for it: δ̄ᵢ lies from r to r̄, and `lower` < lᵢ ≤ `upper`.
    pub valid: bool,
    /// 4ξ/((cᵢ − 1)·pᵢ): what lᵢ has to exceed for the term to be a gain.
    pub lower: f64,
    /// min(r̄ − δ̄ᵢ, δ̄ᵢ − r): the farthest lᵢ for which the proof holds, and that of the largest predicted gain.
    pub upper: f64,
    /// max(r̄ − δ̄ᵢ, δ̄ᵢ − r): the farthest lᵢ as the theorem is printed.
    pub printed_upper: f64,
}

/// Theorem 1's bound on what a biased solution gains in expected population loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedGain {
    /// Σ (cᵢ − 1)·lᵢ·pᵢ/2 − 2kξ, in units of the loss: a bound where every term is valid, and a mere number elsewhere.
    pub gain: f64,
    /// One entry a direction.
    pub terms: Vec<Term>,
    /// ξ: the shift gap that the shift leaves at most, in units of the loss. The shift is +δ̄ or −δ̄, one of the two in
    /// any draw of the training data, and Assumption 1 is about the gap that this one leaves. The other, which did not
    /// come about, would lay the losses as far apart as it can.
    pub xi: f64,
    /// k: the number of directions.
    pub k: usize,
}

/// What a biased solution gains along one direction under shifts of either sign, read off a train curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredGain {
    /// δ̄, a length.
    pub delta: f64,
    /// l, the biased solution's position; below 0 along −u.
    pub l: f64,
    /// ½·(L̂(δ̄) + L̂(−δ̄)): the expected loss at the minimum.
    pub at_minimum: f64,
    /// ½·(L̂(l + δ̄) + L̂(l − δ̄)): the expected loss at the biased solution.
    pub at_biased: f64,
    /// The first less the second, in units of the loss.
    pub gain: f64,
}

impl PredictedGain {
    /// Of a bias along orthogonal directions of unit length, with the shift gap `xi` that the shift, of whichever
    /// sign it is, leaves at most.
    ///
    /// # Errors
    /// When a number is not finite, or the definitions exclude it: p > 0, c > 1, 0 ≤ r < r̄, δ̄ ≥ 0, l ≥ 0, ξ ≥ 0.
    pub fn new(directions: &[BiasedDirection], xi: f64) -> Result<Self> {
        if !xi.is_finite() || xi < 0.0 {
            return Err(Error::Request(format!("a shift gap is 0 or more, and {xi} is not")));
        }
        let terms = directions
            .iter()
            .map(|direction| direction.term(xi))
            .collect::<Result<Vec<Term>>>()?;
        let k = terms.len();
        let slopes: f64 = terms.iter().map(|term| (term.c - 1.0) * term.l * term.p / 2.0).sum();
        Ok(Self {
            gain: slopes - 2.0 * k as f64 * xi,
            terms,
            xi,
            k,
        })
    }

    /// Whether the theorem's proof holds for every direction: the gain is then a bound, and above 0.
    pub fn is_valid(&self) -> bool {
        self.k > 0 && self.terms.iter().all(|term| term.valid)
    }
}

impl BiasedDirection {
    fn term(&self, xi: f64) -> Result<Term> {
        let &Self {
            p,
            c,
            inner,
            outer,
            delta,
            l,
        } = self;
        let finite = [p, c, inner, outer, delta, l].iter().all(|number| number.is_finite());
        let defined = p > 0.0 && c > 1.0 && inner >= 0.0 && inner < outer && delta >= 0.0 && l >= 0.0;
        if !finite || !defined {
            return Err(Error::Request(format!(
                "a bias needs p > 0, c > 1, 0 ≤ r < r̄, δ̄ ≥ 0 and l ≥ 0, all finite; \
                 p = {p}, c = {c}, r = {inner}, r̄ = {outer}, δ̄ = {delta}, l = {l} is none"
            )));
        }
        let lower = 4.0 * xi / ((c - 1.0) * p);
        let (flat, sharp) = (outer - delta, delta - inner);
        let upper = flat.min(sharp);
        Ok(Term {
            c,
            p,
            l,
            valid: upper >= 0.0 && l > lower && l <= upper + ROUNDING * outer,
            lower,
            upper,
            printed_upper: flat.max(sharp),
        })
    }
}

/// The gain of a solution at position `l` over the minimum at position 0 of a train curve, (position, loss) by
/// ascending position, under shifts by +`delta` and −`delta` with equal chances. The curve is linear between its
/// positions, which errs by at most 2M·h²/8 for a curve of second derivative at most M measured every h.
///
/// # Errors
/// When positions do not ascend, or a loss needed is NaN, infinite or outside the curve.
pub fn measured_gain(train: &[(f64, f64)], delta: f64, l: f64) -> Result<MeasuredGain> {
    ascending(train, "train")?;
    let around = |position: f64| -> Result<f64> {
        let (after, before) = (loss_at(train, position + delta)?, loss_at(train, position - delta)?);
        Ok(0.5 * (after + before))
    };
    let (at_minimum, at_biased) = (around(0.0)?, around(l)?);
    Ok(MeasuredGain {
        delta,
        l,
        at_minimum,
        at_biased,
        gain: at_minimum - at_biased,
    })
}

/// L(0) − L(l): the gain for the one shift that there was, read off a test curve, (position, loss) by ascending
/// position. Theorem 1 is about its mean over many draws of the training data.
///
/// # Errors
/// As [`measured_gain`].
pub fn observed_gain(test: &[(f64, f64)], l: f64) -> Result<f64> {
    ascending(test, "test")?;
    Ok(loss_at(test, 0.0)? - loss_at(test, l)?)
}

/// The loss at a position, linear between finite neighbours.
fn loss_at(points: &[(f64, f64)], position: f64) -> Result<f64> {
    let right = points.partition_point(|node| node.0 < position);
    let before = right.checked_sub(1).and_then(|left| points.get(left));
    let loss = match (before, points.get(right)) {
        (_, Some(&(at, loss))) if at == position => Some(loss),
        (Some(&(x0, y0)), Some(&(x1, y1))) => {
            let share = (position - x0) / (x1 - x0);
            Some((1.0 - share) * y0 + share * y1)
        }
        _ => None,
    };
    loss.filter(|loss| loss.is_finite()).ok_or_else(|| {
        Error::Request(format!(
            "the loss at position {position} of the line is not known or not finite; measure farther out, \
             or ask for a smaller shift or bias"
        ))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Slope p on the flat side and c·p on the sharp one, both from 0 on.
    fn valley(p: f64, c: f64) -> Vec<(f64, f64)> {
        vec![(-5.0, 5.0 * c * p), (0.0, 0.0), (5.0, 5.0 * p)]
    }

    fn direction(p: f64, c: f64, delta: f64, l: f64) -> BiasedDirection {
        BiasedDirection {
            p,
            c,
            inner: 0.5,
            outer: 4.0,
            delta,
            l,
        }
    }

    #[test]
    fn in_a_valley_of_two_straight_sides_the_prediction_is_what_is_measured() {
        let (p, c, delta, l) = (0.2, 6.0, 2.0, 1.25);
        let predicted = PredictedGain::new(&[direction(p, c, delta, l)], 0.0).unwrap();
        let measured = measured_gain(&valley(p, c), delta, l).unwrap();
        assert!(predicted.is_valid() && (predicted.gain - 0.625).abs() < 1e-12);
        assert!((measured.gain - predicted.gain).abs() < 1e-12, "{measured:?}");
        assert!((measured.at_minimum - 1.4).abs() < 1e-12, "{measured:?}");
        // Towards the sharp side as much is lost.
        let lost = measured_gain(&valley(p, c), delta, -l).unwrap();
        assert!((lost.gain + predicted.gain).abs() < 1e-12, "{lost:?}");
    }

    #[test]
    fn every_direction_adds_its_term_and_two_gaps() {
        let directions = [direction(0.2, 6.0, 2.0, 1.5), direction(0.1, 3.0, 3.0, 0.9)];
        let predicted = PredictedGain::new(&directions, 0.02).unwrap();
        assert!((predicted.gain - (0.75 + 0.09 - 0.08)).abs() < 1e-12);
        assert_eq!((predicted.k, predicted.xi), (2, 0.02));
        let [first, second] = [predicted.terms[0], predicted.terms[1]];
        assert!((first.lower - 0.08).abs() < 1e-12 && (first.upper, first.printed_upper) == (1.5, 2.0));
        assert!((second.lower - 0.4).abs() < 1e-12 && (second.upper, second.printed_upper) == (1.0, 2.5));
        assert!(predicted.is_valid() && predicted.gain > 0.0);
        let valid = |l, delta| {
            PredictedGain::new(&[direction(0.1, 3.0, delta, l)], 0.02)
                .unwrap()
                .is_valid()
        };
        assert!(valid(1.0, 3.0) && !valid(1.1, 3.0) && !valid(0.39, 3.0));
        assert!(!valid(0.41, 0.4) && !valid(0.41, 4.1), "a shift outside r to r̄");
        assert!(!PredictedGain::new(&[], 0.0).unwrap().is_valid());
    }

    #[test]
    fn the_bound_as_printed_reaches_beyond_what_holds() {
        // Flat up to r̄ = 2 only: at l = δ̄ − r, which the print allows, a shift by +δ̄ is up the wall behind it.
        let train = [(-5.0, 2.5), (0.0, 0.0), (2.0, 0.2), (5.0, 30.2)];
        let bias = BiasedDirection {
            outer: 2.0,
            ..direction(0.1, 5.0, 1.9, 1.4)
        };
        let predicted = PredictedGain::new(&[bias], 0.0).unwrap();
        let term = predicted.terms[0];
        assert!(term.l <= term.printed_upper + 1e-12 && !term.valid && predicted.gain > 0.0);
        assert!(measured_gain(&train, 1.9, 1.4).unwrap().gain < 0.0);
        let within = BiasedDirection { l: 0.1, ..bias };
        let predicted = PredictedGain::new(&[within], 0.0).unwrap();
        assert!(predicted.is_valid());
        assert!((measured_gain(&train, 1.9, 0.1).unwrap().gain - predicted.gain).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_known_or_not_allowed_is_refused() {
        let holed = [(-2.0, 4.0), (-1.0, 1.0), (0.0, 0.0), (1.0, f64::NAN), (2.0, 2.0)];
        assert!(measured_gain(&holed, 0.5, 1.0).is_err() && measured_gain(&holed, 2.0, 0.5).is_err());
        assert_eq!(measured_gain(&holed, 2.0, 0.0).unwrap().at_minimum, 3.0);
        assert_eq!(observed_gain(&holed, -1.5).unwrap(), -2.5);
        assert!(observed_gain(&holed, 0.5).is_err() && observed_gain(&holed, f64::NAN).is_err());
        assert!(observed_gain(&[(1.0, 0.0), (0.0, 0.0)], 0.0).is_err());
        let good = direction(0.1, 3.0, 2.0, 1.0);
        assert!(PredictedGain::new(&[BiasedDirection { c: 1.0, ..good }], 0.0).is_err());
        assert!(PredictedGain::new(&[BiasedDirection { p: f64::NAN, ..good }], 0.0).is_err());
        assert!(PredictedGain::new(&[good], -0.1).is_err() && PredictedGain::new(&[good], f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn the_prediction_bounds_the_measured_gain_from_below(
            p in 0.01_f64..1.0,
            c in 1.1_f64..20.0,
            shift in 0.0_f64..1.0,
            bias in 0.0_f64..1.0,
            softer in proptest::collection::vec(-1.0_f64..1.0, 10),
            steeper in proptest::collection::vec(1.0_f64..3.0, 10),
            floor in -1.0_f64..1.0,
            errors in (-1.0_f64..1.0, -1.0_f64..1.0, -1.0_f64..1.0, -1.0_f64..1.0),
            xi in 0.0_f64..0.1,
        ) {
            // Anything within r = 0.5; slopes below p and above c·p from there to r̄ = 4.
            let mut train: Vec<(f64, f64)> = vec![(-0.5, floor), (0.0, 0.0), (0.5, -floor)];
            for (less, more) in softer.iter().zip(&steeper) {
                let (flat, sharp) = (train[train.len() - 1], train[0]);
                train.push((flat.0 + 0.35, flat.1 + 0.35 * p * less));
                train.insert(0, (sharp.0 - 0.35, sharp.1 + 0.35 * c * p * more));
            }
            let delta = 0.5 + 3.4 * shift;
            let l = bias * (4.0_f64 - delta).min(delta - 0.5) * 0.999;
            let predicted = PredictedGain::new(&[direction(p, c, delta, l)], xi).unwrap();
            let measured = measured_gain(&train, delta, l).unwrap();
            // The population's loss after either shift, within ξ of the moved train loss.
            let (a, b, c, d) = errors;
            let gain = measured.gain + 0.5 * xi * (a + b + c + d);
            prop_assert!(gain >= predicted.gain - 1e-9, "{gain} {predicted:?}");
            prop_assert!(!predicted.is_valid() || predicted.gain > -1e-12);
        }
    }
}
