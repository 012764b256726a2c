//! The sum Σ Hᵢ·(Hᵢ·v − H̄·v) that a non-uniformity is made of, over the processor's vectors: some blocks of images at
//! a time, whose products stay where they are made.

use super::images::MOST_LANE_IMAGES;
use super::{Derivatives, check_product, checked, diverged};
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::network::cost;
use crate::objective::MOST_BATCH_BYTES;

/// Memory for the products of all images, in bytes: where they fit, each is made once.
const KEPT_BYTES: usize = 512 << 20;
/// Memory for the blocks in the making, in bytes, whatever the number of threads.
const MAKING_BYTES: usize = 2 << 30;
/// Multiply-adds between two looks at whether to go on, where blocks for all threads allow it: about a second.
const WORK: u64 = 1 << 36;
/// Multiply-adds of a product with the Hessian of an image, and of the one that follows on it, as multiples of a
/// forward pass.
const PASSES: u64 = 16;

impl Derivatives<'_> {
    /// Σ Hᵢ·(Hᵢ·v − H̄·v) `[d]` over the listed images i for a vector v `[d]`, Hᵢ being the Hessian of an image's own
    /// loss and H̄ the mean of those listed: their number times the covariance of the Hessians, times v. Nothing where
    /// tensors compute, for which [`Derivatives::image_hessian_vectors`] is as good. The share done is told after every
    /// few images.
    ///
    /// It costs two products with the Hessian of every image where 512 MiB hold the first of them all. Elsewhere these
    /// are not kept, and one product more with H̄ is made. Beside what is kept a thread takes lanes · d numbers for the
    /// block that it is at, and each of the blocks done together 2d for its sums: no more than 2 GiB, if a single block
    /// does not take more.
    ///
    /// # Errors
    /// As [`Derivatives::image_hessian_vectors`], and when a block would not fit in memory.
    pub fn image_scatter_vector(
        &self,
        images: &[usize],
        vector: &[f32],
        progress: Progress,
    ) -> Result<Option<Vec<f64>>> {
        self.scatter_keeping((KEPT_BYTES, MAKING_BYTES), images, vector, progress)
    }

    /// The same with so many bytes for the products of all images, and for the blocks in the making.
    fn scatter_keeping(
        &self,
        (most_kept, most_making): (usize, usize),
        images: &[usize],
        vector: &[f32],
        progress: Progress,
    ) -> Result<Option<Vec<f64>>> {
        self.statistics()?;
        self.check_listed(images)?;
        self.check_vector(vector)?;
        let Some((lanes, expansion)) = self.expansion() else {
            return Ok(None);
        };
        let (block, count) = (lanes.lanes(), images.len());
        let bytes_of = |vectors: usize| vectors.saturating_mul(vector.len()).saturating_mul(size_of::<f32>());
        let in_making = bytes_of(block + 2);
        if in_making > MOST_BATCH_BYTES {
            return Err(Error::Request(format!(
                "the products of {block} images in {} parameters would take {} GiB; choose a smaller network",
                vector.len(),
                in_making >> 30
            )));
        }
        if count == 0 {
            return Ok(Some(vec![0.0; vector.len()]));
        }
        let work = cost::multiply_adds(self.graph()).saturating_mul(PASSES * block as u64);
        let soon = usize::try_from(WORK / work.max(1)).unwrap_or(usize::MAX);
        // Sums are taken block by block, so that no bit depends on how many go together.
        let blocks_at_once = (most_making / in_making.max(1))
            .min(soon.max(rayon::current_num_threads()))
            .clamp(1, MOST_LANE_IMAGES.div_ceil(block));
        let at_once = blocks_at_once * block;
        let kept = match bytes_of(count.next_multiple_of(block)) <= most_kept {
            true => count,
            false => block.min(count),
        };
        let is_whole = kept == count;
        let (mut done, all) = (0, if is_whole { 2 * count } else { 3 * count });
        let mut tell = |products: usize| {
            done += products;
            match progress(done as f64 / all as f64) {
                true => Ok(()),
                false => Err(Error::Cancelled),
            }
        };
        let batch = |some: &[usize]| self.objective.listed(lanes, self.part, some);
        let mut scatter = expansion.scatter(vector);
        for some in images[..kept].chunks(at_once) {
            scatter.keep(&batch(some));
            tell(some.len())?;
        }
        check_product(scatter.settle(is_whole))?;
        for (index, some) in images.chunks(at_once).enumerate() {
            scatter.add(&batch(some));
            let were_kept = kept.saturating_sub(index * at_once).min(some.len());
            tell(2 * some.len() - were_kept)?;
        }
        if !is_whole {
            let remainder = expansion.direction(&checked(scatter.remainder())?);
            // Its sums are over groups of blocks, always of the same number; it holds no vectors in lanes.
            for some in images.chunks(MOST_LANE_IMAGES) {
                scatter.take_off(&remainder, &batch(some));
                tell(some.len())?;
            }
        }
        let sum = scatter.sum();
        let lost = sum.iter().copied().find(|entry| !entry.is_finite());
        match lost {
            Some(entry) => Err(diverged(&format!("its product with the vector holds {entry}"))),
            None => Ok(Some(sum)),
        }
    }
}

#[cfg(test)]
mod tests;
