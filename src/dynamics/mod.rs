//! Gradient descent with noise: of which shape it is, and what that does on functions that are known in closed form and
//! on networks.

pub mod covariance;
pub mod indicators;
pub mod minibatches;
pub mod network;
pub mod noise;
pub mod norms;
pub mod one_hidden_layer;
pub mod proportion;
pub mod race;
pub mod sharpness;
pub mod spiky;
pub mod surface;
