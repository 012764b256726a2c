//! Reliefs for files: drawn off-screen and on white, with lines as wide as the picture is large.

use std::sync::Arc;

use super::camera::Camera;
use super::pictures;
use super::relief::Relief;
use super::scene::Scene;
use crate::error::{Error, Result};
use crate::figure::Colouring;
use crate::figure::relief::{Draw, Drawn};
use crate::landscape::{Heights, SurfaceRecord};

/// Width and height of a relief in a picture of the usual size, in pixels; in smaller and larger ones lines are thinner
/// and wider.
const USUAL: [f32; 2] = [590.0, 780.0];
/// Pixels in a point there.
const POINT: f32 = 1.6;
/// Fewest pixels in a point: thinner lines would have gaps.
const FINEST: f32 = 0.7;
/// Colour of the base's edges.
const INK: [f32; 4] = [0.59, 0.59, 0.59, 1.0];

/// Draws reliefs for files.
#[derive(Clone, Debug)]
pub struct Artist {
    /// What draws.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// The eye. One at the usual distance that looks at the usual place goes to where it sees the whole relief, on the
    /// same side; one that was brought nearer or moved aside stays.
    pub camera: Camera,
    /// Height of the relief, where half the longer side of its base is 1.
    pub height: f32,
}

impl Artist {
    /// Draws with `graphics`, or else with an adapter of its own: a GPU if there is one, otherwise a software
    /// rasterizer.
    ///
    /// # Errors
    /// [`Error::Device`] when there is no adapter at all.
    pub fn new(graphics: Option<(wgpu::Device, wgpu::Queue)>, camera: Camera, height: f32) -> Result<Self> {
        let (device, queue) = match graphics {
            Some(graphics) => graphics,
            None => open()?,
        };
        Ok(Self {
            device,
            queue,
            camera,
            height,
        })
    }

    fn camera(&self, relief: &Relief<'_>, aspect: f32) -> Camera {
        let usual = Camera::default();
        let moved = (self.camera.distance, self.camera.target) != (usual.distance, usual.target);
        if moved {
            self.camera
        } else {
            self.camera.seeing(&relief.extremes(), aspect)
        }
    }

    /// The pixels of a scene. An adapter whose memory is full is an error here, not the end of the program.
    fn pixels(&self, scene: &Scene, size: [u32; 2]) -> Result<Vec<u8>> {
        let full = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let invalid = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let pixels = pictures::pixels(&self.device, &self.queue, scene, size);
        let invalid = pollster::block_on(invalid.pop());
        if pollster::block_on(full.pop()).is_some() {
            return Err(Error::Device(format!(
                "the graphics adapter has no memory for a relief of {} × {} pixels; choose a smaller size",
                size[0], size[1]
            )));
        }
        match invalid {
            Some(error) => {
                let reason = error.to_string().replace('\n', " ");
                Err(Error::Device(format!("the relief could not be drawn: {reason}")))
            }
            None => pixels,
        }
    }
}

impl Draw for Artist {
    fn relief(
        &self,
        record: &SurfaceRecord,
        heights: &Arc<Heights>,
        colouring: &Colouring,
        until: Option<usize>,
        size: [u32; 2],
    ) -> Result<Drawn> {
        let [width, height] = size.map(|side| side as f32);
        let aspect = width / height.max(1.0);
        let mut relief = Relief {
            record,
            heights: heights.clone(),
            colouring: colouring.clone(),
            camera: self.camera,
            height: self.height,
            curves: Vec::new(),
            landmarks: true,
            until,
            ink: INK,
            on_white: true,
            pixels_per_point: (POINT * (width / USUAL[0]).min(height / USUAL[1])).max(FINEST),
        };
        relief.camera = self.camera(&relief, aspect);
        let place = |point: [f32; 3]| {
            let [x, y] = relief.camera.project(point, aspect)?;
            // A whole number is a pixel's middle.
            Some([0.5 * (1.0 + x) * width - 0.5, 0.5 * (1.0 - y) * height - 0.5].map(f64::from))
        };
        let pins = relief.pins().into_iter();
        let names = record.axes.iter().zip(relief.axes());
        Ok(Drawn {
            pixels: self.pixels(&relief.scene(), size)?,
            pins: pins
                .filter_map(|(_, top, name)| Some((name.to_owned(), place(top)?)))
                .collect(),
            axes: names
                .filter_map(|(name, at)| Some((name.clone(), place(at)?)))
                .collect(),
            mark: relief.mark().and_then(place),
        })
    }
}

/// Opens the adapter that draws best.
fn open() -> Result<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    adapters.sort_by_key(rank);
    let opened = adapters.iter().find_map(|adapter| {
        // All that it can do: pictures for print are larger than those of a window.
        let descriptor = wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            ..Default::default()
        };
        pollster::block_on(adapter.request_device(&descriptor)).ok()
    });
    opened.ok_or_else(|| {
        Error::Device(
            "there is no graphics adapter to draw a relief with, not even a software one such as Mesa's lavapipe; heat \
             maps and .glb need none"
                .to_owned(),
        )
    })
}

/// Place of an adapter among others, the one to choose first.
fn rank(adapter: &wgpu::Adapter) -> (u8, bool) {
    let info = adapter.get_info();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Cpu => 3,
        wgpu::DeviceType::Other => 4,
    };
    (kind, info.backend == wgpu::Backend::Gl)
}
