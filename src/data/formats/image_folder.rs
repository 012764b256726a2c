//! Folders of PNG and JPEG images, one folder a class.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use rayon::prelude::*;

use super::{MOST_CLASSES, MOST_SIDE, Meter, Progress, Raw, RawSplit, jpeg};
use crate::data::Pixels;
use crate::error::{Error, Result};
use crate::network::graph::Shape;

/// Most bytes of an image file.
const MOST_FILE: u64 = 256 << 20;
/// Most bytes of an image while it is decoded.
const MOST_IMAGE: u64 = 1 << 30;
/// Images decoded between two questions whether to go on, if they are small; fewer of larger ones.
const MOST_AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 64 << 20;
const TESTS: [&str; 3] = ["test", "val", "valid"];
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// `folder/train/CLASS/*.png` (or `.jpg`, `.jpeg`) and `folder/test/CLASS/*` (or `val`, `valid`). The classes are the
/// sorted names of the training folders. All images have the size of the first, unless they are to be resized to
/// `size` × `size`; they have one channel if the first has, otherwise three.
///
/// # Errors
/// [`Error::File`] with the folder or image and what is wrong with it; [`Error::Cancelled`].
pub(in crate::data) fn read(folder: &Path, size: Option<usize>, progress: Progress) -> Result<Raw> {
    if let Some(size) = size.filter(|size| !(1..=MOST_SIDE).contains(size)) {
        let reason = format!("images cannot be resized to {size} pixels a side; choose 1 to {MOST_SIDE}");
        return Err(Error::file_reason(folder, reason));
    }
    let train_folder = folder.join("train");
    let tests = TESTS.map(|test| folder.join(test));
    let test_folder = tests.iter().find(|test| test.is_dir());
    let (true, Some(test_folder)) = (train_folder.is_dir(), test_folder) else {
        // The folder itself may be missing, which is another thing to mend.
        std::fs::read_dir(folder).map_err(|error| Error::file(folder, "read this folder", &error))?;
        let reason = "it must hold a folder `train` and a folder `test` (or `val` or `valid`), and these a folder for \
                      each class";
        return Err(Error::file_reason(folder, reason));
    };
    let classes: Vec<String> = class_folders(&train_folder)?;
    let train = images(&train_folder, &classes, &classes)?;
    let test = images(test_folder, &class_folders(test_folder)?, &classes)?;
    let first = train
        .first()
        .ok_or_else(|| Error::file_reason(&train_folder, "it holds no images"))?;
    let (width, height, channels) = about(&first.0)?;
    let shape = match size {
        Some(size) => [channels, size, size],
        None => [channels, height, width],
    };
    let mut meter = Meter::new(progress);
    let share = train.len() as f64 / (train.len() + test.len()) as f64;
    let train = split(&train, shape, size.is_some(), meter.part(0.0, share))?;
    let test = split(&test, shape, size.is_some(), meter.part(share, 1.0))?;
    Ok(Raw {
        shape,
        classes,
        train,
        test,
    })
}

/// The names in a folder, sorted, without the hidden ones.
fn entries(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let failed = |error| Error::file(folder, "read this folder", &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The folders in a folder.
fn class_folders(folder: &Path) -> Result<Vec<String>> {
    let mut classes = Vec::new();
    for name in entries(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            let name = name.into_string();
            classes.push(name.map_err(|_| Error::file_reason(&path, "this name is not UTF-8; rename the folder"))?);
        }
    }
    match classes.len() {
        0 => Err(Error::file_reason(
            folder,
            "it holds no folders; make one for each class of images",
        )),
        1..=MOST_CLASSES => Ok(classes),
        count => Err(Error::file_reason(
            folder,
            format!("it holds {count} folders, more than the {MOST_CLASSES} allowed"),
        )),
    }
}

/// The images of each class of `present`, with the index of the class among `classes`.
fn images(folder: &Path, present: &[String], classes: &[String]) -> Result<Vec<(PathBuf, u32)>> {
    let mut images = Vec::new();
    for class in present {
        let folder = folder.join(class);
        let label = classes.binary_search(class).map_err(|_| {
            Error::file_reason(
                &folder,
                "there is no class of this name among the training images; rename or remove it",
            )
        })?;
        let before = images.len();
        for name in entries(&folder)? {
            let path = folder.join(name);
            let ending = path.extension().unwrap_or_default();
            if ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) {
                images.push((path, label as u32));
            }
        }
        if images.len() == before {
            return Err(Error::file_reason(
                &folder,
                "it holds no .png, .jpg or .jpeg file; add images or remove it",
            ));
        }
    }
    Ok(images)
}

/// A decoder that takes no more memory than allowed.
fn decoder(path: &Path) -> Result<impl ImageDecoder> {
    let (mut file, length) = super::open(path)?;
    if length > MOST_FILE {
        let reason = format!("it has {length} bytes, more than the {MOST_FILE} allowed");
        return Err(Error::file_reason(path, reason));
    }
    let bytes = super::read_exact_len(&mut file, length as usize, path, &mut Meter::new(&mut |_| true))?;
    if !jpeg::has_end(&bytes) {
        return Err(Error::file_reason(
            path,
            "the end of this image is missing; replace or remove it",
        ));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes));
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE as u32);
    limits.max_image_height = Some(MOST_SIDE as u32);
    limits.max_alloc = Some(MOST_IMAGE);
    reader.limits(limits);
    // What it is counts, not what it is called: many a .jpg is a PNG.
    let reader = reader
        .with_guessed_format()
        .map_err(|error| super::failed(path, &error))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(Error::file_reason(
            path,
            "this is neither a PNG nor a JPEG image; convert or remove it",
        ));
    }
    let decoder = reader.into_decoder().map_err(|error| broken(path, &error))?;
    if decoder.total_bytes() > MOST_IMAGE {
        return Err(Error::file_reason(
            path,
            format!("decoded it has more than {MOST_IMAGE} bytes; make it smaller"),
        ));
    }
    Ok(decoder)
}

fn broken(path: &Path, error: &image::ImageError) -> Error {
    let error = error.to_string();
    // Some of the decoders' sentences end in a line break.
    let reason = format!("this image cannot be decoded ({}); replace or remove it", error.trim());
    Error::file_reason(path, reason)
}

/// Width, height and channels of an image.
fn about(path: &Path) -> Result<(usize, usize, usize)> {
    let decoder = decoder(path)?;
    let (width, height) = decoder.dimensions();
    let channels = if decoder.color_type().has_color() { 3 } else { 1 };
    Ok((width as usize, height as usize, channels))
}

fn split(files: &[(PathBuf, u32)], shape: Shape, resize: bool, mut meter: Meter) -> Result<RawSplit> {
    let path = files.first().map_or(Path::new(""), |(path, _)| path);
    let [channels, height, width] = shape;
    let size = super::split_bytes(path, &[channels, height, width])?.max(1);
    let total = super::split_bytes(path, &[files.len(), size])?;
    let at_once = (BYTES_AT_ONCE / size).clamp(1, MOST_AT_ONCE);
    let mut pixels = Vec::new();
    super::reserve(path, &mut pixels, total)?;
    let mut done = 0;
    for chunk in files.chunks(at_once) {
        meter.report(done, files.len())?;
        let start = pixels.len();
        pixels.resize(start + chunk.len() * size, 0);
        let places = pixels.get_mut(start..).unwrap_or_default();
        // Errors in the order of the files, so that the same folder always gives the same one.
        let outcomes: Vec<Result<()>> = places
            .par_chunks_exact_mut(size)
            .zip(chunk)
            .map(|(place, (path, _))| decode(path, shape, resize, place))
            .collect();
        outcomes.into_iter().collect::<Result<()>>()?;
        done += chunk.len();
    }
    let images = Pixels::Bytes(pixels);
    let labels = files.iter().map(|(_, label)| *label).collect();
    Ok(RawSplit { images, labels })
}

/// Decodes an image into `place`, one plane a channel.
fn decode(path: &Path, shape: Shape, resize: bool, place: &mut [u8]) -> Result<()> {
    let [channels, height, width] = shape;
    let decoder = decoder(path)?;
    let (own_width, own_height) = decoder.dimensions();
    let same = (own_width as usize, own_height as usize) == (width, height);
    if !same && !resize {
        let reason = format!(
            "this image is {own_width} × {own_height} pixels, but the first is {width} × {height}; \
             add :size=64, say, to scale all to 64 × 64"
        );
        return Err(Error::file_reason(path, reason));
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| broken(path, &error))?;
    // The channels first: a triangle filter over palettes or sixteen bits would only cost more.
    image = match channels {
        1 => DynamicImage::ImageLuma8(image.into_luma8()),
        _ => DynamicImage::ImageRgb8(image.into_rgb8()),
    };
    if !same {
        image = image.resize_exact(width as u32, height as u32, FilterType::Triangle);
    }
    let interleaved = image.as_bytes();
    for (channel, plane) in place.chunks_exact_mut((height * width).max(1)).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(interleaved.chunks_exact(channels)) {
            *value = pixel.get(channel).copied().unwrap_or_default();
        }
    }
    Ok(())
}
