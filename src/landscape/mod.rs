//! Functions of one or two numbers cut out of the loss: directions, lines and planes, their minima, the trajectory as
//! seen in a plane, and the record of how each was made.

pub mod asymmetry;
pub mod axis;
pub mod bias;
pub mod curve;
pub mod direction;
pub mod direction_file;
pub mod grid;
pub mod heights;
pub mod line;
pub mod normalisation;
pub mod one_point_convexity;
pub mod oscillation;
pub mod plane;
pub mod projection;
pub mod refinement;
pub mod scale;
pub mod shift;
pub mod surface;
pub mod survey;
pub mod sweep;
pub mod trajectory;

pub use asymmetry::{Band, Certificate, Profile, Side, SlopeSource};
pub use axis::Axis;
pub use bias::{BiasedDirection, MeasuredGain, PredictedGain};
pub use curve::{Curve, LineRecord, Minimum, Provenance};
pub use direction::{Basis, DirectionKind};
pub use grid::{Field, Grid, Known, Quantity};
pub use heights::{Heights, Node};
pub use line::Line;
pub use normalisation::Normalisation;
pub use one_point_convexity::{Alignment, GradientPass};
pub use plane::{Frame, Plane};
pub use scale::{Height, Scale};
pub use shift::{Shift, ShiftGap};
pub use surface::{Projected, SurfaceRecord};
pub use survey::Survey;
pub use sweep::{Memory, Sweep};
pub use trajectory::{Landmarks, Through, Trajectory};
