//! What pictures are drawn on: a texture of any size, with depth and several samples a pixel where it is a relief.

use crate::error::{Error, Result};

/// Colours of a picture: sRGB values as they are, premultiplied by opacity.
pub const COLOURS: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// Depth of a relief.
pub const DEPTH: wgpu::TextureFormat = wgpu::TextureFormat::Depth32Float;
/// Samples a pixel of a relief: every adapter has four.
pub const SAMPLES: u32 = 4;

/// A picture's textures.
pub struct Target {
    picture: wgpu::Texture,
    /// Where a relief is drawn, before its samples are put together.
    relief: Option<(wgpu::TextureView, wgpu::TextureView)>,
}

impl Target {
    /// A picture of `size` pixels.
    pub fn new(device: &wgpu::Device, size: [u32; 2], relief: bool) -> Self {
        let texture = |label, format, samples, usage| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some(label),
                size: wgpu::Extent3d {
                    width: size[0],
                    height: size[1],
                    depth_or_array_layers: 1,
                },
                mip_level_count: 1,
                sample_count: samples,
                dimension: wgpu::TextureDimension::D2,
                format,
                usage,
                view_formats: &[],
            })
        };
        let drawn = wgpu::TextureUsages::RENDER_ATTACHMENT;
        let read = drawn | wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_SRC;
        let view = |texture: wgpu::Texture| texture.create_view(&wgpu::TextureViewDescriptor::default());
        Self {
            picture: texture("picture", COLOURS, 1, read),
            relief: relief.then(|| {
                (
                    view(texture("samples", COLOURS, SAMPLES, drawn)),
                    view(texture("depth", DEPTH, SAMPLES, drawn)),
                )
            }),
        }
    }

    /// Whether it is of this size and kind.
    pub fn fits(&self, size: [u32; 2], relief: bool) -> bool {
        let own = self.picture.size();
        [own.width, own.height] == size && self.relief.is_some() == relief
    }

    /// The finished picture.
    pub fn view(&self) -> wgpu::TextureView {
        self.picture.create_view(&wgpu::TextureViewDescriptor::default())
    }

    /// Begins to draw on an empty picture.
    pub fn begin<'a>(&self, encoder: &'a mut wgpu::CommandEncoder) -> wgpu::RenderPass<'a> {
        let picture = self.view();
        let (view, resolve_target) = match &self.relief {
            Some((samples, _)) => (samples, Some(&picture)),
            None => (&picture, None),
        };
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("surface"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT),
                    store: wgpu::StoreOp::Store,
                },
            })],
            depth_stencil_attachment: self
                .relief
                .as_ref()
                .map(|(_, depth)| wgpu::RenderPassDepthStencilAttachment {
                    view: depth,
                    depth_ops: Some(wgpu::Operations {
                        load: wgpu::LoadOp::Clear(1.0),
                        store: wgpu::StoreOp::Discard,
                    }),
                    stencil_ops: None,
                }),
            ..Default::default()
        })
    }

    /// Its pixels, red, green, blue and opacity by rows; waits for the GPU.
    ///
    /// # Errors
    /// [`Error::Device`] when the GPU does not answer.
    pub fn pixels(&self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Vec<u8>> {
        let failed = |reason: String| Error::Device(format!("the picture could not be read back: {reason}"));
        let size = self.picture.size();
        let row = 4 * size.width;
        let padded = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("pixels"),
            size: u64::from(padded) * u64::from(size.height),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_texture_to_buffer(
            self.picture.as_image_copy(),
            wgpu::TexelCopyBufferInfo {
                buffer: &buffer,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(padded),
                    rows_per_image: None,
                },
            },
            size,
        );
        queue.submit([encoder.finish()]);
        let (sender, answer) = std::sync::mpsc::channel();
        buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // Whoever waits is gone only if it failed before.
            let _ = sender.send(result);
        });
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| failed(error.to_string()))?;
        answer
            .recv()
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        let mapped = buffer
            .slice(..)
            .get_mapped_range()
            .map_err(|error| failed(error.to_string()))?;
        let rows = mapped.chunks(padded as usize);
        Ok(rows.flat_map(|padded| padded[..row as usize].iter().copied()).collect())
    }
}
