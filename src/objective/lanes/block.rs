//! One block of images in memory: as many images as a vector has lanes, and their activations.

use std::sync::Arc;

use rayon::prelude::*;

use super::kernels::backward::Standard;
use super::kernels::moments::Moments;
use super::kernels::patch::{Affine, Source};
use super::plan::{Plan, View};
use super::point::Normalisation;
use super::vectors::LaneBuffer;

/// The images of a block, one a lane.
#[derive(Clone, Debug)]
pub struct BlockImages {
    /// `[channel][row][column]` lane vectors. Lanes that do not count hold some image, too.
    pub values: Arc<LaneBuffer>,
    /// Labels of the images that count, at most one a lane.
    pub labels: Vec<u32>,
}

/// Lays images `[B, values]` (flat) out in lanes; the last block's free lanes repeat its last image.
pub fn lay_out(images: &[f32], size: usize, lanes: usize) -> Vec<LaneBuffer> {
    images
        .par_chunks((size * lanes).max(1))
        .map(|block| {
            let mut values = LaneBuffer::new(size * lanes);
            let count = block.len() / size;
            for lane in 0..lanes {
                let image = &block[lane.min(count - 1) * size..][..size];
                for (target, &value) in values[lane..].iter_mut().step_by(lanes).zip(image) {
                    *target = value;
                }
            }
            values
        })
        .collect()
}

/// Memory for one block.
#[derive(Debug, Default)]
pub struct Block {
    /// The images.
    pub images: Option<BlockImages>,
    /// Activations, by the plan's slots.
    pub memories: Vec<LaneBuffer>,
    /// Moments of the channels of every buffer.
    pub moments: Vec<Moments>,
    /// Gradient with respect to every buffer, where it is wanted.
    pub gradients: Vec<LaneBuffer>,
    /// Gradient with respect to every view that is not raw.
    pub view_gradients: Vec<LaneBuffer>,
    /// Memory of gradients no longer needed.
    pub free: Vec<LaneBuffer>,
    /// For every view that is not raw, the sums of [`super::kernels::backward::NormSums`], channel by channel.
    pub norm_sums: Vec<Vec<[f64; 2]>>,
}

impl Block {
    /// Memory for the activations of `plan`.
    pub fn new(plan: &Plan, lanes: usize) -> Self {
        Self {
            memories: plan
                .slot_sizes
                .iter()
                .map(|&size| LaneBuffer::new(size * lanes))
                .collect(),
            moments: vec![Moments::default(); plan.moments[plan.moments.len() - 1]],
            gradients: plan.buffers.iter().map(|_| LaneBuffer::default()).collect(),
            view_gradients: plan.lazies.iter().map(|_| LaneBuffer::default()).collect(),
            norm_sums: vec![Vec::new(); plan.lazies.len()],
            ..Self::default()
        }
    }

    /// Numbers that its memory holds.
    pub fn numbers(&self) -> usize {
        let buffers = [&self.memories, &self.gradients, &self.view_gradients, &self.free];
        buffers.into_iter().flatten().map(LaneBuffer::capacity).sum()
    }

    /// Images that count.
    pub fn count(&self) -> usize {
        self.images.as_ref().map_or(0, |images| images.labels.len())
    }

    /// A view as it is read. While a slot is `written`, only what lies before the written part
    /// can be read of it.
    pub fn source<'a>(
        &'a self,
        plan: &Plan,
        view: &View,
        normalisation: &'a Normalisation,
        lanes: usize,
        written: Option<(usize, &'a [f32])>,
    ) -> Source<'a> {
        let slot = plan.slots[view.buffer];
        let memory: &[f32] = match (&self.images, written) {
            (Some(images), _) if view.buffer == plan.images => &images.values,
            (_, Some((busy, before))) if busy == slot => before,
            _ => &self.memories[slot],
        };
        let range = view.range();
        Source {
            values: &memory[range.start * lanes..range.end * lanes],
            shape: view.shape,
            affine: view.norm.map(|layer| affine(normalisation, layer)),
            relu: view.relu,
        }
    }

    /// Memory for a gradient of `length` numbers: the smallest given back that is large enough, or new.
    pub fn take_free(&mut self, length: usize) -> LaneBuffer {
        let fitting = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, memory)| memory.capacity() >= length);
        match fitting
            .min_by_key(|(_, memory)| memory.capacity())
            .map(|(index, _)| index)
        {
            Some(index) => {
                let mut memory = self.free.swap_remove(index);
                memory.fit(length);
                memory
            }
            None => LaneBuffer::new(length),
        }
    }

    /// Gives memory back.
    pub fn give_back(&mut self, memory: LaneBuffer) {
        if !memory.is_empty() {
            self.free.push(memory);
        }
    }
}

/// A layer's scale and shift.
pub fn affine(normalisation: &Normalisation, layer: usize) -> Affine<'_> {
    let range = normalisation.range(layer);
    Affine {
        scale: &normalisation.scale[range.clone()],
        shift: &normalisation.shift[range],
    }
}

/// A layer's mean and inverse standard deviation.
pub fn standard(normalisation: &Normalisation, layer: usize) -> Standard<'_> {
    let range = normalisation.range(layer);
    Standard {
        mean: &normalisation.mean[range.clone()],
        inverse_deviation: &normalisation.inverse_deviation[range],
    }
}
