//! Measured lines kept on disk: an experiment that was cut off goes on where it was, and a line that two experiments
//! measure is measured once.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::{Line, LineRecord, Provenance};

/// Size of a file of a line, at most.
const MOST_BYTES: u64 = 1 << 26;

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
        let made = serde_json::to_vec(provenance)
            .map_err(|error| Error::Request(format!("how a line is made could not be encoded: {error}")))?;
        let moved = line.point(1.0);
        // Two checksums over the same bytes from other ends: 64 bits, stable from version to version.
        let [mut first, mut second] = [flate2::Crc::new(), flate2::Crc::new()];
        let parts: [&[u8]; 5] = [
            &made,
            bytemuck::cast_slice(positions),
            bytemuck::cast_slice(&line.origin.parameters),
            bytemuck::cast_slice(&line.origin.statistics),
            bytemuck::cast_slice(&moved),
        ];
        for part in parts {
            first.update(part);
        }
        for part in parts.iter().rev() {
            second.update(part);
        }
        Ok(self
            .folder
            .join(format!("{:08x}{:08x}.json", first.sum(), second.sum())))
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
