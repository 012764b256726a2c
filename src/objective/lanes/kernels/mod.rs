//! The loops over lane vectors, each compiled for every instruction set.

pub mod apart;
pub mod backward;
pub mod centre;
pub mod elementwise;
pub mod moments;
pub mod patch;
pub mod pooling;
pub mod product;
pub mod tangent;
pub mod winograd;
