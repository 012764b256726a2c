//! A picture of a surface, drawn anew only when something in it has changed.

use wgpu::util::DeviceExt;

use super::pipelines::{Pipelines, SEGMENT_BYTES};
use super::scene::{Scene, Segment, View};
use super::surface_texture::SurfaceTexture;
use super::target::Target;

/// Cells along a side of a relief at most: finer ones are smaller than a pixel, and the time a picture takes must not
/// depend on the grid.
const MOST_CELLS: u32 = 256;
/// Cells of a relief between two nodes, where there are few.
const CELLS_A_NODE: u32 = 6;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Space {
    transform: [[f32; 4]; 4],
    eye: [f32; 4],
    size: [f32; 4],
}

/// A picture and what it is made of.
pub struct Picture {
    target: Target,
    size: [u32; 2],
    surface: SurfaceTexture,
    /// Cells along a side, and the triangles between them.
    cells: Option<(u32, wgpu::Buffer)>,
    drawn: Option<Scene>,
}

impl Picture {
    /// An empty picture with room for a scene.
    pub fn new(device: &wgpu::Device, scene: &Scene, size: [u32; 2]) -> Self {
        Self {
            target: Target::new(device, size, is_relief(scene)),
            size,
            surface: SurfaceTexture::new(device, &scene.heights),
            cells: None,
            drawn: None,
        }
    }

    /// What it is drawn on.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Draws `scene` at `size` pixels unless it is what is there already; true when it drew on another texture.
    pub fn draw(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        pipelines: &Pipelines,
        scene: &Scene,
        size: [u32; 2],
    ) -> bool {
        let fits = self.target.fits(size, is_relief(scene));
        if fits && self.drawn.as_ref() == Some(scene) {
            return false;
        }
        if !fits {
            self.target = Target::new(device, size, is_relief(scene));
            self.size = size;
        }
        if !self.surface.fits(&scene.heights) {
            self.surface = SurfaceTexture::new(device, &scene.heights);
        }
        self.surface.write(queue, scene);
        match &scene.view {
            View::Map { .. } => self.heat_map(device, encoder, &pipelines.heat_map),
            View::Relief { .. } => self.relief(device, encoder, pipelines, scene),
        }
        self.drawn = Some(scene.clone());
        !fits
    }

    fn heat_map(&self, device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, pipeline: &wgpu::RenderPipeline) {
        let nodes = self.surface.view();
        let group = group(
            device,
            pipeline,
            &[self.surface.look(), wgpu::BindingResource::TextureView(&nodes)],
        );
        let mut pass = self.target.begin(encoder);
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.draw(0..3, 0..1);
    }

    fn relief(
        &mut self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        pipelines: &Pipelines,
        scene: &Scene,
    ) {
        let View::Relief {
            camera,
            base,
            height,
            segments,
        } = &scene.view
        else {
            return;
        };
        let sides = [scene.heights.columns, scene.heights.rows].map(|count| count.saturating_sub(1) as u32);
        let wanted = (sides[0].max(sides[1]) * CELLS_A_NODE).clamp(1, MOST_CELLS);
        let (cells, triangles) = match self.cells.take() {
            Some((cells, triangles)) if cells == wanted => (cells, triangles),
            _ => (wanted, triangles(device, wanted)),
        };
        let eye = camera.eye();
        let aspect = self.size[0] as f32 / self.size[1].max(1) as f32;
        let uniform = |label, contents: &[u8]| {
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some(label),
                contents,
                usage: wgpu::BufferUsages::UNIFORM,
            })
        };
        let space = uniform(
            "space",
            bytemuck::bytes_of(&Space {
                transform: camera.transform(aspect).into(),
                eye: [eye.x, eye.y, eye.z, 1.0],
                size: [base[0], base[1], *height, cells as f32],
            }),
        );
        let screen = uniform(
            "screen",
            bytemuck::cast_slice(&[self.size[0] as f32, self.size[1] as f32, 0.0, 0.0]),
        );
        let nodes = self.surface.view();
        let surface = group(
            device,
            &pipelines.relief,
            &[
                self.surface.look(),
                wgpu::BindingResource::TextureView(&nodes),
                space.as_entire_binding(),
            ],
        );
        let around = group(
            device,
            &pipelines.segments,
            &[space.as_entire_binding(), screen.as_entire_binding()],
        );
        let instances = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("segments"),
            contents: bytemuck::cast_slice(&segments.iter().map(packed).collect::<Vec<_>>()),
            usage: wgpu::BufferUsages::VERTEX,
        });
        {
            let mut pass = self.target.begin(encoder);
            pass.set_pipeline(&pipelines.relief);
            pass.set_bind_group(0, &surface, &[]);
            pass.set_index_buffer(triangles.slice(..), wgpu::IndexFormat::Uint32);
            pass.draw_indexed(0..6 * cells * cells, 0, 0..1);
            if !segments.is_empty() {
                pass.set_pipeline(&pipelines.segments);
                pass.set_bind_group(0, &around, &[]);
                pass.set_vertex_buffer(0, instances.slice(..));
                pass.draw(0..6, 0..segments.len() as u32);
            }
        }
        self.cells = Some((cells, triangles));
    }
}

fn is_relief(scene: &Scene) -> bool {
    matches!(scene.view, View::Relief { .. })
}

fn group(
    device: &wgpu::Device,
    pipeline: &wgpu::RenderPipeline,
    resources: &[wgpu::BindingResource],
) -> wgpu::BindGroup {
    let entries: Vec<wgpu::BindGroupEntry> = resources
        .iter()
        .enumerate()
        .map(|(binding, resource)| wgpu::BindGroupEntry {
            binding: binding as u32,
            resource: resource.clone(),
        })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("surface"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    })
}

/// Corners of the two triangles of each cell.
fn triangles(device: &wgpu::Device, cells: u32) -> wgpu::Buffer {
    let across = cells + 1;
    let indices: Vec<u32> = (0..cells * cells)
        .flat_map(|cell| {
            let corner = cell / cells * across + cell % cells;
            [0, 1, across, across, 1, across + 1].map(|step| corner + step)
        })
        .collect();
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some("triangles"),
        contents: bytemuck::cast_slice(&indices),
        usage: wgpu::BufferUsages::INDEX,
    })
}

fn packed(segment: &Segment) -> [f32; SEGMENT_BYTES as usize / 4] {
    let [[a, b, c], [x, y, z]] = segment.ends;
    let [from, to] = segment.colours;
    let mut packed = [0.0; 16];
    packed[..8].copy_from_slice(&[a, b, c, segment.width, x, y, z, segment.lift]);
    packed[8..12].copy_from_slice(&from);
    packed[12..].copy_from_slice(&to);
    packed
}
