//! A spiky function of one number, what is left of it when SGD's noise smooths it, and where SGD ends on it (Kleinberg,
//! Li and Yuan, *An Alternative View: When Does SGD Escape Local Minima?*, Section 2 and Fig. 3).
//!
//! The paper prints a picture of its function and no formula. This one is ours, with what the text says of theirs:
//! nearly convex, with its minimum x* = 0 among many others, which are gone when it is convolved with enough noise, and
//! outside [−1.5, 1.5] when it is convolved with noise of 0.15. f(x) = x²·(1 − s·cos kx) for |x| ≤ π and (1 − s)·x²
//! beyond, with s = 1/4 and k = 10. Value and slope are continuous, as cos kπ = 1.

use crate::error::{Error, Result};
use crate::random::{Purpose, Random};

/// s, how deep the spikes are as a share of x².
pub const DEPTH: f64 = 0.25;
/// k, radians of the spikes a unit of x.
pub const FREQUENCY: f64 = 10.0;
/// Up to where there are spikes.
const REACH: f64 = std::f64::consts::PI;
/// Where it is least.
pub const MINIMUM: f64 = 0.0;
/// Half-widths of noise from which differences of antiderivatives keep twelve digits, up to where no spike is left.
const HALF_WIDTHS: [f64; 2] = [0.001, 10.0];
/// Spacing of the positions between which a slope's change of sign is looked for; spikes are 0.6 apart.
const SPACING: f64 = 0.001;
/// Halvings of such an interval.
const HALVINGS: usize = 40;

/// f(x).
pub fn value(x: f64) -> f64 {
    let spikes = if x.abs() <= REACH {
        libm::cos(FREQUENCY * x)
    } else {
        1.0
    };
    x * x * (1.0 - DEPTH * spikes)
}

/// f′(x).
pub fn slope(x: f64) -> f64 {
    if x.abs() > REACH {
        return 2.0 * (1.0 - DEPTH) * x;
    }
    let (sine, cosine) = libm::sincos(FREQUENCY * x);
    2.0 * x * (1.0 - DEPTH * cosine) + DEPTH * FREQUENCY * x * x * sine
}

/// ∫₀ˣ f(u) du.
fn antiderivative(x: f64) -> f64 {
    let within = x.clamp(-REACH, REACH);
    let (sine, cosine) = libm::sincos(FREQUENCY * within);
    let k = FREQUENCY;
    let spikes = 2.0 * within * cosine / (k * k) + (within * within / k - 2.0 / (k * k * k)) * sine;
    let beyond = (1.0 - DEPTH) * (x * x * x - within * within * within) / 3.0;
    within * within * within / 3.0 - DEPTH * spikes + beyond
}

/// f convolved with noise that is uniform on (−r, r): what SGD's steps descend on average (Section 1, after Eq. 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothed {
    half_width: f64,
}

impl Smoothed {
    /// With noise of a half-width r, in units of x; f itself with 0.
    ///
    /// # Errors
    /// [`Error::Option`] for other half-widths than 0 and those from 0.001 to 10.
    pub fn new(half_width: f64) -> Result<Self> {
        let [least, most] = HALF_WIDTHS;
        if half_width == 0.0 || (least..=most).contains(&half_width) {
            return Ok(Self { half_width });
        }
        Err(Error::option(
            "width",
            half_width,
            format!("it must be 0, or from {least} to {most}"),
        ))
    }

    /// r.
    pub fn half_width(self) -> f64 {
        self.half_width
    }

    /// Its value at x: (F(x + r) − F(x − r))/2r with F′ = f.
    pub fn value(self, x: f64) -> f64 {
        let r = self.half_width;
        if r == 0.0 {
            return value(x);
        }
        (antiderivative(x + r) - antiderivative(x - r)) / (2.0 * r)
    }

    /// Its slope at x: (f(x + r) − f(x − r))/2r.
    pub fn slope(self, x: f64) -> f64 {
        let r = self.half_width;
        if r == 0.0 {
            return slope(x);
        }
        (value(x + r) - value(x - r)) / (2.0 * r)
    }

    /// Up to which |x| descent on it leads to x* = 0: where its slope first changes sign; infinite where it does not up
    /// to twice π, and 0 where x* is no minimum. As the function is even, it is the same on both sides.
    pub fn basin(self) -> f64 {
        if self.slope(SPACING) <= 0.0 {
            return 0.0;
        }
        let falls = |x: f64| self.slope(x) <= 0.0;
        self.changes(2.0 * REACH, falls)
            .first()
            .copied()
            .unwrap_or(f64::INFINITY)
    }

    /// Its local minima with 0 < x ≤ `reach`, at least [`SPACING`] apart; as many are on the other side.
    pub fn minima(self, reach: f64) -> Vec<f64> {
        self.changes(reach, |x| self.slope(x) > 0.0)
    }

    /// Where a condition on x begins to hold, between [`SPACING`] and `reach`.
    fn changes(self, reach: f64, holds: impl Fn(f64) -> bool) -> Vec<f64> {
        let count = (reach / SPACING) as usize;
        (1..count)
            .map(|index| [index, index + 1].map(|index| index as f64 * SPACING))
            .filter(|&[before, after]| !holds(before) && holds(after))
            .map(|[mut before, mut after]| {
                for _ in 0..HALVINGS {
                    let middle = 0.5 * (before + after);
                    if holds(middle) {
                        after = middle;
                    } else {
                        before = middle;
                    }
                }
                after
            })
            .collect()
    }
}

/// The constants of one-point convexity along a line: the largest c and the least c′ with
/// c·(x* − x)² ≤ ⟨−g′(x), x* − x⟩ ≤ c′·(x* − x)² at all positions but x* (Eq. 2 with g the smoothed function, and
/// Theorem 3). The function is c-one-point strongly convex there where c is above 0. Infinite without positions.
pub fn one_point_constants(slope: impl Fn(f64) -> f64, target: f64, positions: &[f64]) -> [f64; 2] {
    positions
        .iter()
        .filter(|&&x| x != target)
        .map(|&x| -slope(x) * (target - x) / (target - x).powi(2))
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], ratio| {
            [least.min(ratio), most.max(ratio)]
        })
}

/// The largest step size with which a step of gradient descent can still come nearer to x*: 2c′·‖x − x*‖²/‖∇f(x)‖²,
/// where ⟨−∇f(x), x* − x⟩ ≤ c′·‖x* − x‖² (Theorem 3). `distance` is ‖x − x*‖, `gradient` ‖∇f(x)‖; infinite where that
/// is 0.
pub fn largest_useful_step(most: f64, distance: f64, gradient: f64) -> f64 {
    if gradient == 0.0 {
        return f64::INFINITY;
    }
    2.0 * most * (distance / gradient).powi(2)
}

/// One trial of SGD: x ← x − η·f′(x) − ηω, where ηω is uniform on (−r, r).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// η.
    pub learning_rate: f64,
    /// r, the noise of a step in units of x: η times the bound of the gradient's noise.
    pub half_width: f64,
    /// Starts are uniform on (−start, start).
    pub start: f64,
    /// Number of steps.
    pub steps: usize,
    /// Seed of the start and the noise.
    pub seed: u64,
    /// Which of several independent trials with this seed.
    pub panel: u32,
}

/// Where a trial started and ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// x before the first step.
    pub start: f64,
    /// The last iterate.
    pub last: f64,
}

impl Trial {
    /// Runs all steps. The same settings end at the same place on every platform.
    pub fn make(settings: Settings) -> Self {
        let start = settings.first();
        Self {
            start,
            last: iterates(settings).last().unwrap_or(start),
        }
    }
}

impl Settings {
    /// x before the first step.
    fn first(&self) -> f64 {
        let mut random = Random::new(self.seed, Purpose::Initialisation, self.panel);
        self.start * random.within_one()
    }
}

/// The iterates of a trial: x before the first step and after each.
pub fn iterates(settings: Settings) -> impl Iterator<Item = f64> {
    // The stream of a network's sample order, which is where its noise comes from.
    let mut random = Random::new(settings.seed, Purpose::Shuffle, settings.panel);
    let first = settings.first();
    let steps = (0..settings.steps).scan(first, move |x, _| {
        *x = *x - settings.learning_rate * slope(*x) - settings.half_width * random.within_one();
        Some(*x)
    });
    std::iter::once(first).chain(steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dynamics::proportion::Proportion;
    use crate::landscape::line::positions;

    fn smoothed(half_width: f64) -> Smoothed {
        Smoothed::new(half_width).unwrap()
    }

    /// Trials of a test: enough that intervals of shares lie apart.
    const TRIALS: u64 = 400;

    fn last(half_width: f64, start: f64) -> Vec<f64> {
        let trial = |seed| {
            Trial::make(Settings {
                learning_rate: 0.0075,
                half_width,
                start,
                steps: 200,
                seed,
                panel: 0,
            })
        };
        (1..=TRIALS).map(|seed| trial(seed).last).collect()
    }

    #[test]
    fn noise_takes_the_bad_minima_away_from_outside_in() {
        let near = |found: &[f64], expected: &[f64]| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3)
        };
        let found = [0.0, 0.15, 0.3, 1.0].map(|width| smoothed(width).minima(3.0));
        assert!(near(&found[0], &[1.2015, 1.8514, 2.4887]), "{:?}", found[0]);
        assert!(near(&found[1], &[1.8143, 2.4634]), "{:?}", found[1]);
        assert!(found[2].is_empty() && found[3].is_empty());
        let basins = [0.0, 0.15, 0.3].map(|width| smoothed(width).basin());
        assert!(near(&basins, &[1.0464, 1.6528, 3.0193]), "{basins:?}");
        assert_eq!(smoothed(1.0).basin(), f64::INFINITY);
        for minimum in &found[1] {
            let at = |x: f64| smoothed(0.15).value(x);
            assert!(at(*minimum) < at(minimum + 0.01) && at(*minimum) < at(minimum - 0.01));
        }
        // Noise over a period of the spikes and three quarters of one turns the minimum at 0 into a maximum.
        let wide = smoothed(1.1);
        assert!(wide.basin() == 0.0 && wide.value(0.0) > wide.value(0.1));
        for width in [-0.1, 1e-4, 11.0, f64::NAN, f64::INFINITY] {
            let message = Smoothed::new(width).unwrap_err().to_string();
            assert!(message.contains("0.001 to 10"), "{message}");
        }
    }

    #[test]
    fn what_noise_smooths_is_one_point_convex_where_the_paper_says_so() {
        let constants = |width: f64, reach: f64| {
            one_point_constants(|x| smoothed(width).slope(x), MINIMUM, &positions(-reach, reach, 6001))
        };
        // Without noise on neither interval; with noise of 0.15 on the inner one alone; with 0.3 on both.
        assert!(constants(0.0, 1.5)[0] < 0.0);
        assert!(constants(0.15, 1.5)[0] > 0.1 && constants(0.15, 3.0)[0] < 0.0);
        assert!(constants(0.3, 1.5)[0] > 1.4 && constants(0.3, 3.0)[0] > 0.1);
        // Of a parabola both are its curvature.
        let [least, most] = one_point_constants(|x| 3.0 * (x - 0.5), 0.5, &[-1.0, 0.5, 2.0]);
        assert!((least - 3.0).abs() < 1e-12 && (most - 3.0).abs() < 1e-12);
        assert_eq!(
            one_point_constants(slope, MINIMUM, &[0.0]),
            [f64::INFINITY, f64::NEG_INFINITY]
        );
    }

    #[test]
    fn descent_is_stuck_noise_leads_home_and_too_much_of_it_wanders() {
        let share = |of: &[f64], within: f64| Proportion::of(of.iter().map(|x| x.abs() <= within));
        // Shares of 100,000 trials of an independent program, and so of ours within four standard errors.
        let check = |found: Proportion, expected: f64| {
            let error = (expected * (1.0 - expected) * (1.0 / TRIALS as f64 + 1e-5)).sqrt();
            assert!((found.share() - expected).abs() <= 4.0 * error, "{found} {expected}");
            found
        };
        let ends = [0.0, 0.15, 0.3, 1.0].map(|width| last(width, 3.0));
        let [still, _, suitable, large] = [(0, 0.5442), (1, 0.8768), (2, 0.8667), (3, 0.3048)]
            .map(|(index, expected)| check(share(&ends[index], 1.5), expected));
        assert!(suitable.is_above(still) && suitable.is_above(large));
        // With little noise some are caught in the minima that it leaves, with enough there are none.
        let basins = [0.0, 0.15, 0.3].map(|width| smoothed(width).basin());
        let [still, small, suitable] = [(0, 0.3476), (1, 0.8803), (2, 0.9945)]
            .map(|(index, expected)| check(share(&ends[index], basins[index]), expected));
        assert!(suitable.is_above(small) && small.is_above(still));
        // Without noise those that did not get home are stuck where the slope is 0.
        let mut stuck = ends[0].iter().copied().filter(|x| x.abs() > basins[0]);
        assert!(stuck.all(|x| slope(x).abs() < 1e-3));
        // Stages of less and less noise come nearer and nearer.
        let stages = [(1.5, 0.15, 0.3734), (0.75, 0.075, 0.6775), (0.4, 0.03, 0.9951)]
            .map(|(start, width, expected)| check(share(&last(width, start), 0.25), expected));
        assert!(stages[1].is_above(stages[0]) && stages[2].is_above(stages[1]));
    }

    #[test]
    fn a_trial_is_its_seed_and_panel() {
        let settings = Settings {
            learning_rate: 0.01,
            half_width: 0.3,
            start: 3.0,
            steps: 20,
            seed: 1,
            panel: 0,
        };
        let trial = Trial::make(settings);
        assert_eq!(trial, Trial::make(settings));
        for other in [Settings { seed: 2, ..settings }, Settings { panel: 1, ..settings }] {
            assert_ne!(trial, Trial::make(other));
        }
        let unmoved = Trial::make(Settings { steps: 0, ..settings });
        assert_eq!((unmoved.start, unmoved.last), (trial.start, trial.start));
        assert!(trial.start.abs() < 3.0);
    }

    proptest! {
        #[test]
        fn the_closed_form_is_what_quadrature_finds(x in -6.0_f64..6.0, exponent in -3.0_f64..0.3) {
            let r = 10.0_f64.powf(exponent);
            let found = smoothed(r);
            // Simpson's rule. f's fourth derivative is below s·k⁴·π² + … < 4·10⁴, which makes an error of 4·10⁴·h⁴/180
            // with h = r/1000 ≤ 0.002; where the spikes end, f″ jumps by s·k²·π² = 247, which makes one of
            // 247·h³/12/2r at most.
            let half = 1000;
            let h = r / f64::from(half);
            let at = |index: i32| value(x + f64::from(index) * h);
            let weight = |index: i32| if index % 2 == 0 { 2.0 } else { 4.0 };
            let inner: f64 = (1 - half..half).map(|index| weight(index) * at(index)).sum();
            let simpson = (at(-half) + inner + at(half)) / (6.0 * f64::from(half));
            let error = 4e4 * h.powi(4) / 180.0 + 247.0 * h.powi(3) / 24.0 / r;
            // Antiderivatives are below 200, so their difference has an error of 200·ε/r.
            let rounding = 1e-12 + 2.0 * 200.0 * f64::EPSILON / r;
            prop_assert!((found.value(x) - simpson).abs() < error + rounding, "{} {simpson} {error}", found.value(x));
            prop_assert!((found.value(x) - found.value(-x)).abs() < rounding);
        }

        #[test]
        fn slopes_are_those_of_the_values(x in -6.0_f64..6.0, exponent in -3.0_f64..0.3, still in any::<bool>()) {
            let found = smoothed(if still { 0.0 } else { 10.0_f64.powf(exponent) });
            let step = 1e-5;
            let difference = (found.value(x + step) - found.value(x - step)) / (2.0 * step);
            // f‴ is below s·k³·π² + … < 4000, and f″ jumps by 247 where the spikes end: 4000·h²/6 and 247·h/2; rounding
            // is that of antiderivatives, 200·ε/(2r·h) with r no less than 0.001, or of values, 30·ε/h.
            let r = if still { 1.0 } else { found.half_width() };
            let error = 4000.0 * step * step / 6.0 + 247.0 * step / 2.0 + 200.0 * f64::EPSILON / (r * step);
            prop_assert!((found.slope(x) - difference).abs() < error, "{} {difference} {error}", found.slope(x));
        }

        #[test]
        fn larger_steps_than_theorem_3_allows_lead_away(
            x in 0.01_f64..3.0, sign in any::<bool>(), more in 1.001_f64..5.0,
        ) {
            let x = if sign { x } else { -x };
            let [_, most] = one_point_constants(slope, MINIMUM, &positions(-3.0, 3.0, 6001));
            // The least c′ at these positions may be a little short of the least one of all.
            let step = largest_useful_step(most * 1.001, x.abs(), slope(x).abs());
            prop_assume!(step.is_finite());
            prop_assert!((x - more * step * slope(x)).abs() >= x.abs());
        }
    }
}
