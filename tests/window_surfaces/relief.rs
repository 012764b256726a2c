//! The relief and the colour bar under the hand, and what undo brings back.

use std::f32::consts::TAU;

use egui::{Key, Modifiers, PointerButton, Pos2, pos2, vec2};
use valleyscope::landscape::{Quantity, Scale};
use valleyscope::render::Camera;

use crate::driver::{HAND, Window, adapter};
use crate::{MAP, Map, RELIEF, assert_close, is_complete, is_drawn, plane_of, run};

fn camera(window: &Window) -> Camera {
    window.state().look.surface.camera
}

/// The two ends of the colour bar.
#[track_caller]
fn bar(window: &Window) -> [Pos2; 2] {
    let bar = window.rect("Colour bar");
    [bar.bottom() - 8.0, bar.top() + 8.0].map(|y| pos2(bar.left() + 11.0, y))
}

#[test]
fn the_relief_turns_moves_and_comes_nearer() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    let start = camera(&window);
    assert_eq!(start, Camera::default());
    let middle = window.rect(RELIEF).center();
    window.pull(HAND, middle, middle + vec2(40.0, 16.0));
    let turned = camera(&window);
    let by = (turned.azimuth - start.azimuth).rem_euclid(TAU);
    assert_close(f64::from(by), 40.0 * 0.009, 1e-3);
    assert_close(f64::from(turned.elevation - start.elevation), 16.0 * 0.009, 1e-3);
    assert_eq!((turned.distance, turned.target), (start.distance, start.target));

    // What was looked at goes with the hand: right, and up.
    let mut before = turned;
    for (button, modifiers) in [
        (PointerButton::Primary, Modifiers::SHIFT),
        (PointerButton::Secondary, Modifiers::NONE),
    ] {
        window.pull((button, modifiers), middle, middle + vec2(32.0, -20.0));
        let moved = camera(&window);
        let seen = moved.project(before.target, 1.0).unwrap();
        assert!(seen[0] > 0.02 && seen[1] > 0.02, "{seen:?}");
        assert_eq!(
            (moved.azimuth, moved.elevation, moved.distance),
            (turned.azimuth, turned.elevation, turned.distance)
        );
        before = moved;
    }

    window.wheel(middle, 60.0);
    let nearer = camera(&window);
    assert_close(f64::from(before.distance / nearer.distance), 0.18_f64.exp(), 0.01);
    assert_eq!((nearer.azimuth, nearer.target), (before.azimuth, before.target));
    window.click_at(middle, 2);
    assert_eq!(camera(&window), start);
    // All of that leaves the map and the point as they were.
    assert_eq!(window.state().look.surface.window, None);
    assert_eq!(window.state().look.surface.mark, [0.0; 2]);
}

#[test]
fn the_colour_bar_spreads_colours_and_moves_lines() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    window.until("the surface is complete", is_complete);
    let view = window.state().surface.clone().unwrap();
    let (low, high) = view.field(Quantity::TrainLoss).unwrap().range().unwrap();
    let height = Scale::Automatic.height(low, high);
    let [bottom, top] = bar(&window);
    // In each of four steps, the upper end comes down by the share that the step is of the bar.
    let left = (1.0 - 10.0 / f64::from(bottom.y - top.y)).powi(4);
    window.pull(HAND, top, top + vec2(0.0, 40.0));
    let colours = window.state().look.surface.colours.unwrap();
    assert_close(colours.0, low, 1e-9);
    let expected = height.value(height.of(low) + left * (height.of(high) - height.of(low)));
    assert_close(colours.1, expected, 1e-3 * (high - low));
    window.pull(HAND, bottom, bottom + vec2(0.0, -40.0));
    let both = window.state().look.surface.colours.unwrap();
    assert_close(both.1, colours.1, 1e-9);
    assert!(low < both.0 && both.0 < both.1, "{both:?}");

    // The middle shifts the iso-lines, the wheel makes more of them.
    let middle = top + 0.5 * (bottom - top);
    let look = window.state().look.surface.clone();
    assert_eq!(look.offset, 0.0);
    window.pull(HAND, middle, middle + vec2(0.0, 40.0));
    assert_ne!(window.state().look.surface.offset, 0.0);
    assert_eq!(window.state().look.surface.colours, Some(both));
    window.wheel(middle, 40.0);
    assert_eq!(window.state().look.surface.lines, look.lines + 2);
    window.click_at(middle, 2);
    let reset = &window.state().look.surface;
    assert_eq!((reset.colours, reset.offset), (None, 0.0));
}

/// Does something, undoes it and does it again by the keyboard.
#[track_caller]
fn undone_and_redone(window: &mut Window, what: &str, act: impl FnOnce(&mut Window)) {
    window.until("the surface is drawn", is_drawn);
    let before = window.state().look.clone();
    act(window);
    window.rest();
    let after = window.state().look.clone();
    assert_ne!(before, after, "{what} is seen");
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().look, before, "{what} is undone");
    assert!(window.state().history().1, "{what} can be done again");
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(window.state().look, after, "{what} is done again");
}

#[test]
fn whatever_the_hand_did_is_undone_and_done_again() {
    if !adapter() {
        return;
    }
    let mut window = plane_of(run());
    undone_and_redone(&mut window, "the zoom", |window| {
        let middle = window.rect(MAP).center();
        window.wheel(middle, 60.0);
    });
    undone_and_redone(&mut window, "the point", |window| {
        let map = Map::seen(window);
        window.pull(HAND, map.place([-0.5, -0.9]), map.place([0.3, 0.4]));
    });
    undone_and_redone(&mut window, "the turned curve", |window| {
        let map = Map::seen(window);
        let [a, b] = window.state().look.surface.mark;
        window.pull(HAND, map.handle([a, b], 0.0), map.place([a + 0.8, b + 0.6]));
    });
    undone_and_redone(&mut window, "the new middle", |window| {
        window.key(Modifiers::NONE, Key::Enter);
        assert_eq!(window.state().look.walk.len(), 1);
    });
    undone_and_redone(&mut window, "the relief's turn", |window| {
        let middle = window.rect(RELIEF).center();
        window.pull(HAND, middle, middle + vec2(30.0, 20.0));
    });
    undone_and_redone(&mut window, "the colours", |window| {
        let [_, top] = bar(window);
        window.pull(HAND, top, top + vec2(0.0, 30.0));
    });
    for preset in ["Trajectory", "3 solutions"] {
        undone_and_redone(&mut window, preset, |window| {
            window.click(preset);
            window.until("the plane is asked for", |state| state.look.surface.colours.is_none());
            window.until("its ranges are known", |state| state.fit.is_none());
        });
        assert!(window.state().look.surface.ranges.is_some());
    }
    // All the way back, the plane is as it was first seen.
    for _ in 0..8 {
        window.key(Modifiers::COMMAND, Key::Z);
    }
    let surface = &window.state().look.surface;
    assert_eq!((surface.mark, surface.window, surface.ranges), ([0.0; 2], None, None));
    assert!(window.state().look.walk.is_empty());
}
