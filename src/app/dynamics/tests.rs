//! How the two views look, drawn by the software adapter.

use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui::{CentralPanel, Theme, Ui, Vec2};
use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, SnapshotOptions};

use super::{Race, Smoothing};
use crate::app::theme;
use crate::render::Pictures;

/// Pixels of a snapshot that may differ: text is antialiased a little differently by other versions of the software
/// adapter. A word more or less is some hundreds.
const SNAPSHOT_PIXELS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(120);

/// A window of nothing but a view.
struct Window<View> {
    view: View,
    show: fn(&mut Ui, &mut View),
}

impl<View> eframe::App for Window<View> {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        CentralPanel::default()
            .frame(theme::stage_frame(ui.ctx()))
            .show(ui, |ui| (self.show)(ui, &mut self.view));
    }
}

/// Whether there is an adapter to draw with; with VALLEYSCOPE_REQUIRE_ADAPTER=1 there must be.
fn adapter() -> bool {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let found = !pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all())).is_empty();
    let required = std::env::var_os("VALLEYSCOPE_REQUIRE_ADAPTER").is_some_and(|v| v == "1");
    assert!(found || !required, "an adapter is required, and there is none");
    if !found {
        println!("skipped: no wgpu adapter to draw with");
    }
    found
}

fn window<View: 'static>(view: View, show: fn(&mut Ui, &mut View)) -> Harness<'static, Window<View>> {
    Harness::builder()
        .with_size(Vec2::new(1280.0, 760.0))
        .wgpu()
        .build_eframe(move |context| {
            theme::apply(&context.egui_ctx);
            if let Some(render) = &context.wgpu_render_state {
                let pictures = Pictures::new(&render.device, render.target_format);
                render.renderer.write().callback_resources.insert(pictures);
            }
            Window { view, show }
        })
}

fn snapshot<View>(window: &mut Harness<Window<View>>, name: &str) {
    let options = SnapshotOptions::new().max_failed_pixels(SNAPSHOT_PIXELS);
    window.snapshot_options(name, &options);
}

#[test]
fn the_race_looks_as_it_did() {
    if !adapter() {
        return;
    }
    let mut window = window(Race::default(), super::race);
    let start = Instant::now();
    // A bar for each of the six dynamics, once all seeds are counted.
    while window.query_all_by_label_contains(" of 100 (").count() < 6 {
        assert!(start.elapsed() < PATIENCE, "waited in vain for the shares");
        window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
    window.step();
    snapshot(&mut window, "race");
}

#[test]
fn the_smoothing_looks_as_it_did_in_both_themes() {
    if !adapter() {
        return;
    }
    let mut window = window(Smoothing::default(), super::smoothing);
    window.step();
    window.step();
    snapshot(&mut window, "smoothing");
    window.get_by_role_and_label(Role::Button, "Stages").click();
    window.ctx.set_theme(Theme::Light);
    window.step();
    window.remove_cursor();
    window.run_steps(3);
    snapshot(&mut window, "smoothing-light");
}
