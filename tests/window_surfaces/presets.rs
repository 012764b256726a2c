//! The two planes that are offered: that of the trajectory, and that through three solutions.

use egui::{Key, Modifiers};
use valleyscope::engine::Anchor;
use valleyscope::landscape::Frame;
use valleyscope::objective::BatchNormPolicy;
use valleyscope::training::TrainingOptions;

use crate::driver::adapter;
use crate::{EPOCHS, Map, SGD_EPOCHS, assert_close, at_mark, is_complete, off_surface, plane_of, run, trained};

#[test]
fn the_plane_of_the_trajectory_holds_it_and_the_timeline_walks_along_it() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    window.click("Trajectory");
    window.until("its ranges are known", |state| state.look.surface.ranges.is_some());
    window.until("it is complete", is_complete);
    let record = window.state().surface.as_ref().unwrap().record.clone();
    let [first, second] = record.explained.unwrap();
    assert!(first > second && second > 0.0 && first + second <= 1.0 + 1e-9);
    assert_eq!(record.trajectory.len(), EPOCHS + SGD_EPOCHS + 1);
    let names: Vec<&str> = record.solutions.iter().map(|solution| solution.name.as_str()).collect();
    assert_eq!(names, ["SWA", "SGD"]);
    let ranges = window.state().look.surface_ranges();
    for landmark in record.trajectory.iter().chain(&record.solutions) {
        for (range, position) in ranges.iter().zip(landmark.position) {
            assert!((range.0..=range.1).contains(&position), "{landmark:?} in {ranges:?}");
        }
        assert!(landmark.own.is_some(), "{landmark:?}");
    }

    for step in [1, 2] {
        window.scrub(step);
        window.until("the mark is at the step", |state| state.look.surface.step == Some(step));
        assert_eq!(window.state().look.surface.mark, record.trajectory[step].position);
        window.until("the curves through it are complete", is_complete);
    }
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert_eq!(window.state().look.surface.step, Some(3));
    assert_eq!(window.state().look.surface.mark, record.trajectory[3].position);
    let apart = |a: usize, b: usize| {
        let (a, b) = (record.trajectory[a].position, record.trajectory[b].position);
        (a[0] - b[0]).hypot(a[1] - b[1])
    };
    assert!(apart(1, 2) > 1e-3 && apart(2, 3) > 1e-3);
    // A hand takes the mark off the trajectory.
    let map = Map::of(&mut window);
    window.click_at(map.rect.center(), 1);
    assert_eq!(window.state().look.surface.step, None);
}

#[test]
fn at_the_pins_of_the_plane_of_three_solutions_is_their_own_loss() {
    if !adapter() {
        return;
    }
    let data = "builtin:train=40:test=20";
    let run = trained("batch_norm", "resnet8:width=2", data, TrainingOptions::default());
    let mut window = plane_of(&run);
    window.click("3 solutions");
    window.until("its ranges are known", |state| state.look.surface.ranges.is_some());
    window.until("it is complete", is_complete);
    let state = window.state();
    assert_eq!(state.look.anchor, Anchor::Swa);
    assert_eq!(state.look.policy, BatchNormPolicy::Recompute);
    assert_eq!(state.look.surface.frame, Frame::Orthonormal);
    let results = state.results();
    let (swa, sgd, last) = (results.swa.unwrap(), results.sgd.unwrap(), results.last.unwrap());
    let record = &state.surface.as_ref().unwrap().record;
    let [average, end, before] = record.solutions.as_slice() else {
        panic!("three solutions have pins: {:?}", record.solutions);
    };
    assert_eq!(before.name, format!("epoch {EPOCHS}"));
    for (landmark, measured) in [(average, swa), (end, sgd), (before, last)] {
        assert!(landmark.distance < 1e-3, "{landmark:?} lies in the plane");
        let own = landmark.own.unwrap().train.loss;
        assert_close(own, measured.train.loss, 1e-3 * measured.train.loss);
        let share = off_surface(state, landmark.position, own).unwrap();
        assert!(share < 0.05, "{landmark:?} is {share} off the surface");
    }
    // The average is in the middle, SGD on the first axis, the last iterate above it.
    assert_close(average.position[0].hypot(average.position[1]), 0.0, 1e-6);
    assert!(end.position[0] > 0.0 && end.position[1].abs() < 1e-3);
    assert!(record.trajectory[EPOCHS].position[1] > 0.0);

    // The curves through the pins are measured there, not interpolated.
    let losses = at_mark(window.state());
    assert_close(losses[0], swa.train.loss, 1e-3 * swa.train.loss);
    for (step, measured) in [(EPOCHS + SGD_EPOCHS, sgd), (EPOCHS, last)] {
        window.scrub(step);
        window.until("the mark is at the step", |state| state.look.surface.step == Some(step));
        window.until("the curves through it are complete", is_complete);
        for loss in at_mark(window.state()) {
            assert_close(loss, measured.train.loss, 1e-3 * measured.train.loss);
        }
    }
}
