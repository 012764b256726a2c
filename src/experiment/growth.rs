//! How the cost of a line grows: points, images, width and depth doubled one by one, in time and in memory.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::hashed;
use crate::error::Result;
use crate::landscape::Line;
use crate::landscape::line::positions;
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::network::{cost, zoo};
use crate::objective::{BatchNormPolicy, Compute, Evaluation, Objective, usual_batch};

/// Repetitions, of which the fastest counts.
const REPEATS: usize = 3;
const INPUT: [usize; 3] = [3, 16, 16];
const CLASSES: usize = 10;

/// One line, with the demo's network as it is or changed in one thing.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// What is doubled.
    pub doubled: &'static str,
    /// Model.
    pub model: String,
    /// Points of the line.
    pub points: usize,
    /// Images of each of its two passes.
    pub images: usize,
    /// Multiply-adds in all.
    pub multiply_adds: u64,
    /// Seconds in all.
    pub seconds: f64,
    /// Bytes that the evaluator holds from pass to pass: activations and images; none for tensors.
    pub memory: Option<usize>,
}

impl Growth {
    /// Multiply-adds a second, in 10⁹.
    pub fn rate(&self) -> f64 {
        1e-9 * self.multiply_adds as f64 / self.seconds
    }
}

/// Measures the line under `recompute` as it is, and with one thing after another doubled.
///
/// # Errors
/// When the device fails, or `progress` says stop.
pub fn measure(compute: &Compute, progress: &mut dyn FnMut(&str) -> bool) -> Result<Vec<Growth>> {
    let rows = [
        ("nothing", "resnet8:width=8", 21, 1024),
        ("points", "resnet8:width=8", 42, 1024),
        ("images", "resnet8:width=8", 21, 2048),
        ("width", "resnet8:width=16", 21, 1024),
        ("depth", "resnet14:width=8", 21, 1024),
    ];
    let mut measured = Vec::new();
    for (doubled, model, points, images) in rows {
        if !progress(&format!("growth, {doubled}")) {
            return Err(crate::Error::Cancelled);
        }
        let graph = Arc::new(zoo::build(model, INPUT, CLASSES)?);
        let data = Arc::new(hashed::dataset(INPUT, CLASSES, images, 0));
        let batch = usual_batch(&graph);
        let objective = Objective::new(graph.clone(), data, compute.clone(), batch)?;
        let request = SweepRequest {
            slice: Line::segment(
                Arc::new(hashed::solution(&graph, 1)),
                Arc::new(hashed::solution(&graph, 2)),
            ),
            positions: positions(0.0, 1.0, points),
            policy: BatchNormPolicy::Recompute,
            samples: images,
        };
        let mut seconds = f64::INFINITY;
        for _ in 0..REPEATS {
            let start = Instant::now();
            Sweep::new(&objective, request.clone()).run(&objective, |_, _| progress(&format!("growth, {doubled}")))?;
            seconds = seconds.min(start.elapsed().as_secs_f64());
        }
        let passes = Evaluation::images(&objective, request.policy, images);
        measured.push(Growth {
            doubled,
            model: graph.name.clone(),
            points,
            images,
            multiply_adds: cost::multiply_adds(&graph) * (points * passes) as u64,
            seconds,
            memory: objective.memory(),
        });
    }
    Ok(measured)
}
