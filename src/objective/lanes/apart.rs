//! Vectors of parameter space that every image of a block has its own of: lane vectors `[d, lanes]`, in memory that is
//! used again. It is large, so that the system's fresh pages would cost more than the arithmetic.

use super::vectors::LaneBuffer;
use super::{Lanes, lock};

/// Bytes of such memory that are kept for the next block.
const MOST_KEPT: usize = 1 << 30;
/// Parameters that are brought into lanes or out of them at once, so that they stay in a first-level cache.
const CHUNK: usize = 256;

impl Lanes {
    /// Memory for lane vectors `[d, lanes]`; what the numbers are is not said.
    pub(super) fn take_apart(&self) -> LaneBuffer {
        let kept = lock(&self.apart).pop();
        kept.unwrap_or_else(|| LaneBuffer::new(self.graph.parameter_count() * self.lanes))
    }

    /// Gives such memory back.
    pub(super) fn return_apart(&self, memories: impl IntoIterator<Item = LaneBuffer>) {
        let mut pool = lock(&self.apart);
        for memory in memories {
            if (pool.len() + 1) * memory.capacity() * size_of::<f32>() <= MOST_KEPT {
                pool.push(memory);
            }
        }
    }
}

/// Brings `rows` `[m, d]` into the first m lanes of `vectors` `[d, lanes]`; the other lanes become 0.
pub fn to_lanes(rows: &[f32], lanes: usize, vectors: &mut [f32]) {
    let d = vectors.len() / lanes;
    for (index, chunk) in vectors.chunks_mut(CHUNK * lanes).enumerate() {
        chunk.fill(0.0);
        for (lane, row) in rows.chunks_exact(d).enumerate() {
            let targets = chunk[lane..].iter_mut().step_by(lanes);
            for (target, &value) in targets.zip(&row[index * CHUNK..]) {
                *target = value;
            }
        }
    }
}

/// Brings the first m lanes of `vectors` `[d, lanes]` into `rows` `[m, d]`.
pub fn to_rows(vectors: &[f32], lanes: usize, rows: &mut [f32]) {
    let d = vectors.len() / lanes;
    for (index, chunk) in vectors.chunks(CHUNK * lanes).enumerate() {
        for (lane, row) in rows.chunks_exact_mut(d).enumerate() {
            let values = chunk[lane..].iter().step_by(lanes);
            for (target, &value) in row[index * CHUNK..].iter_mut().zip(values) {
                *target = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::network::zoo;
    use crate::objective::lanes::Instructions;

    #[test]
    fn rows_come_out_of_their_lanes_as_they_went_in() {
        // More than a chunk, and fewer images than lanes.
        let (d, lanes) = (CHUNK + 7, 8);
        for images in [1, 3, 8] {
            let rows: Vec<f32> = (0..images * d).map(|number| number as f32 + 1.0).collect();
            let mut vectors = vec![f32::NAN; d * lanes];
            to_lanes(&rows, lanes, &mut vectors);
            assert_eq!(vectors[5 * lanes + images - 1], rows[(images - 1) * d + 5]);
            let is_free = |vector: &[f32]| vector[images..].iter().all(|&value| value == 0.0);
            assert!(vectors.chunks(lanes).all(is_free), "{images}");
            let mut found = vec![f32::NAN; rows.len()];
            to_rows(&vectors, lanes, &mut found);
            assert_eq!(found, rows);
        }
    }

    #[test]
    fn memory_is_used_again_until_it_is_released() {
        let graph = Arc::new(zoo::build("mlp:5", [1, 3, 3], 2).unwrap());
        let lanes = Lanes::new(&graph, Instructions::Plain).unwrap();
        let (before, numbers) = (lanes.memory(), graph.parameter_count() * lanes.lanes());
        let memory = lanes.take_apart();
        let place = memory.as_ptr();
        assert_eq!(memory.len(), numbers);
        lanes.return_apart([memory]);
        assert!(lanes.memory() >= before + numbers * size_of::<f32>());
        assert_eq!(lanes.take_apart().as_ptr(), place);
        lanes.return_apart([lanes.take_apart()]);
        lanes.release_gradients();
        assert_eq!(lanes.memory(), before);
    }
}
