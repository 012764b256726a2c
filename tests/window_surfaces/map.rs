//! What the hand does on the map of a plane.

use std::f64::consts::{FRAC_PI_2, PI};

use egui::{Key, Modifiers, PointerButton, vec2};
use valleyscope::app::{Picture, State};
use valleyscope::data::Part;
use valleyscope::engine::{Anchor, View};
use valleyscope::landscape::{Known, Quantity};

use crate::driver::{HAND, adapter};
use crate::{Map, assert_close, at_mark, curve_off_surface, is_complete, off_surface, plane_of, run};

/// A position on screen is known to some hundredths of a point, and marks are rounded to thousandths.
const EXACT: f64 = 2e-3;

#[track_caller]
fn assert_at(found: [f64; 2], expected: [f64; 2]) {
    for (found, expected) in found.into_iter().zip(expected) {
        assert_close(found, expected, EXACT);
    }
}

/// Whether the curves on the stage are those through the marked point.
fn follow(state: &State) -> bool {
    let wanted = View::Marginals(state.look.marginals(state.look.surface_ranges()));
    state.slice.as_ref().is_some_and(|slice| slice.request.view == wanted)
}

#[test]
fn dragging_moves_the_point_and_both_curves_follow() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    let map = Map::of(&mut window);
    let to = map.place([1.1, 0.7]);
    window.drag(map.place([-1.0, -1.2]), to);
    assert_at(window.state().look.surface.mark, [1.1, 0.7]);
    window.until("the curves follow while the button is still down", follow);
    assert_eq!(window.state().slice.as_ref().unwrap().lines.len(), 2);
    window.harness.drop_at(to);
    window.rest();
    assert_at(window.state().look.surface.mark, [1.1, 0.7]);
    window.until("curves and surface are complete", is_complete);
    // Each curve was measured at the point itself, and both lie on the surface.
    let state = window.state();
    let [first, second] = at_mark(state);
    assert_close(first, second, 1e-5 * first);
    for index in 0..2 {
        let share = curve_off_surface(state, index);
        assert!(share < 0.03, "curve {index} is {share} off the surface");
    }

    // Dragging along a curve moves the point along it.
    let mark = window.state().look.surface.mark;
    let curve = window.rect("Curve along 2");
    let aside = curve.center() + vec2(0.25 * curve.width(), 0.0);
    window.pull(HAND, curve.center(), aside);
    let moved = window.state().look.surface.mark;
    assert_eq!(moved[0], mark[0]);
    assert!((1.2..1.9).contains(&moved[1]), "{moved:?}");

    // A click moves it there at once, and close to the middle it snaps.
    window.click_at(map.place([-0.5, 0.25]), 1);
    assert_at(window.state().look.surface.mark, [-0.5, 0.25]);
    window.click_at(map.place([0.01, -0.01]), 1);
    assert_eq!(window.state().look.surface.mark, [0.0; 2]);
}

#[test]
fn the_ends_of_its_axes_turn_the_curves_through_the_point() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    let map = Map::of(&mut window);
    let along = |angle: f64| map.place([1.5 * angle.cos(), 1.5 * angle.sin()]);
    let middle = [0.0; 2];
    window.pull(HAND, map.handle(middle, 0.0), along(0.5));
    let angles = window.state().look.surface.angles;
    assert_close(angles[0], 0.5, EXACT);
    assert_eq!(angles[1], FRAC_PI_2);
    // By its other end, the second.
    window.pull(HAND, map.handle(middle, -FRAC_PI_2), along(2.0 + PI));
    let angles = window.state().look.surface.angles;
    assert_close(angles[0], 0.5, EXACT);
    assert_close(angles[1], 2.0, EXACT);
    // Shift turns by 15°.
    let shift = (PointerButton::Primary, Modifiers::SHIFT);
    window.pull(shift, map.handle(middle, angles[0]), along(1.2));
    assert_close(window.state().look.surface.angles[0], 75_f64.to_radians(), 1e-9);
    assert_eq!(window.state().look.picture, Picture::Plane);
    assert_eq!(window.state().look.surface.mark, middle);

    window.until("curves and surface are complete", is_complete);
    let state = window.state();
    let label = &state.slice.as_ref().unwrap().lines[0].record.label;
    assert!(label.starts_with("75.0° from uniform (seed 1) to "), "{label}");
    let [first, second] = at_mark(state);
    assert_close(first, second, 1e-5 * first);
    for index in 0..2 {
        let share = curve_off_surface(state, index);
        assert!(share < 0.03, "curve {index} is {share} off the surface");
    }
    // Near its own axis a curve snaps onto it.
    let angle = state.look.surface.angles[0];
    window.pull(HAND, map.handle(middle, angle), along(0.01));
    assert_eq!(window.state().look.surface.angles[0], 0.0);
}

#[test]
fn a_double_click_makes_the_point_the_middle_and_the_same_part_stays_in_view() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    let map = Map::of(&mut window);
    let place = map.place([0.8, -0.6]);
    window.click_at(place, 1);
    window.until("the curves through the point are complete", is_complete);
    let before = window.state().look.clone();
    let (mark, loss) = (before.surface.mark, at_mark(window.state())[0]);
    assert_at(mark, [0.8, -0.6]);

    window.click_at(place, 2);
    let look = window.state().look.clone();
    assert_eq!((look.walk.len(), look.surface.mark), (1, [0.0; 2]));
    let edges = look.surface.window.unwrap();
    for (index, (edge, before)) in edges.into_iter().zip(map.edges).enumerate() {
        assert_close(edge, before - mark[index % 2], 1e-9);
    }
    window.until("the plane around the new middle is complete", is_complete);
    let [there, _] = at_mark(window.state());
    assert_close(there, loss, 1e-4 * loss);
    let share = off_surface(window.state(), [0.0; 2], loss).unwrap();
    assert!(share < 0.02, "the surface around it is {share} off");

    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look, before);
    // Enter does the same.
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.state().look, look);
}

#[test]
fn where_the_pointer_rests_values_are_read() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    let map = Map::of(&mut window);
    window.until("the surface is complete", is_complete);
    let view = window.state().surface.clone().unwrap();
    let grid = &view.record.grid;
    let [train, test] = [Quantity::TrainLoss, Quantity::TestLoss].map(|quantity| view.field(quantity).unwrap().clone());
    // At a measured node and at one between measured ones, away from the trajectory in the middle.
    let outside = |position: [f64; 2]| position.iter().all(|x| (0.5..2.9).contains(&x.abs()));
    for known in [Known::Measured, Known::Interpolated] {
        let found = (0..grid.values.len())
            .filter(|&index| train.known[index] == known)
            .find(|&index| outside(grid.position(index)));
        let index = found.expect("some nodes are measured, and some are not");
        let [a, b] = grid.position(index);
        let text = window.tooltip(map.place([a, b]), "train loss ");
        let first = text.lines().next().unwrap();
        let position: Vec<f64> = first.split(", ").map(|number| number.parse().unwrap()).collect();
        assert_at([position[0], position[1]], [a, b]);
        assert!(
            text.contains(&format!("\ntrain loss {:.4}, ", train.values[index])),
            "{text}"
        );
        assert!(
            text.contains(&format!("\ntest loss {:.4}, ", test.values[index])),
            "{text}"
        );
        assert_eq!(text.contains("(interpolated)"), known == Known::Interpolated, "{text}");
        window.harness.remove_cursor();
        window.harness.run_steps(4);
    }
    // At a pin, how far the solution is from the plane, and its own loss.
    let own = view.record.solutions[0].own.unwrap();
    let text = window.tooltip(map.place([0.0; 2]), "its own loss");
    assert!(text.contains("SWA: 0.000 from the plane"), "{text}");
    let losses = format!("train {:.4}, test {:.4}", own.train.loss, own.test.loss);
    assert!(text.contains(&losses), "{text} has {losses}");
}

#[test]
fn a_line_drawn_across_becomes_the_slice_on_the_stage() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    let map = Map::of(&mut window);
    window.until("the plane is complete", is_complete);
    let before = window.state().look.clone();
    let view = window.state().surface.clone().unwrap();
    // From the highest node to the lowest: no slice but this one has both at its ends.
    let field = view.field(Quantity::TrainLoss).unwrap();
    let by_loss = |a: &usize, b: &usize| field.values[*a].total_cmp(&field.values[*b]);
    let nodes = || 0..field.values.len();
    let [from, to] = [nodes().max_by(by_loss), nodes().min_by(by_loss)].map(Option::unwrap);
    let ends = [from, to].map(|node| view.record.grid.position(node));
    let losses = [from, to].map(|node| field.values[node]);
    let shift = (PointerButton::Primary, Modifiers::SHIFT);
    window.pull(shift, map.place(ends[0]), map.place(ends[1]));

    let look = window.state().look.clone();
    assert_eq!((look.picture, look.walk.len()), (Picture::Direction, 1));
    assert_eq!(look.anchor, Anchor::Swa);
    // Both directions are of unit length, at an angle that is near 90° and known.
    let [across, up] = [ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]];
    let cosine = view.record.angle.unwrap().to_radians().cos();
    let length = (across * across + up * up + 2.0 * across * up * cosine).sqrt();
    assert_close(look.reach, 0.5 * length, EXACT);
    assert_close(look.angle.cos(), across / across.hypot(up), EXACT);
    assert_close(look.angle.sin(), up / across.hypot(up), EXACT);
    window.until("the slice is complete", |state| {
        state.slice.as_ref().is_some_and(|slice| {
            Some(&slice.request) == state.looked_at().as_ref() && slice.level.full && slice.refining.is_none()
        })
    });
    let slice = window.state().slice.clone().unwrap();
    let curve: Vec<(f64, f64)> = slice.lines[0].record.curve.losses(Part::Train).collect();
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    assert_close(first.0, -look.reach, 1e-9);
    assert_close(last.0, look.reach, 1e-9);
    let height = losses[0] - losses[1];
    assert_close(first.1, losses[0], 0.02 * height);
    assert_close(last.1, losses[1], 0.02 * height);

    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look, before);
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(window.state().look, look);
}

#[test]
fn the_wheel_comes_nearer_and_the_right_button_moves_the_view() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    let map = Map::of(&mut window);
    let at = map.place([1.0, 0.5]);
    window.wheel(at, 80.0);
    let nearer = Map::seen(&window);
    assert_at(nearer.position(at), [1.0, 0.5]);
    let extent = |map: Map| [map.edges[2] - map.edges[0], map.edges[3] - map.edges[1]];
    for (near, far) in extent(nearer).into_iter().zip(extent(map)) {
        assert_close(far / near, 0.32_f64.exp(), 0.01);
    }
    let by = vec2(-40.0, 25.0);
    window.pull((PointerButton::Secondary, Modifiers::NONE), at, at + by);
    let moved = Map::seen(&window);
    assert_at(moved.position(at + by), [1.0, 0.5]);
    for (after, before) in extent(moved).into_iter().zip(extent(nearer)) {
        assert_close(after, before, 1e-9);
    }
    // Neither moves the point.
    assert_eq!(window.state().look.surface.mark, [0.0; 2]);
    window.click("Fit");
    assert_eq!(window.state().look.surface.window, None);
}
