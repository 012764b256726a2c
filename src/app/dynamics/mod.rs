//! Two papers' toy dynamics as one watches them: noises of several shapes that race from a sharp minimum to a flat one,
//! and SGD on a spiky function that its noise smooths. Both are in closed form: they need no run and no worker.

mod aside;
mod clock;
mod race;
mod smoothing;
#[cfg(test)]
mod tests;

pub use self::race::{Race, show as race};
pub use self::smoothing::{Smoothing, show as smoothing};
