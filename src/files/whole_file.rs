//! Files that are there whole or not at all: written beside their name and renamed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `bytes` to `path`. A reader, or a run that is killed, never sees a part of it.
///
/// # Errors
/// [`Error::File`] with the cure; what was at `path` before is then unchanged.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::file_reason(path, "this is not a file name"))?;
    let mut partial = name.to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(partial);
    let result = File::create(&partial)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&partial, path));
    result.map_err(|error| {
        // The first failure is the one to report; a leftover that cannot be removed either adds nothing to it.
        let _ = std::fs::remove_file(&partial);
        Error::file(path, "write this file", &error)
    })
}

/// Reads a file, unless it is larger than `most` bytes or not a file at all.
///
/// # Errors
/// [`Error::File`] with the cure.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (mut file, length) = open(path)?;
    if length > most {
        return Err(Error::file_reason(
            path,
            format!("it has {length} bytes, more than such a file can have ({most})"),
        ));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.read_to_end(&mut bytes)
        .map_err(|error| Error::file(path, "read this file", &error))?;
    Ok(bytes)
}

/// Opens a file, and gives its length.
///
/// # Errors
/// [`Error::File`] with the cure; for a folder, too.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |error| Error::file(path, "read this file", &error);
    // Asked before opening: a pipe would wait for its writer.
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        let what = if about.is_dir() { "a folder" } else { "not a file" };
        return Err(Error::file_reason(path, format!("this is {what}; name a file")));
    }
    Ok((File::open(path).map_err(failed)?, about.len()))
}

/// Checks that a file could be written to `path`, before anybody spends an hour on its content.
///
/// # Errors
/// [`Error::File`] with the cure.
pub fn check_writable(path: &Path) -> Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let probe = folder.join(format!(".valleyscope.{}.partial", std::process::id()));
    File::create(&probe)
        .and_then(|_| std::fs::remove_file(&probe))
        .map_err(|error| Error::file(path, "write this file", &error))
}

/// Makes a folder and those above it.
///
/// # Errors
/// [`Error::File`] with the cure.
pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| {
        use std::io::ErrorKind::{AlreadyExists, NotADirectory};
        if matches!(error.kind(), AlreadyExists | NotADirectory) {
            Error::file_reason(path, "a file is in the way of this folder; choose another name")
        } else {
            Error::file(path, "make this folder", &error)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        // A folder in the way makes the rename fail after the bytes were written.
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("inside"), "kept").unwrap();
        assert!(write(&target, b"new").is_err());
        assert_eq!(std::fs::read(target.join("inside")).unwrap(), b"kept");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
