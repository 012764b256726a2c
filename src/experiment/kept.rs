//! Measurements kept on disk, each under a checksum of all that it depends on: an experiment that was cut off goes on
//! where it was, and what two experiments measure is measured once.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::checksum;
use crate::files::whole_file;

/// Size of a file, at most.
const MOST_BYTES: u64 = 1 << 28;

/// A measurement, how it was made, and what it took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept<T> {
    /// All that it depends on but the numbers that its checksum is of.
    pub made: String,
    /// What was measured.
    pub value: T,
    /// Seconds that measuring it took.
    pub seconds: f64,
}

/// A folder of measurements.
#[derive(Debug)]
pub struct Measurements {
    folder: PathBuf,
}

impl Measurements {
    /// Those of a folder, which is made with the first.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where a measurement is kept that depends on how it is `made`, in words, and on numbers.
    pub fn path(&self, made: &str, numbers: &[&[u8]]) -> PathBuf {
        let mut parts = vec![made.as_bytes()];
        parts.extend(numbers);
        self.folder.join(format!("{:016x}.json", checksum::of(&parts)))
    }

    /// What was measured before in the same way; nothing where it was not, or its file is not readable any more.
    pub fn get<T: DeserializeOwned>(&self, path: &Path, made: &str) -> Option<Kept<T>> {
        let bytes = whole_file::read(path, MOST_BYTES).ok()?;
        let kept: Kept<T> = serde_json::from_slice(&bytes).ok()?;
        (kept.made == made).then_some(kept)
    }

    /// Keeps a measurement.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep<T: Serialize>(&self, path: &Path, kept: &Kept<T>) -> Result<()> {
        whole_file::make_folder(&self.folder)?;
        let text = serde_json::to_vec(kept)
            .map_err(|error| Error::Request(format!("a measurement could not be encoded: {error}")))?;
        whole_file::write(path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_found_by_all_that_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let measurements = Measurements::new(&folder.path().join("lines"));
        let path = measurements.path("made so", &[&[1, 2], &[3]]);
        assert!(measurements.get::<Vec<f64>>(&path, "made so").is_none());
        let kept = Kept {
            made: "made so".to_owned(),
            value: vec![0.1, 2.0],
            seconds: 0.5,
        };
        measurements.keep(&path, &kept).unwrap();
        let found: Kept<Vec<f64>> = measurements.get(&path, "made so").unwrap();
        assert_eq!((found.value, found.seconds), (vec![0.1, 2.0], 0.5));
        assert!(measurements.get::<Vec<f64>>(&path, "made otherwise").is_none());
        // Neither is what depends on the same numbers cut elsewhere.
        assert_ne!(path, measurements.path("made so", &[&[1], &[2, 3]]));
        assert_ne!(path, measurements.path("made otherwise", &[&[1, 2], &[3]]));
    }
}
