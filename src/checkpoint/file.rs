//! A file of tensors by name: safetensors, or what `torch.save` wrote (zip, the older stream of pickles, tar). Which one
//! it is, is told by its first bytes. Nothing of a pickle is ever run: its reader knows tensors and plain values, and
//! takes everything else for an opaque object.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PickleValue, PytorchError, PytorchReader};
use safetensors::Dtype;

use super::state_dict::StateDict;
use super::tensor::{ElementType, StoredTensor};
use crate::error::{Error, Result};
use crate::files::safetensors_file::SafetensorsFile;
use crate::files::whole_file;
use crate::network::zoo::{self, Fit};

/// Key of our own entry in a safetensors file's metadata: how the tensors were made, as JSON.
pub(super) const METADATA_KEY: &str = "valleyscope";

/// Longest plain value shown.
const MOST_SHOWN: usize = 60;

/// An open checkpoint file. Its tensors are read when they are asked for.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    format: &'static str,
    tensors: BTreeMap<String, StoredTensor>,
    /// Keys of the dictionaries that hold weights; an empty key is the file itself.
    keys: Vec<String>,
    others: Vec<(String, String)>,
    provenance: Option<serde_json::Value>,
}

/// A state dict of a file, described.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Listing {
    /// Its key, or empty where the file itself is one.
    pub key: String,
    /// Number of entries, statistics and counters included.
    pub entries: usize,
    /// Numbers in its weights, statistics aside.
    pub parameters: usize,
    /// Element types of its entries, counters aside, as PyTorch names them.
    pub types: Vec<&'static str>,
    /// What was done to its names and values.
    pub notes: Vec<String>,
    /// The networks of the zoo that fit.
    pub fits: Vec<Fit>,
}

impl CheckpointFile {
    /// Opens the file.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing, cut short, or not a file of tensors.
    pub fn open(path: &Path) -> Result<Self> {
        let (mut file, length) = whole_file::open(path)?;
        if length == 0 {
            return Err(Error::file_reason(path, "it is empty; copy or save it again"));
        }
        // Eight bytes of a length that the file could have, and the brace of a JSON object; a shorter file has neither.
        let mut start = [0; 9];
        let _ = file
            .read(&mut start)
            .map_err(|error| Error::file(path, "read this file", &error))?;
        let [header @ .., brace] = start;
        let by_name = path.extension().is_some_and(|e| e == "safetensors");
        if by_name || (brace == b'{' && u64::from_le_bytes(header) < length) {
            Self::open_safetensors(path)
        } else {
            Self::open_pytorch(path)
        }
    }

    fn open_safetensors(path: &Path) -> Result<Self> {
        let file = std::sync::Arc::new(SafetensorsFile::open(path)?);
        let tensors = file
            .tensors()
            .iter()
            .map(|(name, described)| {
                let (file, described) = (file.clone(), described.clone());
                let (element, shape) = (safetensors_type(described.dtype), described.shape.clone());
                (
                    name.clone(),
                    StoredTensor::new(element, shape, move || file.read(&described)),
                )
            })
            .collect();
        let has_weights = file.tensors().keys().any(|name| name.ends_with("weight"));
        let provenance = file
            .metadata(METADATA_KEY)
            .and_then(|text| serde_json::from_str(text).ok());
        Ok(Self {
            path: path.to_owned(),
            format: "safetensors",
            tensors,
            keys: if has_weights { vec![String::new()] } else { Vec::new() },
            others: Vec::new(),
            provenance,
        })
    }

    fn open_pytorch(path: &Path) -> Result<Self> {
        let broken = |error: PytorchError| {
            let reason = match error {
                error @ (PytorchError::Io(_) | PytorchError::Zip(_)) => {
                    return Error::file_reason(
                        path,
                        format!("this is not a whole checkpoint ({error}); it may be cut short: copy or save it again"),
                    );
                }
                other => other.to_string(),
            };
            Error::file_reason(
                path,
                format!(
                    "this is not a checkpoint that can be read ({reason}); save it with torch.save(model.state_dict(), …) \
                     or as safetensors"
                ),
            )
        };
        let reader = PytorchReader::new(path).map_err(broken)?;
        let root = PytorchReader::read_pickle_data(path, None).map_err(broken)?;
        let format = match reader.metadata().format_type {
            pytorch_reader::FileFormat::Zip => "PyTorch (zip)",
            pytorch_reader::FileFormat::Legacy => "PyTorch (before 1.6)",
            pytorch_reader::FileFormat::Tar => "PyTorch (tar)",
            pytorch_reader::FileFormat::Pickle => "pickle",
        };
        let mut keys = Vec::new();
        state_dicts(&root, "", &mut keys);
        keys.sort();
        let others = plain_values(&root);
        let tensors = reader
            .into_tensors()
            .into_iter()
            .map(|(name, tensor)| {
                let (element, shape) = (pytorch_type(tensor.dtype()), tensor.shape().to_vec());
                let path = path.to_owned();
                let read = move || {
                    tensor.read().map_err(|error| {
                        Error::file_reason(&path, format!("{error}; it may be cut short: copy or save it again"))
                    })
                };
                (name, StoredTensor::new(element, shape, read))
            })
            .collect();
        Ok(Self {
            path: path.to_owned(),
            format,
            tensors,
            keys,
            others,
            provenance: None,
        })
    }

    /// The container, for people.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// Keys of the state dicts in it; an empty key is the file itself.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Plain values beside them, such as `epoch` and `225`.
    pub fn others(&self) -> &[(String, String)] {
        &self.others
    }

    /// How it was made, where it is one of ours.
    pub fn provenance(&self) -> Option<&serde_json::Value> {
        self.provenance.as_ref()
    }

    /// An entry of how it was made, such as `model` or `data`, where it is one of ours.
    pub fn own(&self, key: &str) -> Option<String> {
        Some(self.provenance.as_ref()?.get(key)?.as_str()?.to_owned())
    }

    /// Names and tensors of everything in it.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// Describes every state dict; a file without one gives an empty list.
    ///
    /// # Errors
    /// As [`CheckpointFile::state_dict`].
    pub fn listings(&self) -> Result<Vec<Listing>> {
        let describe = |key: &String| {
            let state = self.state_dict((!key.is_empty()).then_some(key))?;
            Ok(Listing {
                key: key.clone(),
                entries: state.entries(),
                parameters: state.parameter_count(),
                types: state.types().iter().map(|element| element.name()).collect(),
                notes: state.notes(),
                fits: zoo::fitting(&state.shapes(), None),
            })
        };
        self.keys.iter().map(describe).collect()
    }

    /// The state dict under `key`, or the only one.
    ///
    /// # Errors
    /// [`Error::File`] when there is none, or when there are several and none is named.
    pub fn state_dict(&self, key: Option<&str>) -> Result<StateDict<'_>> {
        let offered = || {
            let named: Vec<String> = self
                .keys
                .iter()
                .map(|key| match key.is_empty() {
                    true => "the file itself".to_owned(),
                    false => format!("{}::{key}", self.path.display()),
                })
                .collect();
            named.join(", ")
        };
        let key = match (key, self.keys.as_slice()) {
            (Some(key), _) => key,
            (None, [only]) => only,
            (None, []) => {
                return Err(Error::file_reason(
                    &self.path,
                    "it holds no weights; a state dict has tensors named like conv1.weight",
                ));
            }
            // A file that is a state dict itself is meant by its name alone.
            (None, [first, ..]) if first.is_empty() => first,
            (None, _) => {
                return Err(Error::file_reason(
                    &self.path,
                    format!("it holds several state dicts; name one: {}", offered()),
                ));
            }
        };
        let prefix = if key.is_empty() {
            String::new()
        } else {
            format!("{key}.")
        };
        let tensors: BTreeMap<&str, &StoredTensor> = self
            .tensors
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor)))
            .collect();
        if tensors.is_empty() {
            return Err(Error::file_reason(
                &self.path,
                format!("it has no entry `{key}` with tensors; there are {}", offered()),
            ));
        }
        Ok(StateDict::new(&self.path, tensors))
    }

    /// One flat vector of a known length.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or of another length.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        match self.tensors.get(name) {
            Some(tensor) if tensor.element == ElementType::Float32 && tensor.count() == length => tensor.floats(),
            _ => Err(self.lacks(name, length, "32")),
        }
    }

    /// One flat vector of 64-bit floats of a known length.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or of another length.
    pub fn double_vector(&self, name: &str, length: usize) -> Result<Vec<f64>> {
        match self.tensors.get(name) {
            Some(tensor) if tensor.element == ElementType::Float64 && tensor.count() == length => tensor.doubles(),
            _ => Err(self.lacks(name, length, "64")),
        }
    }

    fn lacks(&self, name: &str, length: usize, bits: &str) -> Error {
        Error::file_reason(
            &self.path,
            format!("it has no entry `{name}` of {length} {bits}-bit floats"),
        )
    }
}

/// What a dictionary of a pickle is, as far as weights go.
enum Kind {
    /// It holds no weights, or state dicts deeper down that are listed by now.
    Other,
    /// One layer of a whole model: its tensors are called `weight`, `bias`, ….
    Layer,
    /// A whole model, or a part of one: its dictionaries are layers and parts.
    Model,
}

/// Lists the state dicts by their dotted path. A state dict has tensors called `conv1.weight`, an optimizer's has not; a
/// whole model that was saved is a tree of dictionaries with tensors called `weight` at its leaves.
fn state_dicts(value: &PickleValue, path: &str, keys: &mut Vec<String>) -> Kind {
    let PickleValue::Dict(dictionary) = value else {
        return Kind::Other;
    };
    let is_tensor = |value: &PickleValue| matches!(value, PickleValue::Unsupported(kind) if kind == "torch.Tensor");
    let mut tensors = dictionary
        .iter()
        .filter(|(_, value)| is_tensor(value))
        .map(|(name, _)| name);
    if tensors.clone().any(|name| name.ends_with(".weight")) {
        keys.push(path.to_owned());
        return Kind::Other;
    }
    if tensors.any(|name| name == "weight") {
        return Kind::Layer;
    }
    let mut names: Vec<&String> = dictionary.keys().collect();
    names.sort();
    let mut models = Vec::new();
    let mut layers = false;
    for name in names {
        let inner = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match state_dicts(&dictionary[name], &inner, keys) {
            Kind::Layer => layers = true,
            Kind::Model => models.push(inner),
            Kind::Other => {}
        }
    }
    // Epochs and the like stand beside a model, not inside one.
    let plain = dictionary
        .values()
        .any(|value| !is_tensor(value) && !matches!(value, PickleValue::Dict(_)));
    if plain || (path.is_empty() && !layers && models.len() == 1) {
        keys.append(&mut models);
        return Kind::Other;
    }
    if !layers && models.is_empty() {
        return Kind::Other;
    }
    if path.is_empty() {
        keys.push(String::new());
    }
    Kind::Model
}

/// The plain values of the outermost dictionary, in order of their names.
fn plain_values(root: &PickleValue) -> Vec<(String, String)> {
    let PickleValue::Dict(dictionary) = root else {
        return Vec::new();
    };
    let mut values: Vec<(String, String)> = dictionary
        .iter()
        .filter_map(|(name, value)| {
            let text = match value {
                PickleValue::Bool(value) => value.to_string(),
                PickleValue::Int(value) => value.to_string(),
                PickleValue::Float(value) => value.to_string(),
                PickleValue::String(value) => value.chars().take(MOST_SHOWN).collect(),
                _ => return None,
            };
            Some((name.clone(), text))
        })
        .collect();
    values.sort();
    values
}

fn safetensors_type(dtype: Dtype) -> ElementType {
    match dtype {
        Dtype::BF16 => ElementType::Bfloat16,
        Dtype::F16 => ElementType::Float16,
        Dtype::F32 => ElementType::Float32,
        Dtype::F64 => ElementType::Float64,
        Dtype::BOOL => ElementType::Other("bool"),
        Dtype::U8 => ElementType::Other("uint8"),
        Dtype::I8 => ElementType::Other("int8"),
        Dtype::I16 => ElementType::Other("int16"),
        Dtype::I32 => ElementType::Other("int32"),
        Dtype::I64 => ElementType::Other("int64"),
        _ => ElementType::Other("another type"),
    }
}

fn pytorch_type(dtype: DType) -> ElementType {
    match dtype {
        DType::BF16 => ElementType::Bfloat16,
        DType::F16 => ElementType::Float16,
        DType::F32 => ElementType::Float32,
        DType::F64 => ElementType::Float64,
        DType::Bool => ElementType::Other("bool"),
        DType::U8 => ElementType::Other("uint8"),
        DType::I8 => ElementType::Other("int8"),
        DType::I16 => ElementType::Other("int16"),
        DType::I32 => ElementType::Other("int32"),
        DType::I64 => ElementType::Other("int64"),
        DType::U16 => ElementType::Other("uint16"),
        DType::U32 => ElementType::Other("uint32"),
        DType::U64 => ElementType::Other("uint64"),
    }
}
