//! Pictures of surfaces, drawn off-screen on the software adapter and compared with their formulas.

use std::collections::BTreeSet;
use std::sync::Arc;

use egui_kittest::SnapshotOptions;
use image::RgbaImage;
use valleyscope::Error;
use valleyscope::figure::{ColourMap, Colouring};
use valleyscope::landscape::line::positions;
use valleyscope::landscape::{Field, Known, Scale};
use valleyscope::render::{Scene, View, pictures};

#[path = "surfaces/relief.rs"]
mod relief;

type Graphics = (wgpu::Device, wgpu::Queue);

/// A device to draw with; with VALLEYSCOPE_REQUIRE_ADAPTER=1 there must be one.
fn graphics() -> Option<Graphics> {
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

/// A map in dark colours alone, on which lines and dots are white: the colours' range is 2.5 times the surface's.
fn dark(field: &Field, scale: Scale, lines: usize, view: View) -> Scene {
    let mut scene = scene(field, scale, lines, view);
    let Colouring { height, range, .. } = &mut scene.colouring;
    let (low, high) = (height.of(range.0), height.of(range.1));
    range.1 = height.value(low + 2.5 * (high - low));
    scene
}

fn draw(graphics: &Graphics, scene: &Scene, size: [u32; 2]) -> RgbaImage {
    let pixels = pictures::pixels(&graphics.0, &graphics.1, scene, size).unwrap();
    RgbaImage::from_raw(size[0], size[1], pixels).unwrap()
}

fn rgb(picture: &RgbaImage, x: u32, y: u32) -> [u8; 3] {
    let [red, green, blue, _] = picture.get_pixel(x, y).0;
    [red, green, blue]
}

/// The largest difference of two colours in one channel.
fn difference(a: [u8; 3], b: [u8; 3]) -> u8 {
    (0..3).map(|channel| a[channel].abs_diff(b[channel])).max().unwrap()
}

fn quadratic(a: f64, b: f64) -> f64 {
    0.2 + a * a + 4.0 * b * b
}

/// The two basins of the anisotropic-noise paper, at (1, 1) and (−1, −1), as in tests/reference/make_planes.py.
fn basins(a: f64, b: f64) -> [f64; 2] {
    let (s1, s2, c) = (a - 1.0, b - 1.0, std::f64::consts::FRAC_1_SQRT_2);
    let sharp = 10.0 * (c * s1 - c * s2).powi(2) + 100.0 * (c * s1 + c * s2).powi(2);
    [sharp, (a + 1.0).powi(2) + (b + 1.0).powi(2)]
}

fn two_basins(a: f64, b: f64) -> f64 {
    let [sharp, broad] = basins(a, b);
    sharp.min(broad)
}

/// Whether the two basins meet within `reach` of a place.
fn by_the_crease([a, b]: [f64; 2], reach: f64) -> bool {
    let sharper = |a, b| {
        let [sharp, broad] = basins(a, b);
        sharp < broad
    };
    around().any(|[u, v]| sharper(a + reach * u, b + reach * v) != sharper(a, b))
}

/// Points on the unit circle.
fn around() -> impl Iterator<Item = [f64; 2]> {
    (0..16u8).map(|k| {
        let (sine, cosine) = (std::f64::consts::TAU * f64::from(k) / 16.0).sin_cos();
        [cosine, sine]
    })
}

#[test]
fn the_ends_of_the_scale_have_the_first_and_last_colour() {
    let Some(graphics) = graphics() else { return };
    let field = field(5, 1.0, |a, b| match (a, b) {
        (-0.5, 0.5) => -1.0,
        (0.5, -1.0) => 3.0,
        _ => 1.0 + 0.1 * a,
    });
    for map in ColourMap::ALL {
        let colours = map.colours();
        // The surface's own range, and one that both ends lie beyond.
        for range in [(-1.0, 3.0), (0.0, 2.0)] {
            let mut scene = scene(&field, Scale::Linear, 0, whole(&field));
            (scene.colouring.map, scene.colouring.range) = (map, range);
            // A pixel a node, the first row at the bottom. A stop is a whole number of 255ths, so nothing is rounded.
            let picture = draw(&graphics, &scene, [5, 5]);
            assert_eq!(rgb(&picture, 1, 1), colours[0], "{map:?}");
            assert_eq!(rgb(&picture, 3, 4), colours[colours.len() - 1], "{map:?}");
            assert_eq!(rgb(&picture, 2, 2), map.at(0.5), "{map:?}");
            assert!(picture.pixels().all(|pixel| pixel.0[3] == 255));
        }
    }
}

#[test]
fn a_constant_surface_has_the_middle_colour() {
    let Some(graphics) = graphics() else { return };
    for (value, scale) in [
        (2.0, Scale::Linear),
        (2.0, Scale::Logarithmic),
        (1e6, Scale::Linear),
        (0.0, Scale::Automatic),
    ] {
        let field = field(4, 1.0, |_, _| value);
        // The middle lies between two of four lines.
        for lines in [0, 4] {
            let picture = draw(&graphics, &scene(&field, scale, lines, whole(&field)), [4, 4]);
            let [red, green, blue] = ColourMap::Viridis.at(0.5);
            let expected = [red, green, blue, 255];
            assert!(picture.pixels().all(|pixel| pixel.0 == expected), "{value} {lines}");
        }
    }
}

#[test]
fn the_map_shows_the_same_smooth_surface_as_the_processor() {
    let Some(graphics) = graphics() else { return };
    let mut field = field(9, 1.0, |a, b| (2.0 * a - b).exp() + 0.3 * (3.0 * b).sin() + 0.5);
    // Unlike sides: exchanged axes would be seen.
    (field.rows, field.second) = (6, (-1.0, 0.25));
    field.values.truncate(54);
    field.known.truncate(54);
    for scale in [Scale::Linear, Scale::Logarithmic] {
        let scene = scene(&field, scale, 0, whole(&field));
        let picture = draw(&graphics, &scene, [180, 120]);
        for (x, y, pixel) in picture.enumerate_pixels() {
            let (column, row) = (f64::from(x) / 20.0 - 0.475, 5.475 - f64::from(y) / 20.0);
            let inside = 20.0 * column.min(8.0 - column).min(row).min(5.0 - row);
            if inside > 0.1 {
                let expected = scene.colouring.colour_of_height(scene.heights.at(column, row));
                // Both round the same colour, which single precision moves by a hundredth at most.
                assert!(difference(rgb(&picture, x, y), expected) <= 1, "{scale:?} {x} {y}");
                assert_eq!(pixel.0[3], 255);
            } else if inside < -1.1 {
                assert_eq!(pixel.0, [0; 4], "{x} {y} lies outside");
            }
        }
    }
}

/// Draws iso-lines on a dark map, compares them with the levels of `value`, and returns their mean width in pixels.
/// Places where the drawn surface is not the formula's are named by `creased`.
fn check_lines(
    graphics: &Graphics,
    scene: &Scene,
    size: [u32; 2],
    value: fn(f64, f64) -> f64,
    creased: impl Fn([f64; 2]) -> bool,
) -> f64 {
    let View::Map { corners } = scene.view else {
        panic!("lines are looked for on maps");
    };
    let mut without = scene.clone();
    without.colouring.lines = 0;
    let [plain, lined] = [&without, scene].map(|scene| draw(graphics, scene, size));
    let sum = |picture: &RgbaImage, x: u32, y: u32| rgb(picture, x, y).map(f64::from).iter().sum::<f64>();
    // The share of a pixel that is covered: white is laid on at 0.55.
    let cover = |x: u32, y: u32| (sum(&lined, x, y) - sum(&plain, x, y)) / (0.55 * (765.0 - sum(&plain, x, y)));
    let (heights, [left, bottom, right, top]) = (&scene.heights, corners.map(f64::from));
    let position = |x: f64, y: f64| {
        let along =
            |(start, end): (f64, f64), count: usize, node: f64| start + (end - start) * node / (count - 1) as f64;
        [
            along(
                heights.first,
                heights.columns,
                left + x / f64::from(size[0]) * (right - left),
            ),
            along(
                heights.second,
                heights.rows,
                top - y / f64::from(size[1]) * (top - bottom),
            ),
        ]
    };
    let height = |x: f64, y: f64| {
        let [a, b] = position(x, y);
        heights.height.of(value(a, b))
    };
    let spacing = scene.colouring.spacing();
    let levels = scene.colouring.levels();
    let levels: Vec<f64> = levels.into_iter().map(|level| heights.height.of(level)).collect();
    let point = f64::from(scene.pixels_per_point);
    let mut widths = Vec::new();
    for (column, row) in (0..size[1]).flat_map(|row| (0..size[0]).map(move |column| (column, row))) {
        let (x, y) = (f64::from(column) + 0.5, f64::from(row) + 0.5);
        // A line is 1.2 points wide: where it covers half a pixel, its middle is within a point.
        if cover(column, row) > 0.5 {
            let near: Vec<f64> = around().map(|[u, v]| height(x + point * u, y + point * v)).collect();
            let low = near.iter().copied().fold(f64::INFINITY, f64::min);
            let high = near.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let met = levels.iter().any(|level| (low..=high).contains(level));
            assert!(met || creased(position(x, y)), "a line at {column} {row}, and no level");
        }
        if column + 1 == size[0] {
            continue;
        }
        let (here, next) = (height(x, y), height(x + 1.0, y));
        let upwards = height(x + 0.5, y + 0.5) - height(x + 0.5, y - 0.5);
        let steepness = (next - here).hypot(upwards);
        // Lines that lie closer than five pixels fade.
        let crossed = levels.iter().any(|&level| (here < level) != (next < level));
        if !crossed || steepness > 0.2 * spacing {
            continue;
        }
        // The nearer of the two is half a pixel from the level or less.
        let most = cover(column, row).max(cover(column + 1, row));
        assert!(most > 0.5, "a level at {column} {row}, and no line: {most}");
        let lean = (next - here).abs() / steepness;
        // Only this line is among the eight pixels, and all of it.
        if lean > 0.5 && steepness < 0.15 * spacing && (3..size[0] - 4).contains(&column) {
            let covered: f64 = (column - 3..column + 5).map(|column| cover(column, row)).sum();
            widths.push(lean * covered);
        }
    }
    assert!(widths.len() > 150, "only {} crossings", widths.len());
    widths.iter().sum::<f64>() / widths.len() as f64
}

#[test]
fn iso_lines_lie_on_their_levels_and_are_as_wide_at_every_zoom() {
    let Some(graphics) = graphics() else { return };
    // A line sampled by pixels is wrong by up to a tenth of a pixel; the mean of hundreds by less than a hundredth.
    let check = |width: f64, points: f64| assert!((width / (1.2 * points) - 1.0).abs() < 0.01, "{width}");
    let bowl = field(33, 1.0, quadratic);
    for scale in [Scale::Linear, Scale::Logarithmic] {
        // All of it, eight times nearer, and on a screen of twice the density.
        let near = [24.5, 15.0, 28.5, 19.0];
        for (corners, density) in [([0.0, 0.0, 32.0, 32.0], 1.0), (near, 1.0), (near, 2.0)] {
            let mut scene = dark(&bowl, scale, 24, View::Map { corners });
            scene.pixels_per_point = density;
            let width = check_lines(&graphics, &scene, [320, 256], quadratic, |_| false);
            check(width, f64::from(density));
        }
    }
    let basins = field(512, 2.0, two_basins);
    for corners in [[0.0, 0.0, 511.0, 511.0], [352.0, 352.0, 416.0, 416.0]] {
        let scene = dark(&basins, Scale::Linear, 24, View::Map { corners });
        // The cubic rounds the crease off as far as two nodes from it.
        let creased = |place| by_the_crease(place, 2.0 * 4.0 / 511.0);
        check(check_lines(&graphics, &scene, [640, 512], two_basins, creased), 1.0);
    }
}

#[test]
fn a_plateau_at_a_level_is_not_covered_by_its_line() {
    let Some(graphics) = graphics() else { return };
    // As accuracies of ten classes are at 0.1 wherever the network only guesses.
    let field = field(33, 1.0, |a, _| 0.1 + 0.9 * a.max(0.0).powi(2));
    let corners = [0.0, 0.0, 32.0, 32.0];
    let [plain, lined] = [0, 9].map(|lines| {
        let mut scene = scene(&field, Scale::Linear, lines, View::Map { corners });
        scene.colouring.range = (0.0, 1.0);
        draw(&graphics, &scene, [320, 256])
    });
    let changed = |from: u32, to: u32| {
        (0..256)
            .flat_map(|y| (from..to).map(move |x| (x, y)))
            .filter(|&(x, y)| rgb(&plain, x, y) != rgb(&lined, x, y))
            .count()
    };
    assert!(changed(180, 320) > 8 * 256, "the slope has its lines");
    // Two nodes before the slope begins the cubic is flat.
    assert_eq!(changed(0, 140), 0);
}

#[test]
fn a_grid_of_512_by_512_nodes_is_drawn_node_by_node() {
    let Some(graphics) = graphics() else { return };
    let field = field(512, 2.0, two_basins);
    let map = scene(&field, Scale::Linear, 0, whole(&field));
    let picture = draw(&graphics, &map, [512, 512]);
    for (x, y, _) in picture.enumerate_pixels() {
        let value = field.values[(511 - y as usize) * 512 + x as usize];
        // Both round the same colour.
        assert!(
            difference(rgb(&picture, x, y), map.colouring.colour(value).unwrap()) <= 1,
            "{x} {y}"
        );
    }
}

#[test]
fn what_is_not_finite_is_hatched_and_what_is_missing_is_left_out() {
    let Some(graphics) = graphics() else { return };
    let sound = field(33, 1.0, quadratic);
    let mut broken = sound.clone();
    // Columns and rows; 320 pixels across are 32 nodes.
    let (lost, missing) = ([(10, 20), (22, 7)], (16, 26));
    broken.values[20 * 33 + 10] = f64::NAN;
    broken.values[7 * 33 + 22] = f64::INFINITY;
    broken.values[26 * 33 + 16] = f64::NAN;
    broken.known[26 * 33 + 16] = Known::Missing;
    let corners = [0.0, 0.0, 32.0, 32.0];
    let [before, after] = [&sound, &broken].map(|field| scene(field, Scale::Linear, 0, View::Map { corners }));
    let [unhurt, picture] = [&before, &after].map(|scene| draw(&graphics, scene, [320, 320]));
    let mut tones = [BTreeSet::new(), BTreeSet::new()];
    for (x, y, drawn) in picture.enumerate_pixels() {
        let (column, row) = (f64::from(x) / 10.0 + 0.05, 31.95 - f64::from(y) / 10.0);
        let away = |(c, r): (i32, i32)| [(column - f64::from(c)).abs(), (row - f64::from(r)).abs()];
        // How much a node has in a place between nodes.
        let share = |node| {
            away(node)
                .map(|distance| (1.0 - distance).max(0.0))
                .iter()
                .product::<f64>()
        };
        for (tones, node) in tones.iter_mut().zip(lost) {
            if share(node) > 0.51 {
                tones.insert(drawn.0);
            }
        }
        if share(missing) > 0.56 {
            assert_eq!(drawn.0, [0; 4]);
        } else if share(missing) < 0.44 && lost.iter().all(|&node| share(node) < 0.49) {
            let expected = after.colouring.colour_of_height(after.heights.at(column, row));
            assert!(difference(rgb(&picture, x, y), expected) <= 1, "{x} {y}");
        }
        let reached = |node| away(node).iter().all(|&distance| distance < 2.0);
        if !lost.iter().copied().chain([missing]).any(reached) {
            assert_eq!(drawn, unhurt.get_pixel(x, y), "{x} {y}");
        }
    }
    // 0.32 and 0.60 of white in shaders/field.wgsl.
    let hatching = BTreeSet::from([[82, 82, 82, 255], [153, 153, 153, 255]]);
    assert_eq!(tones, [hatching.clone(), hatching]);
}

#[test]
fn dots_mark_the_measured_nodes_alone() {
    let Some(graphics) = graphics() else { return };
    let mut field = field(9, 1.0, quadratic);
    for odd in (1..81).step_by(2) {
        field.known[odd] = Known::Interpolated;
    }
    let [plain, dotted] = [0.0, 1.0].map(|dots| {
        let mut scene = dark(&field, Scale::Linear, 0, whole(&field));
        scene.dots = dots;
        draw(&graphics, &scene, [99, 99])
    });
    for (x, y, pixel) in dotted.enumerate_pixels() {
        let (column, row) = (x / 11, 8 - y / 11);
        let away = [x, y].map(|place| (f64::from(place % 11) - 5.0).abs());
        let measured = (9 * row + column).is_multiple_of(2);
        if measured && away == [0.0, 0.0] {
            assert_eq!(pixel.0, [255; 4], "{column} {row}");
        } else if !measured || away[0].hypot(away[1]) > 1.7 {
            assert_eq!(pixel, plain.get_pixel(x, y), "{column} {row}");
        }
    }
}

#[test]
fn sizes_that_no_picture_has_are_refused() {
    let Some(graphics) = graphics() else { return };
    let field = field(3, 1.0, quadratic);
    let scene = scene(&field, Scale::Linear, 0, whole(&field));
    for size in [[0, 10], [10, graphics.0.limits().max_texture_dimension_2d + 1]] {
        let refused = pictures::pixels(&graphics.0, &graphics.1, &scene, size);
        assert!(matches!(refused, Err(Error::Request(_))), "{size:?}");
    }
}

/// Pixels of a snapshot that may differ: other versions of the software adapter sample edges a little differently. One
/// line more or less is hundreds.
const SNAPSHOT_PIXELS: usize = 150;

/// Compares with the picture in `tests/snapshots`, laid on dark grey.
fn snapshot(mut picture: RgbaImage, name: &str) {
    for pixel in picture.pixels_mut() {
        let ground = 24 * u32::from(255 - pixel.0[3]) / 255;
        pixel.0 = pixel.0.map(|channel| channel.saturating_add(ground as u8));
        pixel.0[3] = 255;
    }
    let options = SnapshotOptions::new().max_failed_pixels(SNAPSHOT_PIXELS);
    egui_kittest::image_snapshot_options(&picture, name, &options);
}

#[test]
fn two_basins_from_above_look_as_before() {
    let Some(graphics) = graphics() else { return };
    let field = field(129, 2.0, two_basins);
    let scene = scene(&field, Scale::Linear, 14, whole(&field));
    snapshot(draw(&graphics, &scene, [480, 360]), "heat_map");
}
