//! What a plane costs, whole and evaluated only where it matters, and how long a frame of its surface takes. Prints its
//! figures; run it with
//!
//! ```text
//! cargo bench --bench planes [-- RUN]
//! ```
//!
//! RUN, or else the environment variable VALLEYSCOPE_RUN, names a run folder with an average; without either the demo
//! is trained first, with its own seed. Every plane is measured several times on all images, which takes minutes.
//! Frames are drawn off-screen by what the window draws with, and waited for one by one.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use valleyscope::data::Dataset;
use valleyscope::experiment::demo;
use valleyscope::figure::Colouring;
use valleyscope::landscape::direction::{self, DirectionKind};
use valleyscope::landscape::line::positions;
use valleyscope::landscape::projection::principal_components;
use valleyscope::landscape::survey::{Survey, SurveyRequest, TOLERANCE};
use valleyscope::landscape::{Axis, Field, Frame, Grid, Heights, Known, Plane, Quantity, Scale, Trajectory};
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Objective, Solution};
use valleyscope::render::{Camera, Pictures, Scene, View};
use valleyscope::training::{RunFolder, Trainer};

/// Nodes along both axes of a plane.
const NODES: usize = 51;
/// Range of a random direction of unit length, as the command `plane` has it.
const RANGE: (f64, f64) = (-3.0, 3.0);
const SEEDS: [u64; 2] = [1, 2];
const POLICY: BatchNormPolicy = BatchNormPolicy::Running;
/// Tolerances of the window: of its last passes, and of the one before them.
const TOLERANCES: [f64; 2] = [TOLERANCE, 0.01];

/// Pixels of the window.
const WINDOW: [u32; 2] = [1280, 800];
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// Nodes along both axes of a surface, the largest last.
const SURFACES: [usize; 4] = [64, 128, 256, 512];
const LARGEST: usize = SURFACES[SURFACES.len() - 1];
/// Frames that are timed, and drawn before.
const FRAMES: usize = 120;
const WARM_UP: usize = 5;
/// How near the map comes.
const NEAREST: f32 = 40.0;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let argument = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let given = argument
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("VALLEYSCOPE_RUN").map(PathBuf::from));
    let run = given.unwrap_or_else(|| demo_run(folder.path()));
    planes(&run);
    surfaces();
}

/// The demo's run, trained to the end.
fn demo_run(folder: &Path) -> PathBuf {
    let recipe = demo::Recipe::full();
    let data = Arc::new(Dataset::open(&recipe.data).expect("the built-in data"));
    let graph = Arc::new(zoo::build(&recipe.model, data.shape, data.classes.len()).expect("the demo's network"));
    let objective = Objective::usual(graph, data, Compute::cpu()).expect("they fit");
    let path = folder.join("run");
    let start = Instant::now();
    let mut trainer = Trainer::start(Arc::new(objective), &recipe.options, &path).expect("a new run");
    demo::train(&mut trainer, &mut |_, _| true).expect("all epochs");
    println!("the demo was trained in {:.0} s", start.elapsed().as_secs_f64());
    path
}

/// Planes through a run's average: along two random directions, and along those that its trajectory moves in most.
fn planes(path: &Path) {
    let run = RunFolder::open(path).expect("a run folder");
    let record = run.record().clone();
    let data = Arc::new(Dataset::open(&record.data).expect("the run's data"));
    let graph = Arc::new(zoo::build(&record.model, data.shape, data.classes.len()).expect("the run's network"));
    let average = Arc::new(run.solution(&graph, "swa").expect("the run's average"));
    let objective = Objective::usual(graph.clone(), data.clone(), Compute::cpu()).expect("they fit");
    // The first pass takes memory, which no plane is charged for.
    let own = objective
        .evaluate(&average.parameters, &average.statistics, POLICY)
        .expect("the average's own loss");
    println!(
        "{} on {}, {} + {} images, bn {POLICY}, {}; the average has train loss {:.3}, test loss {:.3}",
        record.model,
        record.data,
        data.train.len(),
        data.test.len(),
        objective.device_name(),
        own[0].train.loss,
        own[0].test.loss
    );
    let random =
        SEEDS.map(|seed| Arc::new(direction::random(&graph, DirectionKind::Uniform, seed).expect("a direction")));
    let name = format!("uniform directions of unit length, seeds {} and {}", SEEDS[0], SEEDS[1]);
    compare(&objective, &name, &plane(&average, random), [RANGE; 2]);
    let count = run.snapshots();
    let trajectory = Trajectory::new(graph, run, count);
    match principal_components(count, 2, |step| trajectory.snapshot(step), &mut |_| true) {
        Ok(found) => {
            let components = [0, 1].map(|place: usize| found.components[place].clone());
            let plane = plane(&average, components);
            let name = format!("principal components of {count} snapshots");
            compare(&objective, &name, &plane, reach(&plane, &trajectory));
        }
        Err(error) => println!("principal components: skipped, {error}"),
    }
}

fn plane(origin: &Arc<Solution>, directions: [Arc<Vec<f32>>; 2]) -> Plane {
    Plane::new(origin.clone(), directions.map(Axis::Along), Frame::Given).expect("two directions")
}

/// Ranges that hold the origin and every step of a trajectory as seen from a plane, and a tenth more on every side.
fn reach(plane: &Plane, trajectory: &Trajectory) -> [(f64, f64); 2] {
    let feet: Vec<[f64; 2]> = (0..trajectory.count())
        .map(|step| {
            let snapshot = trajectory.snapshot(step).expect("a snapshot");
            plane.foot(&snapshot.parameters).position
        })
        .collect();
    [0, 1].map(|axis: usize| {
        let (low, high) = feet.iter().fold((0.0_f64, 0.0_f64), |(low, high), foot| {
            (low.min(foot[axis]), high.max(foot[axis]))
        });
        let room = 0.1 * (high - low);
        (low - room, high + room)
    })
}

/// One plane with every point evaluated, and then only where it matters.
fn compare(objective: &Objective, name: &str, plane: &Plane, ranges: [(f64, f64); 2]) {
    let [(left, right), (bottom, top)] = ranges;
    println!("\n{name}, {left:.2}..{right:.2} by {bottom:.2}..{top:.2}, {NODES}×{NODES} points");
    let (full, whole) = survey(objective, plane, ranges, 0.0);
    println!("  every point       {:>5} points{whole:>18.1} s", full.measured());
    for tolerance in TOLERANCES {
        let (adaptive, seconds) = survey(objective, plane, ranges, tolerance);
        let measured = adaptive.measured();
        println!(
            "  tolerance {tolerance:<8}{measured:>5} points{:>7.1} %{seconds:>9.1} s{:>7.2} times as fast",
            100.0 * measured as f64 / full.values.len() as f64,
            whole / seconds
        );
        for quantity in [Quantity::TrainLoss, Quantity::TestLoss] {
            deviation(&full, &adaptive, quantity);
        }
    }
}

/// What is measured of a plane, and in how many seconds.
fn survey(objective: &Objective, plane: &Plane, ranges: [(f64, f64); 2], tolerance: f64) -> (Grid, f64) {
    let [first, second] = ranges.map(|(start, end)| positions(start, end, NODES));
    let request = SurveyRequest {
        slice: plane.clone(),
        grid: Grid::new(first, second),
        policy: POLICY,
        samples: usize::MAX,
        tolerance,
    };
    let start = Instant::now();
    let mut survey = Survey::new(objective, request).expect("a grid that fits");
    survey.run(objective, |_| true).expect("every loss");
    (survey.grid(), start.elapsed().as_secs_f64())
}

/// How far the interpolated nodes of a grid are from what is measured there, in heights as drawn.
fn deviation(full: &Grid, adaptive: &Grid, quantity: Quantity) {
    let (truth, guess) = (full.field(quantity), adaptive.field(quantity));
    let colouring = Colouring::of(&truth.heights(Scale::Automatic), None, None, 0, 0.0);
    let height = colouring.height;
    let (low, high) = colouring.range;
    let span = height.of(high) - height.of(low);
    let (mut largest, mut squares, mut count, mut unlike) = (0.0_f64, 0.0_f64, 0_u32, 0_u32);
    for ((&truth, &guess), known) in truth.values.iter().zip(&guess.values).zip(&guess.known) {
        if *known == Known::Measured {
            continue;
        }
        if truth.is_finite() && guess.is_finite() {
            let share = (height.of(truth) - height.of(guess)).abs() / span;
            largest = largest.max(share);
            squares += share * share;
            count += 1;
        } else if truth.is_finite() != guess.is_finite() {
            unlike += 1;
        }
    }
    println!(
        "    {} {low:.3}..{high:.3}, {}: the others are off by {:.3} % of it at most, {:.3} % root mean square",
        quantity.name(),
        if height.logarithmic { "logarithmic" } else { "linear" },
        100.0 * largest,
        100.0 * (squares / f64::from(count.max(1))).sqrt()
    );
    if unlike > 0 {
        println!("    and {unlike} are finite in one of the two only");
    }
}

/// Frames of reliefs that turn and of maps that one comes nearer to, and what a new grid costs.
fn surfaces() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let Ok(adapter) = pollster::block_on(instance.request_adapter(&options)) else {
        println!("\nframes: skipped, there is no wgpu adapter to draw with");
        return;
    };
    let (device, queue) =
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("the adapter's device");
    let info = adapter.get_info();
    println!(
        "\n{} ({}, {:?}), {FRAMES} times each, in milliseconds",
        info.name, info.backend, info.device_type
    );
    println!("{:<48}{:>9}{:>9}", "", "median", "90 %");
    frames(&device, &queue);
    updates(&device, &queue);
}

fn frames(device: &wgpu::Device, queue: &wgpu::Queue) {
    let mut window = Window::new(device, queue, WINDOW);
    let [width, height] = WINDOW;
    let heights = SURFACES.map(|nodes| Arc::new(field(nodes, 0.0).heights(Scale::Automatic)));
    let mut camera = Camera::default();
    let mut turned = || {
        camera.orbit(std::f32::consts::TAU / FRAMES as f32, 0.0);
        relief(camera)
    };
    println!("frame of {width}×{height} pixels");
    for heights in &heights {
        let what = format!("  relief of {} turns", size(heights));
        timed(&what, |_| window.draw(&scene(heights, turned())));
    }
    for heights in &heights {
        let what = format!("  map of {} comes nearer", size(heights));
        timed(&what, |frame| window.draw(&scene(heights, nearer(heights, frame))));
    }
    let [.., largest] = &heights;
    let another = Arc::new(field(LARGEST, 0.3).heights(Scale::Automatic));
    let grids = [largest, &another];
    let what = format!("  relief of {} turns and has another grid", size(largest));
    timed(&what, |frame| window.draw(&scene(grids[frame % 2], turned())));
    let still = scene(largest, relief(Camera::default()));
    timed("  relief that stays as it is", |_| window.draw(&still));
}

/// What a new grid costs: drawn so small that drawing takes next to nothing.
fn updates(device: &wgpu::Device, queue: &wgpu::Queue) {
    println!("update of {LARGEST}×{LARGEST} nodes");
    let fields = [field(LARGEST, 0.0), field(LARGEST, 0.3)];
    timed("  heights of a field, on the processor", |frame| {
        black_box(fields[frame % 2].heights(Scale::Automatic));
    });
    let mut window = Window::new(device, queue, [16, 16]);
    let mut changed = fields[0].clone();
    let row = LARGEST / 2 * LARGEST;
    for value in &mut changed.values[row..row + LARGEST] {
        *value *= 1.01;
    }
    let [first, second] = fields.map(|field| Arc::new(field.heights(Scale::Automatic)));
    let changed = Arc::new(changed.heights(Scale::Automatic));
    let whole = whole(&first);
    timed("  drawn in 16×16 pixels, the lines shifted", |frame| {
        let mut scene = scene(&first, whole.clone());
        scene.colouring.offset = 0.001 * frame as f64;
        window.draw(&scene);
    });
    for (what, other) in [("another grid", &second), ("one row changed", &changed)] {
        let grids = [&first, other];
        let what = format!("  drawn in 16×16 pixels, {what}");
        timed(&what, |frame| window.draw(&scene(grids[frame % 2], whole.clone())));
    }
    // The same without this program, for comparison.
    let side = LARGEST as u32 + 2;
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("nodes"),
        size: extent(side, side),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rg32Float,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let bytes: &[u8] = bytemuck::cast_slice(&first.nodes);
    for (what, top, rows) in [("all rows", 0, side), ("one row", side / 2, 1)] {
        timed(&format!("  texture alone, {what} written"), |_| {
            queue.write_texture(
                wgpu::TexelCopyTextureInfo {
                    origin: wgpu::Origin3d { x: 0, y: top, z: 0 },
                    ..texture.as_image_copy()
                },
                &bytes[..(8 * side * rows) as usize],
                wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(8 * side),
                    rows_per_image: None,
                },
                extent(side, rows),
            );
            queue.submit([]);
            wait(device);
        });
    }
}

/// A window that nobody sees.
struct Window<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    pictures: Pictures,
    picture: wgpu::TextureView,
    size: [u32; 2],
}

impl<'a> Window<'a> {
    fn new(device: &'a wgpu::Device, queue: &'a wgpu::Queue, size: [u32; 2]) -> Self {
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("window"),
            size: extent(size[0], size[1]),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        Self {
            device,
            queue,
            pictures: Pictures::new(device, FORMAT),
            picture: texture.create_view(&wgpu::TextureViewDescriptor::default()),
            size,
        }
    }

    /// One frame: the picture that fills it is drawn if it is another, and copied; waits for the adapter.
    fn draw(&mut self, scene: &Scene) {
        let descriptor = wgpu::CommandEncoderDescriptor::default();
        let mut encoder = self.device.create_command_encoder(&descriptor);
        self.pictures
            .prepare(self.device, self.queue, &mut encoder, 0, scene, self.size);
        let pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("window"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.picture,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        });
        let mut pass = pass.forget_lifetime();
        self.pictures.copy(&mut pass, 0);
        drop(pass);
        self.queue.submit([encoder.finish()]);
        wait(self.device);
    }
}

fn wait(device: &wgpu::Device) {
    device
        .poll(wgpu::PollType::wait_indefinitely())
        .expect("the adapter answers");
}

fn extent(width: u32, height: u32) -> wgpu::Extent3d {
    wgpu::Extent3d {
        width,
        height,
        depth_or_array_layers: 1,
    }
}

/// Does a task some times for practice and then often, and prints its median and its 90th percentile.
fn timed(what: &str, mut task: impl FnMut(usize)) {
    (0..WARM_UP).for_each(&mut task);
    let mut times: Vec<f64> = (WARM_UP..WARM_UP + FRAMES)
        .map(|frame| {
            let start = Instant::now();
            task(frame);
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<48}{:>9.3}{:>9.3}", times[FRAMES / 2], times[FRAMES * 9 / 10]);
}

/// A valley that is steep on one side, with ripples; `shift` moves them.
fn field(nodes: usize, shift: f64) -> Field {
    let along = positions(RANGE.0, RANGE.1, nodes);
    let loss = |a: f64, b: f64| {
        let slope: f64 = if a < 0.0 { 1.8 } else { 0.6 };
        let ripples = (4.0 * a + shift).sin() * (3.0 * b - shift).cos();
        0.2 + (slope * a).powi(2) + 0.7 * b * b + 0.08 * (1.0 + ripples)
    };
    Field {
        first: RANGE,
        second: RANGE,
        columns: nodes,
        rows: nodes,
        values: along
            .iter()
            .flat_map(|&b| along.iter().map(move |&a| loss(a, b)))
            .collect(),
        known: vec![Known::Measured; nodes * nodes],
        ..Field::default()
    }
}

fn size(heights: &Heights) -> String {
    format!("{}×{}", heights.columns, heights.rows)
}

/// A scene with the colours and as many iso-lines as the window starts with.
fn scene(heights: &Arc<Heights>, view: View) -> Scene {
    Scene {
        colouring: Colouring::of(heights, None, None, 14, 0.0),
        heights: heights.clone(),
        dots: 0.0,
        pixels_per_point: 1.0,
        view,
    }
}

fn relief(camera: Camera) -> View {
    View::Relief {
        camera,
        base: [1.0, 1.0],
        height: 0.85,
        segments: Vec::new(),
    }
}

fn whole(heights: &Heights) -> View {
    View::Map {
        corners: [-0.5, -0.5, heights.columns as f32 - 0.5, heights.rows as f32 - 0.5],
    }
}

/// The map at one of the frames in which one comes nearer to a point of the valley.
fn nearer(heights: &Heights, frame: usize) -> View {
    let factor = NEAREST.powf(frame as f32 / (WARM_UP + FRAMES) as f32);
    let [columns, rows] = [heights.columns, heights.rows].map(|count| (count - 1) as f32);
    let (x, y) = (0.55 * columns, 0.5 * rows);
    View::Map {
        corners: [
            x - x / factor,
            y - y / factor,
            x + (columns - x) / factor,
            y + (rows - y) / factor,
        ],
    }
}
