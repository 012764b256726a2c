//! A direction read from a file: one flat tensor `direction` in state-dict parameter order, or one tensor a parameter
//! under its name. A person can make it in PyTorch or numpy: an eigenvector, a difference, a gradient.

use crate::checkpoint::{CheckpointFile, Reference};
use crate::error::{Error, Result};
use crate::network::Graph;

/// Name of the flat tensor.
const FLAT: &str = "direction";

/// Whether the file holds a flat direction, and so is no checkpoint.
pub fn is_direction(file: &CheckpointFile) -> bool {
    file.tensors().contains_key(FLAT)
}

/// The direction `[d]` as it is in the file, of any length.
///
/// # Errors
/// [`Error::File`] when it cannot be read, does not fit `graph`, or is not finite.
pub fn read(reference: &Reference, graph: &Graph) -> Result<Vec<f32>> {
    let file = CheckpointFile::open(&reference.path)?;
    let Some(flat) = file.tensors().get(FLAT).filter(|_| reference.key.is_none()) else {
        return file.state_dict(reference.key.as_deref())?.parameters(graph);
    };
    let count = graph.parameter_count();
    if !flat.is_float() || flat.count() != count {
        return Err(Error::file_reason(
            &reference.path,
            format!(
                "`{FLAT}` has {} entries of {}, and {} has {count} parameters; write one float a parameter, in \
                 state-dict order",
                flat.count(),
                flat.element.name(),
                graph.name
            ),
        ));
    }
    let values = flat.floats()?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::file_reason(
            &reference.path,
            format!("entry {index} of `{FLAT}` is {}; a direction is finite", values[index]),
        )),
        None => Ok(values),
    }
}
