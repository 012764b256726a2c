//! CIFAR-10 and CIFAR-100, in the binary and in the Python version.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::{CHUNK, Meter, Progress, Raw, RawSplit, cifar_batch};
use crate::data::Pixels;
use crate::error::{Error, Result};

const IMAGE: usize = 3 * 32 * 32;
/// Most bytes of a pickled file; CIFAR-100's has 155 million.
const MOST_PICKLE: u64 = 512 << 20;
const NAMES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// The files of one version.
struct Files {
    subfolder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
}

/// One of the two data sets.
struct Set {
    classes: usize,
    binary: Files,
    python: Files,
    /// Bytes before the pixels of a record; the last of them is the label.
    label_bytes: usize,
    /// Key of the labels in the Python version.
    label_key: &'static str,
    /// Text file of the class names, in the binary version.
    name_lines: &'static str,
    /// Pickled file of the class names, in the Python version, and the key of the names.
    name_pickle: (&'static str, &'static str),
}

const CIFAR_10: Set = Set {
    classes: 10,
    binary: Files {
        subfolder: "cifar-10-batches-bin",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
    },
    python: Files {
        subfolder: "cifar-10-batches-py",
        train: &[
            "data_batch_1",
            "data_batch_2",
            "data_batch_3",
            "data_batch_4",
            "data_batch_5",
        ],
        test: "test_batch",
    },
    label_bytes: 1,
    label_key: "labels",
    name_lines: "batches.meta.txt",
    name_pickle: ("batches.meta", "label_names"),
};

const CIFAR_100: Set = Set {
    classes: 100,
    binary: Files {
        subfolder: "cifar-100-binary",
        train: &["train.bin"],
        test: "test.bin",
    },
    python: Files {
        subfolder: "cifar-100-python",
        train: &["train"],
        test: "test",
    },
    label_bytes: 2,
    label_key: "fine_labels",
    name_lines: "fine_label_names.txt",
    name_pickle: ("meta", "fine_label_names"),
};

/// CIFAR-10 in `folder` or its subfolder `cifar-10-batches-bin` or `cifar-10-batches-py`: images 3 × 32 × 32.
///
/// # Errors
/// [`Error::File`] with the file and what is wrong with it; [`Error::Cancelled`].
pub(in crate::data) fn read_cifar10(folder: &Path, progress: Progress) -> Result<Raw> {
    read(&CIFAR_10, folder, progress)
}

/// CIFAR-100 with its fine labels, in `folder` or its subfolder `cifar-100-binary` or `cifar-100-python`.
///
/// # Errors
/// As [`read_cifar10`].
pub(in crate::data) fn read_cifar100(folder: &Path, progress: Progress) -> Result<Raw> {
    read(&CIFAR_100, folder, progress)
}

fn read(set: &Set, folder: &Path, progress: Progress) -> Result<Raw> {
    let (binary, python) = (&set.binary, &set.python);
    let mut meter = Meter::new(progress);
    let found = |files: &Files| {
        let all: Vec<&str> = files.train.iter().copied().chain([files.test]).collect();
        super::find(folder, &[files.subfolder], &all)
    };
    let (place, files, is_binary) = if let Some(place) = found(binary) {
        (place, binary, true)
    } else if let Some(place) = found(python) {
        (place, python, false)
    } else {
        let list = |files: &Files| format!("{}, {}", files.train.join(", "), files.test);
        let looked_for = format!("{} (binary version), {} (Python version)", list(binary), list(python));
        return Err(super::not_found(
            folder,
            &[binary.subfolder, python.subfolder],
            &looked_for,
        ));
    };
    let train: Vec<PathBuf> = files.train.iter().map(|file| place.join(file)).collect();
    let test = [place.join(files.test)];
    let split = if is_binary { binary_split } else { python_split };
    let train = split(set, &train, meter.part(0.0, 0.8))?;
    let test = split(set, &test, meter.part(0.8, 1.0))?;
    Ok(Raw {
        shape: [3, 32, 32],
        classes: class_names(set, &place, &mut meter)?,
        train,
        test,
    })
}

/// The names beside the images where they are there and as many as the classes, otherwise the well-known ones.
fn class_names(set: &Set, place: &Path, meter: &mut Meter) -> Result<Vec<String>> {
    if let Some(names) = super::names(&place.join(set.name_lines), set.classes) {
        return Ok(names);
    }
    let (file, key) = set.name_pickle;
    match pickled(&place.join(file), &mut meter.part(1.0, 1.0)) {
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(_) => {}
        Ok(bytes) => {
            if let Some(names) = cifar_batch::names(&bytes, key).filter(|names| names.len() == set.classes) {
                return Ok(names);
            }
        }
    }
    Ok(if set.classes == NAMES.len() {
        NAMES.map(str::to_owned).to_vec()
    } else {
        (0..set.classes).map(|class| format!("class {class}")).collect()
    })
}

/// Files of records: the label bytes, then the pixels, straight into their place.
fn binary_split(set: &Set, paths: &[PathBuf], mut meter: Meter) -> Result<RawSplit> {
    let record = set.label_bytes + IMAGE;
    let mut files = Vec::new();
    let mut total = 0_usize;
    for path in paths {
        let (file, length) = super::open(path)?;
        let count = length / record as u64;
        if count == 0 || length % record as u64 != 0 {
            return Err(Error::file_reason(
                path,
                format!(
                    "it has {length} bytes, which is no whole number of records of {record} bytes; download it again"
                ),
            ));
        }
        let count = super::split_bytes(path, &[usize::try_from(count).unwrap_or(usize::MAX), IMAGE])? / IMAGE;
        total = total.saturating_add(count);
        super::split_bytes(path, &[total, IMAGE])?;
        files.push((path, file, count));
    }
    let mut images = Vec::new();
    let mut labels: Vec<u32> = Vec::new();
    for (path, file, count) in files {
        // Room for all files at once, with the first.
        super::reserve(path, &mut images, (total - labels.len()) * IMAGE)?;
        let mut reader = BufReader::with_capacity(CHUNK, file);
        let (first_image, first_label) = (images.len(), labels.len());
        images.resize(first_image + count * IMAGE, 0);
        let mut head = [0_u8; 2];
        for (index, image) in images
            .get_mut(first_image..)
            .unwrap_or_default()
            .chunks_exact_mut(IMAGE)
            .enumerate()
        {
            if index % 1024 == 0 {
                meter.report(first_label + index, total)?;
            }
            let head = head.get_mut(..set.label_bytes).unwrap_or_default();
            reader
                .read_exact(head)
                .and_then(|()| reader.read_exact(image))
                .map_err(|error| super::failed(path, &error))?;
            labels.extend(head.last().map(|&label| u32::from(label)));
        }
        super::check_labels(path, labels.get(first_label..).unwrap_or_default(), set.classes)?;
    }
    let images = Pixels::Bytes(images);
    Ok(RawSplit { images, labels })
}

/// Pickled files, one after the other; only one of them is in memory at a time.
fn python_split(set: &Set, paths: &[PathBuf], mut meter: Meter) -> Result<RawSplit> {
    let mut images = Vec::new();
    let mut labels: Vec<u32> = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let at = |index: usize| index as f64 / paths.len() as f64;
        let bytes = pickled(path, &mut meter.part(at(index), at(index + 1)))?;
        let batch = cifar_batch::read(&bytes, set.label_key).map_err(|reason| Error::file_reason(path, reason))?;
        if batch.columns != IMAGE {
            return Err(Error::file_reason(
                path,
                format!(
                    "`data` has {} bytes an image instead of {IMAGE}; this is not a CIFAR batch",
                    batch.columns
                ),
            ));
        }
        let first = labels.len();
        for (index, &label) in batch.labels.iter().enumerate() {
            let known = u32::try_from(label).map_err(|_| super::bad_label(path, index, label, 0, set.classes - 1))?;
            labels.push(known);
        }
        super::check_labels(path, labels.get(first..).unwrap_or_default(), set.classes)?;
        super::split_bytes(path, &[labels.len(), IMAGE])?;
        super::reserve(path, &mut images, batch.pixels.len())?;
        images.extend_from_slice(&batch.pixels);
    }
    let images = Pixels::Bytes(images);
    Ok(RawSplit { images, labels })
}

/// The bytes of a pickled file.
fn pickled(path: &Path, meter: &mut Meter) -> Result<Vec<u8>> {
    let (mut file, length) = super::open(path)?;
    if length > MOST_PICKLE {
        let reason = format!("it has {length} bytes, more than a CIFAR batch can have ({MOST_PICKLE})");
        return Err(Error::file_reason(path, reason));
    }
    super::read_exact_len(&mut file, length as usize, path, meter)
}
