//! One function a reader: bytes become files, files are opened as a person would open them, and whatever is in them,
//! the program answers with a value or an error of one line. The fuzz targets call them with inputs they invent,
//! tests/fuzzed.rs with inputs that were found.

use std::path::Path;

use valleyscope::checkpoint::{CheckpointFile, Reference};
use valleyscope::data::{Dataset, Specification};
use valleyscope::landscape::{Grid, Quantity, SurfaceRecord, direction_file};
use valleyscope::network::zoo;

/// Reads what was found, as its kind of file.
pub type Reader = fn(&[u8]);

/// The readers by the names of their targets.
pub const READERS: [(&str, Reader); 13] = [
    ("pytorch", pytorch),
    ("safetensors", safetensors),
    ("tensor_data", tensor_data),
    ("cifar_binary", cifar_binary),
    ("cifar_python", cifar_python),
    ("idx", idx),
    ("idx_gzip", idx_gzip),
    ("matlab", matlab),
    ("stl10", stl10),
    ("image_folder", image_folder),
    ("direction", direction),
    ("surface", surface),
    ("specification", specification),
];

/// An IDX file of two labels.
const LABELS: &[u8] = b"\x00\x00\x08\x01\x00\x00\x00\x02\x03\x04";

/// A checkpoint as `torch.save` writes it: zip, the older stream of pickles, tar.
pub fn pytorch(data: &[u8]) {
    checkpoint("checkpoint.pt", data);
}

/// A checkpoint in a safetensors file.
pub fn safetensors(data: &[u8]) {
    checkpoint("checkpoint.safetensors", data);
}

/// A direction in a safetensors file.
pub fn direction(data: &[u8]) {
    let graph = zoo::build("logistic", [1, 1, 1], 2).expect("the network exists");
    in_folder(&[("direction.safetensors", data)], |folder| {
        let path = folder.join("direction.safetensors");
        if let Err(error) = direction_file::read(&Reference { path, key: None }, &graph) {
            one_line(&error.to_string());
        }
    });
}

/// A surface that a survey goes on with.
pub fn surface(data: &[u8]) {
    let Ok(known) = serde_json::from_slice::<SurfaceRecord>(data) else {
        return;
    };
    let mut own = SurfaceRecord {
        grid: Grid::new(vec![0.0, 0.5, 1.0], vec![-1.0, 1.0]),
        ..known.clone()
    };
    own.take_up(&known);
    for quantity in Quantity::ALL {
        own.grid.field(quantity);
    }
}

/// A data set in a safetensors file.
pub fn tensor_data(data: &[u8]) {
    in_folder(&[("data.safetensors", data)], |folder| {
        open(&format!("safetensors:{}", folder.join("data.safetensors").display()));
    });
}

/// CIFAR-100, binary version.
pub fn cifar_binary(data: &[u8]) {
    data_set("cifar100", &[("train.bin", data), ("test.bin", data)]);
}

/// CIFAR-100, Python version: a pickle.
pub fn cifar_python(data: &[u8]) {
    data_set("cifar100", &[("train", data), ("test", data)]);
}

/// MNIST: the input is the file of images.
pub fn idx(data: &[u8]) {
    mnist(data, "");
}

/// MNIST, gzipped.
pub fn idx_gzip(data: &[u8]) {
    mnist(data, ".gz");
}

fn mnist(data: &[u8], ending: &str) {
    let files = [
        (&*format!("train-images-idx3-ubyte{ending}"), data),
        ("train-labels-idx1-ubyte", LABELS),
        (&*format!("t10k-images-idx3-ubyte{ending}"), data),
        ("t10k-labels-idx1-ubyte", LABELS),
    ];
    data_set("mnist", &files);
}

/// SVHN: a MAT-file.
pub fn matlab(data: &[u8]) {
    data_set("svhn", &[("train_32x32.mat", data), ("test_32x32.mat", data)]);
}

/// STL-10: labels and images cut from one input.
pub fn stl10(data: &[u8]) {
    let (labels, images) = data.split_at(data.len().min(2));
    let files = [
        ("train_X.bin", images),
        ("train_y.bin", labels),
        ("test_X.bin", images),
        ("test_y.bin", labels),
    ];
    data_set("stl10", &files);
}

/// A folder of images; the ending says nothing about what is in them.
pub fn image_folder(data: &[u8]) {
    data_set("folder", &[("train/a/1.png", data), ("test/a/1.jpg", data)]);
}

/// The text that names a data set.
pub fn specification(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(parsed) = Specification::parse(text)
    {
        let again = Specification::parse(&parsed.to_string());
        assert_eq!(again.ok(), Some(parsed));
    }
}

/// Opens `files` (names and content) as the data set `family`.
fn data_set(family: &str, files: &[(&str, &[u8])]) {
    in_folder(files, |folder| open(&format!("{family}:{}", folder.display())));
}

fn open(specification: &str) {
    if let Err(error) = Dataset::open(specification) {
        one_line(&error.to_string());
    }
}

/// Opens `bytes` as the checkpoint file `name`, describes it, and loads every state dict in it.
fn checkpoint(name: &str, bytes: &[u8]) {
    let graph = zoo::build("resnet8:width=4", [3, 16, 16], 10).expect("the network exists");
    in_folder(&[(name, bytes)], |folder| {
        let file = match CheckpointFile::open(&folder.join(name)) {
            Ok(file) => file,
            Err(error) => return one_line(&error.to_string()),
        };
        if let Err(error) = file.listings() {
            one_line(&error.to_string());
        }
        for key in file.keys() {
            let loaded = file
                .state_dict((!key.is_empty()).then_some(key))
                .and_then(|state| state.solution(&graph));
            if let Err(error) = loaded {
                one_line(&error.to_string());
            }
        }
    });
}

fn in_folder(files: &[(&str, &[u8])], open: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a folder for the files");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder for the file");
        std::fs::write(path, bytes).expect("the file can be written");
    }
    open(folder.path());
}

/// A message is for a person and for a log: it says something, and in one line.
fn one_line(message: &str) {
    assert!(!message.trim().is_empty(), "an empty message");
    assert!(!message.contains('\n'), "a message of several lines: {message}");
}
