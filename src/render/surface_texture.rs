//! A surface on the GPU: its nodes as a texture, its colours and iso-lines as a few numbers.

use std::sync::Arc;

use super::scene::{Scene, View};
use crate::figure::colour_map::STOPS;
use crate::landscape::Heights;

/// Spacing of the hatching, in points.
const HATCHING: f32 = 7.0;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Look {
    grid: [f32; 4],
    range: [f32; 4],
    view: [f32; 4],
    style: [f32; 4],
    colours: [[f32; 4]; STOPS],
}

/// Texture and uniform of one surface.
pub struct SurfaceTexture {
    texture: wgpu::Texture,
    look: wgpu::Buffer,
    shown: Option<Arc<Heights>>,
}

impl SurfaceTexture {
    /// The uniform that says how the surface looks.
    pub fn look(&self) -> wgpu::BindingResource<'_> {
        self.look.as_entire_binding()
    }

    /// A view of the nodes.
    pub fn view(&self) -> wgpu::TextureView {
        self.texture.create_view(&wgpu::TextureViewDescriptor::default())
    }

    /// Room for the nodes of `heights`; nothing is written yet.
    pub fn new(device: &wgpu::Device, heights: &Heights) -> Self {
        Self {
            texture: device.create_texture(&wgpu::TextureDescriptor {
                label: Some("surface"),
                size: extent(heights),
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: wgpu::TextureFormat::Rg32Float,
                usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            }),
            look: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("look of a surface"),
                size: size_of::<Look>() as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
            shown: None,
        }
    }

    /// Whether a surface of so many nodes has room in it.
    pub fn fits(&self, heights: &Heights) -> bool {
        self.texture.size() == extent(heights)
    }

    /// Writes what is new of a scene: the nodes only where they are others.
    pub fn write(&mut self, queue: &wgpu::Queue, scene: &Scene) {
        let heights = &scene.heights;
        if !self.shown.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, heights)) {
            let size = extent(heights);
            queue.write_texture(
                self.texture.as_image_copy(),
                bytemuck::cast_slice(&heights.nodes),
                wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(8 * size.width),
                    rows_per_image: None,
                },
                size,
            );
            self.shown = Some(heights.clone());
        }
        queue.write_buffer(&self.look, 0, bytemuck::bytes_of(&look(scene)));
    }
}

fn extent(heights: &Heights) -> wgpu::Extent3d {
    wgpu::Extent3d {
        width: heights.columns as u32 + 2,
        height: heights.rows as u32 + 2,
        depth_or_array_layers: 1,
    }
}

fn look(scene: &Scene) -> Look {
    let Scene { heights, colouring, .. } = scene;
    let [low, high] = [colouring.range.0, colouring.range.1].map(|value| colouring.height.of(value) as f32);
    let spacing = if colouring.lines == 0 {
        0.0
    } else {
        colouring.spacing() as f32
    };
    let line = low + (colouring.offset as f32).rem_euclid(1.0) * spacing;
    let mut colours = [[1.0; 4]; STOPS];
    for (target, source) in colours.iter_mut().zip(colouring.map.colours()) {
        for (t, s) in target.iter_mut().zip(source) {
            *t = f32::from(*s) / 255.0;
        }
    }
    let scale = scene.pixels_per_point;
    Look {
        grid: [
            heights.columns as f32,
            heights.rows as f32,
            1.2 * scale,
            HATCHING * scale,
        ],
        range: [low, high, line, spacing],
        view: match scene.view {
            View::Map { corners } => corners,
            View::Relief { .. } => [0.0; 4],
        },
        style: [scene.dots, 0.0, 0.0, 0.0],
        colours,
    }
}
