//! The interval of largest c.
//!
//! The distances of all positions from w, of both sides, cut the line into pieces on each of which the bounds of the
//! slope are constant on either side. An interval sees the slopes of every piece that it reaches into, and as much of
//! them where it covers them wholly: so among all intervals of at least the width asked for, the largest c is that of a
//! run of whole pieces, and all such runs are tried. The longer a run grows, the smaller its c.

use std::cmp::Ordering;

use super::profile::{Bounds, Profile};
use super::{Certificate, ROUNDING, Side, SlopeSource};

/// Length of the shortest interval, as a share of the farthest distance.
const SHORTEST: f64 = 1e-6;

/// Distances between which no profile has a position, and the slopes there going out on either side, of all profiles.
struct Piece {
    from: f64,
    to: f64,
    positive: Option<Bounds>,
    negative: Option<Bounds>,
}

impl Piece {
    fn on(&self, side: Side) -> Option<Bounds> {
        match side {
            Side::Positive => self.positive,
            Side::Negative => self.negative,
        }
    }
}

/// The interval at least `width` long whose c, valid for all profiles, is largest; the longest of those.
pub(super) fn search(profiles: &[Profile], width: f64) -> Option<Certificate> {
    let source = match profiles.iter().all(|profile| profile.slopes() == SlopeSource::Exact) {
        true => SlopeSource::Exact,
        false => SlopeSource::Differences,
    };
    let pieces = pieces(profiles, source);
    let shortest = (width * (1.0 - ROUNDING)).max(SHORTEST * pieces.last()?.to);
    let count = pieces.len();
    let starts = || {
        Side::BOTH
            .into_iter()
            .flat_map(move |flat| (0..count).map(move |start| (flat, start)))
    };
    let largest = starts()
        .filter_map(|(flat, start)| {
            growing(&pieces[start..], flat, source).find(|certificate| certificate.width() >= shortest)
        })
        .map(|certificate| certificate.c)
        .max_by(f64::total_cmp)?;
    // Without this, rounding of the losses would decide between intervals of one c, and not their lengths.
    let least = largest * (1.0 - ROUNDING);
    starts()
        .filter_map(|(flat, start)| {
            growing(&pieces[start..], flat, source)
                .take_while(|certificate| certificate.c >= least)
                .last()
        })
        .filter(|certificate| certificate.width() >= shortest)
        .max_by(preference)
}

/// Between intervals of one c: the longer, then the steeper, then the nearer to w, then that whose flat side is that of
/// +u.
fn preference(a: &Certificate, b: &Certificate) -> Ordering {
    let positive = |certificate: &Certificate| certificate.flat == Side::Positive;
    a.width()
        .total_cmp(&b.width())
        .then(a.sharp.total_cmp(&b.sharp))
        .then(b.from.total_cmp(&a.from))
        .then(positive(a).cmp(&positive(b)))
}

/// What can be said of the first piece, of the first two, and so on, for as long as there are slopes on both sides and
/// the sharp side rises.
fn growing(pieces: &[Piece], flat: Side, source: SlopeSource) -> impl Iterator<Item = Certificate> {
    let from = pieces.first().map_or(0.0, |piece| piece.from);
    let (mut p, mut sharp) = (f64::NEG_INFINITY, f64::INFINITY);
    pieces.iter().map_while(move |piece| {
        p = p.max(piece.on(flat)?.high);
        sharp = sharp.min(piece.on(flat.opposite())?.low);
        (sharp > 0.0).then(|| Certificate::new(from, piece.to, [p, sharp], flat, source))
    })
}

/// All pieces from w to the farthest position.
fn pieces(profiles: &[Profile], source: SlopeSource) -> Vec<Piece> {
    let positions = profiles.iter().flat_map(|profile| profile.positions());
    let mut distances: Vec<f64> = positions.map(f64::abs).chain([0.0]).collect();
    distances.sort_by(f64::total_cmp);
    distances.dedup();
    distances
        .windows(2)
        .map(|pair| Piece {
            from: pair[0],
            to: pair[1],
            positive: bounds(profiles, Side::Positive, pair[0], pair[1], source),
            negative: bounds(profiles, Side::Negative, pair[0], pair[1], source),
        })
        .collect()
}

/// Of all profiles; nothing where one has none.
fn bounds(profiles: &[Profile], side: Side, from: f64, to: f64, source: SlopeSource) -> Option<Bounds> {
    let mut each = profiles.iter().map(|profile| profile.bounds(side, from, to, source));
    let first = each.next()??;
    each.try_fold(first, |all, bounds| Some(all.joined(bounds?)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::valley;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn positions_that_do_not_mirror_each_other_are_merged() {
        let profile = valley(&[(1.5, 1.0), (4.0, 0.125)], &[(1.0, 0.25), (2.5, 1.0), (4.0, 2.0)]);
        let found = |width| Certificate::of(&profile, width).unwrap().published();
        assert_eq!(found(1.0), (4.0, 2.5, 0.125, 16.0));
        assert_eq!(found(2.0), (4.0, 1.5, 0.125, 8.0));
    }

    #[test]
    fn a_segment_that_passes_over_the_origin_belongs_to_both_sides() {
        let profile = Profile::new(&[-1.0, 1.0], &[3.0, 1.0]).unwrap();
        let found = Certificate::of(&profile, 1.0).unwrap();
        assert_eq!(
            (found.from, found.to, found.p, found.sharp, found.flat),
            (0.0, 1.0, -1.0, 1.0, Side::Positive)
        );
        assert!(found.holds(&profile));
    }

    #[test]
    fn exact_slopes_bound_what_differences_average() {
        let positions = [-2.0, -1.0, 0.0, 1.0, 2.0];
        let differences = Profile::new(&positions, &[8.0, 2.0, 0.0, 0.25, 1.0]).unwrap();
        let exact = differences.clone().with_slopes(&[-8.0, -4.0, 0.0, 0.5, 1.0]).unwrap();
        let found = Certificate::of(&differences, 0.5).unwrap();
        assert_eq!(found.slopes, SlopeSource::Differences);
        assert_eq!(found.published(), (2.0, 1.0, 0.75, 8.0));
        assert!(found.holds(&exact));
        let found = Certificate::of(&exact, 0.5).unwrap();
        assert_eq!(found.slopes, SlopeSource::Exact);
        assert_eq!(found.published(), (2.0, 1.0, 1.0, 4.0));
        assert!(found.holds(&exact) && !found.holds(&differences));
        // Up to the bottom, where the slope is 0, no side is sharp.
        assert_eq!(Certificate::of(&exact, 1.5), None);
        let lost = differences.with_slopes(&[-8.0, f64::NAN, 0.0, 0.5, 1.0]).unwrap();
        assert_eq!(Certificate::of(&lost, 0.5), None);
    }

    #[test]
    fn one_certificate_for_all_is_as_weak_as_the_weakest() {
        let first = valley(
            &[(1.0, 0.5), (3.0, 0.25), (4.0, 2.0)],
            &[(0.5, 0.25), (3.0, 4.0), (4.0, 1.0)],
        );
        let second = valley(&[(4.0, 0.5)], &[(1.0, 0.25), (4.0, 2.0)]);
        let both = [first, second];
        let found = Certificate::for_all(&both, 1.0).unwrap();
        assert_eq!(found.published(), (3.0, 1.0, 0.5, 4.0));
        assert!(both.iter().all(|profile| found.holds(profile)));
        assert_eq!(Certificate::for_all(&[], 1.0), None);
    }

    /// Smallest and largest slope going out between two distances on the side of a sign, from the definition alone.
    /// Between equal distances, that at a point; nothing there at a position of the curve.
    fn slopes(positions: &[f64], losses: &[f64], sign: f64, from: f64, to: f64) -> Option<(f64, f64)> {
        let (low, high) = if sign > 0.0 { (from, to) } else { (-to, -from) };
        if low < positions[0] || high > positions[positions.len() - 1] {
            return None;
        }
        let mut range = None;
        for (x, y) in positions.windows(2).zip(losses.windows(2)) {
            if x[0] < high && x[1] > low {
                let slope = sign * (y[1] - y[0]) / (x[1] - x[0]);
                if !slope.is_finite() {
                    return None;
                }
                let (least, most) = range.unwrap_or((slope, slope));
                range = Some((slope.min(least), slope.max(most)));
            }
        }
        range
    }

    /// The larger c of the two ways round of an interval.
    fn ratio(positions: &[f64], losses: &[f64], from: f64, to: f64) -> Option<f64> {
        let plus = slopes(positions, losses, 1.0, from, to)?;
        let minus = slopes(positions, losses, -1.0, from, to)?;
        [(plus.1, minus.0), (minus.1, plus.0)]
            .into_iter()
            .filter(|&(_, sharp)| sharp > 0.0)
            .map(|(flat, sharp)| if flat > 0.0 { sharp / flat } else { f64::INFINITY })
            .max_by(f64::total_cmp)
    }

    /// Positions in steps of eighths from some way left of w, and the losses of a rough valley, some of them lost.
    fn rough(nodes: &[(u32, i32, u8)], offset: u32) -> (Vec<f64>, Vec<f64>) {
        let mut at = -f64::from(offset) / 8.0;
        nodes
            .iter()
            .map(|&(step, noise, lost)| {
                at += f64::from(step) / 8.0;
                let loss = 2.0 * at.max(-2.0 * at) + f64::from(noise) / 16.0;
                (at, if lost == 0 { f64::NAN } else { loss })
            })
            .unzip()
    }

    proptest! {
        #[test]
        fn what_is_found_holds_everywhere_and_nothing_is_larger(
            nodes in proptest::collection::vec((1_u32..6, -6_i32..6, 0_u8..60), 3..24),
            offset in 0_u32..50,
            width in 0.05_f64..3.0,
            intervals in proptest::collection::vec((0.0_f64..1.0, 0.0_f64..1.0), 300),
        ) {
            let (positions, losses) = rough(&nodes, offset);
            let profile = Profile::new(&positions, &losses).unwrap();
            let found = Certificate::of(&profile, width);
            if let Some(found) = found {
                prop_assert!(found.holds(&profile), "{found:?}");
                prop_assert!(found.width() >= width * (1.0 - 1e-9), "{found:?}");
                let sign = if found.flat == Side::Positive { 1.0 } else { -1.0 };
                for i in 0..500 {
                    let l = found.from + found.width() * (f64::from(i) + 0.5) / 500.0;
                    if let Some((_, slope)) = slopes(&positions, &losses, sign, l, l) {
                        prop_assert!(slope <= found.p, "{found:?} at {l}");
                    }
                    if let Some((slope, _)) = slopes(&positions, &losses, -sign, l, l) {
                        prop_assert!(slope >= found.sharp, "{found:?} at {l}");
                    }
                }
            }
            let largest = found.map_or(0.0, |found| found.c) * (1.0 + 1e-8);
            let ends: Vec<f64> = positions.iter().map(|l| l.abs()).chain([0.0]).collect();
            let whole = ends.iter().flat_map(|&a| ends.iter().map(move |&b| (a, b)));
            let reach = ends.iter().copied().fold(0.0, f64::max);
            let random = intervals.iter().map(|&(a, b)| (a * reach, a * reach + width * (1.0 + b)));
            for (from, to) in whole.chain(random).filter(|(from, to)| to - from >= width) {
                let c = ratio(&positions, &losses, from, to).unwrap_or(0.0);
                prop_assert!(c <= largest, "{c} over ({from}, {to}), found {found:?}");
            }
        }

        #[test]
        fn one_certificate_for_all_holds_for_each(
            curves in proptest::collection::vec(proptest::collection::vec((1_u32..6, -4_i32..4, 0_u8..90), 12..20), 1..5),
            width in 0.05_f64..2.0,
        ) {
            let profiles: Vec<Profile> = curves
                .iter()
                .map(|nodes| {
                    let (positions, losses) = rough(nodes, 24);
                    Profile::new(&positions, &losses).unwrap()
                })
                .collect();
            if let Some(found) = Certificate::for_all(&profiles, width) {
                for profile in &profiles {
                    prop_assert!(found.holds(profile), "{found:?}");
                    let own = Certificate::of(profile, width).map_or(0.0, |own| own.c);
                    prop_assert!(own >= found.c * (1.0 - 1e-8));
                }
            }
        }
    }
}
