//! Pictures of surfaces, drawn off-screen on the software adapter and compared with their formulas.

use std::sync::Arc;

use image::RgbaImage;
use valleyscope::figure::{ColourMap, Colouring};
use valleyscope::landscape::line::positions;
use valleyscope::landscape::{Field, Known, Scale};
use valleyscope::render::{Camera, Scene, View, pictures};

/// A device to draw with; with VALLEYSCOPE_REQUIRE_ADAPTER=1 there must be one.
fn graphics() -> Option<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
        .into_iter()
        .next();
    let required = std::env::var_os("VALLEYSCOPE_REQUIRE_ADAPTER").is_some_and(|v| v == "1");
    assert!(
        adapter.is_some() || !required,
        "an adapter is required, and there is none"
    );
    let Some(adapter) = adapter else {
        println!("skipped: no wgpu adapter to draw with");
        return None;
    };
    Some(pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap())
}

/// A surface over [−1, 1]², or over [−2, 2]².
fn field(nodes: usize, reach: f64, value: impl Fn(f64, f64) -> f64) -> Field {
    let along = positions(-reach, reach, nodes);
    Field {
        first: (-reach, reach),
        second: (-reach, reach),
        columns: nodes,
        rows: nodes,
        values: along
            .iter()
            .flat_map(|&b| along.iter().map(|&a| value(a, b)).collect::<Vec<_>>())
            .collect(),
        known: vec![Known::Measured; nodes * nodes],
        ..Field::default()
    }
}

fn scene(field: &Field, scale: Scale, lines: usize, view: View) -> Scene {
    let heights = Arc::new(field.heights(scale));
    Scene {
        colouring: Colouring::of(&heights, None, None, lines, 0.0),
        heights,
        dots: 0.0,
        pixels_per_point: 1.0,
        view,
    }
}

/// From above, each node in the middle of a pixel's worth of the picture.
fn whole(field: &Field) -> View {
    View::Map {
        corners: [-0.5, -0.5, field.columns as f32 - 0.5, field.rows as f32 - 0.5],
    }
}

fn draw(graphics: &(wgpu::Device, wgpu::Queue), scene: &Scene, size: [u32; 2]) -> RgbaImage {
    let pixels = pictures::pixels(&graphics.0, &graphics.1, scene, size).unwrap();
    RgbaImage::from_raw(size[0], size[1], pixels).unwrap()
}

#[test]
fn debug_pictures() {
    let Some(graphics) = graphics() else { return };
    let field = field(33, 1.0, |a, b| 0.2 + a * a + 4.0 * b * b);
    let picture = draw(&graphics, &scene(&field, Scale::Linear, 10, whole(&field)), [660, 660]);
    picture.save("/tmp/map.png").unwrap();
    let view = View::Relief {
        camera: Camera::default(),
        base: [1.0, 1.0],
        height: 0.8,
        segments: vec![],
    };
    let picture = draw(&graphics, &scene(&field, Scale::Linear, 10, view), [900, 700]);
    picture.save("/tmp/relief.png").unwrap();
    let _ = ColourMap::Viridis;
}
