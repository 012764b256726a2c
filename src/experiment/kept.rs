//! Measurements, and weights that experiments find by themselves, kept on disk, each under a checksum of all that it
//! depends on: an experiment that was cut off goes on where it was, and what two experiments measure is measured once.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointFile, NamedTensors, Values};
use crate::error::{Error, Result};
use crate::files::checksum;
use crate::files::whole_file;

/// Size of a file, at most.
const MOST_BYTES: u64 = 1 << 28;
/// Name of the weights in a file of them.
const PARAMETERS: &str = "parameters";

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

/// Weights with what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptPoint<R> {
    /// All that they depend on but the weights that they are made from.
    pub made: String,
    /// The weights `[d]`.
    pub parameters: Vec<f32>,
    /// What is known of them.
    pub record: R,
    /// Seconds that it took to find them.
    pub seconds: f64,
}

/// What is written beside the weights.
#[derive(Serialize, Deserialize)]
struct Beside<R> {
    made: String,
    record: R,
    seconds: f64,
}

/// A folder of weights, as safetensors.
#[derive(Debug)]
pub struct KeptPoints {
    folder: PathBuf,
}

impl KeptPoints {
    /// Those of a folder, which is made with the first.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where weights are kept that depend on how they are `made`, in words, and on those `[d]` that they are made from.
    pub fn path(&self, made: &str, from: &[f32]) -> PathBuf {
        let sum = checksum::of(&[made.as_bytes(), bytemuck::cast_slice(from)]);
        self.folder.join(format!("{sum:016x}.safetensors"))
    }

    /// Weights that were found before in the same way; nothing where they were not, or their file is not readable any
    /// more.
    pub fn get<R: DeserializeOwned>(&self, path: &Path, made: &str) -> Option<KeptPoint<R>> {
        let file = CheckpointFile::open(path).ok()?;
        let beside: Beside<R> = serde_json::from_value(file.provenance()?.clone()).ok()?;
        let parameters = file.tensors().get(PARAMETERS)?.floats().ok()?;
        (beside.made == made).then_some(KeptPoint {
            made: beside.made,
            parameters,
            record: beside.record,
            seconds: beside.seconds,
        })
    }

    /// Keeps weights.
    ///
    /// # Errors
    /// [`Error::File`], and when what is known of them cannot be encoded.
    pub fn keep<R: Serialize>(&self, path: &Path, kept: &KeptPoint<R>) -> Result<()> {
        whole_file::make_folder(&self.folder)?;
        let beside = Beside {
            made: kept.made.clone(),
            record: &kept.record,
            seconds: kept.seconds,
        };
        let text = serde_json::to_string(&beside)
            .map_err(|error| Error::Request(format!("what is known of weights could not be encoded: {error}")))?;
        NamedTensors::of_vectors(&[(PARAMETERS, Values::Single(&kept.parameters))]).write(path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_back_to_the_bit_and_what_is_broken_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let points = KeptPoints::new(&folder.path().join("points"));
        let path = points.path("made so", &[1.0, 2.0]);
        assert!(points.get::<String>(&path, "made so").is_none());
        let kept = KeptPoint {
            made: "made so".to_owned(),
            parameters: vec![0.1, -f32::MIN_POSITIVE, 3.0e38],
            record: "arrived".to_owned(),
            seconds: 1.5,
        };
        points.keep(&path, &kept).unwrap();
        assert_eq!(points.get(&path, "made so"), Some(kept));
        assert!(points.get::<String>(&path, "made otherwise").is_none());
        // A record of another kind is none.
        assert!(points.get::<Vec<f64>>(&path, "made so").is_none());
        std::fs::write(&path, "cut short").unwrap();
        assert!(points.get::<String>(&path, "made so").is_none());
        assert_ne!(path, points.path("made so", &[1.0, -2.0]));
        assert_ne!(path, points.path("made otherwise", &[1.0, 2.0]));
    }

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
