//! A neural network as data: its graph and parameter tables, the families that build one, and the interpreter that
//! runs it for many parameter vectors at once, with derivatives along directions if asked.

pub mod cost;
pub mod forward;
pub mod graph;
pub mod initialisation;
pub mod loss;
pub mod tangent;
pub mod zoo;

pub use graph::{Graph, Role};
pub use loss::Loss;
