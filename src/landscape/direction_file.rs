//! Directions in files: one flat tensor `direction` in state-dict parameter order, or one tensor a parameter under its
//! name. A person can make it in PyTorch or numpy: an eigenvector, a difference, a gradient. Of several flat ones in a
//! file the first is `direction`, and the others are `direction.2`, or any other name behind the point: `FILE::2`.

use std::path::Path;

use crate::checkpoint::{CheckpointFile, NamedTensors, Reference, Values};
use crate::error::{Error, Result};
use crate::network::Graph;

/// Name of the flat tensor.
const FLAT: &str = "direction";
/// What the first direction of a file can be called.
const FIRST: &str = "1";
/// Directions of a file that are listed by name.
const MOST_LISTED: usize = 12;

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
    let name = tensor_name(reference.key.as_deref());
    let Some(flat) = file.tensors().get(&name) else {
        let is_other = reference.key.as_ref().is_some_and(|key| file.keys().contains(key));
        if is_direction(&file) && !is_other {
            return Err(Error::file_reason(
                &reference.path,
                format!("it holds no direction `{name}`; there are {}", names(&file).join(", ")),
            ));
        }
        return file.state_dict(reference.key.as_deref())?.parameters(graph);
    };
    let count = graph.parameter_count();
    if !flat.is_float() || flat.count() != count {
        return Err(Error::file_reason(
            &reference.path,
            format!(
                "`{name}` has {} entries of {}, and {} has {count} parameters; write one float a parameter, in \
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
            format!("entry {index} of `{name}` is {}; a direction is finite", values[index]),
        )),
        None => Ok(values),
    }
}

/// Writes directions `[d]`, each under its name behind `FILE::`, with `provenance` (JSON) in the file's metadata. The
/// first is what the file's name alone stands for.
///
/// # Errors
/// [`Error::File`] when it cannot be written.
pub fn write(path: &Path, directions: &[(String, &[f32])], provenance: &str) -> Result<()> {
    let tensors: Vec<(String, Values)> = directions
        .iter()
        .enumerate()
        .map(|(index, (name, values))| {
            let name = tensor_name((index > 0).then_some(name.as_str()));
            (name, Values::Single(values))
        })
        .collect();
    let tensors: Vec<(&str, Values)> = tensors.iter().map(|(name, values)| (name.as_str(), *values)).collect();
    NamedTensors::of_vectors(&tensors).write(path, provenance)
}

/// Name of the flat tensor under a key.
fn tensor_name(key: Option<&str>) -> String {
    match key {
        None | Some(FIRST) => FLAT.to_owned(),
        Some(key) => format!("{FLAT}.{key}"),
    }
}

/// The flat directions in a file by the names of their tensors, the first before all others.
fn names(file: &CheckpointFile) -> Vec<String> {
    let is_flat = |name: &&String| name.split('.').next() == Some(FLAT);
    let mut names: Vec<String> = file
        .tensors()
        .keys()
        .filter(is_flat)
        .take(MOST_LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    if file.tensors().keys().filter(is_flat).count() > MOST_LISTED {
        names.push("more".to_owned());
    }
    names
}
