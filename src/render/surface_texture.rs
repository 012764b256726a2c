//! A surface on the GPU: its nodes as a texture, its colours and iso-lines as a few numbers.

use std::ops::Range;
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

    /// Writes what is new of a scene: of the nodes only the rows that are others.
    pub fn write(&mut self, queue: &wgpu::Queue, scene: &Scene) {
        let heights = &scene.heights;
        let rows = match &self.shown {
            Some(shown) if Arc::ptr_eq(shown, heights) => None,
            Some(shown) => changed_rows(shown, heights),
            None => Some(0..heights.rows + 2),
        };
        if let Some(rows) = rows {
            let across = heights.columns + 2;
            queue.write_texture(
                wgpu::TexelCopyTextureInfo {
                    origin: wgpu::Origin3d {
                        y: rows.start as u32,
                        ..Default::default()
                    },
                    ..self.texture.as_image_copy()
                },
                bytemuck::cast_slice(&heights.nodes[rows.start * across..rows.end * across]),
                wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(8 * across as u32),
                    rows_per_image: None,
                },
                wgpu::Extent3d {
                    height: rows.len() as u32,
                    ..extent(heights)
                },
            );
        }
        self.shown = Some(heights.clone());
        queue.write_buffer(&self.look, 0, bytemuck::bytes_of(&look(scene)));
    }
}

/// From the first to the last row of nodes, the rim included, that differs between two surfaces of the same size.
fn changed_rows(before: &Heights, after: &Heights) -> Option<Range<usize>> {
    // By their bytes: what is not a number is not even itself.
    let bytes = [before, after].map(|heights| bytemuck::cast_slice::<_, u8>(&heights.nodes));
    let across = 8 * (after.columns + 2);
    let differs = |&row: &usize| {
        let [before, after] = bytes.map(|bytes| &bytes[row * across..(row + 1) * across]);
        before != after
    };
    let first = (0..after.rows + 2).find(differs)?;
    let last = (first..after.rows + 2).rev().find(differs)?;
    Some(first..last + 1)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Field, Known, Scale};

    #[test]
    fn only_rows_that_differ_are_written() {
        let heights = |changed: Option<usize>| {
            let mut field = Field {
                first: (0.0, 1.0),
                second: (0.0, 1.0),
                columns: 6,
                rows: 20,
                values: vec![1.0; 120],
                known: vec![Known::Measured; 120],
                ..Field::default()
            };
            field.values[3] = f64::NAN;
            if let Some(index) = changed {
                field.values[index] = 2.0;
            }
            field.heights(Scale::Linear)
        };
        assert_eq!(changed_rows(&heights(None), &heights(None)), None);
        // The rim is one row below; a value bends the rows around its own.
        let rows = changed_rows(&heights(None), &heights(Some(6 * 10 + 2))).unwrap();
        assert!(rows.contains(&11) && rows.start >= 9 && rows.end <= 14, "{rows:?}");
    }
}
