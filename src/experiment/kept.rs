//! Measured lines, and weights that experiments trained by themselves, kept on disk: an experiment that was cut off
//! goes on where it was, and what two experiments share is done once.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointFile, NamedTensors, Values};
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::{Line, LineRecord, Provenance};

/// Size of a file of a line, at most.
const MOST_BYTES: u64 = 1 << 26;
/// Name of the weights in a file.
const PARAMETERS: &str = "parameters";

/// A line, and what it took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptLine {
    /// The line.
    pub record: LineRecord,
    /// Seconds that measuring it took.
    pub seconds: f64,
}

/// A folder of measured lines, each under a checksum of all that it depends on.
#[derive(Debug)]
pub struct KeptLines {
    folder: PathBuf,
}

impl KeptLines {
    /// Lines in a folder, which is made with the first.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where a line's measurement is kept: a checksum of its points, statistics and positions, and of how it is made.
    ///
    /// # Errors
    /// When the provenance cannot be encoded.
    pub fn path(&self, line: &Line, positions: &[f64], provenance: &Provenance) -> Result<PathBuf> {
        let made = encoded(provenance)?;
        let moved = line.point(1.0);
        let name = checksum(&[
            &made,
            bytemuck::cast_slice(positions),
            bytemuck::cast_slice(&line.origin.parameters),
            bytemuck::cast_slice(&line.origin.statistics),
            bytemuck::cast_slice(&moved),
        ]);
        Ok(self.folder.join(format!("{name}.json")))
    }

    /// A line that was measured before; nothing where it was not, or its file is not readable any more.
    pub fn get(&self, path: &Path) -> Option<KeptLine> {
        let bytes = whole_file::read(path, MOST_BYTES).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps a line.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep(&self, path: &Path, kept: &KeptLine) -> Result<()> {
        whole_file::make_folder(&self.folder)?;
        let text = serde_json::to_vec(kept)
            .map_err(|error| Error::Request(format!("a line could not be encoded: {error}")))?;
        whole_file::write(path, &text)
    }
}

/// Weights with what is known of them, and what they took.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptPoint<R> {
    /// The weights `[d]`; none where only what is known of others is kept.
    pub parameters: Vec<f32>,
    /// What is known.
    pub record: R,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The record as it is written beside the weights.
#[derive(Serialize, Deserialize)]
struct Beside<R> {
    record: R,
    seconds: f64,
}

/// A folder of weights, each under a checksum of all that it depends on.
#[derive(Debug)]
pub struct KeptPoints {
    folder: PathBuf,
}

impl KeptPoints {
    /// Weights in a folder, which is made with the first.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where weights are kept: a checksum of how they are made, and of those that they are made from.
    ///
    /// # Errors
    /// When how they are made cannot be encoded.
    pub fn path(&self, made: &impl Serialize, from: &[f32]) -> Result<PathBuf> {
        let name = checksum(&[&encoded(made)?, bytemuck::cast_slice(from)]);
        Ok(self.folder.join(format!("{name}.safetensors")))
    }

    /// Weights that were made before; nothing where they were not, or their file is not readable any more.
    pub fn get<R: DeserializeOwned>(&self, path: &Path) -> Option<KeptPoint<R>> {
        if !path.exists() {
            return None;
        }
        let file = CheckpointFile::open(path).ok()?;
        let beside: Beside<R> = serde_json::from_value(file.provenance()?.clone()).ok()?;
        Some(KeptPoint {
            parameters: file.tensors().get(PARAMETERS)?.floats().ok()?,
            record: beside.record,
            seconds: beside.seconds,
        })
    }

    /// Keeps weights.
    ///
    /// # Errors
    /// [`Error::File`], and when the record cannot be encoded.
    pub fn keep<R: Serialize>(&self, path: &Path, kept: &KeptPoint<R>) -> Result<()> {
        whole_file::make_folder(&self.folder)?;
        let beside = Beside {
            record: &kept.record,
            seconds: kept.seconds,
        };
        let text = serde_json::to_string(&beside)
            .map_err(|error| Error::Request(format!("what is known of weights could not be encoded: {error}")))?;
        NamedTensors::of_vectors(&[(PARAMETERS, Values::Single(&kept.parameters))]).write(path, &text)
    }
}

fn encoded(made: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(made)
        .map_err(|error| Error::Request(format!("how something is made could not be encoded: {error}")))
}

/// Two checksums over the same bytes from other ends: 64 bits, stable from version to version.
fn checksum(parts: &[&[u8]]) -> String {
    let [mut first, mut second] = [flate2::Crc::new(), flate2::Crc::new()];
    for part in parts {
        first.update(part);
    }
    for part in parts.iter().rev() {
        second.update(part);
    }
    format!("{:08x}{:08x}", first.sum(), second.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_back_to_the_bit_and_what_is_broken_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let points = KeptPoints::new(&folder.path().join("points"));
        let path = points.path(&("descent", 0.2), &[1.0, 2.0]).unwrap();
        assert!(points.get::<String>(&path).is_none());
        for parameters in [vec![0.1_f32, -f32::MIN_POSITIVE, 3.0e38], Vec::new()] {
            let kept = KeptPoint {
                parameters,
                record: "arrived".to_owned(),
                seconds: 1.5,
            };
            points.keep(&path, &kept).unwrap();
            assert_eq!(points.get(&path), Some(kept));
        }
        // A record of another kind is none.
        assert!(points.get::<Vec<f64>>(&path).is_none());
        std::fs::write(&path, "cut short").unwrap();
        assert!(points.get::<String>(&path).is_none());
    }

    #[test]
    fn whatever_they_depend_on_is_in_their_name() {
        let points = KeptPoints::new(Path::new("points"));
        let path = |made: (&str, f64), from: &[f32]| points.path(&made, from).unwrap();
        let one = path(("descent", 0.2), &[1.0, 2.0]);
        assert_eq!(one, path(("descent", 0.2), &[1.0, 2.0]));
        assert!(one.starts_with("points") && one.extension().is_some_and(|ending| ending == "safetensors"));
        for other in [
            path(("descent", 0.3), &[1.0, 2.0]),
            path(("ascent", 0.2), &[1.0, 2.0]),
            path(("descent", 0.2), &[1.0, -2.0]),
        ] {
            assert_ne!(one, other);
        }
    }
}
