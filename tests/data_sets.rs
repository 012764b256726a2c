//! Data sets from disk: every format read from tiny files made by its usual writer (tests/reference/make_files.py),
//! their normalisation, and what is said of files that are not what they should be.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::files;
use safetensors::SafeTensors;
use valleyscope::data::{Dataset, Part, Pixels, recognise};
use valleyscope::error::Error;

fn open(family: &str, path: &Path) -> Result<Dataset, Error> {
    Dataset::open(&format!("{family}:{}", path.display()))
}

struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    fn read() -> Self {
        Self {
            bytes: std::fs::read(files("expected.safetensors")).unwrap(),
        }
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn labels(&self, name: &str) -> Vec<u32> {
        let view = self.tensors().tensor(name).unwrap();
        let chunks = view.data().as_chunks::<8>().0;
        chunks.iter().map(|b| i64::from_le_bytes(*b) as u32).collect()
    }
}

#[test]
fn every_format_is_read_as_its_writer_meant_it() {
    let expected = Expected::read();
    for (set, family, classes) in [
        ("cifar10-binary", "cifar10", 10),
        ("cifar10-python", "cifar10", 10),
        ("cifar100-binary", "cifar100", 100),
        ("cifar100-python", "cifar100", 100),
        ("svhn", "svhn", 10),
        ("stl10", "stl10", 10),
        ("mnist", "mnist", 10),
        ("fashion-mnist", "fashion-mnist", 10),
        ("folder", "folder", 2),
        ("tensors-u8", "safetensors", 3),
        ("tensors-f32", "safetensors", 3),
    ] {
        let path = match family {
            "safetensors" => files(&format!("{set}.safetensors")),
            _ => files(set),
        };
        let data = open(family, &path).unwrap_or_else(|error| panic!("{set}: {error}"));
        assert_eq!(data.classes.len(), classes, "{set}");
        for part in Part::BOTH {
            let name = format!("{set}.{}", part.name());
            let split = data.split(part);
            let labels = expected.labels(&format!("{name}_labels"));
            let tensors = expected.tensors();
            let images = tensors.tensor(&format!("{name}_images")).unwrap();
            assert_eq!(
                images.shape(),
                [split.len(), data.shape[0], data.shape[1], data.shape[2]],
                "{name}"
            );
            match &split.images {
                // A folder is read class by class, and mixed: every image is there once, with its label.
                Pixels::Bytes(bytes) if set == "folder" => {
                    assert!(data.mixed);
                    let size = data.shape.iter().product::<usize>();
                    let places: BTreeSet<usize> = bytes
                        .chunks(size)
                        .zip(&split.labels)
                        .map(|(ours, label)| {
                            // JPEG decoders may round differently; the images that are JPEGs are smooth.
                            let off = |theirs: &[u8]| ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max();
                            let mut theirs = images.data().chunks(size).zip(&labels);
                            let place = theirs.position(|(theirs, known)| off(theirs) <= Some(4) && known == label);
                            place.unwrap_or_else(|| panic!("{name}: an image is not among those expected"))
                        })
                        .collect();
                    assert_eq!(places.len(), labels.len(), "{name}");
                    continue;
                }
                Pixels::Bytes(bytes) => assert!(bytes == images.data(), "{name}: pixels differ"),
                Pixels::Floats(values) => {
                    let theirs = images.data().as_chunks::<4>().0;
                    let theirs: Vec<f32> = theirs.iter().map(|b| f32::from_le_bytes(*b)).collect();
                    assert_eq!(*values, theirs, "{name}");
                }
            }
            assert_eq!(split.labels, labels, "{name}");
            assert!(!data.mixed, "{name}");
        }
    }
}

#[test]
fn a_data_set_is_told_by_its_files() {
    for (name, family) in [
        ("cifar10-binary", Some("cifar10")),
        ("cifar10-python", Some("cifar10")),
        ("cifar100-binary", Some("cifar100")),
        ("cifar100-python", Some("cifar100")),
        ("svhn", Some("svhn")),
        ("stl10", Some("stl10")),
        ("mnist", Some("mnist")),
        ("fashion-mnist", Some("fashion-mnist")),
        ("folder", Some("folder")),
        ("tensors-u8.safetensors", Some("safetensors")),
        ("half.pt", None),
        ("folder/train", None),
    ] {
        let path = files(name);
        let expected = family.map(|family| format!("{family}:{}", path.display()));
        assert_eq!(recognise(&path), expected, "{name}");
        if let Some(specification) = expected {
            assert!(Dataset::open(&specification).is_ok(), "{name}");
        }
    }
}

#[test]
fn bytes_are_normalised_as_by_torchvision() {
    let path = files("cifar10-binary");
    let (mean, deviation) = ([0.4914_f32, 0.4822, 0.4465], [0.2023_f32, 0.1994, 0.2010]);
    for (options, mean, deviation) in [
        ("", mean, deviation),
        (":mean=0.5:std=0.25", [0.5; 3], [0.25; 3]),
        (":mean=0.1,0.2,0.3:std=1,2,4", [0.1, 0.2, 0.3], [1.0, 2.0, 4.0]),
    ] {
        let data = Dataset::open(&format!("cifar10:{}{options}", path.display())).unwrap();
        let mut values = Vec::new();
        data.push_images(Part::Test, 1..3, &mut values);
        let Pixels::Bytes(bytes) = &data.test.images else {
            panic!("CIFAR's images are bytes")
        };
        let size = 3 * 32 * 32;
        for (index, (&value, &byte)) in values.iter().zip(&bytes[size..3 * size]).enumerate() {
            let channel = index / 1024 % 3;
            // To the bit: the same three operations in the same order.
            assert_eq!(value, (f32::from(byte) / 255.0 - mean[channel]) / deviation[channel]);
        }
        assert_eq!(values.len(), 2 * size);
        let black: Vec<f32> = mean.iter().zip(deviation).map(|(m, d)| (0.0 - m) / d).collect();
        assert_eq!(data.padding, black);
    }
}

#[test]
fn options_choose_from_files_too() {
    let path = files("cifar10-binary");
    let data = Dataset::open(&format!("cifar10:{}:classes=cat,0:subset=2", path.display())).unwrap();
    assert_eq!((data.train.len(), data.shape), (2, [3, 32, 32]));
    assert_eq!(data.classes, ["cat", "airplane"]);
    let error = Dataset::open(&format!("cifar10:{}:mean=1,2", path.display()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("one number, or 3"), "{error}");
}

/// Copies a set of fixture files, changed by `change`, and gives the error of opening them.
fn changed(set: &str, family: &str, file: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    copy(&files(set), folder.path());
    let path = folder.path().join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let target = match family {
        "safetensors" => path,
        _ => folder.path().to_owned(),
    };
    match open(family, &target) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::copy(from, to.join(from.file_name().unwrap())).unwrap();
        return;
    }
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

type Change = fn(&mut Vec<u8>);

#[test]
fn what_is_wrong_with_a_file_is_said_in_one_sentence() {
    let cut: Change = |bytes| bytes.truncate(bytes.len() - 1);
    let half: Change = |bytes| bytes.truncate(bytes.len() / 2);
    let empty: Change = Vec::clear;
    let label: Change = |bytes| bytes[0] = 77;
    let huge_idx: Change = |bytes| bytes[4..16].fill(0x7f);
    let magic: Change = |bytes| bytes[2] = 0x0c;
    let header: Change = |bytes| bytes[..8].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let system: Change = |bytes| {
        let from = b"numpy.core.multiarray\n_reconstruct";
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        bytes.splice(at..at + from.len(), *b"posix\nsystem");
    };
    let garbage: Change = |bytes| *bytes = b"<html>404 not found</html>".to_vec();
    let cases: &[(&str, &str, &str, Change, &[&str])] = &[
        (
            "cifar10-binary",
            "cifar10",
            "data_batch_3.bin",
            cut,
            &["data_batch_3.bin", "records of 3073", "again"],
        ),
        (
            "cifar10-binary",
            "cifar10",
            "test_batch.bin",
            empty,
            &["test_batch.bin", "0 bytes"],
        ),
        (
            "cifar10-binary",
            "cifar10",
            "data_batch_1.bin",
            label,
            &["image 0 has the label 77", "0 to 9"],
        ),
        (
            "cifar100-binary",
            "cifar100",
            "train.bin",
            half,
            &["train.bin", "records of 3074"],
        ),
        ("cifar10-python", "cifar10", "data_batch_2", half, &["data_batch_2"]),
        (
            "cifar10-python",
            "cifar10",
            "data_batch_2",
            system,
            &["data_batch_2", "posix", "system", "not"],
        ),
        ("cifar10-python", "cifar10", "test_batch", garbage, &["test_batch"]),
        ("svhn", "svhn", "train_32x32.mat", half, &["train_32x32.mat"]),
        ("svhn", "svhn", "test_32x32.mat", garbage, &["test_32x32.mat"]),
        ("stl10", "stl10", "train_X.bin", cut, &["train_X.bin"]),
        (
            "stl10",
            "stl10",
            "train_y.bin",
            label,
            &["train_y.bin", "77", "1 to 10"],
        ),
        (
            "fashion-mnist",
            "fashion-mnist",
            "train-images-idx3-ubyte",
            cut,
            &["train-images-idx3-ubyte"],
        ),
        (
            "fashion-mnist",
            "fashion-mnist",
            "train-images-idx3-ubyte",
            huge_idx,
            &["train-images-idx3-ubyte"],
        ),
        (
            "fashion-mnist",
            "fashion-mnist",
            "train-images-idx3-ubyte",
            magic,
            &["train-images-idx3-ubyte"],
        ),
        (
            "fashion-mnist",
            "fashion-mnist",
            "train-labels-idx1-ubyte",
            empty,
            &["train-labels-idx1-ubyte"],
        ),
        (
            "mnist",
            "mnist",
            "train-images-idx3-ubyte.gz",
            half,
            &["train-images-idx3-ubyte.gz"],
        ),
        (
            "mnist",
            "mnist",
            "train-images-idx3-ubyte.gz",
            garbage,
            &["train-images-idx3-ubyte.gz"],
        ),
        ("folder", "folder", "train/cat/a1.png", half, &["a1.png"]),
        ("folder", "folder", "train/cat/a10.jpg", half, &["a10.jpg"]),
        (
            "folder",
            "folder",
            "test/dog/c1.png",
            garbage,
            &["c1.png", "neither a PNG nor a JPEG"],
        ),
        (
            "tensors-u8.safetensors",
            "safetensors",
            "tensors-u8.safetensors",
            cut,
            &["not a whole safetensors"],
        ),
        (
            "tensors-u8.safetensors",
            "safetensors",
            "tensors-u8.safetensors",
            header,
            &["header would have 1152921504606846976"],
        ),
        (
            "tensors-u8.safetensors",
            "safetensors",
            "tensors-u8.safetensors",
            empty,
            &["safetensors"],
        ),
        (
            "plain.safetensors",
            "safetensors",
            "plain.safetensors",
            |_| {},
            &["no tensor `train_images`", "conv1.weight"],
        ),
    ];
    for (set, family, file, change, parts) in cases {
        let message = changed(set, family, file, change);
        for part in *parts {
            assert!(message.contains(part), "{set}/{file}: `{message}` lacks `{part}`");
        }
        assert!(!message.contains('\n'), "{set}/{file}: {message}");
    }
}

#[test]
fn a_wrong_place_is_said_too() {
    for (family, path, part) in [
        ("cifar10", "nowhere", "no such file or folder"),
        ("cifar10", "mnist", "data_batch_1.bin"),
        ("cifar10", "half.pt", "not a folder"),
        ("mnist", "svhn", "train-images-idx3-ubyte"),
        ("svhn", "mnist", "train_32x32.mat"),
        ("stl10", "mnist", "train_X.bin"),
        ("folder", "mnist", "a folder `train`"),
        ("safetensors", "mnist", "this is a folder"),
        ("safetensors", "nowhere.safetensors", "no such file"),
    ] {
        let message = open(family, &files(path)).unwrap_err().to_string();
        assert!(message.contains(part), "{family}:{path}: {message}");
    }
}

#[test]
fn a_folder_of_images_can_be_scaled() {
    let data = Dataset::open(&format!("folder:{}:size=8", files("folder").display())).unwrap();
    assert_eq!(
        (data.shape, data.classes),
        ([3, 8, 8], vec!["cat".to_owned(), "dog".to_owned()])
    );
}

#[test]
fn reading_can_be_stopped() {
    for (set, family) in [("cifar10-binary", "cifar10"), ("svhn", "svhn"), ("folder", "folder")] {
        let specification = format!("{family}:{}", files(set).display());
        let result = Dataset::open_with(&specification, &mut |_| false);
        assert!(matches!(result, Err(Error::Cancelled)), "{set}: {result:?}");
    }
}

#[test]
fn cutting_a_file_anywhere_never_panics_and_never_opens_half_of_it() {
    // One file of every format; the whole set stays as it is around it.
    let sets: BTreeMap<&str, (&str, &str)> = BTreeMap::from([
        ("cifar10-python", ("cifar10", "test_batch")),
        ("svhn", ("svhn", "train_32x32.mat")),
        ("mnist", ("mnist", "train-images-idx3-ubyte.gz")),
        ("fashion-mnist", ("fashion-mnist", "t10k-images-idx3-ubyte")),
        ("tensors-f32.safetensors", ("safetensors", "tensors-f32.safetensors")),
    ]);
    for (set, (family, file)) in sets {
        let length = std::fs::metadata(files(set).join(if set == file { "" } else { file }))
            .or_else(|_| std::fs::metadata(files(set)))
            .unwrap()
            .len() as usize;
        for step in 0..40 {
            let end = length * step / 40;
            let message = changed(set, family, file, |bytes| bytes.truncate(end));
            assert_ne!(message, "opened", "{set}/{file} cut at {end}");
        }
    }
}
