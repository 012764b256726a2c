//! wgpu pipelines over plain arrays; their shaders are in `shaders/`.

pub mod colour_map;
pub mod polar_map;

pub use polar_map::{PolarMap, PolarMapPipeline};
