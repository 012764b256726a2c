//! SVHN, the house numbers cut into 32 × 32 images of one digit.

use std::path::Path;

use super::matlab;
use super::matlab_element::{Array, Data};
use super::{Meter, Progress, Raw, RawSplit};
use crate::data::Pixels;
use crate::error::{Error, Result};

const SIDE: usize = 32;
const FILES: [&str; 2] = ["train_32x32.mat", "test_32x32.mat"];

/// SVHN in `folder`, which holds `train_32x32.mat` and `test_32x32.mat`: images 3 × 32 × 32, the digits as classes.
///
/// # Errors
/// [`Error::File`] with the file and the variable that is wrong; [`Error::Cancelled`].
pub(in crate::data) fn read(folder: &Path, progress: Progress) -> Result<Raw> {
    if super::find(folder, &[], &FILES).is_none() {
        return Err(super::not_found(folder, &[], &FILES.join(", ")));
    }
    let mut meter = Meter::new(progress);
    let [train, test] = FILES.map(|file| folder.join(file));
    // 73 257 and 26 032 images.
    let train = split(&train, meter.part(0.0, 0.74))?;
    let test = split(&test, meter.part(0.74, 1.0))?;
    Ok(Raw {
        shape: [3, SIDE, SIDE],
        classes: (0..10).map(|digit| digit.to_string()).collect(),
        train,
        test,
    })
}

fn split(path: &Path, mut meter: Meter) -> Result<RawSplit> {
    let refuse = |reason: String| Err(Error::file_reason(path, reason));
    let images = matlab::read_array(path, "X", &mut meter.part(0.0, 0.9))?;
    let count = match *images.dimensions {
        [SIDE, SIDE, 3, count] => count,
        // A last dimension of 1 is left out.
        [SIDE, SIDE, 3] => 1,
        _ => {
            return refuse(format!(
                "`X` has the dimensions {:?} instead of [32, 32, 3, N]",
                images.dimensions
            ));
        }
    };
    if count == 0 {
        return refuse("`X` holds no images; download it again".to_owned());
    }
    let Data::Bytes(mut pixels) = images.data else {
        return refuse("`X` does not hold bytes (uint8); download it again".to_owned());
    };
    let labels = labels(path, matlab::read_array(path, "y", &mut meter.part(0.9, 1.0))?)?;
    if labels.len() != count {
        return refuse(format!(
            "`y` has {} labels for the {count} images of `X`; download it again",
            labels.len()
        ));
    }
    // In the file the row varies fastest, then the column, the channel and the image: only planes are turned.
    super::transpose_squares(&mut pixels, SIDE);
    let images = Pixels::Bytes(pixels);
    Ok(RawSplit { images, labels })
}

/// The digits; the file writes 10 for the digit 0.
fn labels(path: &Path, array: Array) -> Result<Vec<u32>> {
    if array.dimensions.iter().filter(|&&length| length != 1).count() > 1 {
        let reason = format!("`y` has the dimensions {:?} instead of [N, 1]", array.dimensions);
        return Err(Error::file_reason(path, reason));
    }
    let values = match array.data {
        Data::Bytes(bytes) => bytes.into_iter().map(f64::from).collect(),
        Data::Floats(values) => values,
    };
    let digit = |(index, label): (usize, f64)| {
        if (1.0..=10.0).contains(&label) && label.fract() == 0.0 {
            Ok(label as u32 % 10)
        } else {
            Err(super::bad_label(path, index, label, 1, 10))
        }
    };
    values.into_iter().enumerate().map(digit).collect()
}
