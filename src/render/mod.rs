//! wgpu pipelines over plain arrays; their shaders are in `shaders/`.

mod artist;
pub mod camera;
mod picture;
pub mod pictures;
mod pipelines;
pub mod polar_map;
pub mod relief;
pub mod scene;
mod surface_texture;
mod target;

pub use artist::Artist;
pub use camera::Camera;
pub use pictures::Pictures;
pub use polar_map::{PolarMap, PolarMapPipeline};
pub use relief::Relief;
pub use scene::{Scene, Segment, View};
