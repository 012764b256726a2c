//! A solution as a safetensors file under PyTorch's state-dict names.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensorError, tensor::TensorView};

use super::file::METADATA_KEY;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::network::Graph;
use crate::network::graph::Place;
use crate::objective::Solution;

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
        let entries = graph
            .state_dict()
            .into_iter()
            .map(|entry| {
                let values = match entry.place {
                    Place::Parameters(range) => &solution.parameters[range],
                    Place::Statistics(range) => &solution.statistics[range],
                };
                (entry.name, entry.shape, Values::Single(values))
            })
            .collect();
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
