//! What the paper reads off a slice, in the window: certificate and shift gap, as numbers, on the stage, and by hand.

#[path = "common/window.rs"]
mod driver;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use driver::{Window, adapter, is_complete};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Rect, vec2};
use egui_kittest::kittest::Queryable;
use valleyscope::app::Picture;
use valleyscope::data::Part;
use valleyscope::engine::View;
use valleyscope::landscape::{Certificate, Profile};
use valleyscope::training::TrainingOptions;

/// What the legend says of the shifted test curve.
const SHIFTED: &str = "raised and shifted by δ";

/// A run of a perceptron with an average and an end of SGD: smooth slices in a second or two.
fn run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window_measures");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        let options = TrainingOptions {
            epochs: 6,
            batch_size: 20,
            swa_start: 3,
            sgd_epochs: 2,
            learning_rate: 0.02,
            swa_learning_rate: 0.02,
            ..TrainingOptions::default()
        };
        driver::train(&folder, "mlp:8", "builtin:train=140:test=60", &options);
        folder
    })
}

/// A window with the complete slice along the pad's direction.
fn direction() -> Window {
    let mut window = Window::open(Path::new("runs"), Some(run()));
    window.until("the interpolation is complete", is_complete);
    window.click("Direction");
    window.until("the slice along the direction is complete", is_complete);
    window
}

/// Opens or closes a section of the reading.
fn toggle(window: &mut Window, section: &str) {
    window.harness.get_by_label(section).click();
    window.harness.remove_cursor();
    window.harness.run_steps(6);
}

/// Clicks a box and takes the pointer away.
fn check(window: &mut Window, label: &str) {
    window.harness.get_by_role_and_label(Role::CheckBox, label).click();
    window.harness.remove_cursor();
    window.rest();
}

/// The certificate in the window, and that of the curve on the stage.
fn certificates(window: &Window, part: Part, width: f64) -> [Option<Certificate>; 2] {
    let state = window.state();
    let curve = &state.slice.as_ref().unwrap().lines[0].record.curve;
    [
        state.measures.lines()[0].certificate,
        Certificate::of(&Profile::of(curve, part), width),
    ]
}

/// Number of pixels of a place that differ between two pictures.
fn differing(before: &image::RgbaImage, after: &image::RgbaImage, place: Rect) -> usize {
    let inside = |x: u32, y: u32| place.contains(egui::pos2(x as f32, y as f32));
    let pixels = before.enumerate_pixels().filter(|&(x, y, _)| inside(x, y));
    pixels.filter(|&(x, y, pixel)| after.get_pixel(x, y) != pixel).count()
}

#[test]
fn the_certificate_is_that_of_the_slice_and_is_drawn_on_it() {
    if !adapter() {
        return;
    }
    let mut window = direction();
    // A third of the reach of 3.
    let [shown, found] = certificates(&window, Part::Train, 1.0);
    assert!(shown.is_some());
    assert_eq!(shown, found);

    let plot = window.rect("Loss curve");
    window.harness.remove_cursor();
    window.rest();
    let shaded = window.harness.render().unwrap();
    check(&mut window, "Certificate");
    let bare = window.harness.render().unwrap();
    // Both intervals are a sixth of the plot's width at least, and all of its height.
    let least = (0.9 * plot.area() / 3.0) as usize;
    let count = differing(&shaded, &bare, plot);
    assert!(count > least, "{count} pixels of {} are shaded", plot.area());
    check(&mut window, "Certificate");
    assert_eq!(differing(&shaded, &window.harness.render().unwrap(), plot), 0);

    window.number("Certificate width", 2.0);
    let [shown, found] = certificates(&window, Part::Train, 2.0);
    assert_eq!(shown, found);
    assert!(shown.is_none_or(|certificate| certificate.width() >= 2.0 - 1e-6));
    window.click("Certificate split");
    let [shown, found] = certificates(&window, Part::Test, 2.0);
    assert_eq!(shown, found);

    // None of it is where one stands or looks: one step back is the picture before, and what is asked for stays.
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look.picture, Picture::Interpolation);
    assert_eq!(window.state().measures.part, Part::Test);
}

#[test]
fn the_test_curve_is_shifted_by_hand_and_by_the_button() {
    if !adapter() {
        return;
    }
    let mut window = direction();
    assert!(window.harness.query_by_label("Shift gap curve").is_none());
    toggle(&mut window, "ASYMMETRY");
    assert!(window.harness.query_by_label("Certificate width").is_none());
    toggle(&mut window, "SHIFT GAP");
    window.harness.get_by_role_and_label(Role::Slider, "Shift slider");
    assert!(!window.state().measures.overlay);
    assert!(window.harness.query_by_label_contains(SHIFTED).is_none());

    window.click("Best shift");
    let measures = &window.state().measures;
    let shifts = measures.lines()[0].shifts.as_ref().unwrap();
    let best = shifts.best.unwrap();
    assert_eq!(shifts.here, Some(best));
    assert_eq!(measures.delta, best.delta);
    assert!(best.gap <= shifts.gap.gap_at_zero, "{best:?}");
    assert!(measures.overlay);
    window.rest();
    window.harness.get_by_label_contains(SHIFTED);

    // A quarter of the plot to the right of its middle is half of the reach.
    let curve = window.rect("Shift gap curve");
    let target = curve.center() + vec2(0.25 * curve.width(), 0.0);
    window.drag(curve.center(), target);
    window.harness.drop_at(target);
    window.harness.step();
    let measures = &window.state().measures;
    assert!((measures.delta - 1.5).abs() < 0.1, "{}", measures.delta);
    let here = measures.lines()[0].shifts.as_ref().unwrap().here.unwrap();
    assert_eq!(here.delta, measures.delta);
    window.click_at(curve.center(), 1);
    assert_eq!(window.state().measures.delta, 0.0);

    window.number("Shift δ", -0.5);
    check(&mut window, "Overlay");
    let measures = &window.state().measures;
    assert_eq!((measures.delta, measures.overlay), (-0.5, false));
    assert!(window.harness.query_by_label_contains(SHIFTED).is_none());
}

#[test]
fn every_picture_of_lines_has_its_measures_and_keeps_the_shift() {
    if !adapter() {
        return;
    }
    let mut window = direction();
    toggle(&mut window, "SHIFT GAP");
    window.number("Shift δ", 2.75);

    window.key(Modifiers::NONE, Key::Num2);
    window.until("both directions are complete", is_complete);
    let state = window.state();
    assert_eq!(state.measures.lines().len(), 2);
    assert!(state.measures.lines().iter().all(|line| line.shifts.is_some()));
    assert_eq!(state.measures.delta, 2.75);
    let second = state.measures.lines()[1].shifts.as_ref().unwrap().best.unwrap();
    let label = state.slice.as_ref().unwrap().lines[1].record.label.clone();
    for absent in ["Certificate", "Overlay"] {
        assert!(window.harness.query_by_label(absent).is_none(), "{absent}");
    }
    let button = format!("Best shift of {label}");
    window.harness.get_by_label(&button).click_accesskit();
    window.rest();
    assert_eq!(window.state().measures.delta, second.delta);
    window.number("Shift δ", 2.75);

    // From −2 to 3: half of it is 2.5, and what is farther waits for a wider slice.
    window.key(Modifiers::NONE, Key::Num3);
    window.until("the interpolation is complete", is_complete);
    let measures = &window.state().measures;
    assert_eq!(measures.delta, 2.75);
    let here = measures.lines()[0].shifts.as_ref().unwrap().here.unwrap();
    assert_eq!(here.delta, 2.5);

    window.key(Modifiers::NONE, Key::Num4);
    window.until("the curves through the plane's point are complete", |state| {
        let marginals = |view| matches!(view, View::Marginals(_));
        is_complete(state) && state.slice.as_ref().is_some_and(|slice| marginals(slice.request.view))
    });
    assert!(window.state().measures.lines().is_empty());
    assert!(window.harness.query_by_label("SHIFT GAP").is_none());
}

#[test]
fn the_measures_look_as_they_did() {
    if !adapter() {
        return;
    }
    let mut window = direction();
    window.until("the pad's map is complete", |state| {
        let map = state.compass.as_ref();
        map.is_some_and(|map| map.losses.iter().all(Option::is_some))
    });
    toggle(&mut window, "SHIFT GAP");
    window.click("Best shift");
    window.harness.remove_cursor();
    window.rest();
    window.snapshot("measures");
}
