//! Functions of one or two numbers cut out of the loss: directions, lines, their minima, and the record of how each
//! was made.

pub mod curve;
pub mod direction;
pub mod direction_file;
pub mod line;
pub mod sweep;

pub use curve::{Curve, LineRecord, Minimum, Provenance};
pub use direction::{Basis, DirectionKind};
pub use line::Line;
pub use sweep::{Memory, Sweep};
