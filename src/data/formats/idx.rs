//! MNIST and Fashion-MNIST: the IDX format, plain or gzipped.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{CHUNK, DEFLATE_RATIO, Meter, Progress, Raw, RawSplit};
use crate::data::Pixels;
use crate::error::{Error, Result};

const IMAGE_MAGIC: u32 = 0x803;
const LABEL_MAGIC: u32 = 0x801;
const MOST_SIDE: u32 = 4096;
const MOST_IMAGES: u32 = 1 << 26;

/// What a file starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    count: u32,
    height: u32,
    width: u32,
}

/// Images and labels in IDX files, in `folder` or its subfolder `raw`, or where torchvision puts them: `MNIST/raw` if
/// the classes are digits, `FashionMNIST/raw` otherwise. The images have one channel.
///
/// # Errors
/// [`Error::File`] with the file and the field that is wrong; [`Error::Cancelled`].
pub(in crate::data) fn read(folder: &Path, classes: &[&str], progress: Progress) -> Result<Raw> {
    // Both sets have files of the same names, so under one root only the folder tells them apart.
    let are_digits = classes.iter().all(|class| class.parse::<u8>().is_ok());
    let own = if are_digits { "MNIST/raw" } else { "FashionMNIST/raw" };
    let subfolders = ["raw", own];
    let stems = ["train-images", "train-labels", "t10k-images", "t10k-labels"];
    let all: Vec<String> = stems.iter().flat_map(|stem| spellings(stem)).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let place = super::find(folder, &subfolders, &all).ok_or_else(|| {
        let files = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte \
                     (also with .gz)";
        super::not_found(folder, &subfolders, files)
    })?;
    let mut meter = Meter::new(progress);
    let (shape, train) = split(&place, "train", classes.len(), meter.part(0.0, 0.85))?;
    let (test_shape, test) = split(&place, "t10k", classes.len(), meter.part(0.85, 1.0))?;
    if test_shape != shape {
        let [_, height, width] = test_shape;
        let path = choose(&place, "t10k-images");
        let reason = format!("its images are {height} × {width}, unlike the training images; use files of one set");
        return Err(Error::file_reason(path, reason));
    }
    let classes = classes.iter().map(|&class| class.to_owned()).collect();
    Ok(Raw {
        shape,
        classes,
        train,
        test,
    })
}

/// The names that a file may have, the plain ones first.
fn spellings(stem: &str) -> [String; 4] {
    let kind = if stem.ends_with("images") { "idx3" } else { "idx1" };
    [("-", ""), (".", ""), ("-", ".gz"), (".", ".gz")].map(|(mark, gz)| format!("{stem}{mark}{kind}-ubyte{gz}"))
}

/// The file that is there; if none is, the one that should be, so that the error names it.
fn choose(place: &Path, stem: &str) -> PathBuf {
    let paths = spellings(stem).map(|name| place.join(name));
    let there = paths.iter().position(|path| path.is_file()).unwrap_or(0);
    paths.into_iter().nth(there).unwrap_or_else(|| place.to_owned())
}

fn split(place: &Path, stem: &str, classes: usize, mut meter: Meter) -> Result<([usize; 3], RawSplit)> {
    let images_path = choose(place, &format!("{stem}-images"));
    let labels_path = choose(place, &format!("{stem}-labels"));
    // The short file first: a missing one is noticed at once.
    let (label_header, labels) = file(&labels_path, LABEL_MAGIC, &mut meter.part(0.0, 0.05))?;
    let labels: Vec<u32> = labels.into_iter().map(u32::from).collect();
    super::check_labels(&labels_path, &labels, classes)?;
    let (header, images) = file(&images_path, IMAGE_MAGIC, &mut meter.part(0.05, 1.0))?;
    if header.count != label_header.count {
        let (images, labels) = (header.count, label_header.count);
        let reason = format!("it has {labels} labels for {images} images; use the files of one set");
        return Err(Error::file_reason(labels_path, reason));
    }
    let images = Pixels::Bytes(images);
    Ok((
        [1, header.height as usize, header.width as usize],
        RawSplit { images, labels },
    ))
}

fn file(path: &Path, magic: u32, meter: &mut Meter) -> Result<(Header, Vec<u8>)> {
    let (file, length) = super::open(path)?;
    let file = BufReader::with_capacity(CHUNK, file);
    if path.extension().is_some_and(|ending| ending == "gz") {
        content(
            &mut MultiGzDecoder::new(file),
            length.saturating_mul(DEFLATE_RATIO),
            magic,
            path,
            meter,
        )
    } else {
        content(&mut { file }, length, magic, path, meter)
    }
}

/// A header and as many bytes as it declares, not one more. The file cannot hold more than `most` bytes.
fn content(reader: &mut dyn Read, most: u64, magic: u32, path: &Path, meter: &mut Meter) -> Result<(Header, Vec<u8>)> {
    let refuse = |reason: String| Err(Error::file_reason(path, reason));
    let mut number = || {
        let mut bytes = [0; 4];
        let read = reader.read_exact(&mut bytes);
        read.map(|()| u32::from_be_bytes(bytes))
            .map_err(|error| super::failed(path, &error))
    };
    let found = number()?;
    if found != magic {
        let reason =
            format!("its magic number is {found:#x} instead of {magic:#x}; this is not the IDX file of its name");
        return refuse(reason);
    }
    let count = number()?;
    let (height, width) = if magic == IMAGE_MAGIC {
        (number()?, number()?)
    } else {
        (1, 1)
    };
    for (name, side) in [("height", height), ("width", width)] {
        if !(1..=MOST_SIDE).contains(&side) {
            return refuse(format!(
                "its {name} is {side}, but images have 1 to {MOST_SIDE} pixels a side"
            ));
        }
    }
    if !(1..=MOST_IMAGES).contains(&count) {
        return refuse(format!(
            "its count is {count}, but a split has 1 to {MOST_IMAGES} images; download it again"
        ));
    }
    let length = super::split_bytes(path, &[count as usize, height as usize, width as usize])?;
    let mismatch = |than: &str| {
        let reason =
            format!("it holds {than} than the {count} × {height} × {width} bytes of its header; download it again");
        Error::file_reason(path, reason)
    };
    let header_bytes = if magic == IMAGE_MAGIC { 16 } else { 8 };
    if length as u64 + header_bytes > most {
        return Err(mismatch("less"));
    }
    let bytes = super::read_exact_len(reader, length, path, meter)?;
    // Also the end of a gzipped file, where its checksum is compared.
    match reader.read(&mut [0]).map_err(|error| super::failed(path, &error))? {
        0 => Ok((Header { count, height, width }, bytes)),
        _ => Err(mismatch("more")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn images() -> Vec<u8> {
        [
            b"\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x03".as_slice(),
            &[1, 2, 3, 4, 5, 6],
        ]
        .concat()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_bytes(bytes: &[u8], gz: bool) -> Result<(Header, Vec<u8>)> {
        let (path, mut go_on) = (Path::new("file"), |_| true);
        let mut meter = Meter::new(&mut go_on);
        let length = bytes.len() as u64;
        if gz {
            content(
                &mut MultiGzDecoder::new(bytes),
                length * DEFLATE_RATIO,
                IMAGE_MAGIC,
                path,
                &mut meter,
            )
        } else {
            content(&mut { bytes }, length, IMAGE_MAGIC, path, &mut meter)
        }
    }

    #[test]
    fn plain_and_gzipped_files_are_the_same() {
        let (header, pixels) = read_bytes(&images(), false).unwrap();
        assert_eq!((header.count, header.height, header.width), (2, 1, 3));
        assert_eq!(pixels, [1, 2, 3, 4, 5, 6]);
        assert_eq!(read_bytes(&gzipped(&images()), true).unwrap(), (header, pixels));
    }

    #[test]
    fn a_lying_header_is_named() {
        let reason = |index: usize, value: u8| {
            let mut bytes = images();
            bytes[index] = value;
            read_bytes(&bytes, false).unwrap_err().to_string()
        };
        assert!(reason(3, 1).contains("magic number is 0x801"));
        assert!(reason(7, 0).contains("count is 0"));
        assert!(reason(7, 1).contains("more than the 1 × 1 × 3"));
        assert!(reason(7, 3).contains("less than the 3 × 1 × 3"));
        assert!(reason(8, 1).contains("height is 16777217"));
        assert!(reason(15, 0).contains("width is 0"));
    }

    #[test]
    fn a_cut_or_damaged_file_never_panics() {
        for (whole, gz) in [(images(), false), (gzipped(&images()), true)] {
            for length in 0..whole.len() {
                assert!(read_bytes(&whole[..length], gz).is_err(), "{length}");
            }
            for index in 0..whole.len() {
                for change in 1..=255 {
                    let mut damaged = whole.clone();
                    damaged[index] ^= change;
                    let _ = read_bytes(&damaged, gz);
                }
            }
        }
    }
}
