//! Reliefs: where the camera sees them, their light, their edges.

use nalgebra::{Vector3, Vector4};
use valleyscope::landscape::Scale;
use valleyscope::landscape::line::positions;
use valleyscope::render::{Camera, Segment, View};

use super::{Graphics, draw, field, graphics, quadratic, rgb, scene, snapshot, two_basins};

fn aside(camera: Camera, base: [f64; 2], height: f64) -> View {
    View::Relief {
        camera,
        base: base.map(|side| side as f32),
        height: height as f32,
        segments: Vec::new(),
    }
}

/// The middle of the pixel in which something is seen.
fn pixel([right, up]: [f32; 2], size: [u32; 2]) -> [f64; 2] {
    let middle = |share: f32, count: u32| (0.5 * f64::from(1.0 + share) * f64::from(count)).floor() + 0.5;
    [middle(right, size[0]), middle(-up, size[1])]
}

/// Where the ray through a place of the picture first meets a surface of height `rise` over its base.
fn meet(
    camera: &Camera,
    size: [u32; 2],
    [x, y]: [f64; 2],
    base: [f64; 2],
    rise: impl Fn(f64, f64) -> f64,
) -> Option<Vector3<f64>> {
    let eye: Vector3<f64> = camera.eye().coords.cast::<f64>();
    let back = camera
        .transform(size[0] as f32 / size[1] as f32)
        .cast::<f64>()
        .try_inverse()?;
    let across = 2.0 * x / f64::from(size[0]) - 1.0;
    let up = 1.0 - 2.0 * y / f64::from(size[1]);
    let far = back * Vector4::new(across, up, 1.0, 1.0);
    let ray = (Vector3::new(far.x, far.y, far.z) / far.w - eye).normalize();
    let over = |t: f64| {
        let place = eye + ray * t;
        (place.x.abs() <= base[0] && place.y.abs() <= base[1]).then(|| place.z - rise(place.x, place.y))
    };
    let start = f64::from(camera.distance) - 2.0;
    let places: Vec<f64> = (0..=1000u16).map(|step| start + 0.004 * f64::from(step)).collect();
    let crosses = |from: f64, to: f64| matches!((over(from), over(to)), (Some(a), Some(b)) if (a > 0.0) != (b > 0.0));
    let pair = places.windows(2).find(|pair| crosses(pair[0], pair[1]))?;
    let (mut from, mut to) = (pair[0], pair[1]);
    for _ in 0..30 {
        let middle = 0.5 * (from + to);
        if crosses(from, middle) {
            to = middle;
        } else {
            from = middle;
        }
    }
    Some(eye + ray * from)
}

/// A colour in the light of shaders/relief.wgsl, whose numbers these are: there is no such light on the processor.
fn lit(colour: [u8; 3], normal: Vector3<f64>, to_eye: Vector3<f64>) -> [f64; 3] {
    let normal = if normal.dot(&to_eye) > 0.0 { normal } else { -normal };
    let sun = Vector3::new(-0.35, -0.25, 0.9).normalize();
    let light = 0.52 + 0.40 * normal.dot(&sun).max(0.0) + 0.16 * normal.dot(&to_eye).max(0.0);
    let mirrored = normal * (2.0 * normal.dot(&sun)) - sun;
    let shine = 0.10 * mirrored.dot(&to_eye).max(0.0).powi(24);
    colour.map(|channel| (f64::from(channel) * light + 255.0 * shine).min(255.0))
}

fn tilted(a: f64, b: f64) -> f64 {
    2.0 + 0.8 * a - 0.5 * b
}

/// Draws a relief of `value`, whose derivatives are `slope`, and compares its nodes with the formula. Returns how many
/// nodes are seen.
fn check_relief(
    graphics: &Graphics,
    camera: Camera,
    size: [u32; 2],
    value: fn(f64, f64) -> f64,
    slope: fn(f64, f64) -> [f64; 2],
) -> usize {
    let (base, height) = ([1.0, 0.8], 0.8);
    let scene = scene(&field(17, 1.0, value), Scale::Linear, 0, aside(camera, base, height));
    let picture = draw(graphics, &scene, size);
    let (low, high) = scene.colouring.range;
    let rate = height / (high - low);
    let rise = |x: f64, y: f64| rate * (value(x / base[0], y / base[1]) - low);
    let along = positions(-1.0, 1.0, 17);
    let mut seen = 0;
    for (a, b) in along.iter().flat_map(|&a| along.iter().map(move |&b| (a, b))) {
        let node = Vector3::new(a * base[0], b * base[1], rise(a * base[0], b * base[1]));
        let aspect = size[0] as f32 / size[1] as f32;
        let [x, y] = pixel(camera.project(node.cast::<f32>().into(), aspect).unwrap(), size);
        // Nodes behind something or beside an edge are left out: there a pixel shows more than one place.
        let close = |place: &Vector3<f64>| (place - node).norm() < 0.05;
        let met = |right: f64, down: f64| meet(&camera, size, [x + right, y + down], base, rise).filter(close);
        let Some(place) = met(0.0, 0.0) else { continue };
        let neighbours = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        if neighbours.iter().any(|&[right, down]| met(right, down).is_none()) {
            continue;
        }
        seen += 1;
        let (a, b) = (place.x / base[0], place.y / base[1]);
        let [along, across] = slope(a, b);
        let normal = Vector3::new(-rate * along / base[0], -rate * across / base[1], 1.0).normalize();
        let to_eye = (camera.eye().coords.cast::<f64>() - place).normalize();
        let expected = lit(scene.colouring.colour(value(a, b)).unwrap(), normal, to_eye);
        let drawn = rgb(&picture, x as u32, y as u32);
        for (drawn, expected) in drawn.into_iter().zip(expected) {
            // The processor's colour is rounded before it is lit, by up to 1.08 times as much, the other after.
            assert!(
                (f64::from(drawn) - expected).abs() < 1.5,
                "{drawn}, not {expected}, at {a} {b}"
            );
        }
    }
    seen
}

#[test]
fn the_relief_is_where_the_camera_sees_it_and_is_lit_by_its_normals() {
    let Some(graphics) = graphics() else { return };
    let low = Camera {
        azimuth: 4.0,
        elevation: 0.5,
        ..Camera::default()
    };
    for (camera, size) in [(Camera::default(), [600, 480]), (low, [400, 560])] {
        // Of 17 nodes a side the 225 inner ones; parts of the bowl are behind its rim.
        let plane = check_relief(&graphics, camera, size, tilted, |_, _| [0.8, -0.5]);
        assert!(plane > 220, "{plane} nodes seen");
        let bowl = check_relief(&graphics, camera, size, quadratic, |a, b| [2.0 * a, 8.0 * b]);
        assert!(bowl > 130, "{bowl} nodes seen");
    }
}

#[test]
fn silhouettes_of_the_relief_are_antialiased() {
    let Some(graphics) = graphics() else { return };
    let view = aside(Camera::default(), [1.0, 1.0], 0.8);
    let picture = draw(
        &graphics,
        &scene(&field(9, 1.0, tilted), Scale::Linear, 0, view),
        [480, 360],
    );
    let (mut edges, mut soft) = (0, 0);
    for row in picture.rows() {
        let row: Vec<[u8; 4]> = row.map(|pixel| pixel.0).collect();
        for &[red, green, blue, opacity] in &row {
            let quarters = f64::from(opacity) / 63.75;
            assert!(
                (quarters - quarters.round()).abs() < 0.02,
                "four samples a pixel: {opacity}"
            );
            assert!(red.max(green).max(blue) <= opacity, "colours are premultiplied");
        }
        let first = row.iter().find(|pixel| pixel[3] > 0);
        let last = row.iter().rfind(|pixel| pixel[3] > 0);
        for pixel in first.into_iter().chain(last) {
            edges += 1;
            soft += usize::from(pixel[3] < 255);
        }
    }
    // Four samples have four different places across: even an upright edge cuts through them in three pixels of four.
    assert!(edges > 200 && 2 * soft > edges, "{soft} of {edges}");
}

#[test]
fn a_grid_of_512_by_512_nodes_is_drawn_from_aside() {
    let Some(graphics) = graphics() else { return };
    let (camera, size) = (Camera::default(), [400, 300]);
    let field = field(512, 2.0, two_basins);
    let scene = scene(&field, Scale::Linear, 0, aside(camera, [1.0, 1.0], 0.8));
    let picture = draw(&graphics, &scene, size);
    let along = positions(-0.9, 0.9, 19);
    for (x, y) in along.iter().flat_map(|&x| along.iter().map(move |&y| (x, y))) {
        let rise = scene.rise(scene.heights.at(255.5 * (1.0 + x), 255.5 * (1.0 + y)), 0.8);
        let seen = camera.project([x as f32, y as f32, rise], 4.0 / 3.0).unwrap();
        // Whatever hides a place of the surface is surface.
        let [right, down] = pixel(seen, size);
        assert_eq!(picture.get_pixel(right as u32, down as u32).0[3], 255, "{x} {y}");
    }
}

#[test]
fn two_basins_as_a_relief_with_a_ribbon_look_as_before() {
    let Some(graphics) = graphics() else { return };
    let view = aside(Camera::default(), [1.0, 1.0], 0.8);
    let mut scene = scene(&field(129, 2.0, two_basins), Scale::Linear, 14, view);
    // From one basin to the other.
    let path: Vec<[f32; 3]> = positions(0.5, -0.5, 41)
        .into_iter()
        .map(|place| {
            let node = 64.0 * (1.0 + place);
            [
                place as f32,
                place as f32,
                scene.rise(scene.heights.at(node, node), 0.8),
            ]
        })
        .collect();
    if let View::Relief { segments, .. } = &mut scene.view {
        segments.extend(path.windows(2).map(|ends| Segment {
            ends: [ends[0], ends[1]],
            colours: [[1.0, 0.98, 0.92, 1.0]; 2],
            width: 3.0,
            lift: 0.004,
        }));
    }
    snapshot(draw(&graphics, &scene, [480, 360]), "relief");
}
