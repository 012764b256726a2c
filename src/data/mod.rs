//! Data sets in memory: images with their normalisation, labels, and the specification that names them.

pub mod augmentation;
mod formats;
mod recognise;
mod selection;
mod shapes;
mod specification;
mod two_gaussians;

use std::ops::Range;
use std::path::Path;

pub use recognise::recognise;
pub use specification::Specification;

use crate::error::Result;
use crate::files::checksum;
use crate::network::graph::Shape;
use formats::Raw;

/// Pixel values of a split, `[N, C, H, W]` flat.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// Numbers used as they are.
    Floats(Vec<f32>),
    /// Bytes as on disk, normalised when a batch is made: a quarter of the memory.
    Bytes(Vec<u8>),
}

/// One split of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Its images.
    pub images: Pixels,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
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

/// Bytes become (v/255 − mean)/deviation, channel by channel, as torchvision's `ToTensor` and `Normalize` do.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Normalisation {
    /// Mean, `[C]`.
    pub mean: Vec<f32>,
    /// Standard deviation, `[C]`.
    pub deviation: Vec<f32>,
}

impl Normalisation {
    fn new(mean: &[f32], deviation: &[f32]) -> Self {
        Self {
            mean: mean.to_vec(),
            deviation: deviation.to_vec(),
        }
    }

    /// v/255 as it is.
    fn none(channels: usize) -> Self {
        Self {
            mean: vec![0.0; channels],
            deviation: vec![1.0; channels],
        }
    }

    /// What every byte becomes in `channel`, in PyTorch's order of operations, each rounded to 32 bits.
    fn table(&self, channel: usize) -> [f32; 256] {
        std::array::from_fn(|byte| (byte as f32 / 255.0 - self.mean[channel]) / self.deviation[channel])
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
    /// How bytes become numbers; meaningless for images that are numbers already.
    pub normalisation: Normalisation,
    /// Largest random shift in pixels when training; 0 for data that is not augmented.
    pub shift: usize,
    /// Whether training may flip images left to right.
    pub flip: bool,
    /// Value of the pixels that a shift brings in, `[C]`: black, normalised.
    pub padding: Vec<f32>,
    /// Whether a split lay class by class on disk and was put in a random order that is always the same.
    pub mixed: bool,
}

/// Told the share of reading that is done, 0..1; says whether to go on.
pub type Progress<'a> = &'a mut dyn FnMut(f64) -> bool;

/// Data sets by name, with one line each, shown where data are asked for.
pub const FAMILIES: &[(&str, &str)] = &[
    (
        "builtin",
        "16×16 images of ten shapes; builtin:train=1000:test=500 for fewer",
    ),
    ("two-gaussians", "one number a sample, for the model logistic"),
    ("cifar10:DIR", "CIFAR-10, binary or Python batches"),
    ("cifar100:DIR", "CIFAR-100, binary or Python batches, fine labels"),
    ("svhn:DIR", "SVHN, train_32x32.mat and test_32x32.mat"),
    ("stl10:DIR", "STL-10, binary"),
    ("mnist:DIR", "MNIST, IDX files, gzipped or not"),
    ("fashion-mnist:DIR", "FashionMNIST, IDX files, gzipped or not"),
    (
        "folder:DIR",
        "train/CLASS/ and test/CLASS/ with PNG or JPEG images; :size=N scales them to N×N",
    ),
    (
        "safetensors:FILE",
        "train_images, train_labels, test_images, test_labels",
    ),
];

impl Dataset {
    /// One split.
    pub fn split(&self, part: Part) -> &Split {
        match part {
            Part::Train => &self.train,
            Part::Test => &self.test,
        }
    }

    /// A checksum of what it holds: images, labels, normalisation and augmentation of both splits.
    pub fn checksum(&self) -> u64 {
        let how = format!("{:?} {:?} {} {}", self.shape, self.normalisation, self.shift, self.flip);
        let of = |split: &Split| {
            let images: &[u8] = match &split.images {
                Pixels::Floats(values) => bytemuck::cast_slice(values),
                Pixels::Bytes(values) => values,
            };
            checksum::of(&[images, bytemuck::cast_slice(&split.labels)])
        };
        let [train, test] = [of(&self.train), of(&self.test)].map(u64::to_le_bytes);
        checksum::of(&[how.as_bytes(), &train, &test])
    }

    /// Appends normalised images of a split to `values`, `[B, C, H, W]` flat.
    pub fn push_images(&self, part: Part, range: Range<usize>, values: &mut Vec<f32>) {
        let [channels, height, width] = self.shape;
        let size = channels * height * width;
        let range = range.start * size..range.end * size;
        match &self.split(part).images {
            Pixels::Floats(floats) => values.extend_from_slice(&floats[range]),
            Pixels::Bytes(bytes) => {
                let tables: Vec<[f32; 256]> = (0..channels).map(|c| self.normalisation.table(c)).collect();
                values.reserve(range.len());
                for (plane, pixels) in bytes[range].chunks_exact(height * width).enumerate() {
                    let table = &tables[plane % channels];
                    values.extend(pixels.iter().map(|&byte| table[usize::from(byte)]));
                }
            }
        }
    }

    /// Opens the data set that `specification` names; see [`FAMILIES`] and [`Specification`].
    ///
    /// # Errors
    /// A message that names what is wrong and what exists.
    pub fn open(specification: &str) -> Result<Self> {
        Self::open_with(specification, &mut |_| true)
    }

    /// The same, telling how far reading is.
    ///
    /// # Errors
    /// As [`Dataset::open`]; [`Error::Cancelled`] when told to stop.
    pub fn open_with(specification: &str, progress: Progress) -> Result<Self> {
        let parsed = Specification::parse(specification)?;
        let mut data = match parsed.family() {
            "builtin" => {
                parsed.needs_no_path()?;
                let count = |name: &str, usual: usize| parsed.number(name, usual, 1..=shapes::MOST_IMAGES);
                shapes::dataset(
                    specification,
                    count("train", shapes::TRAIN_IMAGES)?,
                    count("test", shapes::TEST_IMAGES)?,
                )
            }
            "two-gaussians" => {
                parsed.needs_no_path()?;
                two_gaussians::dataset(specification, parsed.seed("seed")?)
            }
            _ => from_files(&parsed, progress)?,
        };
        selection::apply(&mut data, &parsed)?;
        if !parsed.is_on("augment")? {
            (data.shift, data.flip) = (0, false);
        }
        Ok(data)
    }
}

/// Reads a data set from its files and gives it the constants of the papers' code.
fn from_files(specification: &Specification, progress: Progress) -> Result<Dataset> {
    let path = specification.path()?;
    let path = Path::new(path);
    let size = match specification.option("size") {
        None => None,
        Some(_) => Some(specification.number("size", 0, 1..=4096)?),
    };
    let raw = match specification.family() {
        "cifar10" => formats::cifar::read_cifar10(path, progress)?,
        "cifar100" => formats::cifar::read_cifar100(path, progress)?,
        "svhn" => formats::svhn::read(path, progress)?,
        "stl10" => formats::stl10::read(path, progress)?,
        "mnist" => formats::idx::read(path, &DIGITS, progress)?,
        "fashion-mnist" => formats::idx::read(path, &CLOTHES, progress)?,
        "folder" => formats::image_folder::read(path, size, progress)?,
        "safetensors" => formats::tensors::read(path, progress)?,
        _ => return Err(specification.unknown_family()),
    };
    let Raw {
        shape,
        classes,
        train,
        test,
    } = raw;
    let channels = shape[0];
    let (usual, shift, flip) = usual_treatment(specification.family(), channels);
    let bytes = matches!(train.images, Pixels::Bytes(_));
    let normalisation = Normalisation {
        mean: specification.per_channel("mean", &usual.mean, bytes)?,
        deviation: specification.per_channel("std", &usual.deviation, bytes)?,
    };
    let padding = match bytes {
        true => (0..channels).map(|channel| normalisation.table(channel)[0]).collect(),
        false => vec![0.0; channels],
    };
    let mut data = Dataset {
        name: specification.to_string(),
        shape,
        classes,
        train: Split {
            images: train.images,
            labels: train.labels,
        },
        test: Split {
            images: test.images,
            labels: test.labels,
        },
        normalisation,
        shift,
        flip,
        padding,
        mixed: false,
    };
    // The others come mixed from their makers, and keep their order.
    if matches!(specification.family(), "folder" | "safetensors") {
        let mixed = Part::BOTH.map(|part| selection::mix_sorted(&mut data, part));
        data.mixed = mixed.contains(&true);
    }
    Ok(data)
}

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const CLOTHES: [&str; 10] = [
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// Normalisation, largest shift and flips of a family: those of the papers' code where it has them.
fn usual_treatment(family: &str, channels: usize) -> (Normalisation, usize, bool) {
    match family {
        // The SWA and Asymmetric Valleys code, for PreResNet and wide ResNet; for VGG it takes ImageNet's constants.
        "cifar10" | "cifar100" => (
            Normalisation::new(&[0.4914, 0.4822, 0.4465], &[0.2023, 0.1994, 0.2010]),
            4,
            true,
        ),
        // torchvision users' habit; no paper here trains on it.
        "stl10" => (
            Normalisation::new(&[0.4467, 0.4398, 0.4066], &[0.2603, 0.2566, 0.2713]),
            12,
            true,
        ),
        // PyTorch's example.
        "mnist" => (Normalisation::new(&[0.1307], &[0.3081]), 0, false),
        // Anisotropic noise: (v − 127.5)/127.5.
        "fashion-mnist" => (Normalisation::new(&[0.5], &[0.5]), 0, false),
        // SVHN as in Anisotropic noise: v/255.
        _ => (Normalisation::none(channels), 0, false),
    }
}
