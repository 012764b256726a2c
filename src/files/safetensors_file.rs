//! A safetensors file opened by its header; tensors are read one at a time when they are asked for, so that a file can
//! be looked into, or a part of it used, without the memory for all of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::whole_file;
use crate::error::{Error, Result};

/// Longest header read, the format's own limit.
const MOST_HEADER_BYTES: u64 = 100_000_000;
/// Bytes before the header: its length.
const LENGTH_BYTES: u64 = 8;

/// Type, shape and place of a tensor.
#[derive(Clone, Debug)]
pub struct Described {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    offset: u64,
    /// Number of bytes.
    pub bytes: usize,
}

/// An open safetensors file.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    file: Mutex<File>,
    tensors: BTreeMap<String, Described>,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Opens the file and checks its header against its length.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing, cut short or something else.
    pub fn open(path: &Path) -> Result<Self> {
        let (mut file, length) = whole_file::open(path)?;
        let failed = |error: std::io::Error| Error::file(path, "read this file", &error);
        let broken = |reason: String| {
            Error::file_reason(
                path,
                format!(
                    "this is not a whole safetensors file ({reason}); if the disk was full or the copy cut short, \
                     copy it again or delete it"
                ),
            )
        };
        let room = length
            .checked_sub(LENGTH_BYTES)
            .ok_or_else(|| broken(format!("it has {length} bytes, too few for a header")))?;
        let mut size = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut size).map_err(failed)?;
        let size = u64::from_le_bytes(size);
        if size > room || size > MOST_HEADER_BYTES {
            return Err(broken(format!("its header would have {size} bytes, {room} are there")));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(failed)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| broken(format!("its header cannot be read: {error}")))?;
        let data = room - size;
        let mut tensors = BTreeMap::new();
        for (name, info) in header.tensors() {
            let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
            let bytes = info
                .shape
                .iter()
                .try_fold(info.dtype.bitsize(), |product, &side| product.checked_mul(side))
                .map(|bits| bits as u64 / 8);
            if end > data || bytes.is_none() || end.checked_sub(start) != bytes {
                return Err(broken(format!(
                    "`{name}` of shape {:?} would lie in bytes {start}..{end}, and {data} are there",
                    info.shape
                )));
            }
            let described = Described {
                dtype: info.dtype,
                shape: info.shape.clone(),
                offset: LENGTH_BYTES + size + start,
                bytes: (end - start) as usize,
            };
            tensors.insert(name, described);
        }
        if header.data_len() as u64 != data {
            return Err(broken(format!(
                "its header describes {} bytes, {data} are there",
                header.data_len()
            )));
        }
        let metadata = header.metadata().iter().flatten();
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            metadata: metadata.map(|(key, value)| (key.clone(), value.clone())).collect(),
            tensors,
        })
    }

    /// Its tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Described> {
        &self.tensors
    }

    /// An entry of its metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Bytes of a tensor from its `start`th on, little-endian, as many as `buffer` has room for.
    ///
    /// # Errors
    /// [`Error::File`] when they cannot be read.
    pub fn read_part(&self, tensor: &Described, start: usize, buffer: &mut [u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(tensor.offset + start as u64))
            .and_then(|_| file.read_exact(buffer))
            .map_err(|error| Error::file(&self.path, "read this file", &error))
    }

    /// The bytes of a tensor, little-endian.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read.
    pub fn read(&self, tensor: &Described) -> Result<Vec<u8>> {
        let mut bytes = vec![0; tensor.bytes];
        self.read_part(tensor, 0, &mut bytes)?;
        Ok(bytes)
    }
}
