//! Numeric arrays of MAT-files of version 5, plain or compressed, read without taking the rest into memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::ZlibDecoder;

use super::matlab_element::{Array, Element, Found, LIES, MATRIX};
use super::{CHUNK, DEFLATE_RATIO, Meter};
use crate::error::{Error, Result};

/// Type of an element that holds another one, compressed.
const COMPRESSED: u32 = 15;
const HEADER: usize = 128;
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Reads the array called `name`.
///
/// # Errors
/// [`Error::File`] with the cure: not a MAT-file of version 5, no such array, not of real numbers, damaged;
/// [`Error::Cancelled`].
pub(super) fn read_array(path: &Path, name: &str, meter: &mut Meter) -> Result<Array> {
    let (file, length) = super::open(path)?;
    let mut file = BufReader::with_capacity(CHUNK, file);
    check_header(&mut file, path)?;
    let mut at = HEADER as u64;
    let mut others = Vec::new();
    while at < length {
        meter.report(0, 1)?;
        skip_to(&mut file, at).map_err(|error| super::failed(path, &error))?;
        let mut element = Element::new(&mut file, length - at, path);
        let (kind, size) = element.tag()?;
        if size > element.left {
            return Err(Error::file_reason(path, LIES));
        }
        at = at.saturating_add(8).saturating_add(size);
        let found = match kind {
            MATRIX => Element::new(&mut file, size, path).matrix(name, meter)?,
            COMPRESSED => compressed(&mut file, size, path, name, meter)?,
            _ => continue,
        };
        match found {
            Found::Wanted(array) => return Ok(array),
            Found::Other(other) if other.is_empty() => {}
            Found::Other(other) => others.push(super::shortened(&other)),
        }
        // A file of very many arrays is none of ours; do not collect their names for ever.
        others.truncate(20);
    }
    let there = match others.as_slice() {
        [] => "it is empty".to_owned(),
        _ => format!("there are `{}`", others.join("`, `")),
    };
    Err(Error::file_reason(
        path,
        format!("it has no variable `{name}`; {there}"),
    ))
}

/// Goes to a place in the file without forgetting what was read ahead: very many small elements must not take long.
fn skip_to(file: &mut BufReader<File>, place: u64) -> std::io::Result<()> {
    let here = file.stream_position()?;
    match i64::try_from(i128::from(place) - i128::from(here)) {
        Ok(distance) => file.seek_relative(distance),
        Err(_) => file.seek(SeekFrom::Start(place)).map(drop),
    }
}

fn check_header(file: &mut BufReader<File>, path: &Path) -> Result<()> {
    let mut header = [0_u8; HEADER];
    file.read_exact(&mut header)
        .map_err(|error| super::failed(path, &error))?;
    let ending = header.last_chunk::<4>().copied().unwrap_or_default();
    let reason = if header.starts_with(b"MATLAB 7.3") || header.starts_with(HDF5) || ending == *b"\0\x02IM" {
        "this is a MAT-file of version 7.3; load it in MATLAB and save it with the option -v7"
    } else if ending == *b"\x01\0MI" {
        "this is a big-endian MAT-file; load it in MATLAB and save it with the option -v7"
    } else if ending != *b"\0\x01IM" {
        "this is not a MAT-file of version 5; load it in MATLAB and save it with the option -v7"
    } else {
        return Ok(());
    };
    Err(Error::file_reason(path, reason))
}

fn compressed(file: &mut impl BufRead, size: u64, path: &Path, name: &str, meter: &mut Meter) -> Result<Found> {
    let mut decoder = ZlibDecoder::new(file.take(size));
    let mut outer = Element::new(&mut decoder, size.saturating_mul(DEFLATE_RATIO), path);
    let (kind, size) = outer.tag()?;
    if kind != MATRIX {
        return Ok(Found::Other(String::new()));
    }
    if size > outer.left {
        return Err(Error::file_reason(path, LIES));
    }
    let mut inner = Element::new(&mut decoder, size, path);
    let found = inner.matrix(name, meter)?;
    if let Found::Wanted(_) = found {
        // What is left is padding; behind it the checksum is compared.
        let left = inner.left;
        std::io::copy(&mut decoder.take(left.saturating_add(1)), &mut std::io::sink())
            .map_err(|error| super::failed(path, &error))?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::matlab_element::Data;
    use super::*;

    fn element(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// An array of class `class`, its dimensions `sides`.
    fn array(name: &[u8], class: u8, sides: &[i32], kind: u8, content: &[u8]) -> Vec<u8> {
        let sides: Vec<u8> = sides.iter().flat_map(|side| side.to_le_bytes()).collect();
        let parts = [
            element(6, &[class, 0, 0, 0, 0, 0, 0, 0]),
            element(5, &sides),
            element(1, name),
            element(kind, content),
        ];
        element(MATRIX as u8, &parts.concat())
    }

    fn zipped(element: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(element).unwrap();
        let content = encoder.finish().unwrap();
        [
            &[COMPRESSED as u8, 0, 0, 0],
            (content.len() as u32).to_le_bytes().as_slice(),
            &content,
        ]
        .concat()
    }

    fn whole(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
        bytes.resize(124, b' ');
        bytes.extend(b"\0\x01IM");
        bytes.extend(elements.concat());
        bytes
    }

    fn read(bytes: &[u8], name: &str) -> Result<Array> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read_array(file.path(), name, &mut Meter::new(&mut |_| true))
    }

    fn bytes_of(array: Array) -> Vec<u8> {
        match array.data {
            Data::Bytes(bytes) => bytes,
            Data::Floats(values) => values.into_iter().map(|value| value as u8).collect(),
        }
    }

    fn example() -> Vec<u8> {
        let labels = [3.0_f64, 10.0]
            .iter()
            .flat_map(|label| label.to_le_bytes())
            .collect::<Vec<_>>();
        // `t` lies in its tag: two 16-bit numbers.
        let mut small = array(b"t", 11, &[1, 2], 4, b"");
        let tag = small.len() - 8;
        small[tag..].copy_from_slice(&[4, 0, 4, 0, 5, 0, 6, 0]);
        whole(&[
            array(b"other", 6, &[1, 2], 9, &labels),
            zipped(&array(b"X", 9, &[1, 2, 3], 2, &[1, 2, 3, 4, 5, 6])),
            array(b"y", 6, &[2, 1], 9, &labels),
            small,
        ])
    }

    #[test]
    fn plain_small_and_compressed_arrays_are_read() {
        let images = read(&example(), "X").unwrap();
        assert_eq!(images.dimensions, [1, 2, 3]);
        assert_eq!(bytes_of(images), [1, 2, 3, 4, 5, 6]);
        assert_eq!(bytes_of(read(&example(), "y").unwrap()), [3, 10]);
        assert_eq!(bytes_of(read(&example(), "t").unwrap()), [5, 6]);
        let reason = read(&example(), "Z").err().unwrap().to_string();
        assert!(
            reason.contains("no variable `Z`; there are `other`, `X`, `y`, `t`"),
            "{reason}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let reason = |bytes: &[u8]| read(bytes, "X").err().unwrap().to_string();
        let one =
            |class, sides: &[i32], kind, content: &[u8]| reason(&whole(&[array(b"X", class, sides, kind, content)]));
        assert!(one(9, &[-1, 2], 2, b"ab").contains("at least 0"));
        assert!(one(9, &[i32::MAX, i32::MAX, i32::MAX], 2, b"ab").contains("GiB"));
        assert!(one(9, &[2, 2], 2, b"ab").contains("has 2 bytes"));
        assert!(one(9, &[1, 2], 16, b"ab").contains("unknown type 16"));
        assert!(one(1, &[1, 2], 2, b"ab").contains("not an array of real numbers"));
        let mut bytes = example();
        bytes[124..128].copy_from_slice(b"\x01\0MI");
        assert!(reason(&bytes).contains("big-endian"));
        bytes[124..128].copy_from_slice(b"\0\x02IM");
        assert!(reason(&bytes).contains("version 7.3"));
    }

    #[test]
    fn a_cut_or_damaged_file_never_panics() {
        let whole = example();
        for length in 0..whole.len() {
            assert!(read(&whole[..length], "t").is_err(), "{length}");
        }
        for index in HEADER..whole.len() {
            for change in [1, 2, 8, 64, 128, 255] {
                let mut damaged = whole.clone();
                damaged[index] ^= change;
                let _ = read(&damaged, "X");
                let _ = read(&damaged, "t");
            }
        }
    }
}
