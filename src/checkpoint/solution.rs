//! A solution as a safetensors file under PyTorch's state-dict names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

use super::whole_file;
use crate::error::{Error, Result};
use crate::network::Graph;
use crate::objective::Solution;

/// Key of our own entry in a file's metadata: how the tensors were made, as JSON.
const METADATA_KEY: &str = "valleyscope";

/// The numbers of one entry.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// 32-bit floats: parameters and statistics.
    Single(&'a [f32]),
    /// 64-bit floats: sums that must come back to the bit.
    Double(&'a [f64]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }

    fn view(&self, shape: Vec<usize>) -> std::result::Result<TensorView<'_>, SafeTensorError> {
        match self {
            Self::Single(values) => TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)),
            Self::Double(values) => TensorView::new(Dtype::F64, shape, bytemuck::cast_slice(values)),
        }
    }
}

/// Flat vectors by name, each with its shape.
pub struct NamedTensors<'a> {
    entries: Vec<(String, Vec<usize>, Values<'a>)>,
}

impl<'a> NamedTensors<'a> {
    /// Parameters and statistics of `solution` under their state-dict names.
    pub fn of_solution(graph: &Graph, solution: &'a Solution) -> Self {
        let mut entries: Vec<_> = graph
            .parameters
            .iter()
            .map(|p| {
                let values = Values::Single(&solution.parameters[p.range()]);
                (p.name.clone(), p.shape.clone(), values)
            })
            .collect();
        for layer in &graph.batch_norm_layers {
            let shape = vec![layer.channels];
            entries.push((
                format!("{}.running_mean", layer.name),
                shape.clone(),
                Values::Single(&solution.statistics[layer.mean()]),
            ));
            entries.push((
                format!("{}.running_var", layer.name),
                shape,
                Values::Single(&solution.statistics[layer.variance()]),
            ));
        }
        Self { entries }
    }

    /// Single flat vectors by name.
    pub fn of_vectors(vectors: &[(&str, Values<'a>)]) -> Self {
        Self {
            entries: vectors
                .iter()
                .map(|(name, values)| ((*name).to_owned(), vec![values.len()], *values))
                .collect(),
        }
    }

    /// Writes the file whole, with `provenance` (JSON) in its metadata.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: &Path, provenance: &str) -> Result<()> {
        let views = self
            .entries
            .iter()
            .map(|(name, shape, values)| Ok((name, values.view(shape.clone())?)))
            .collect::<std::result::Result<Vec<_>, SafeTensorError>>()
            .map_err(|error| Error::file_reason(path, error.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), provenance.to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::file_reason(path, error.to_string()))?;
        whole_file::write(path, &bytes)
    }
}

/// A safetensors file read into memory.
pub struct TensorFile {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    doubles: BTreeMap<String, Vec<f64>>,
    /// Our own metadata entry, if the file has one.
    pub provenance: Option<String>,
}

impl TensorFile {
    /// Reads the file. Its size is bounded by the file itself: safetensors checks every offset against it.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing, cut short, or holds other types than `f32`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::file(path, "read this file", &error))?;
        let broken = |reason: String| {
            Error::file_reason(
                path,
                format!(
                    "this is not a whole safetensors file ({reason}); if the disk was full or the copy cut short, \
                     copy it again or delete it"
                ),
            )
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
        let provenance = header.metadata().as_ref().and_then(|m| m.get(METADATA_KEY)).cloned();
        let (mut tensors, mut doubles) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in file.iter() {
            if view.dtype() == Dtype::F64 {
                let values = view
                    .data()
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f64::from_le_bytes(*b))
                    .collect();
                doubles.insert(name.to_owned(), values);
                continue;
            }
            if view.dtype() != Dtype::F32 {
                return Err(Error::file_reason(
                    path,
                    format!("`{name}` holds {:?}; only 32-bit floats are read so far", view.dtype()),
                ));
            }
            let values = view
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
        }
        Ok(Self {
            tensors,
            doubles,
            provenance,
        })
    }

    /// Names and shapes.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors
            .iter()
            .map(|(name, (shape, _))| (name.as_str(), shape.as_slice()))
    }

    /// One flat vector of a known length.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or of another length.
    pub fn vector(&self, path: &Path, name: &str, length: usize) -> Result<&[f32]> {
        match self.tensors.get(name) {
            Some((_, values)) if values.len() == length => Ok(values),
            Some((_, values)) => Err(Error::file_reason(
                path,
                format!("`{name}` has {} entries instead of {length}", values.len()),
            )),
            None => Err(Error::file_reason(path, format!("it has no entry `{name}`"))),
        }
    }

    /// One flat vector of 64-bit floats of a known length.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or of another length.
    pub fn double_vector(&self, path: &Path, name: &str, length: usize) -> Result<&[f64]> {
        match self.doubles.get(name) {
            Some(values) if values.len() == length => Ok(values),
            _ => Err(Error::file_reason(
                path,
                format!("it has no entry `{name}` of {length} 64-bit floats"),
            )),
        }
    }

    /// The solution for `graph`, every entry matched by name and shape. Nothing is loaded by halves.
    ///
    /// # Errors
    /// [`Error::File`] that lists what is missing, of another shape or left over.
    pub fn solution(&self, path: &Path, graph: &Graph) -> Result<Solution> {
        let mut solution = Solution {
            parameters: vec![0.0; graph.parameter_count()],
            statistics: graph.initial_statistics(),
        };
        let mut wanted: Vec<(String, Vec<usize>, &mut [f32])> = Vec::new();
        let mut rest = solution.parameters.as_mut_slice();
        for parameter in &graph.parameters {
            let (slice, after) = rest.split_at_mut(parameter.size());
            wanted.push((parameter.name.clone(), parameter.shape.clone(), slice));
            rest = after;
        }
        let mut rest = solution.statistics.as_mut_slice();
        for layer in &graph.batch_norm_layers {
            for kind in ["running_mean", "running_var"] {
                let (slice, after) = rest.split_at_mut(layer.channels);
                wanted.push((format!("{}.{kind}", layer.name), vec![layer.channels], slice));
                rest = after;
            }
        }
        let mut problems = Vec::new();
        let mut left_over: BTreeMap<&str, &[usize]> = self.entries().collect();
        for (name, shape, slice) in wanted {
            left_over.remove(name.as_str());
            match self.tensors.get(&name) {
                None => problems.push(format!("`{name}` is missing")),
                Some((found, _)) if *found != shape => {
                    problems.push(format!("`{name}` is {found:?} instead of {shape:?}"));
                }
                Some((_, values)) => slice.copy_from_slice(values),
            }
        }
        problems.extend(left_over.keys().map(|name| format!("`{name}` is left over")));
        if problems.is_empty() {
            return Ok(solution);
        }
        const SHOWN: usize = 5;
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Err(Error::file_reason(
            path,
            format!(
                "it does not hold the model {}: {}{more}",
                graph.name,
                problems.join(", ")
            ),
        ))
    }
}
