//! Certificates of valleys whose slopes are known.

use super::*;

/// A valley with its floor at w, from (end distance, slope going out) of the segments of each side. Its only
/// positions are the ends of the segments.
pub(super) fn valley(positive: &[(f64, f64)], negative: &[(f64, f64)]) -> Profile {
    let side = |segments: &[(f64, f64)]| {
        let mut at = (0.0, 1.0);
        segments
            .iter()
            .map(|&(end, slope)| {
                at = (end, at.1 + slope * (end - at.0));
                at
            })
            .collect::<Vec<(f64, f64)>>()
    };
    let left = side(negative).into_iter().rev().map(|(l, loss)| (-l, loss));
    let (positions, losses): (Vec<f64>, Vec<f64>) = left.chain([(0.0, 1.0)]).chain(side(positive)).unzip();
    Profile::new(&positions, &losses).unwrap()
}

const FLAT: [(f64, f64); 3] = [(1.0, 0.5), (3.0, 0.25), (4.0, 2.0)];
const SHARP: [(f64, f64); 3] = [(0.5, 0.25), (3.0, 4.0), (4.0, 1.0)];

fn certificate(from: f64, to: f64, p: f64, sharp: f64, flat: Side) -> Certificate {
    Certificate::new(from, to, [p, sharp], flat, SlopeSource::Differences)
}

#[test]
fn a_valley_of_known_slopes_has_its_known_certificate() {
    let profile = valley(&FLAT, &SHARP);
    // The longest interval of the largest c is as long whatever shorter one is asked for.
    for width in [0.0, 0.5, 1.0, 2.0] {
        let found = Certificate::of(&profile, width).unwrap();
        assert_eq!(found, certificate(1.0, 3.0, 0.25, 4.0, Side::Positive));
        assert_eq!(found.published(), (3.0, 1.0, 0.25, 16.0));
        assert_eq!(found.preprint(), (3.0, 0.25, 16.0, 1.0));
        assert!(found.is_asymmetric() && found.holds(&profile));
    }
    assert_eq!(
        Certificate::of(&profile, 2.5),
        Some(certificate(0.5, 3.0, 0.5, 4.0, Side::Positive))
    );
    let whole = Certificate::of(&profile, 4.0).unwrap();
    assert_eq!(whole, certificate(0.0, 4.0, 2.0, 0.25, Side::Positive));
    assert_eq!(whole.c, 0.125);
    assert!(!whole.is_asymmetric() && whole.holds(&profile));
}

#[test]
fn a_mirrored_valley_is_flat_on_the_other_side() {
    let profile = valley(&SHARP, &FLAT);
    let found = Certificate::of(&profile, 2.0).unwrap();
    assert_eq!(found, certificate(1.0, 3.0, 0.25, 4.0, Side::Negative));
    assert_eq!(found.published(), (3.0, 1.0, 0.25, 16.0));
    assert!(found.holds(&profile) && !found.holds(&valley(&FLAT, &SHARP)));
}

#[test]
fn a_symmetric_valley_has_c_of_one_throughout() {
    let profile = valley(&[(1.0, 0.5), (2.0, 0.5)], &[(0.5, 0.5), (2.0, 0.5)]);
    let found = Certificate::of(&profile, 0.1).unwrap();
    assert_eq!(found, certificate(0.0, 2.0, 0.5, 0.5, Side::Positive));
    assert_eq!(found.c, 1.0);
    assert!(!found.is_asymmetric() && found.holds(&profile));
}

#[test]
fn losses_that_differ_by_rounding_do_not_shorten_the_interval() {
    let positions: Vec<f64> = (-30..=30).map(|i| f64::from(i) * 0.1).collect();
    let losses: Vec<f64> = positions.iter().map(|&l| 0.7 + l.max(-3.0 * l) * 0.1).collect();
    let found = Certificate::of(&Profile::new(&positions, &losses).unwrap(), 0.3).unwrap();
    assert!((found.c - 3.0).abs() < 1e-9, "{found:?}");
    assert_eq!((found.from, found.to), (0.0, 3.0));
}

#[test]
fn a_width_that_is_not_measured_on_both_sides_has_none() {
    let profile = valley(&FLAT, &SHARP);
    assert_eq!(Certificate::of(&profile, 4.5), None);
    assert_eq!(Certificate::of(&Profile::new(&[], &[]).unwrap(), 0.1), None);
    let one_sided = Profile::new(&[0.0, 1.0, 2.0], &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(Certificate::of(&one_sided, 0.1), None);
    // A sharp side that falls is not sharp.
    let falling = Profile::new(&[-1.0, 0.0, 1.0], &[0.0, 1.0, 0.0]).unwrap();
    assert_eq!(Certificate::of(&falling, 0.1), None);
}

#[test]
fn no_interval_contains_what_is_not_finite() {
    let positions = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];
    for (place, lost) in [(5, f64::NAN), (5, f64::INFINITY), (1, f64::INFINITY), (1, f64::NAN)] {
        let mut losses = [12.0, 8.0, 4.0, 0.0, 0.5, 1.0, 1.5];
        losses[place] = lost;
        let profile = Profile::new(&positions, &losses).unwrap();
        assert_eq!(
            Certificate::of(&profile, 1.0),
            Some(certificate(0.0, 1.0, 0.5, 4.0, Side::Positive))
        );
        assert_eq!(Certificate::of(&profile, 1.5), None);
        assert!(!certificate(0.0, 1.5, 0.5, 4.0, Side::Positive).holds(&profile));
    }
}

#[test]
fn a_flat_side_that_falls_allows_every_c() {
    let profile = valley(&[(2.0, -0.5)], &[(2.0, 4.0)]);
    let found = Certificate::of(&profile, 1.0).unwrap();
    assert_eq!(found, certificate(0.0, 2.0, -0.5, 4.0, Side::Positive));
    assert_eq!(found.published(), (2.0, 0.0, 0.0, f64::INFINITY));
    assert!(found.is_asymmetric() && found.holds(&profile));
    let text = serde_json::to_string(&found).unwrap();
    assert!(text.contains(r#""c":"inf""#), "{text}");
    assert_eq!(serde_json::from_str::<Certificate>(&text).unwrap(), found);
}

#[test]
fn a_certificate_that_claims_too_much_does_not_hold() {
    let profile = valley(&FLAT, &SHARP);
    for (from, to, p, sharp) in [
        (0.5, 3.0, 0.25, 4.0),
        (1.0, 3.5, 0.25, 4.0),
        (1.0, 3.0, 0.2, 4.0),
        (1.0, 3.0, 0.25, 4.5),
        (1.0, 5.0, 2.0, 1.0),
        (3.0, 1.0, 0.25, 4.0),
    ] {
        let claimed = certificate(from, to, p, sharp, Side::Positive);
        assert!(!claimed.holds(&profile), "{claimed:?}");
    }
    let mut claimed = certificate(1.0, 3.0, 0.25, 4.0, Side::Positive);
    claimed.c = 17.0;
    assert!(!claimed.holds(&profile));
}
