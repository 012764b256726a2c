//! The parts that a MAT-file of version 5 consists of: elements with a type, a length, and often numbers.

use std::io::Read;
use std::path::Path;

use super::Meter;
use crate::error::{Error, Result};

/// Type of an element of bytes.
const UINT8: u32 = 2;
/// Type of an element that is an array.
pub(super) const MATRIX: u32 = 14;
/// Class of an object that is not laid out as other arrays are.
const OPAQUE: u8 = 17;
/// Classes of arrays of numbers: double to uint64.
const NUMERIC: std::ops::RangeInclusive<u8> = 6..=15;
const COMPLEX: u8 = 8;
/// What is wrong with an element that does not fit.
pub(super) const LIES: &str = "an element in it is longer than what holds it; download it again";
/// Most bytes of the fields before the numbers of an array.
const MOST_FIELD: u64 = 4096;
/// Most numbers that are turned into `f64`; labels are few.
const MOST_FLOATS: usize = 1 << 24;

/// An array, the first index varying fastest.
pub(super) struct Array {
    /// Its dimensions.
    pub(super) dimensions: Vec<usize>,
    /// As many values as their product.
    pub(super) data: Data,
}

/// The values of an array.
pub(super) enum Data {
    /// As stored, whatever the class: MATLAB also stores doubles as bytes when nothing is lost by it.
    Bytes(Vec<u8>),
    /// All other numbers.
    Floats(Vec<f64>),
}

/// An array, or the name of another one.
pub(super) enum Found {
    /// The one that was looked for.
    Wanted(Array),
    /// Another one's name.
    Other(String),
}

/// Bytes of a number of this type.
fn width(kind: u32) -> Option<usize> {
    match kind {
        1 | UINT8 => Some(1),
        3 | 4 => Some(2),
        5..=7 => Some(4),
        9 | 12 | 13 => Some(8),
        _ => None,
    }
}

/// The numbers in `bytes`, whose length is a multiple of their width.
fn values(kind: u32, bytes: &[u8]) -> Data {
    Data::Floats(match kind {
        1 => each(bytes, |bytes| f64::from(i8::from_le_bytes(bytes))),
        3 => each(bytes, |bytes| f64::from(i16::from_le_bytes(bytes))),
        4 => each(bytes, |bytes| f64::from(u16::from_le_bytes(bytes))),
        5 => each(bytes, |bytes| f64::from(i32::from_le_bytes(bytes))),
        6 => each(bytes, |bytes| f64::from(u32::from_le_bytes(bytes))),
        7 => each(bytes, |bytes| f64::from(f32::from_le_bytes(bytes))),
        9 => each(bytes, f64::from_le_bytes),
        12 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        13 => each(bytes, |bytes| u64::from_le_bytes(bytes) as f64),
        _ => return Data::Bytes(bytes.to_vec()),
    })
}

fn each<const WIDTH: usize>(bytes: &[u8], number: impl Fn([u8; WIDTH]) -> f64) -> Vec<f64> {
    bytes.as_chunks().0.iter().copied().map(number).collect()
}

/// What is left to read of an element.
pub(super) struct Element<'a> {
    reader: &'a mut dyn Read,
    /// Bytes that are left.
    pub(super) left: u64,
    path: &'a Path,
}

impl<'a> Element<'a> {
    /// The next `left` bytes of `reader`.
    pub(super) fn new(reader: &'a mut dyn Read, left: u64, path: &'a Path) -> Self {
        Self { reader, left, path }
    }

    /// The next `length` bytes.
    fn bytes(&mut self, length: usize, meter: &mut Meter) -> Result<Vec<u8>> {
        self.left = self
            .left
            .checked_sub(length as u64)
            .ok_or_else(|| Error::file_reason(self.path, LIES))?;
        super::read_exact_len(self.reader, length, self.path, meter)
    }

    /// The two numbers that an element starts with: its type and its length.
    pub(super) fn tag(&mut self) -> Result<(u32, u64)> {
        let bytes = self.bytes(8, &mut Meter::new(&mut |_| true))?;
        let number = |half: &[u8]| {
            half.iter()
                .rev()
                .fold(0_u32, |number, &byte| number << 8 | u32::from(byte))
        };
        let (kind, size) = bytes.split_at_checked(4).unwrap_or_default();
        Ok((number(kind), u64::from(number(size))))
    }

    /// Type and length of the next element, and its bytes if it is so small that they lie in its tag.
    fn start(&mut self) -> Result<(u32, u64, Option<[u8; 4]>)> {
        let (kind, size) = self.tag()?;
        match kind >> 16 {
            0 => Ok((kind, size, None)),
            small @ 1..=4 => Ok((kind & 0xffff, u64::from(small), Some((size as u32).to_le_bytes()))),
            _ => Err(Error::file_reason(self.path, LIES)),
        }
    }

    /// A short element with its padding, without its type.
    fn field(&mut self) -> Result<Vec<u8>> {
        let (_, size, small) = self.start()?;
        if let Some(bytes) = small {
            return Ok(bytes.iter().copied().take(size as usize).collect());
        }
        if size > MOST_FIELD {
            return Err(Error::file_reason(self.path, LIES));
        }
        let mut bytes = self.bytes(size.next_multiple_of(8) as usize, &mut Meter::new(&mut |_| true))?;
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    /// The array that this is the content of, if it is the one called `wanted`.
    pub(super) fn matrix(&mut self, wanted: &str, meter: &mut Meter) -> Result<Found> {
        let path = self.path;
        let refuse = |reason: String| Err(Error::file_reason(path, reason));
        let other = || Ok(Found::Other(String::new()));
        // An empty matrix has no fields at all.
        if self.left == 0 {
            return other();
        }
        let flags = self.field()?;
        let [class, flags, ..] = *flags else {
            return refuse("an array in it has no flags; download it again".to_owned());
        };
        if class == OPAQUE {
            return other();
        }
        let dimensions = self.field()?;
        let name = self.field()?;
        let name = String::from_utf8_lossy(&name).into_owned();
        if name != wanted {
            return Ok(Found::Other(name));
        }
        if !NUMERIC.contains(&class) || flags & COMPLEX != 0 {
            return refuse(format!(
                "`{wanted}` is not an array of real numbers; this is another data set"
            ));
        }
        let length = |bytes: &[u8; 4]| usize::try_from(i32::from_le_bytes(*bytes)).ok();
        let (words, rest) = dimensions.as_chunks::<4>();
        let dimensions: Option<Vec<usize>> = words.iter().map(length).collect();
        let Some(dimensions) = dimensions.filter(|dimensions| rest.is_empty() && dimensions.len() >= 2) else {
            return refuse(format!(
                "the dimensions of `{wanted}` are not 2 or more whole numbers of at least 0"
            ));
        };
        let count = super::split_bytes(path, &dimensions)?;
        let (kind, size, small) = self.start()?;
        let Some(width) = width(kind) else {
            return refuse(format!(
                "the values of `{wanted}` are of the unknown type {kind}; save it with the option -v7"
            ));
        };
        if (count as u64).checked_mul(width as u64) != Some(size) {
            return refuse(format!(
                "`{wanted}` has {size} bytes, but its dimensions {dimensions:?} ask for {count} values of {width}; download it again"
            ));
        }
        let data = match small {
            // `start` gives at most four bytes, and `size` says how many.
            Some(bytes) => values(kind, bytes.get(..count * width).unwrap_or_default()),
            None if kind == UINT8 => Data::Bytes(self.bytes(count, meter)?),
            None if count > MOST_FLOATS => {
                return refuse(format!("`{wanted}` holds {count} numbers, but not as bytes (uint8)"));
            }
            None => values(kind, &self.bytes(count * width, meter)?),
        };
        Ok(Found::Wanted(Array { dimensions, data }))
    }
}
