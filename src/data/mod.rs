//! Data sets in memory: images already normalised, their labels, and the specification that names them.

pub mod augmentation;
mod shapes;
mod two_gaussians;

use crate::error::{Error, Result};
use crate::network::graph::Shape;

/// One split of a data set.
#[derive(Clone, Debug)]
pub struct Split {
    /// Normalised images, `[N, C, H, W]` flat.
    pub images: Vec<f32>,
    /// Class of each image.
    pub labels: Vec<u32>,
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Which split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Training images.
    Train,
    /// Test images.
    Test,
}

impl Part {
    /// Both, in the order in which they are evaluated and printed.
    pub const BOTH: [Self; 2] = [Self::Train, Self::Test];

    /// `train` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// A data set.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its specification, as on the command line.
    pub name: String,
    /// Channels, height, width.
    pub shape: Shape,
    /// Class names; their number is the number of classes.
    pub classes: Vec<String>,
    /// Training images.
    pub train: Split,
    /// Test images.
    pub test: Split,
    /// Largest random shift in pixels when training; 0 for data that is not augmented.
    pub shift: usize,
    /// Whether training may flip images left to right.
    pub flip: bool,
    /// Value of the pixels that a shift brings in: black, normalised.
    pub padding: f32,
}

impl Dataset {
    /// One split.
    pub fn split(&self, part: Part) -> &Split {
        match part {
            Part::Train => &self.train,
            Part::Test => &self.test,
        }
    }

    /// Opens the data set that `specification` names: `builtin`, `builtin:train=1000:test=500`, `two-gaussians`,
    /// `two-gaussians:seed=3`.
    ///
    /// # Errors
    /// A message that names what is wrong and what exists.
    pub fn open(specification: &str) -> Result<Self> {
        let error = |reason: String| Error::Data {
            name: specification.to_owned(),
            reason,
        };
        let mut parts = specification.trim().split(':');
        let family = parts.next().unwrap_or_default();
        let mut options = Vec::new();
        for option in parts {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| error(format!("`{option}` is not of the form name=number")))?;
            let value: u64 = value
                .parse()
                .map_err(|_| error(format!("`{option}`: `{value}` is not a whole number of at least 0")))?;
            options.push((key, value));
        }
        match family {
            "builtin" => {
                let (mut train, mut test) = (shapes::TRAIN_IMAGES, shapes::TEST_IMAGES);
                for (key, value) in options {
                    let count = (1..=shapes::MOST_IMAGES as u64)
                        .contains(&value)
                        .then_some(value as usize)
                        .ok_or_else(|| error(format!("{key}={value} must be from 1 to {}", shapes::MOST_IMAGES)));
                    match key {
                        "train" => train = count?,
                        "test" => test = count?,
                        _ => {
                            return Err(error(format!("unknown option `{key}`; there are train=N and test=N")));
                        }
                    }
                }
                Ok(shapes::dataset(specification, train, test))
            }
            "two-gaussians" => {
                let mut seed = 0;
                for (key, value) in options {
                    match key {
                        "seed" => seed = value,
                        _ => return Err(error(format!("unknown option `{key}`; there is seed=N"))),
                    }
                }
                Ok(two_gaussians::dataset(specification, seed))
            }
            _ => Err(error(
                "no such data set; there are `builtin` (images of ten shapes) and `two-gaussians`".to_owned(),
            )),
        }
    }
}
