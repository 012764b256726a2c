//! Pictures in a row: an animated GIF, or numbered PNG files for other programs to put together.

use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage};

use super::heat_map::encode_png;
use crate::error::{Error, Result};
use crate::files::whole_file;

/// Most pixels of an animation, over all its frames.
pub const MOST_PIXELS: u64 = 2_000_000_000;

/// How many times as long as the others the last frame is shown before the GIF starts again.
pub const LAST_HELD: u16 = 10;

/// A frame's 256 colours are learnt from 1 of so many pixels. At 10, a picture of 512 × 512 pixels in viridis is off by
/// 0.5 of 255 in the mean and 6 at most, after 14 ms; at 20 by 1.7 and 14 for half the time, and bands show.
const QUANTISATION: i32 = 10;

/// An endlessly looping GIF of `frames` pictures of `size` pixels, each shown for so many `centiseconds` and the last
/// [`LAST_HELD`] times as long. `frame` draws one, as RGB by rows; `progress` is told the share done and says whether to
/// go on.
///
/// # Errors
/// As [`check`]; [`Error::Cancelled`]; and what `frame` says.
pub fn gif(
    frames: usize,
    size: (u32, u32),
    centiseconds: u16,
    mut frame: impl FnMut(usize) -> Result<Vec<u8>>,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<u8>> {
    check(frames, size)?;
    let failed = |error: image::ImageError| Error::Request(format!("the animation could not be encoded: {error}"));
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, QUANTISATION);
    encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
    for index in 0..frames {
        let pixels = checked(frame(index)?, size)?;
        let opaque: Vec<u8> = pixels
            .chunks_exact(3)
            .flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255])
            .collect();
        let picture = RgbaImage::from_raw(size.0, size.1, opaque).ok_or_else(wrong_size)?;
        let held = if index + 1 == frames { LAST_HELD } else { 1 };
        let delay = Delay::from_numer_denom_ms(10 * u32::from(centiseconds.saturating_mul(held)), 1);
        encoder
            .encode_frame(Frame::from_parts(picture, 0, 0, delay))
            .map_err(failed)?;
        go_on(progress, index, frames)?;
    }
    // Dropped, it writes the end of the file.
    drop(encoder);
    Ok(bytes)
}

/// The same pictures as PNG files `frame-0000.png`, `frame-0001.png`, … in `folder`, which is made where it is missing.
///
/// # Errors
/// As [`check`]; [`Error::File`]; [`Error::Cancelled`], which leaves the frames written so far; and what `frame` says.
pub fn frames(
    folder: &Path,
    frames: usize,
    size: (u32, u32),
    mut frame: impl FnMut(usize) -> Result<Vec<u8>>,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<()> {
    check(frames, size)?;
    whole_file::make_folder(folder)?;
    for index in 0..frames {
        let bytes = encode_png(checked(frame(index)?, size)?, size)?;
        whole_file::write(&folder.join(format!("frame-{index:04}.png")), &bytes)?;
        go_on(progress, index, frames)?;
    }
    Ok(())
}

/// Tells the share done after frame `index`, and stops when the answer is no.
fn go_on(progress: &mut dyn FnMut(f64) -> bool, index: usize, frames: usize) -> Result<()> {
    if progress((index + 1) as f64 / frames as f64) {
        Ok(())
    } else {
        Err(Error::Cancelled)
    }
}

/// The pixels, if they are as many as the size says.
fn checked(pixels: Vec<u8>, (width, height): (u32, u32)) -> Result<Vec<u8>> {
    if pixels.len() as u64 == 3 * u64::from(width) * u64::from(height) {
        Ok(pixels)
    } else {
        Err(wrong_size())
    }
}

fn wrong_size() -> Error {
    Error::Request("a frame of the animation does not have the size of the others".to_owned())
}

/// Whether so many frames of this size can be made: asked before anybody spends an hour on what they show.
///
/// # Errors
/// [`Error::Request`] for more than [`MOST_PIXELS`] in all, with what would fit, and for no frame or pixel at all.
pub fn check(frames: usize, (width, height): (u32, u32)) -> Result<()> {
    let picture = u64::from(width) * u64::from(height);
    if frames == 0 || picture == 0 {
        return Err(Error::Request(
            "an animation has at least one frame of at least one pixel".to_owned(),
        ));
    }
    let all = picture.saturating_mul(frames as u64);
    if all <= MOST_PIXELS {
        return Ok(());
    }
    let scale = (MOST_PIXELS as f64 / all as f64).sqrt();
    let smaller = |side: u32| (f64::from(side) * scale).floor().max(1.0);
    Err(Error::Request(format!(
        "{frames} frames of {width} × {height} pixels are more than the {} million pixels that an animation may have: \
         {} frames of this size fit, or {frames} frames of {} × {} pixels",
        MOST_PIXELS / 1_000_000,
        MOST_PIXELS / picture,
        smaller(width),
        smaller(height)
    )))
}

#[cfg(test)]
mod tests {
    use image::AnimationDecoder;
    use image::codecs::gif::GifDecoder;

    use super::*;

    const COLOURS: [[u8; 3]; 3] = [[200, 10, 30], [20, 180, 40], [15, 25, 220]];

    fn solid(index: usize) -> Result<Vec<u8>> {
        Ok(COLOURS[index].repeat(12 * 7))
    }

    #[test]
    fn a_gif_holds_its_frames_loops_and_rests_on_the_last() {
        let mut shares = Vec::new();
        let mut progress = |share: f64| {
            shares.push(share);
            true
        };
        let bytes = gif(3, (12, 7), 4, solid, &mut progress).unwrap();
        assert_eq!(shares, [1.0 / 3.0, 2.0 / 3.0, 1.0]);
        // The extension that makes it loop, 0 times meaning for ever.
        let loops = b"NETSCAPE2.0\x03\x01\x00\x00";
        assert!(bytes.windows(loops.len()).any(|part| part == loops));
        let decoder = GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
        let decoded = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(decoded.len(), 3);
        for (frame, [r, g, b]) in decoded.iter().zip(COLOURS) {
            assert_eq!(frame.buffer().dimensions(), (12, 7));
            assert_eq!(frame.buffer().get_pixel(5, 3).0, [r, g, b, 255]);
        }
        let delays: Vec<(u32, u32)> = decoded.iter().map(|frame| frame.delay().numer_denom_ms()).collect();
        assert_eq!(delays, [(40, 1), (40, 1), (400, 1)]);
    }

    #[test]
    fn a_smooth_picture_keeps_its_colours_nearly() {
        let map = crate::figure::colour_map::ColourMap::Viridis;
        let smooth: Vec<u8> = (0..64 * 64)
            .flat_map(|index| map.at(f64::from(index) / 4095.0))
            .collect();
        let bytes = gif(1, (64, 64), 4, |_| Ok(smooth.clone()), &mut |_| true).unwrap();
        let decoder = GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
        let decoded = decoder.into_frames().collect_frames().unwrap();
        let worst = decoded[0]
            .buffer()
            .pixels()
            .zip(smooth.chunks_exact(3))
            .flat_map(|(found, asked)| (0..3).map(move |channel| found.0[channel].abs_diff(asked[channel])))
            .max();
        assert!(worst.is_some_and(|worst| worst <= 20), "{worst:?}");
    }

    #[test]
    fn frames_are_numbered_files() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("new");
        frames(&inside, 3, (12, 7), solid, &mut |_| true).unwrap();
        for (index, colour) in COLOURS.iter().enumerate() {
            let file = inside.join(format!("frame-000{index}.png"));
            let picture = image::open(file).unwrap().to_rgb8();
            assert_eq!(picture.dimensions(), (12, 7));
            assert_eq!(picture.get_pixel(11, 6).0, *colour);
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused_in_words() {
        let stopped = gif(3, (12, 7), 4, solid, &mut |share| share < 0.5);
        assert!(matches!(stopped, Err(Error::Cancelled)));
        let none = |_| -> Result<Vec<u8>> { unreachable!("nothing is drawn") };
        let message = gif(1000, (2000, 2000), 4, none, &mut |_| true).unwrap_err().to_string();
        assert!(message.contains("500 frames of this size fit"), "{message}");
        assert!(message.contains("1000 frames of 1414 × 1414 pixels"), "{message}");
        assert!(gif(0, (12, 7), 4, none, &mut |_| true).is_err());
        assert!(gif(1, (12, 8), 4, |_| solid(0), &mut |_| true).is_err());
    }
}
