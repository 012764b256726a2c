//! Which data set lies in a folder or file, told by the names of its files.

use std::path::Path;

/// Files that tell a family, each in the folder itself or in a usual subfolder.
const SIGNS: &[(&str, &[&str])] = &[
    (
        "cifar10",
        &[
            "data_batch_1.bin",
            "data_batch_1",
            "cifar-10-batches-bin/data_batch_1.bin",
            "cifar-10-batches-py/data_batch_1",
        ],
    ),
    (
        "cifar100",
        &[
            "fine_label_names.txt",
            "meta",
            "train.bin",
            "cifar-100-binary/train.bin",
            "cifar-100-python/train",
        ],
    ),
    ("svhn", &["train_32x32.mat"]),
    ("stl10", &["train_X.bin", "stl10_binary/train_X.bin"]),
    (
        "fashion-mnist",
        &[
            "FashionMNIST/raw/train-images-idx3-ubyte",
            "FashionMNIST/raw/train-images-idx3-ubyte.gz",
        ],
    ),
    (
        "mnist",
        &[
            "train-images-idx3-ubyte",
            "train-images-idx3-ubyte.gz",
            "raw/train-images-idx3-ubyte",
            "raw/train-images-idx3-ubyte.gz",
            "MNIST/raw/train-images-idx3-ubyte",
            "MNIST/raw/train-images-idx3-ubyte.gz",
        ],
    ),
];

/// The specification of the data set at `path`, where its files tell just one. MNIST and FashionMNIST have files of the
/// same names; there the path decides.
pub fn recognise(path: &Path) -> Option<String> {
    let has = |(_, files): &&(&'static str, &[&str])| files.iter().any(|file| path.join(file).is_file());
    let family = if path.is_file() {
        path.extension().filter(|ending| *ending == "safetensors")?;
        "safetensors"
    } else {
        let families: Vec<&str> = SIGNS.iter().filter(has).map(|(family, _)| *family).collect();
        match families.as_slice() {
            ["mnist"] if path.to_string_lossy().to_lowercase().contains("fashion") => "fashion-mnist",
            [only] => only,
            [] if path.join("train").is_dir() => "folder",
            _ => return None,
        }
    };
    Some(format!("{family}:{}", path.display()))
}
