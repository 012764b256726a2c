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
        let (family, options) = specification
            .trim()
            .split_once(':')
            .unwrap_or((specification.trim(), ""));
        match family {
            "builtin" => {
                let [train, test] = numbers(options, ["train", "test"]).map_err(error)?;
                let count = |name: &str, given: Option<u64>, usual: usize| match given {
                    None => Ok(usual),
                    Some(count) if (1..=shapes::MOST_IMAGES as u64).contains(&count) => Ok(count as usize),
                    Some(count) => Err(error(format!(
                        "{name}={count} must be from 1 to {}",
                        shapes::MOST_IMAGES
                    ))),
                };
                let train = count("train", train, shapes::TRAIN_IMAGES)?;
                let test = count("test", test, shapes::TEST_IMAGES)?;
                Ok(shapes::dataset(specification, train, test))
            }
            "two-gaussians" => {
                let [seed] = numbers(options, ["seed"]).map_err(error)?;
                Ok(two_gaussians::dataset(specification, seed.unwrap_or(0)))
            }
            _ => Err(error(
                "no such data set; there are `builtin` (images of ten shapes) and `two-gaussians`".to_owned(),
            )),
        }
    }
}

/// The numbers of `name=number:name=number`, in the order of `names`; those not given are none.
fn numbers<const N: usize>(options: &str, names: [&str; N]) -> std::result::Result<[Option<u64>; N], String> {
    let mut values = [None; N];
    for option in options.split(':').filter(|option| !option.is_empty()) {
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| format!("`{option}` is not of the form name=number"))?;
        let index = names
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| format!("unknown option `{name}`; there are {}", names.join(", ")))?;
        let value = value
            .parse()
            .map_err(|_| format!("`{option}`: `{value}` is not a whole number of at least 0"))?;
        values[index] = Some(value);
    }
    Ok(values)
}
