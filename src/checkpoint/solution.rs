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

/// Entries that do not fit, listed by name.
const PROBLEMS_SHOWN: usize = 5;
/// Largest file read: some ten times the largest network's.
const MOST_BYTES: u64 = 16 << 30;

#[derive(Debug)]
enum Stored {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// A safetensors file read into memory.
#[derive(Debug)]
pub struct TensorFile {
    tensors: BTreeMap<String, (Vec<usize>, Stored)>,
    /// Our own metadata entry, if the file has one.
    pub provenance: Option<String>,
}

impl TensorFile {
    /// Reads the file. Its size is checked first, and safetensors checks every offset against it.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing, cut short, or holds anything but 32-bit and 64-bit floats.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = whole_file::read(path, MOST_BYTES)?;
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
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let stored = match view.dtype() {
                Dtype::F32 => Stored::Single(
                    view.data()
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| f32::from_le_bytes(*b))
                        .collect(),
                ),
                Dtype::F64 => Stored::Double(
                    view.data()
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| f64::from_le_bytes(*b))
                        .collect(),
                ),
                other => {
                    return Err(Error::file_reason(
                        path,
                        format!("`{name}` holds {other:?}; only floats of 32 and 64 bits are read so far"),
                    ));
                }
            };
            tensors.insert(name.to_owned(), (view.shape().to_vec(), stored));
        }
        Ok(Self { tensors, provenance })
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
            Some((_, Stored::Single(values))) if values.len() == length => Ok(values),
            _ => Err(Error::file_reason(
                path,
                format!("it has no entry `{name}` of {length} 32-bit floats"),
            )),
        }
    }

    /// One flat vector of 64-bit floats of a known length.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or of another length.
    pub fn double_vector(&self, path: &Path, name: &str, length: usize) -> Result<&[f64]> {
        match self.tensors.get(name) {
            Some((_, Stored::Double(values))) if values.len() == length => Ok(values),
            _ => Err(Error::file_reason(
                path,
                format!("it has no entry `{name}` of {length} 64-bit floats"),
            )),
        }
    }

    /// The solution for `graph`, every entry matched by name and shape. Nothing is loaded by halves, and no memory is
    /// taken before all shapes are found to fit.
    ///
    /// # Errors
    /// [`Error::File`] that lists what is missing, of another shape or left over.
    pub fn solution(&self, path: &Path, graph: &Graph) -> Result<Solution> {
        let parameters = graph.parameters.iter().map(|p| (p.name.clone(), p.shape.clone()));
        let statistics = graph.batch_norm_layers.iter().flat_map(|layer| {
            ["running_mean", "running_var"].map(|kind| (format!("{}.{kind}", layer.name), vec![layer.channels]))
        });
        let mut left_over: BTreeMap<&str, &[usize]> = self.entries().collect();
        let mut problems = Vec::new();
        let mut find = |(name, shape): (String, Vec<usize>)| {
            left_over.remove(name.as_str());
            match self.tensors.get(&name) {
                Some((found, Stored::Single(values))) if *found == shape => return Some(values),
                Some((found, Stored::Single(_))) => {
                    problems.push(format!("`{name}` is {found:?} instead of {shape:?}"))
                }
                Some((_, Stored::Double(_))) => problems.push(format!("`{name}` holds 64-bit floats")),
                None => problems.push(format!("`{name}` is missing")),
            }
            None
        };
        let parameters: Vec<&Vec<f32>> = parameters.filter_map(&mut find).collect();
        let statistics: Vec<&Vec<f32>> = statistics.filter_map(&mut find).collect();
        problems.extend(left_over.keys().map(|name| format!("`{name}` is left over")));
        if problems.is_empty() {
            return Ok(Solution {
                parameters: parameters.into_iter().flatten().copied().collect(),
                statistics: statistics.into_iter().flatten().copied().collect(),
            });
        }
        let more = problems.len().saturating_sub(PROBLEMS_SHOWN);
        problems.truncate(PROBLEMS_SHOWN);
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
