//! Pictures and tables as files: PNG, SVG and GIF, 3-D models, CSV and JSON.

pub mod along_run;
pub mod animation;
pub mod chart;
pub mod colour_map;
pub mod colouring;
pub mod contour;
pub mod curvature;
pub mod demo;
pub mod experiment;
mod gltf_file;
pub mod heat_map;
pub mod mesh;
pub mod pictures;
pub mod relief;
pub mod surface;
pub mod table;

pub use chart::Chart;
pub use colour_map::ColourMap;
pub use colouring::Colouring;
