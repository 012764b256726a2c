//! A data set in a safetensors file: `train_images`, `train_labels`, `test_images` and `test_labels`.

use std::path::Path;

use super::tensor_values::{Entry, Values};
use super::{MOST_CLASSES, Meter, Progress, Raw};
use crate::error::{Error, Result};
use crate::files::safetensors_file::SafetensorsFile;

/// The tensors of a data set.
pub(super) const ENTRIES: [&str; 4] = ["train_images", "train_labels", "test_images", "test_labels"];

/// The four tensors of a safetensors file: images `[N, C, H, W]` of type F32 or U8, labels `[N]` of integers. The
/// classes are the JSON list of names under `classes` in the metadata, otherwise as many as the largest label asks for.
///
/// # Errors
/// [`Error::File`] with the tensor and what is wrong with it; [`Error::Cancelled`].
pub(in crate::data) fn read(path: &Path, progress: Progress) -> Result<Raw> {
    let refuse = |reason: String| Err(Error::file_reason(path, reason));
    let file = SafetensorsFile::open(path)?;
    let mut meter = Meter::new(progress);
    let [train_images, train_labels, test_images, test_labels] = ENTRIES.map(|name| Entry::find(&file, name, path));
    let (train_images, train_labels) = (train_images?, train_labels?);
    let (test_images, test_labels) = (test_images?, test_labels?);
    let (shape, test_shape) = (train_images.shape(path)?, test_images.shape(path)?);
    if (shape, train_images.info.dtype) != (test_shape, test_images.info.dtype) {
        return refuse(format!(
            "`train_images` are {shape:?} of type {}, but `test_images` are {test_shape:?} of type {}; make them alike",
            train_images.info.dtype, test_images.info.dtype
        ));
    }
    let named = class_names(&file, path)?;
    let most = named.as_ref().map_or(MOST_CLASSES, Vec::len);
    let values = Values {
        file: &file,
        path,
        most,
    };
    let train = values.split(&train_images, &train_labels, shape, meter.part(0.0, 0.8))?;
    let test = values.split(&test_images, &test_labels, shape, meter.part(0.8, 1.0))?;
    let classes = named.unwrap_or_else(|| {
        let largest = train.labels.iter().chain(&test.labels).max();
        (0..=largest.copied().unwrap_or_default())
            .map(|class| format!("class {class}"))
            .collect()
    });
    Ok(Raw {
        shape,
        classes,
        train,
        test,
    })
}

/// The names under `classes` in the metadata.
fn class_names(file: &SafetensorsFile, path: &Path) -> Result<Option<Vec<String>>> {
    let Some(list) = file.metadata("classes") else {
        return Ok(None);
    };
    let names: Option<Vec<String>> = serde_json::from_str(list).ok();
    let names = names
        .filter(|names| (1..=MOST_CLASSES).contains(&names.len()))
        .ok_or_else(|| {
            let reason = format!("`classes` in its metadata is not a JSON list of 1 to {MOST_CLASSES} names");
            Error::file_reason(path, reason)
        })?;
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::data::Pixels;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u64).to_le_bytes();
        [length.as_slice(), header.as_bytes(), data].concat()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Raw> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read(file.path(), &mut |_| true)
    }

    /// Two training images and a test image of two bytes; labels of 16 and 8 bits.
    fn header(metadata: &str) -> String {
        let tensor = |name: &str, kind: &str, shape: &str, from: usize, to: usize| {
            format!(r#""{name}":{{"dtype":"{kind}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
        };
        let tensors = [
            tensor("train_images", "U8", "[2,1,1,2]", 0, 4),
            tensor("train_labels", "I16", "[2]", 4, 8),
            tensor("test_images", "U8", "[1,1,1,2]", 8, 10),
            tensor("test_labels", "U8", "[1]", 10, 11),
        ];
        format!("{{{metadata}{}}}", tensors.join(","))
    }

    const DATA: [u8; 11] = [1, 2, 3, 4, 2, 0, 0, 0, 5, 6, 1];

    #[test]
    fn bytes_and_labels_are_read() {
        let raw = read_bytes(&file(&header(""), &DATA)).unwrap();
        assert_eq!((raw.shape, raw.classes.len()), ([1, 1, 2], 3));
        assert!(matches!(&raw.train.images, Pixels::Bytes(bytes) if bytes == &[1, 2, 3, 4]));
        assert_eq!((raw.train.labels, raw.test.labels), (vec![2, 0], vec![1]));
        let named = header(r#""__metadata__":{"classes":"[\"a\",\"b\",\"c\",\"d\"]"},"#);
        assert_eq!(read_bytes(&file(&named, &DATA)).unwrap().classes, ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let reason = |header: &str, data: &[u8]| read_bytes(&file(header, data)).unwrap_err().to_string();
        let mut data = DATA;
        data[5] = 255;
        assert!(reason(&header(""), &data).contains("image 0 has the label -254 in `train_labels`"));
        let named = header(r#""__metadata__":{"classes":"[\"a\"]"},"#);
        assert!(reason(&named, &DATA).contains("label 2 in `train_labels`, but the labels are 0 to 0"));
        let named = header(r#""__metadata__":{"classes":"a, b"},"#);
        assert!(reason(&named, &DATA).contains("JSON list"));
        assert!(reason(&header("").replace("test_labels", "labels"), &DATA).contains("no tensor `test_labels`"));
        assert!(reason(&header("").replace("[2,1,1,2]", "[2,1,2]"), &DATA).contains("[2, 1, 2] instead of"));
        assert!(reason(&header("").replace("[1,1,1,2]", "[1,1,2,1]"), &DATA).contains("make them alike"));
        assert!(
            reason(
                &header("").replace("\"I16\",\"shape\":[2]", "\"F16\",\"shape\":[2]"),
                &DATA
            )
            .contains("integers")
        );
        assert!(reason(&header(""), &DATA[..10]).contains("not a whole safetensors file"));
        assert!(reason(&header("").replace("[0,4]", "[0,5]"), &DATA).contains("not a whole safetensors file"));
    }

    #[test]
    fn a_cut_or_damaged_file_never_panics() {
        let whole = file(&header(""), &DATA);
        for length in 0..whole.len() {
            assert!(read_bytes(&whole[..length]).is_err(), "{length}");
        }
        for index in 0..whole.len() {
            for change in [1, 2, 4, 16, 128, 255] {
                let mut damaged = whole.clone();
                damaged[index] ^= change;
                let _ = read_bytes(&damaged);
            }
        }
    }
}
