//! A tensor of a file, not yet read: its type and shape, and its values as 32-bit floats when they are asked for.

use std::fmt;
use std::sync::Arc;

use half::{bf16, f16};

use crate::error::Result;

/// Element types, as far as they matter to weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElementType {
    /// 16-bit floats with 8 bits of exponent.
    Bfloat16,
    /// 16-bit floats, IEEE.
    Float16,
    /// 32-bit floats.
    Float32,
    /// 64-bit floats.
    Float64,
    /// Everything else: integers, truth values.
    Other(&'static str),
}

impl ElementType {
    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bfloat16 => "bfloat16",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Other(name) => name,
        }
    }
}

/// Reads the bytes of a tensor, row-major and little-endian.
type Read = dyn Fn() -> Result<Vec<u8>> + Send + Sync;

/// A tensor of a file.
#[derive(Clone)]
pub struct StoredTensor {
    /// Element type.
    pub element: ElementType,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    read: Arc<Read>,
}

impl fmt::Debug for StoredTensor {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} {:?}", self.element.name(), self.shape)
    }
}

impl StoredTensor {
    /// A tensor whose bytes `read` gives.
    pub fn new(
        element: ElementType,
        shape: Vec<usize>,
        read: impl Fn() -> Result<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            element,
            shape,
            read: Arc::new(read),
        }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds floats, and so can be weights.
    pub fn is_float(&self) -> bool {
        !matches!(self.element, ElementType::Other(_))
    }

    /// The values as 32-bit floats, rounded to the nearest; none for integers.
    pub fn floats(&self) -> Result<Vec<f32>> {
        let bytes = (self.read)()?;
        Ok(match self.element {
            ElementType::Float32 => chunks(&bytes, f32::from_le_bytes),
            ElementType::Float64 => chunks(&bytes, |b| f64::from_le_bytes(b) as f32),
            ElementType::Float16 => chunks(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            ElementType::Bfloat16 => chunks(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            ElementType::Other(_) => Vec::new(),
        })
    }

    /// The values as they are, where they are 64-bit floats; otherwise none.
    pub fn doubles(&self) -> Result<Vec<f64>> {
        match self.element {
            ElementType::Float64 => Ok(chunks(&(self.read)()?, f64::from_le_bytes)),
            _ => Ok(Vec::new()),
        }
    }
}

fn chunks<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| value(*chunk)).collect()
}
