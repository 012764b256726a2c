//! Stochastic gradient descent on the flat vector, with PyTorch's update rule.

/// Momentum buffer and settings.
#[derive(Clone, Debug)]
pub struct Sgd {
    momentum: f32,
    weight_decay: f32,
    velocity: Vec<f32>,
}

impl Sgd {
    /// For vectors of `length` entries, with an empty momentum buffer.
    pub fn new(length: usize, momentum: f64, weight_decay: f64) -> Self {
        Self::with_velocity(vec![0.0; length], momentum, weight_decay)
    }

    /// With a momentum buffer kept from before.
    pub fn with_velocity(velocity: Vec<f32>, momentum: f64, weight_decay: f64) -> Self {
        Self {
            momentum: momentum as f32,
            weight_decay: weight_decay as f32,
            velocity,
        }
    }

    /// g ← ∇L + λ·w, v ← μ·v + g, w ← w − η·v, as `torch.optim.SGD` (whose first step sets v = g, the same as v = 0
    /// before it).
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], learning_rate: f64) {
        let learning_rate = learning_rate as f32;
        for ((w, &g), v) in parameters.iter_mut().zip(gradient).zip(&mut self.velocity) {
            let g = g + self.weight_decay * *w;
            *v = self.momentum * *v + g;
            *w -= learning_rate * *v;
        }
    }

    /// The momentum buffer.
    pub fn velocity(&self) -> &[f32] {
        &self.velocity
    }
}
