//! What the fuzz targets share: bytes become files, files are opened as a person would, and whatever is in them, the
//! program answers with a value or an error of one line.

use std::path::Path;

use valleyscope::checkpoint::CheckpointFile;
use valleyscope::data::Dataset;
use valleyscope::network::zoo;

/// Opens `files` (names and content) as the data set `family`.
pub fn data_set(family: &str, files: &[(&str, &[u8])]) {
    in_folder(files, |folder| {
        let specification = format!("{family}:{}", folder.display());
        if let Err(error) = Dataset::open(&specification) {
            one_line(&error.to_string());
        }
    });
}

/// Opens `bytes` as the data set file `name`, whose path the specification takes.
pub fn data_file(family: &str, name: &str, bytes: &[u8]) {
    in_folder(&[(name, bytes)], |folder| {
        let specification = format!("{family}:{}", folder.join(name).display());
        if let Err(error) = Dataset::open(&specification) {
            one_line(&error.to_string());
        }
    });
}

/// Opens `bytes` as the checkpoint file `name`, describes it, and loads every state dict in it.
pub fn checkpoint(name: &str, bytes: &[u8]) {
    let graph = zoo::build("resnet8:width=4", [3, 16, 16], 10).expect("the demo's network exists");
    in_folder(&[(name, bytes)], |folder| {
        let file = match CheckpointFile::open(&folder.join(name)) {
            Ok(file) => file,
            Err(error) => return one_line(&error.to_string()),
        };
        if let Err(error) = file.listings(None) {
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

fn one_line(message: &str) {
    assert!(!message.trim().is_empty(), "an empty message");
}
