//! SGD on a function of one number that is flat on one side and sharp on the other (*Asymmetric Valleys*, Section 5.1):
//! it oscillates, stays longer on the flat side, and so the mean of its iterates lies there (Theorem 2).

use serde::Serialize;

use crate::error::{Error, Result};
use crate::random::{Purpose, Random};

/// Steps of a simulation at most: its iterates take 80 MB.
pub const MOST_STEPS: usize = 10_000_000;

/// Slope of a flat side.
const FLAT: f64 = 0.125;
/// Slope of a sharp side: sixteen times as much, as Theorem 2 asks for more than thirteen.
const SHARP: f64 = 2.0;

/// The function L(w) = a₊·w for w ≥ 0 and a₋·w for w < 0, with a₋ = −c·a₊ and its minimum, 0, at 0. In Theorem 2's
/// terms, where slopes lie between bounds, b₊ = a₊ and b₋ = a₋.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Valley {
    /// Magnitude of the slope where w ≥ 0, a₊, loss a unit of w.
    pub flat: f64,
    /// Magnitude of the slope where w < 0, −a₋ = c·a₊, loss a unit of w.
    pub sharp: f64,
}

impl Valley {
    /// L(w).
    pub fn loss(self, w: f64) -> f64 {
        self.slope(w) * w
    }

    /// L′(w); at 0 that of the flat side, as in Theorem 2.
    pub fn slope(self, w: f64) -> f64 {
        if w >= 0.0 { self.flat } else { -self.sharp }
    }

    /// c = −a₋/a₊, how many times as steep the sharp side is.
    pub fn asymmetry(self) -> f64 {
        self.sharp / self.flat
    }
}

/// What is simulated: w ← w − η·(L′(w) + ω) with independent ω, uniform on (−ν, ν).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The function.
    pub valley: Valley,
    /// η.
    pub learning_rate: f64,
    /// ν, bound of the noise, loss a unit of w like the slopes.
    pub noise: f64,
    /// w before the first step.
    pub start: f64,
    /// Number of steps.
    pub steps: usize,
    /// Seed of the noise.
    pub seed: u64,
}

/// The paper prints the pictures and not the numbers behind them. These are ours: slopes of 1/8 and 2, noise half as
/// large as the flatter slope, and a start at distance 1 from the minimum.
impl Settings {
    /// An asymmetric valley at a rate at which SGD oscillates (Fig. 5).
    pub fn large_rate(seed: u64) -> Self {
        Self::with([FLAT, SHARP], 0.5, 300, seed)
    }

    /// The same at a rate too small to reach the minimum from the flat side (arXiv version, Fig. 6, right).
    pub fn small_rate_from_flat(seed: u64) -> Self {
        Self::with([FLAT, SHARP], 0.005, 1000, seed)
    }

    /// The same from the sharp side, where this rate is soon at the minimum (arXiv version, Fig. 6, left).
    pub fn small_rate_from_sharp(seed: u64) -> Self {
        Self {
            start: -1.0,
            ..Self::small_rate_from_flat(seed)
        }
    }

    /// Two flat sides: SGD stays on the one where it starts (arXiv version, Fig. 23).
    pub fn symmetric_flat(seed: u64) -> Self {
        Self::with([FLAT, FLAT], 0.05, 100, seed)
    }

    /// Two sharp sides: SGD goes to and fro, and the mean is close to the minimum (arXiv version, Fig. 24).
    pub fn symmetric_sharp(seed: u64) -> Self {
        Self::with([SHARP, SHARP], 0.05, 100, seed)
    }

    fn with([flat, sharp]: [f64; 2], learning_rate: f64, steps: usize, seed: u64) -> Self {
        Self {
            valley: Valley { flat, sharp },
            learning_rate,
            noise: 0.5 * flat,
            start: 1.0,
            steps,
            seed,
        }
    }

    /// Which of Theorem 2's conditions these settings break, in words; nothing where they hold for every round.
    ///
    /// They are ν ≤ a₊; c′ = −(b₋ − ν)/b₊ = c + ν/a₊ < e^(c/3)/6, which c ≥ 13.5 is enough for; and for the first round
    /// (Lemma 4) a start no lower than a step from the flat side leads, w ≥ −η·(a₊ + ν). Any η > 0 will do: on straight
    /// sides it only scales the iterates, and a small one makes the first round late. Tmin ≥ 2 follows from these.
    pub fn unmet_condition(&self) -> Option<&'static str> {
        let c = self.valley.asymmetry();
        if self.noise > self.valley.flat {
            Some("the noise is larger than the flat side's slope (ν > a₊)")
        } else if c + self.noise / self.valley.flat >= (c / 3.0).exp() / 6.0 {
            Some("the valley is not asymmetric enough (c + ν/a₊ ≥ e^(c/3)/6)")
        } else if self.start < -self.learning_rate * (self.valley.flat + self.noise) {
            Some("the start lies lower on the sharp side than a step from the flat side leads (w < −η·(a₊ + ν))")
        } else {
            None
        }
    }

    /// Theorem 2's lower bound of a round's expected mean, c₀ = η·a₊·Tmin²/(2·Tmax), in units of w; nothing where a
    /// condition is unmet.
    ///
    /// With D = −(a₋ + a₊ + 2ν) for Tmin and D = −(b₋ − ν) for Tmax, T solves a₊·T + √(2T)·ν·√ln(2τ) = D. The proof
    /// leaves τ open but for 2·(Tmin + Tmax) ≤ τ; here τ is twice the sum of its own bounds of the two,
    /// −(a₋ + a₊ + 2ν)/a₊ and c′.
    ///
    /// The constant is as printed (arXiv version, Appendix E), but the proof has two slips: in Theorem 8 the noise's
    /// sign changes on the way to Tmax, and the estimate of the sum drops a factor ½. Without noise a round from −η·a₊
    /// back to it (c whole) has the mean η·a₊·(c/2 − 1), which is η·a₊/(2c) less than c₀; simulated rounds with
    /// ν ≥ a₊/10 all lie above. The paper's own mean, the sum of a round's iterates over one less than their number,
    /// makes up for it.
    pub fn bound(&self) -> Option<f64> {
        if self.unmet_condition().is_some() {
            return None;
        }
        // All in units of a₊.
        let (c, noise) = (self.valley.asymmetry(), self.noise / self.valley.flat);
        let (shortest, longest) = (c - 1.0 - 2.0 * noise, c + noise);
        let tau = 2.0 * (shortest + longest);
        let spread = noise * (2.0 * (2.0 * tau).ln()).sqrt();
        // The root of T + spread·√T = distance, in the form in which nothing cancels.
        let time = |distance: f64| (2.0 * distance / (spread + (spread * spread + 4.0 * distance).sqrt())).powi(2);
        let (least, most) = (time(shortest), time(longest));
        Some(0.5 * least * (least / most) * self.learning_rate * self.valley.flat)
    }

    fn check(&self) -> Result<()> {
        let Valley { flat, sharp } = self.valley;
        let (rate, noise) = (self.learning_rate, self.noise);
        let is_steeper = sharp >= flat && self.valley.asymmetry().is_finite();
        let may_run = (1..=MOST_STEPS).contains(&self.steps);
        let above_zero = "give a finite number above 0";
        let steeper = "give a finite number, at least the flat slope and in a finite ratio to it";
        let number = format!("give 1 to {MOST_STEPS}");
        let demands = [
            ("flat slope", flat, flat > 0.0, above_zero),
            ("sharp slope", sharp, is_steeper, steeper),
            ("learning rate", rate, rate > 0.0, above_zero),
            ("noise", noise, noise >= 0.0, "give a finite number, 0 or above"),
            ("start", self.start, true, "give a finite number"),
            ("steps", self.steps as f64, may_run, number.as_str()),
        ];
        let broken = demands.iter().find(|(_, value, holds, _)| !holds || !value.is_finite());
        if let Some(&(name, value, _, reason)) = broken {
            return Err(Error::option(name, value, reason));
        }
        // No iterate is further out than this, nor their sum than this times their number.
        let reach = self.start.abs() + self.steps as f64 * rate * (sharp + noise);
        if (reach * (self.steps + 1) as f64).is_finite() {
            return Ok(());
        }
        Err(Error::Request(
            "the steps lead out of the finite numbers; lower the learning rate, the slopes, the noise or the start"
                .to_owned(),
        ))
    }
}

/// One round: from the step that leads to the flat side to the one before the next that does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Round {
    /// Index of its first iterate, the first on the flat side.
    pub start: usize,
    /// Index of its last iterate, on the sharp side.
    pub end: usize,
    /// Mean of its iterates, both ends included, in units of w.
    pub mean: f64,
}

/// A simulation and its result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Oscillation {
    /// What was simulated.
    pub settings: Settings,
    /// w before the first step and after each.
    pub iterates: Vec<f64>,
    /// The rounds seen whole, in order: neither what came before the first nor the one that the end cut off.
    pub rounds: Vec<Round>,
    /// Mean of all iterates, the start included.
    pub mean: f64,
    /// Theorem 2's c₀, see [`Settings::bound`]; nothing where its conditions do not hold.
    pub bound: Option<f64>,
}

impl Oscillation {
    /// Runs all steps. The same settings give the same iterates on every platform.
    ///
    /// # Errors
    /// [`Error::Option`] for a slope or learning rate that is not above 0, a sharp side less steep than the flat one,
    /// negative noise, anything not finite, and a number of steps that is 0 or above [`MOST_STEPS`]; [`Error::Request`]
    /// when the iterates could leave the finite numbers.
    pub fn simulate(settings: Settings) -> Result<Self> {
        settings.check()?;
        // The stream of a network's sample order, which is where its noise comes from.
        let mut random = Random::new(settings.seed, Purpose::Shuffle, 0);
        let mut w = settings.start;
        let mut iterates = Vec::with_capacity(settings.steps + 1);
        iterates.push(w);
        for _ in 0..settings.steps {
            let noise = settings.noise * random.within_one();
            w -= settings.learning_rate * (settings.valley.slope(w) + noise);
            iterates.push(w);
        }
        Ok(Self {
            settings,
            rounds: rounds(&iterates),
            mean: mean(&iterates),
            bound: settings.bound(),
            iterates,
        })
    }
}

fn rounds(iterates: &[f64]) -> Vec<Round> {
    let crosses = |&t: &usize| iterates[t - 1] < 0.0 && iterates[t] >= 0.0;
    let starts: Vec<usize> = (1..iterates.len()).filter(crosses).collect();
    let round = |pair: &[usize]| Round {
        start: pair[0],
        end: pair[1] - 1,
        mean: mean(&iterates[pair[0]..pair[1]]),
    };
    starts.windows(2).map(round).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests;
