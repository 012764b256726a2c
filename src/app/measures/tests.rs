//! Slices whose certificate, shift and gap are known.

use super::certificate::{Mark, marks};
use super::*;
use crate::app::look::Look;
use crate::engine::request::{Distance, Level};
use crate::engine::{Anchor, LineView, SliceRequest};
use crate::landscape::{LineRecord, Provenance, Side};
use crate::objective::{BatchNormPolicy, Measurement, Quality};

const RANGE: (f64, f64) = (-3.0, 3.0);

fn curve(places: &[f64], train: impl Fn(f64) -> f64, test: impl Fn(f64) -> f64) -> Curve {
    let quality = |loss| Quality { loss, accuracy: 0.5 };
    let measured = |&l: &f64| Measurement {
        train: quality(train(l)),
        test: quality(test(l)),
    };
    Curve {
        positions: places.to_vec(),
        values: places.iter().map(|l| Some(measured(l))).collect(),
    }
}

/// Flat along +u and sharp along −u: with slopes 0.25 and 4 between the distances 1 and 3.
fn valley(l: f64) -> f64 {
    match l {
        l if l > 1.0 => 0.5 + 0.25 * (l - 1.0),
        l if l > 0.0 => 0.5 * l,
        l if l > -0.5 => -0.25 * l,
        l => 0.125 + 4.0 * (-0.5 - l),
    }
}

/// Two parabolas, the test loss 0.3 higher and 0.4 further along.
fn parabolas() -> Curve {
    let train = |l: f64| 0.5 * l * l;
    curve(&positions(-3.0, 3.0, 61), train, |l| train(l - 0.4) + 0.3)
}

fn slice(view: View, curves: &[Curve], level: Level) -> Arc<SliceView> {
    let line = |curve: &Curve| LineView {
        record: LineRecord {
            label: "uniform (seed 1)".to_owned(),
            provenance: Provenance::default(),
            curve: curve.clone(),
        },
        incoming: Curve::default(),
        range: RANGE,
    };
    Arc::new(SliceView {
        request: SliceRequest {
            session: 1,
            anchor: Anchor::Swa,
            walk: Vec::new(),
            view,
            policy: BatchNormPolicy::Running,
            range: RANGE,
            marked: 0.0,
            compass: None,
            surface: None,
        },
        lines: curves.iter().map(line).collect(),
        level,
        refining: None,
        distance: Distance::default(),
        basis_cosine: None,
        epoch: None,
    })
}

const FULL: Level = Level {
    points: 61,
    train_images: 140,
    test_images: 60,
    full: true,
};

fn along(curve: Curve) -> Arc<SliceView> {
    slice(View::Direction(Look::default().turn()), &[curve], FULL)
}

fn certificate(measures: &Measures) -> Certificate {
    measures.lines()[0].certificate.unwrap()
}

#[test]
fn a_valley_of_known_slopes_has_its_certificate_for_the_width_and_the_loss_asked_for() {
    let places = positions(-3.0, 3.0, 13);
    let slice = along(curve(&places, valley, |l| valley(-l)));
    let mut measures = Measures::default();
    measures.see(Some(&slice));
    let found = certificate(&measures);
    assert_eq!(found.published(), (3.0, 1.0, 0.25, 16.0));
    assert_eq!(found.flat, Side::Positive);
    measures.share = 2.5 / 3.0;
    measures.see(Some(&slice));
    assert_eq!(certificate(&measures).published(), (3.0, 0.5, 0.5, 8.0));
    measures.part = Part::Test;
    measures.see(Some(&slice));
    let found = certificate(&measures);
    assert_eq!(found.published(), (3.0, 0.5, 0.5, 8.0));
    assert_eq!(found.flat, Side::Negative);
    // The same share of a slice that reaches half as far is half as long.
    assert_eq!(measures.width((-1.5, 1.5)), 0.5 * measures.width(RANGE));
    assert_eq!(measures.width((-2.0, 3.0)), measures.share * 2.0);
    // Both sides fall: there is none.
    measures.see(Some(&along(curve(&places, |l| -l.abs(), |l| -l.abs()))));
    assert!(measures.lines()[0].certificate.is_none());
}

#[test]
fn a_shifted_parabola_has_its_shift_and_no_gap_left() {
    let slice = along(parabolas());
    let mut measures = Measures::default();
    measures.see(Some(&slice));
    let shifts = measures.lines()[0].shifts.as_ref().unwrap();
    // |0.5·(l − 0.4)² − 0.5·l²| is largest at l = −3.
    let at_zero = 0.5 * 0.4 * 0.4 + 3.0 * 0.4;
    let here = shifts.here.unwrap();
    assert!((here.gap - at_zero).abs() < 1e-9 && (here.ratio, here.delta) == (Some(1.0), 0.0));
    let best = shifts.best.unwrap();
    assert!((best.delta - 0.4).abs() < 1e-6 && best.gap < 1e-6, "{best:?}");
    // Between the ends all of it is comparable enough, and at 0 the ratio is 1.
    let ratios = &shifts.ratios;
    assert_eq!((ratios.len(), ratios[40]), (81, (0.0, Some(1.0))));
    assert_eq!((ratios[0].0, ratios[80].0), RANGE);
    for &(delta, ratio) in ratios {
        assert_eq!(ratio, shifts.gap.at(delta).unwrap().ratio, "{delta}");
    }

    measures.delta = 0.4;
    measures.see(Some(&slice));
    let here = measures.lines()[0].shifts.as_ref().unwrap().here.unwrap();
    assert!(here.gap < 1e-9 && here.delta == 0.4, "{here:?}");
    // δ stays as it is set, and is no farther than half of a narrower slice.
    measures.delta = 2.0;
    assert_eq!((measures.delta_on((-1.0, 1.0)), measures.delta_on(RANGE)), (1.0, 2.0));
}

#[test]
fn a_slice_is_measured_once() {
    let slice = along(parabolas());
    let mut measures = Measures::default();
    measures.see(Some(&slice));
    let before = measures.lines().as_ptr();
    measures.see(Some(&slice));
    assert_eq!(measures.lines().as_ptr(), before);
    // What is asked for is found in the same place: both curves are kept.
    measures.delta = 0.5;
    measures.see(Some(&slice));
    assert_eq!(measures.lines().as_ptr(), before);
    assert_eq!(measures.lines()[0].shifts.as_ref().unwrap().here.unwrap().delta, 0.5);
    measures.see(Some(&along(parabolas())));
    assert_ne!(measures.lines().as_ptr(), before);
    measures.see(None);
    assert!(measures.lines().is_empty());
}

#[test]
fn rough_slices_and_curves_through_a_plane_s_point_have_no_measures() {
    let mut measures = Measures::default();
    let look = Look::default();
    let rough = Level { full: false, ..FULL };
    measures.see(Some(&slice(View::Direction(look.turn()), &[parabolas()], rough)));
    assert!(measures.lines().is_empty());
    let marginals = View::Marginals(look.marginals([RANGE; 2]));
    measures.see(Some(&slice(marginals, &[parabolas(), parabolas()], FULL)));
    assert!(measures.lines().is_empty());
    let both = View::Comparison(look.first, look.second, look.normalisation);
    let lost = curve(&positions(-3.0, 3.0, 7), |_| f64::NAN, |_| f64::NAN);
    measures.see(Some(&slice(both, &[parabolas(), lost], FULL)));
    let found: Vec<[bool; 2]> = measures
        .lines()
        .iter()
        .map(|line| [line.certificate.is_some(), line.shifts.is_some()])
        .collect();
    assert_eq!(found, [[true, true], [false, false]]);
}

#[test]
fn marks_go_out_from_the_curve_and_stay_on_the_stage() {
    let curve = curve(&positions(-3.0, 3.0, 13), valley, valley);
    let certificate = Certificate::of(&Profile::of(&curve, Part::Train), 1.0).unwrap();
    let ends = |mark: &Mark| [mark.line[0], mark.line[mark.line.len() - 1]];
    let drawn = marks(&certificate, &curve, Part::Train, (0.0, 20.0));
    let [flat, sharp] = drawn.as_slice() else {
        panic!("{drawn:?}")
    };
    assert_eq!((flat.span, flat.slope, flat.sharp), ((1.0, 3.0), 0.25, false));
    assert_eq!(ends(flat), [(1.0, 0.5), (3.0, 1.0)]);
    assert_eq!((sharp.span, sharp.slope, sharp.sharp), ((-3.0, -1.0), 4.0, true));
    assert_eq!(ends(sharp), [(-1.0, 2.125), (-3.0, 10.125)]);
    // Within the interval the curve is below the one and above the other.
    for mark in &drawn {
        for &(l, loss) in &mark.line {
            let measured = curve.at(l).unwrap().train.loss;
            let below = if mark.sharp { loss - measured } else { measured - loss };
            assert!(below <= 1e-12, "{l}: {loss} and {measured}");
        }
    }
    let cut = marks(&certificate, &curve, Part::Train, (0.0, 6.125));
    assert_eq!(ends(&cut[0]), ends(flat));
    assert_eq!(ends(&cut[1]), [(-1.0, 2.125), (-2.0, 6.125)]);
}
