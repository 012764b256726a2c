//! A window whose graphics device is lost: another one goes on with the same surface.

use std::sync::Arc;

use egui::{Rect, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use image::RgbaImage;
use valleyscope::app::{App, Kept, Picture, Shell, Start, State};
use valleyscope::engine::View;

use super::driver::{adapter, compute};
use super::{MAP, is_complete, run};

type Window = Harness<'static, Shell>;

/// Opens a window around the app that is kept, or around a new one.
fn open(kept: &Kept) -> Window {
    let (kept, start) = (
        kept.clone(),
        Start {
            open: Some(run().display().to_string()),
            ..Start::default()
        },
    );
    Harness::builder()
        .with_size(Vec2::new(1280.0, 800.0))
        .wgpu()
        .build_eframe(move |context| {
            let before = kept.take();
            let app = match before {
                Some(mut app) => {
                    app.move_to(context);
                    app
                }
                None => App::new(context, compute(), start).unwrap(),
            };
            Shell::new(context, app, kept)
        })
}

fn state(window: &Window) -> &State {
    window.state().app().expect("the app is in this window").state()
}

/// Number of colours in a part of the picture.
fn colours(picture: &RgbaImage, rect: Rect) -> usize {
    let mut seen = std::collections::HashSet::new();
    for y in rect.top() as u32..rect.bottom() as u32 {
        for x in rect.left() as u32..rect.right() as u32 {
            seen.insert(picture.get_pixel(x, y).0);
        }
    }
    seen.len()
}

fn step_until(window: &mut Window, what: &str, condition: impl Fn(&State) -> bool) {
    let start = std::time::Instant::now();
    while !condition(state(window)) {
        assert!(start.elapsed().as_secs() < 120, "waited in vain for: {what}");
        window.step();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    window.step();
}

#[test]
fn another_window_goes_on_where_the_graphics_device_was_lost_and_computes_nothing_again() {
    if !adapter() {
        return;
    }
    let kept = Kept::default();
    let mut window = open(&kept);
    step_until(&mut window, "the run is open", |state| state.run.is_some());
    window.key_press(egui::Key::Num4);
    step_until(&mut window, "the plane is complete", |state| {
        state.look.picture == Picture::Plane && is_complete(state)
    });
    let map = window.get_by_label(MAP).rect();
    let before = colours(&window.render().unwrap(), map);
    assert!(before > 100, "{before} colours");
    let (surface, slice) = (
        state(&window).surface.clone().unwrap(),
        state(&window).slice.clone().unwrap(),
    );
    let (look, session) = (
        state(&window).look.clone(),
        state(&window).run.as_ref().unwrap().session,
    );

    let (device, _) = state(&window).graphics.clone().unwrap();
    device.destroy();
    let _ = device.poll(wgpu::PollType::Poll);
    window.step();
    drop(window);
    assert!(kept.borrow().is_some(), "the app outlives its window");

    let mut window = open(&kept);
    for _ in 0..20 {
        window.step();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let now = state(&window);
    assert!(Arc::ptr_eq(now.surface.as_ref().unwrap(), &surface));
    assert!(Arc::ptr_eq(now.slice.as_ref().unwrap(), &slice));
    assert_eq!((&now.look, now.run.as_ref().unwrap().session), (&look, session));
    assert!(
        now.notices
            .iter()
            .any(|notice| notice.text.contains("graphics device was lost"))
    );
    let after = colours(&window.render().unwrap(), map);
    assert_eq!(after, before);
    // The worker wakes the new window.
    window.key_press(egui::Key::Num1);
    step_until(&mut window, "a slice in the new window", |state| {
        let slice = state.slice.as_ref().filter(|slice| slice.refining.is_none());
        slice.is_some_and(|slice| matches!(slice.request.view, View::Direction(_)))
    });
}
