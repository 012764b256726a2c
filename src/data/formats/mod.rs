//! Readers of the files that real data sets come in, and the checks that all of them share.

pub(super) mod cifar;
mod cifar_batch;
pub(super) mod idx;
pub(super) mod image_folder;
mod jpeg;
mod matlab;
mod matlab_element;
mod pickle;
mod pickle_machine;
pub(super) mod stl10;
pub(super) mod svhn;
mod tensor_values;
pub(super) mod tensors;

use std::fmt::Display;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::data::{Pixels, Progress};
use crate::error::{Error, Result};
use crate::files::whole_file::open;
use crate::network::graph::Shape;

/// One split, as read.
#[derive(Clone, Debug)]
pub struct RawSplit {
    /// Images, `[N, C, H, W]` flat.
    pub images: Pixels,
    /// Class of each image.
    pub labels: Vec<u32>,
}

/// A data set, as read.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Channels, height, width.
    pub shape: Shape,
    /// Class names; every label is below their number.
    pub classes: Vec<String>,
    /// Training images.
    pub train: RawSplit,
    /// Test images.
    pub test: RawSplit,
}

/// Most bytes of memory for the images of a split.
const MOST_BYTES: u64 = 8 << 30;
/// Most classes, where the files and not the format say how many there are.
const MOST_CLASSES: usize = 10_000;
/// Largest height or width of an image.
const MOST_SIDE: usize = 16_384;
/// Bytes between two questions whether to go on.
const CHUNK: usize = 1 << 20;
/// Nothing deflated unfolds to more than this many times its size (258 bytes from two bits).
const DEFLATE_RATIO: u64 = 1032;

/// A part of the whole work: turns its own share done into a share of the whole.
struct Meter<'a> {
    progress: Progress<'a>,
    from: f64,
    to: f64,
}

impl<'a> Meter<'a> {
    /// The whole work.
    fn new(progress: Progress<'a>) -> Self {
        let (from, to) = (0.0, 1.0);
        Self { progress, from, to }
    }

    /// The part of this work between two shares of it.
    fn part(&mut self, from: f64, to: f64) -> Meter<'_> {
        let at = |share: f64| self.from + share * (self.to - self.from);
        let (from, to) = (at(from), at(to));
        Meter {
            progress: &mut *self.progress,
            from,
            to,
        }
    }

    /// Says that `done` of `total` are done; [`Error::Cancelled`] if nobody wants the rest.
    fn report(&mut self, done: usize, total: usize) -> Result<()> {
        let share = done as f64 / total.max(1) as f64;
        if (self.progress)(self.from + share * (self.to - self.from)) {
            Ok(())
        } else {
            Err(Error::Cancelled)
        }
    }
}

/// An error while reading.
fn failed(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::file_reason(path, "the file ends too early; download it again"),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            Error::file_reason(path, format!("the file is damaged ({error}); download it again"))
        }
        _ => Error::file(path, "read this file", error),
    }
}

/// The product of `factors`, the bytes of a split, if memory may be taken for it.
fn split_bytes(path: &Path, factors: &[usize]) -> Result<usize> {
    factors
        .iter()
        .try_fold(1_usize, |product, &factor| product.checked_mul(factor))
        .filter(|&bytes| bytes as u64 <= MOST_BYTES)
        .ok_or_else(|| {
            let most = MOST_BYTES >> 30;
            Error::file_reason(
                path,
                format!("its images need more than {most} GiB of memory; use fewer or smaller images"),
            )
        })
}

/// Makes room for `count` more values, or says that there is not enough memory.
fn reserve<T>(path: &Path, values: &mut Vec<T>, count: usize) -> Result<()> {
    values.try_reserve_exact(count).map_err(|_| {
        Error::file_reason(
            path,
            "there is not enough memory for its images; use fewer or smaller images",
        )
    })
}

/// `count` zeros.
fn zeros<T: Clone + Default>(path: &Path, count: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    reserve(path, &mut values, count)?;
    values.resize(count, T::default());
    Ok(values)
}

/// Reads exactly `length` bytes, which the caller has compared with what the file can hold.
fn read_exact_len(reader: &mut dyn Read, length: usize, path: &Path, meter: &mut Meter) -> Result<Vec<u8>> {
    let mut bytes = zeros(path, length)?;
    let mut done = 0;
    for chunk in bytes.chunks_mut(CHUNK) {
        meter.report(done, length)?;
        reader.read_exact(chunk).map_err(|error| failed(path, &error))?;
        done += chunk.len();
    }
    Ok(bytes)
}

/// A name out of a file, no longer than an error message can bear.
fn shortened(name: &str) -> String {
    name.chars().take(60).collect()
}

/// Checks that every label is that of a class.
fn check_labels(path: &Path, labels: &[u32], classes: usize) -> Result<()> {
    match labels.iter().enumerate().find(|(_, label)| **label as usize >= classes) {
        None => Ok(()),
        Some((index, label)) => Err(bad_label(path, index, label, 0, classes.saturating_sub(1))),
    }
}

/// A label outside `lowest..=highest`, as it is written in the file.
fn bad_label(path: &Path, index: usize, label: impl Display, lowest: usize, highest: usize) -> Error {
    let reason = format!(
        "image {index} has the label {label}, but the labels are {lowest} to {highest}; \
         this is another data set or a damaged file"
    );
    Error::file_reason(path, reason)
}

/// The first of `folder` and its `subfolders` with at least one of `files`, which need not be all there.
fn find(folder: &Path, subfolders: &[&str], files: &[&str]) -> Option<PathBuf> {
    std::iter::once(folder.to_owned())
        .chain(subfolders.iter().map(|subfolder| folder.join(subfolder)))
        .find(|place| files.iter().any(|file| place.join(file).is_file()))
}

/// Nothing was found where [`find`] looked.
fn not_found(folder: &Path, subfolders: &[&str], files: &str) -> Error {
    match std::fs::metadata(folder) {
        Err(error) => Error::file(folder, "read this folder", &error),
        Ok(about) if !about.is_dir() => Error::file_reason(folder, "this is not a folder"),
        Ok(_) => {
            let places = match subfolders {
                [] => "here".to_owned(),
                _ => format!("here or in the subfolders `{}`", subfolders.join("`, `")),
            };
            Error::file_reason(folder, format!("found none of {files} {places}; check the folder"))
        }
    }
}

/// The non-empty lines of a small text file, if there are just `count`: names that it is no error to lack.
fn names(path: &Path, count: usize) -> Option<Vec<String>> {
    let (file, _) = open(path).ok()?;
    let mut text = String::new();
    file.take(CHUNK as u64).read_to_string(&mut text).ok()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<String> = lines.map(str::to_owned).collect();
    (names.len() == count).then_some(names)
}

/// Exchanges rows and columns of square planes, each in its place.
fn transpose_squares(pixels: &mut [u8], side: usize) {
    pixels.par_chunks_exact_mut((side * side).max(1)).for_each(|plane| {
        for row in 0..side {
            for column in 0..row {
                plane.swap(row * side + column, column * side + row);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_transposed_in_their_place() {
        let mut pixels = [1, 2, 3, 4, 5, 6, 7, 8];
        transpose_squares(&mut pixels, 2);
        assert_eq!(pixels, [1, 3, 2, 4, 5, 7, 6, 8]);
    }

    #[test]
    fn a_part_reports_shares_of_the_whole() {
        let mut seen = Vec::new();
        let mut listen = |share| {
            seen.push(share);
            share < 0.7
        };
        let mut meter = Meter::new(&mut listen);
        assert!(meter.part(0.5, 1.0).part(0.0, 0.5).report(1, 2).is_ok());
        assert!(matches!(meter.part(0.5, 1.0).report(3, 4), Err(Error::Cancelled)));
        assert_eq!(seen, [0.625, 0.875]);
    }

    #[test]
    fn sizes_are_bounded_and_do_not_overflow() {
        let path = Path::new("file");
        assert_eq!(split_bytes(path, &[1 << 33]).ok(), Some(1 << 33));
        assert!(split_bytes(path, &[(1 << 33) + 1]).is_err());
        assert!(split_bytes(path, &[usize::MAX, usize::MAX]).is_err());
    }
}
