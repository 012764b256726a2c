//! The pictures of surfaces in a window, each drawn aside when it changes and copied into the window's own pass; and
//! pictures of any size for files.

use std::collections::HashMap;

use wgpu::util::DeviceExt;

use super::picture::Picture;
use super::pipelines::Pipelines;
use super::scene::Scene;
use crate::error::{Error, Result};

/// Pipelines, and the pictures shown, by number.
pub struct Pictures {
    pipelines: Pipelines,
    copy: wgpu::RenderPipeline,
    sampler: wgpu::Sampler,
    window: wgpu::Buffer,
    shown: HashMap<usize, (Picture, wgpu::BindGroup)>,
}

impl Pictures {
    /// Builds the pipelines for windows of `format`.
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let module = device.create_shader_module(wgpu::include_wgsl!("../../shaders/copy.wgsl"));
        let copy = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("copy"),
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("vertex"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("fragment"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(wgpu::ColorTargetState {
                    format,
                    blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
                    write_mask: wgpu::ColorWrites::ALL,
                })],
            }),
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            multiview_mask: None,
            cache: None,
        });
        let linear = [f32::from(u8::from(format.is_srgb())), 0.0, 0.0, 0.0];
        Self {
            pipelines: Pipelines::new(device),
            copy,
            sampler: device.create_sampler(&wgpu::SamplerDescriptor {
                mag_filter: wgpu::FilterMode::Linear,
                min_filter: wgpu::FilterMode::Linear,
                ..Default::default()
            }),
            window: device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("window"),
                contents: bytemuck::cast_slice(&linear),
                usage: wgpu::BufferUsages::UNIFORM,
            }),
            shown: HashMap::new(),
        }
    }

    /// Draws picture `number` if it is another than the one there.
    pub fn prepare(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        number: usize,
        scene: &Scene,
        size: [u32; 2],
    ) {
        let most = device.limits().max_texture_dimension_2d;
        let size = size.map(|side| side.clamp(1, most));
        let known = self.shown.remove(&number);
        let (mut picture, known) = match known {
            Some((picture, group)) => (picture, Some(group)),
            None => (Picture::new(device, scene, size), None),
        };
        let moved = picture.draw(device, queue, encoder, &self.pipelines, scene, size);
        let group = match known.filter(|_| !moved) {
            Some(group) => group,
            None => device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("copy"),
                layout: &self.copy.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry {
                        binding: 0,
                        resource: wgpu::BindingResource::TextureView(&picture.target().view()),
                    },
                    wgpu::BindGroupEntry {
                        binding: 1,
                        resource: wgpu::BindingResource::Sampler(&self.sampler),
                    },
                    wgpu::BindGroupEntry {
                        binding: 2,
                        resource: self.window.as_entire_binding(),
                    },
                ],
            }),
        };
        self.shown.insert(number, (picture, group));
    }

    /// Copies picture `number` into the viewport that is set.
    pub fn copy(&self, pass: &mut wgpu::RenderPass<'static>, number: usize) {
        if let Some((_, group)) = self.shown.get(&number) {
            pass.set_pipeline(&self.copy);
            pass.set_bind_group(0, group, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

/// The pixels of `scene`, red, green, blue and opacity (premultiplied) by rows; waits for the GPU.
///
/// # Errors
/// [`Error::Request`] when the adapter has no pictures so large; [`Error::Device`] when it fails.
pub fn pixels(device: &wgpu::Device, queue: &wgpu::Queue, scene: &Scene, size: [u32; 2]) -> Result<Vec<u8>> {
    let most = device.limits().max_texture_dimension_2d;
    if size.iter().any(|&side| side == 0 || side > most) {
        return Err(Error::Request(format!(
            "a picture of {}x{} pixels does not fit this graphics adapter; each side may have 1 to {most}",
            size[0], size[1]
        )));
    }
    let pipelines = Pipelines::new(device);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut picture = Picture::new(device, scene, size);
    picture.draw(device, queue, &mut encoder, &pipelines, scene, size);
    queue.submit([encoder.finish()]);
    picture.target().pixels(device, queue)
}
