//! Σ Hᵢ·(Hᵢ·v − H̄·v) over some images, Hᵢ being the Hessian of an image's own loss and H̄ their mean. A product Hᵢ·v
//! stays in its lane, and there is the direction of the next.
//!
//! With any vector c it is Σ Hᵢ·dᵢ − H̄·Σ dᵢ of dᵢ = Hᵢ·v − c. Where all Hᵢ·v are kept, c is their mean, and Σ dᵢ is 0:
//! sixteen multiply-adds a weight and an image. Elsewhere c is the mean over the first images, so that dᵢ is as small
//! as what differs between images; a product goes on at once, and one with H̄ comes last: twenty-four. Either way
//! nothing cancels but what is the same for all images.
//!
//! Memory: lanes · d numbers a block that is kept or in the making, and of a block 2d for its sums.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::Expansion;
use crate::objective::lanes::Batch;
use crate::objective::lanes::backward::Sink;
use crate::objective::lanes::block::BlockImages;
use crate::objective::lanes::direction::Direction;
use crate::objective::lanes::kernels::backward::SumLanes;
use crate::objective::lanes::kernels::centre::{StartBelow, TakeOff};
use crate::objective::lanes::vectors::LaneBuffer;

/// Parameters whose sums a thread adds up at a time.
const SHARE: usize = 1 << 12;

/// The sum in the making: first [`Scatter::keep`] some images or all, from the first one on, and [`Scatter::settle`] c;
/// then [`Scatter::add`] all images in the same order, in blocks that are full but for the last; at last, where others
/// than those kept were added, [`Scatter::take_off`] the [`Scatter::remainder`] over all of them.
#[derive(Debug)]
pub struct Scatter<'a> {
    expansion: &'a Expansion<'a>,
    /// v.
    direction: Direction,
    /// Hᵢ·v of the blocks that were not added yet, `[d, lanes]` each.
    kept: VecDeque<LaneBuffer>,
    /// Images kept, and the sum of their Hᵢ·v.
    kept_images: usize,
    kept_sum: Vec<f64>,
    /// Whether all images are kept.
    is_whole: bool,
    /// c of single precision, and what that leaves of a mean of all.
    centre: Vec<f32>,
    rest: Vec<f32>,
    /// Images added, Σ Hᵢ·dᵢ, and where not all are kept Σ dᵢ.
    images: usize,
    sum: Vec<f64>,
    deviations: Vec<f64>,
}

impl Expansion<'_> {
    /// The sum for v `[d]`, over no image yet.
    pub fn scatter(&self, vector: &[f32]) -> Scatter<'_> {
        let nothing = vec![0.0; vector.len()];
        Scatter {
            expansion: self,
            direction: self.direction(vector),
            kept: VecDeque::new(),
            kept_images: 0,
            kept_sum: nothing.clone(),
            is_whole: false,
            centre: Vec::new(),
            rest: Vec::new(),
            images: 0,
            sum: nothing.clone(),
            deviations: nothing,
        }
    }
}

impl Scatter<'_> {
    /// Makes the products Hᵢ·v of a batch and keeps them.
    pub fn keep(&mut self, batch: &Batch) {
        let (expansion, direction) = (self.expansion, &self.direction);
        let blocks = batch.blocks.par_iter();
        let products: Vec<LaneBuffer> = blocks
            .map(|images| expansion.block_products(direction, images))
            .collect();
        let lanes = expansion.lanes.lanes;
        let shares = self.kept_sum.par_chunks_mut(SHARE).enumerate();
        shares.for_each(|(index, sums)| {
            for (products, images) in products.iter().zip(&batch.blocks) {
                let vectors = products[index * SHARE * lanes..].chunks_exact(lanes);
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    let own = &vector[..images.labels.len()];
                    *sum += own.iter().map(|&entry| f64::from(entry)).sum::<f64>();
                }
            }
        });
        self.kept_images += batch.images;
        self.kept.extend(products);
    }

    /// Settles c `[d]`, the mean over the images that were kept. Whether these are all says `is_whole`.
    pub fn settle(&mut self, is_whole: bool) -> &[f32] {
        let count = self.kept_images as f64;
        let means = std::mem::take(&mut self.kept_sum).into_iter().map(|sum| sum / count);
        // Of some images' mean single precision is enough: any c does.
        let rest = |mean: f64| match is_whole {
            true => (mean - f64::from(mean as f32)) as f32,
            false => 0.0,
        };
        (self.centre, self.rest) = means.map(|mean| (mean as f32, rest(mean))).unzip();
        self.is_whole = is_whole;
        &self.centre
    }

    /// Adds Hᵢ·dᵢ of a batch's images.
    pub fn add(&mut self, batch: &Batch) {
        let kept: Vec<Option<LaneBuffer>> = batch.blocks.iter().map(|_| self.kept.pop_front()).collect();
        let this = &*self;
        let blocks = batch.blocks.par_iter().zip(kept);
        let sums: Vec<(Vec<f32>, Vec<f32>)> = blocks.map(|(images, kept)| this.block_sums(images, kept)).collect();
        let (products, deviations): (Vec<Vec<f32>>, Vec<Vec<f32>>) = sums.into_iter().unzip();
        add_up(&mut self.sum, &products);
        if !self.is_whole {
            add_up(&mut self.deviations, &deviations);
        }
        self.images += batch.images;
    }

    /// Of the images of one block Σ Hᵢ·dᵢ and, where not all images are kept, Σ dᵢ, both `[d]`.
    fn block_sums(&self, images: &BlockImages, kept: Option<LaneBuffer>) -> (Vec<f32>, Vec<f32>) {
        let (expansion, centre) = (self.expansion, self.centre.as_slice());
        let (instructions, lanes) = (expansion.lanes.instructions, expansion.lanes.lanes);
        let (count, block) = (images.labels.len(), std::slice::from_ref(images));
        let mut deviations = match kept {
            Some(mut products) => {
                instructions.run(TakeOff {
                    centre,
                    rest: &self.rest,
                    vectors: &mut products,
                });
                products
            }
            None => {
                let mut products = expansion.lanes.take_apart();
                instructions.run(StartBelow {
                    centre,
                    vectors: &mut products,
                });
                expansion.hessian(&self.direction, block, 1.0, &mut Sink::Apart(&mut products));
                products
            }
        };
        if count < lanes {
            // There is nothing in lanes without an image.
            for vector in deviations.chunks_exact_mut(lanes) {
                vector[count..].fill(0.0);
            }
        }
        let mut deviation = Vec::new();
        if !self.is_whole {
            deviation = vec![0.0; self.sum.len()];
            instructions.run(SumLanes {
                values: &deviations,
                sums: &mut deviation,
            });
        }
        let direction = expansion.own_direction(deviations);
        let mut sum = vec![0.0; self.sum.len()];
        expansion.hessian(&direction, block, 1.0, &mut Sink::Summed(&mut sum));
        expansion.lanes.return_apart(direction.memory());
        (sum, deviation)
    }

    /// The mean of all dᵢ that were added, `[d]`: what c is short of the mean of all Hᵢ·v.
    pub fn remainder(&self) -> Vec<f32> {
        let count = self.images as f64;
        self.deviations.iter().map(|sum| (sum / count) as f32).collect()
    }

    /// Takes Σ Hᵢ·r of a batch's images off, r being the remainder.
    pub fn take_off(&mut self, remainder: &Direction, batch: &Batch) {
        let expansion = self.expansion;
        let product = expansion.summed(batch, |images, sink| expansion.hessian(remainder, images, 1.0, sink));
        for (sum, product) in self.sum.iter_mut().zip(product) {
            *sum -= f64::from(product);
        }
    }

    /// The sum `[d]`.
    pub fn sum(self) -> Vec<f64> {
        self.sum
    }
}

/// Adds parts `[d]` up in their order.
fn add_up(sums: &mut [f64], parts: &[Vec<f32>]) {
    sums.par_chunks_mut(SHARE).enumerate().for_each(|(index, sums)| {
        for part in parts {
            for (sum, &entry) in sums.iter_mut().zip(&part[index * SHARE..]) {
                *sum += f64::from(entry);
            }
        }
    });
}
