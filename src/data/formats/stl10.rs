//! STL-10, its labelled images, in the binary version.

use std::path::Path;

use super::{Meter, Progress, Raw, RawSplit};
use crate::data::Pixels;
use crate::error::{Error, Result};

const SIDE: usize = 96;
const IMAGE: usize = 3 * SIDE * SIDE;
const SUBFOLDERS: [&str; 1] = ["stl10_binary"];
const FILES: [&str; 4] = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"];
const NAMES: [&str; 10] = [
    "airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck",
];

/// STL-10 in `folder` or its subfolder `stl10_binary`: images 3 × 96 × 96.
///
/// # Errors
/// [`Error::File`] with the file and what is wrong with it; [`Error::Cancelled`].
pub(in crate::data) fn read(folder: &Path, progress: Progress) -> Result<Raw> {
    let place = super::find(folder, &SUBFOLDERS, &FILES)
        .ok_or_else(|| super::not_found(folder, &SUBFOLDERS, &FILES.join(", ")))?;
    let mut meter = Meter::new(progress);
    let [train_images, train_labels, test_images, test_labels] = FILES.map(|file| place.join(file));
    // 5000 and 8000 images.
    let train = split(&train_images, &train_labels, meter.part(0.0, 0.4))?;
    let test = split(&test_images, &test_labels, meter.part(0.4, 1.0))?;
    let names = super::names(&place.join("class_names.txt"), NAMES.len());
    Ok(Raw {
        shape: [3, SIDE, SIDE],
        classes: names.unwrap_or_else(|| NAMES.map(str::to_owned).to_vec()),
        train,
        test,
    })
}

fn split(images_path: &Path, labels_path: &Path, mut meter: Meter) -> Result<RawSplit> {
    let (mut images, length) = super::open(images_path)?;
    let (mut labels, label_count) = super::open(labels_path)?;
    let count = length / IMAGE as u64;
    if count == 0 || length % IMAGE as u64 != 0 {
        let reason = format!("it has {length} bytes, which is no whole number of images of {IMAGE}; download it again");
        return Err(Error::file_reason(images_path, reason));
    }
    if label_count != count {
        let reason = format!("it has {label_count} labels for {count} images; download both files again");
        return Err(Error::file_reason(labels_path, reason));
    }
    let bytes = super::split_bytes(images_path, &[usize::try_from(count).unwrap_or(usize::MAX), IMAGE])?;
    let labels = super::read_exact_len(&mut labels, bytes / IMAGE, labels_path, &mut meter.part(0.0, 0.0))?;
    let class = |(index, label): (usize, u8)| match label {
        1..=10 => Ok(u32::from(label) - 1),
        _ => Err(super::bad_label(labels_path, index, label, 1, NAMES.len())),
    };
    let labels = labels.into_iter().enumerate().map(class).collect::<Result<_>>()?;
    let mut images = super::read_exact_len(&mut images, bytes, images_path, &mut meter)?;
    super::transpose_squares(&mut images, SIDE);
    let images = Pixels::Bytes(images);
    Ok(RawSplit { images, labels })
}
