//! Asymmetric directions (*Asymmetric Valleys*, Definition 1): how far, and by how much, the loss rises faster on one
//! side of a point than on the other.
//!
//! Along the line w + l·u the slope going out is dL/dl on the side of +u, at distance l from w, and −dL/dl on the side
//! of −u. Both versions of the paper ask, over an interval of distances, that it is below p on the flat side and above
//! c·p on the sharp one, for p > 0 and c > 1. The preprint (arXiv v1) writes this as (r, p, c, ζ) for l ∈ (ζ, r) and
//! measures the sharp side's slope along +u, so that it is below −c·p; the published version (NeurIPS 2019) writes
//! (r̄, r, p, c) for l ∈ (r, r̄) and measures it going out. It is one condition and one search. Distances are lengths in
//! parameter space where u is of unit length, as the paper has it; slopes are losses per such length.
//!
//! Both put the flat side along +u. Where it lies along −u, the direction that the definition is about is −u.

mod band;
mod draws;
mod profile;
mod ratio;
mod search;

use serde::{Deserialize, Serialize};

pub use band::Band;
pub use draws::{ASYMMETRIC, Draw, Summary};
pub use profile::Profile;

use profile::Bounds;

/// Share by which numbers differ through rounding alone: distances, slopes and ratios closer than this are equal.
const ROUNDING: f64 = 1e-9;

/// A side of the point w on the line w + l·u.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Along +u, where l > 0.
    Positive,
    /// Along −u, where l < 0.
    Negative,
}

impl Side {
    /// Both, that of +u first.
    pub const BOTH: [Self; 2] = [Self::Positive, Self::Negative];

    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
        }
    }

    /// The positions between two distances on this side, in ascending order.
    fn span(self, from: f64, to: f64) -> (f64, f64) {
        match self {
            Self::Positive => (from, to),
            Self::Negative => (-to, -from),
        }
    }
}

/// What slopes are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlopeSource {
    /// Derivatives dL/dl at the measured positions. Between two neighbours the slope is taken to lie between theirs,
    /// which is not proven.
    Exact,
    /// Differences of losses at neighbouring positions: exact for the loss that is linear between them.
    Differences,
}

/// An interval of distances over which one side is flat and the other is sharp (Definition 1 of both versions), with
/// the smallest p and the largest c that it allows.
///
/// The definition's inequalities are strict, so p and c are limits: over the interval the slope going out is at most p
/// on the flat side and at least c·p on the sharp side, with both reached, and the definition holds for every larger
/// p′ and smaller c′ as long as c′·p′ < c·p. It also wants the interval to begin at more than 0; one that begins at 0
/// stands for all that begin at a positive distance, however small.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Where the interval begins: r of the published version, ζ of the preprint. A distance from w, 0 or more.
    pub from: f64,
    /// Where it ends: r̄ of the published version, r of the preprint. A distance from w.
    pub to: f64,
    /// The largest slope on the flat side, in losses per length. Where it is 0 or less that side is flat or falling
    /// throughout: the definition, which wants p > 0, then holds for every c and every p below `sharp` / c.
    pub p: f64,
    /// The smallest slope on the sharp side, in losses per length: c·p of the definition. More than 0.
    pub sharp: f64,
    /// `sharp` / p, without unit: infinite exactly where p is 0 or less. The definition wants more than 1; see
    /// [`Certificate::is_asymmetric`].
    #[serde(with = "ratio")]
    pub c: f64,
    /// Which side is flat.
    pub flat: Side,
    /// What the slopes were taken from.
    pub slopes: SlopeSource,
}

impl Certificate {
    /// Of the interval at least `width` long, a distance, over which c is largest; of those whose c is the same but for
    /// rounding, the longest. Nothing where no interval of this length is measured and finite on both sides and rises
    /// everywhere on one of them.
    ///
    /// A loss or slope that is NaN or infinite says nothing about how steep its surroundings are, so no interval
    /// contains it, on either side. An interval is never shorter than a millionth of the farthest distance, so that two
    /// positions that differ by rounding alone do not make one.
    ///
    /// c may come out as 1 or less: that is how far from asymmetric the direction is.
    pub fn of(profile: &Profile, width: f64) -> Option<Self> {
        search::search(std::slice::from_ref(profile), width)
    }

    /// The same for one interval and one pair of p and c that hold for all profiles (the asymmetry of a neighbourhood,
    /// Assumption 2 of both versions). The slopes are the exact ones where all profiles have them, and differences
    /// otherwise.
    pub fn for_all(profiles: &[Profile], width: f64) -> Option<Self> {
        search::search(profiles, width)
    }

    fn new(from: f64, to: f64, [p, sharp]: [f64; 2], flat: Side, slopes: SlopeSource) -> Self {
        // A ratio beyond the largest number is that number: only a side that does not rise makes it infinite.
        let c = if p > 0.0 {
            (sharp / p).min(f64::MAX)
        } else {
            f64::INFINITY
        };
        Self {
            from,
            to,
            p,
            sharp,
            c,
            flat,
            slopes,
        }
    }

    /// Length of the interval.
    pub fn width(&self) -> f64 {
        self.to - self.from
    }

    /// Whether the direction is asymmetric by the definition: c > 1.
    pub fn is_asymmetric(&self) -> bool {
        self.c > 1.0
    }

    /// (r̄, r, p, c) of the published version (NeurIPS 2019, Definition 1). A flat side that does not rise has p = 0,
    /// the limit of the positive numbers that the definition allows.
    pub fn published(&self) -> (f64, f64, f64, f64) {
        (self.to, self.from, self.p.max(0.0), self.c)
    }

    /// (r, p, c, ζ) of the preprint (arXiv v1, Definition 1), p as in [`Certificate::published`].
    pub fn preprint(&self) -> (f64, f64, f64, f64) {
        (self.to, self.p.max(0.0), self.c, self.from)
    }

    /// Whether it holds for a profile, by looking at every slope in the interval, on both sides. Rounding is forgiven,
    /// as of numbers that were written to a file and read again. A profile without exact slopes satisfies no
    /// certificate that is about those.
    pub fn holds(&self, profile: &Profile) -> bool {
        let (Some(flat), Some(sharp)) = (
            self.slopes_of(profile, self.flat),
            self.slopes_of(profile, self.flat.opposite()),
        ) else {
            return false;
        };
        let stated = self.sharp > 0.0 && (self.p <= 0.0 || self.c * self.p <= self.sharp * (1.0 + ROUNDING));
        stated && flat.high <= self.p + ROUNDING * self.p.abs() && sharp.low >= self.sharp * (1.0 - ROUNDING)
    }

    /// Smallest and largest slope going out on one side of the interval; nothing where a part of it is not measured or
    /// not finite.
    fn slopes_of(&self, profile: &Profile, side: Side) -> Option<Bounds> {
        let slack = ROUNDING * self.to;
        let (low, high) = side.span(self.from + slack, self.to - slack);
        let (first, last) = (profile.nodes.first()?, profile.nodes.last()?);
        if self.from < 0.0 || low < first.position || high > last.position || low >= high {
            return None;
        }
        let mut all: Option<Bounds> = None;
        for pair in profile.nodes.windows(2) {
            if pair[0].position < high && pair[1].position > low {
                let bounds = pair[0].slopes_to(&pair[1], self.slopes)?.outward(side);
                all = Some(all.map_or(bounds, |all| all.joined(bounds)));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
