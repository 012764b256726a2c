//! The pipelines that pictures of surfaces are drawn with.

use super::target::{COLOURS, DEPTH, SAMPLES};

/// One pipeline for each kind of drawing.
pub struct Pipelines {
    /// The surface from above.
    pub heat_map: wgpu::RenderPipeline,
    /// The surface from aside.
    pub relief: wgpu::RenderPipeline,
    /// Segments beside it.
    pub segments: wgpu::RenderPipeline,
}

/// Bytes of a segment: two ends with width and lift, two colours.
pub const SEGMENT_BYTES: u64 = 64;

impl Pipelines {
    /// Builds them.
    pub fn new(device: &wgpu::Device) -> Self {
        const FIELD: &str = include_str!("../../shaders/field.wgsl");
        let field = |own: &str| [FIELD, own].concat();
        Self {
            heat_map: build(
                device,
                "heat map",
                &field(include_str!("../../shaders/heat_map.wgsl")),
                None,
                false,
            ),
            relief: build(
                device,
                "relief",
                &field(include_str!("../../shaders/relief.wgsl")),
                None,
                true,
            ),
            segments: build(
                device,
                "segments",
                include_str!("../../shaders/segments.wgsl"),
                Some(wgpu::VertexBufferLayout {
                    array_stride: SEGMENT_BYTES,
                    step_mode: wgpu::VertexStepMode::Instance,
                    attributes: &wgpu::vertex_attr_array![0 => Float32x4, 1 => Float32x4, 2 => Float32x4, 3 => Float32x4],
                }),
                true,
            ),
        }
    }
}

/// A pipeline whose bindings are what its shader uses.
fn build(
    device: &wgpu::Device,
    name: &str,
    shader: &str,
    buffer: Option<wgpu::VertexBufferLayout>,
    deep: bool,
) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(shader.into()),
    });
    let samples = if deep { SAMPLES } else { 1 };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(name),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &buffer.map(Some).into_iter().collect::<Vec<_>>(),
        },
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format: COLOURS,
                blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: deep.then(|| wgpu::DepthStencilState {
            format: DEPTH,
            depth_write_enabled: Some(true),
            depth_compare: Some(wgpu::CompareFunction::LessEqual),
            stencil: wgpu::StencilState::default(),
            bias: wgpu::DepthBiasState::default(),
        }),
        multisample: wgpu::MultisampleState {
            count: samples,
            ..Default::default()
        },
        multiview_mask: None,
        cache: None,
    })
}
