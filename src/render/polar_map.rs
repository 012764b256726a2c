//! The disc behind the direction pad: a polar grid of losses, coloured and contoured in the fragment shader.

use wgpu::util::DeviceExt;

use crate::figure::ColourMap;

/// Losses on a polar grid.
#[derive(Clone, Debug, PartialEq)]
pub struct PolarMap {
    /// Number of angles over the full circle.
    pub angles: usize,
    /// Number of radii, the centre not counted.
    pub radii: usize,
    /// Loss at the centre, once measured.
    pub centre: Option<f32>,
    /// Losses angle by angle, `[angles · radii]`, where measured.
    pub losses: Vec<Option<f32>>,
    /// Opacity, 0..1.
    pub opacity: f32,
}

/// Marks for the shader; see there.
const UNMEASURED: f32 = -1e30;
const NOT_FINITE: f32 = 1e30;
/// Iso-lines at every factor of √e ≈ 1.65 of the loss.
const LINE_SPACING: f32 = 0.5;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Uniform {
    grid: [f32; 4],
    look: [f32; 4],
    colours: [[f32; 4]; 8],
}

/// The pipeline for one target format.
pub struct PolarMapPipeline {
    pipeline: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    linear_target: bool,
    shown: Option<(PolarMap, wgpu::BindGroup)>,
}

impl PolarMapPipeline {
    /// Builds the pipeline for targets of `format`.
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("polar map"),
            source: wgpu::ShaderSource::Wgsl(include_str!("../../shaders/polar_map.wgsl").into()),
        });
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty,
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("polar map"),
            entries: &[
                entry(
                    0,
                    wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Uniform,
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                ),
                entry(
                    1,
                    wgpu::BindingType::Texture {
                        sample_type: wgpu::TextureSampleType::Float { filterable: false },
                        view_dimension: wgpu::TextureViewDimension::D2,
                        multisampled: false,
                    },
                ),
            ],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("polar map"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("polar map"),
            layout: Some(&pipeline_layout),
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
        Self {
            pipeline,
            layout,
            linear_target: format.is_srgb(),
            shown: None,
        }
    }

    /// Uploads `map` unless it is the one shown already: a texture of some hundred texels.
    pub fn prepare(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, map: &PolarMap) {
        if self.shown.as_ref().is_some_and(|(shown, _)| shown == map)
            || map.losses.len() != map.angles * map.radii
            || map.losses.is_empty()
        {
            return;
        }
        let logarithms: Vec<f32> = map.losses.iter().map(|&loss| encoded(loss)).collect();
        let centre = encoded(map.centre);
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for &v in logarithms.iter().chain([&centre]).filter(|v| v.abs() < 1e20) {
            low = low.min(v);
            high = high.max(v);
        }
        let mut colours = [[1.0; 4]; 8];
        for (stop, target) in colours.iter_mut().enumerate() {
            let colour = ColourMap::Viridis.at(stop as f64 / 7.0);
            for (t, s) in target.iter_mut().zip(colour) {
                *t = f32::from(s) / 255.0;
            }
        }
        let uniform = Uniform {
            grid: [map.angles as f32, map.radii as f32, low, high],
            look: [
                centre,
                LINE_SPACING,
                map.opacity,
                f32::from(u8::from(self.linear_target)),
            ],
            colours,
        };
        let buffer = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("polar map"),
            contents: bytemuck::bytes_of(&uniform),
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let texture = device.create_texture_with_data(
            queue,
            &wgpu::TextureDescriptor {
                label: Some("polar map"),
                size: wgpu::Extent3d {
                    width: map.radii as u32,
                    height: map.angles as u32,
                    depth_or_array_layers: 1,
                },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: wgpu::TextureFormat::R32Float,
                usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            },
            wgpu::util::TextureDataOrder::LayerMajor,
            bytemuck::cast_slice(&logarithms),
        );
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("polar map"),
            layout: &self.layout,
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: buffer.as_entire_binding(),
                },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: wgpu::BindingResource::TextureView(
                        &texture.create_view(&wgpu::TextureViewDescriptor::default()),
                    ),
                },
            ],
        });
        self.shown = Some((map.clone(), group));
    }

    /// Draws the disc into the viewport that is set.
    pub fn draw(&self, pass: &mut wgpu::RenderPass<'static>) {
        if let Some((_, group)) = &self.shown {
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

/// The logarithm of a loss, or the shader's mark for what has none.
fn encoded(loss: Option<f32>) -> f32 {
    match loss {
        None => UNMEASURED,
        Some(loss) if loss.is_finite() => loss.max(1e-6).ln(),
        Some(_) => NOT_FINITE,
    }
}
