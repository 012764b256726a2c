//! The tensors of a data set in a safetensors file, read one by one straight into their place.

use std::path::Path;

use safetensors::Dtype;

use super::tensors::ENTRIES;
use super::{CHUNK, MOST_SIDE, Meter, RawSplit};
use crate::data::Pixels;
use crate::error::{Error, Result};
use crate::files::safetensors_file::{Described, SafetensorsFile};
use crate::network::graph::Shape;

/// A tensor of the header.
pub(super) struct Entry<'a> {
    name: &'static str,
    /// Its type, its shape and its place.
    pub(super) info: &'a Described,
}

impl<'a> Entry<'a> {
    /// The tensor called `name`, or an error with what is there instead.
    pub(super) fn find(file: &'a SafetensorsFile, name: &'static str, path: &Path) -> Result<Self> {
        let info = file.tensors().get(name).ok_or_else(|| {
            let there: Vec<String> = file
                .tensors()
                .keys()
                .take(20)
                .map(|name| super::shortened(name))
                .collect();
            let reason = format!(
                "it has no tensor `{name}`; a data set has {}; there are {}",
                ENTRIES.join(", "),
                if there.is_empty() {
                    "none".to_owned()
                } else {
                    there.join(", ")
                }
            );
            Error::file_reason(path, reason)
        })?;
        Ok(Self { name, info })
    }

    /// Channels, height and width of images.
    pub(super) fn shape(&self, path: &Path) -> Result<Shape> {
        let (name, shape, kind) = (self.name, &self.info.shape, self.info.dtype);
        if !matches!(kind, Dtype::F32 | Dtype::U8) {
            return Err(Error::file_reason(
                path,
                format!("`{name}` is of type {kind}; save it as F32 or U8"),
            ));
        }
        let &[count, channels, height, width] = shape.as_slice() else {
            let shape = shape.get(..8).unwrap_or(shape);
            return Err(Error::file_reason(
                path,
                format!("`{name}` has the shape {shape:?} instead of [N, C, H, W]"),
            ));
        };
        if count == 0
            || [channels, height, width]
                .iter()
                .any(|side| !(1..=MOST_SIDE).contains(side))
        {
            let reason = format!(
                "`{name}` has the shape {shape:?}; each of [N, C, H, W] must be at least 1, C, H and W at most {MOST_SIDE}"
            );
            return Err(Error::file_reason(path, reason));
        }
        Ok([channels, height, width])
    }
}

/// The file, and how many classes there may be.
pub(super) struct Values<'a> {
    pub(super) file: &'a SafetensorsFile,
    pub(super) path: &'a Path,
    pub(super) most: usize,
}

impl Values<'_> {
    /// The images and labels of a split.
    pub(super) fn split(&self, images: &Entry, labels: &Entry, shape: Shape, mut meter: Meter) -> Result<RawSplit> {
        let count = images.info.shape.first().copied().unwrap_or_default();
        if *labels.info.shape != [count] {
            let reason = format!(
                "`{}` has the shape {:?}, but there are {count} images; it must be [{count}]",
                labels.name,
                labels.info.shape.get(..8).unwrap_or(&labels.info.shape)
            );
            return Err(Error::file_reason(self.path, reason));
        }
        let labels = self.labels(labels, count)?;
        let [channels, height, width] = shape;
        let values = super::split_bytes(self.path, &[count, channels, height, width])?;
        let images = match images.info.dtype {
            Dtype::U8 => Pixels::Bytes(self.bytes(images, values, &mut meter)?),
            _ => Pixels::Floats(self.floats(images, values, &mut meter)?),
        };
        Ok(RawSplit { images, labels })
    }

    /// The bytes of a tensor of `count` numbers of `width` bytes, piece by piece.
    fn pieces(
        &self,
        entry: &Entry,
        count: usize,
        width: usize,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let total = super::split_bytes(self.path, &[count, width])?;
        let mut piece = vec![0; CHUNK.min(total)];
        let mut start = 0;
        while start < total {
            piece.truncate(total - start);
            self.file.read_part(entry.info, start, &mut piece)?;
            each(&piece)?;
            start += piece.len();
        }
        Ok(())
    }

    fn bytes(&self, entry: &Entry, count: usize, meter: &mut Meter) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        super::reserve(self.path, &mut bytes, count)?;
        self.pieces(entry, count, 1, |piece| {
            meter.report(bytes.len(), count)?;
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn floats(&self, entry: &Entry, count: usize, meter: &mut Meter) -> Result<Vec<f32>> {
        let mut values: Vec<f32> = Vec::new();
        let path = self.path;
        super::split_bytes(path, &[count, size_of::<f32>()])?;
        super::reserve(path, &mut values, count)?;
        self.pieces(entry, count, size_of::<f32>(), |piece| {
            meter.report(values.len(), count)?;
            let first = values.len();
            values.extend(piece.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            match values.iter().skip(first).position(|value| !value.is_finite()) {
                None => Ok(()),
                Some(index) => {
                    let (name, index) = (entry.name, first + index);
                    let reason = format!("value {index} of `{name}` is not a finite number; mend it and save again");
                    Err(Error::file_reason(path, reason))
                }
            }
        })?;
        Ok(values)
    }

    fn labels(&self, entry: &Entry, count: usize) -> Result<Vec<u32>> {
        let (kind, path, most) = (entry.info.dtype, self.path, self.most);
        let is_signed = matches!(kind, Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64);
        if !is_signed && !matches!(kind, Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64) {
            let reason = format!("`{}` is of type {kind}; save it as integers, such as I64", entry.name);
            return Err(Error::file_reason(path, reason));
        }
        let width = kind.bitsize() / 8;
        let mut labels: Vec<u32> = Vec::new();
        super::reserve(path, &mut labels, count)?;
        self.pieces(entry, count, width, |piece| {
            for bytes in piece.chunks_exact(width) {
                let label = bytes
                    .iter()
                    .rev()
                    .fold(0_u64, |label, &byte| label << 8 | u64::from(byte));
                let is_negative = is_signed && bytes.last().is_some_and(|&byte| byte >= 0x80);
                let known = u32::try_from(label)
                    .ok()
                    .filter(|&label| !is_negative && (label as usize) < most);
                labels.push(known.ok_or_else(|| {
                    let missing = 64 - 8 * width as u32;
                    let shown = if is_signed {
                        (label << missing).cast_signed() as i128 >> missing
                    } else {
                        i128::from(label)
                    };
                    let (name, index) = (entry.name, labels.len());
                    let reason = format!(
                        "image {index} has the label {shown} in `{name}`, but the labels are 0 to {}",
                        most - 1
                    );
                    Error::file_reason(path, reason)
                })?);
            }
            Ok(())
        })?;
        Ok(labels)
    }
}
