//! Gradient descent with noise: of which shape it is, and what that does on functions that are known in closed form.

pub mod covariance;
pub mod noise;
pub mod proportion;
pub mod race;
pub mod spiky;
pub mod surface;
