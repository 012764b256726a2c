//! Pictures and tables as files: PNG and SVG through plotters, CSV and JSON beside them.

pub mod chart;
pub mod demo;
pub mod pictures;
pub mod table;

pub use chart::Chart;
