//! What is drawn of experiments again and again, made once: thumbnails, charts, and surfaces as textures.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions};
use image::RgbImage;

use crate::app::surface::overlay::LINE;
use crate::experiment::outcome::{Content, Figure, Map};
use crate::figure::heat_map::{WAYS, bare};
use crate::figure::{Chart, Colouring, experiment};
use crate::landscape::{Field, Heights, Quantity, Scale, SurfaceRecord};

/// Pixels of a surface: about as many as it has points on the page.
const SURFACE: (u32, u32) = (720, 440);
/// What is seen where nothing of a surface is known, in either theme.
const UNKNOWN: [u8; 3] = [128; 3];

/// A figure, ready to be drawn.
pub enum Drawing {
    /// Curves.
    Curves(Curves),
    /// A surface.
    Surface(Box<Surface>),
    /// Nothing of it is finite.
    Nothing,
}

/// A figure of curves.
pub struct Curves {
    /// The curves, as they are drawn on paper.
    pub chart: Chart,
    /// First and last position of what is finite of them.
    pub across: (f64, f64),
    /// Lowest and highest value.
    pub up: (f64, f64),
}

/// A figure of a surface.
pub struct Surface {
    /// Its colours and iso-lines.
    pub texture: TextureHandle,
    /// Its values.
    pub heights: Heights,
    /// How they are coloured.
    pub colouring: Colouring,
    /// What is written at the two axes.
    pub axes: [String; 2],
    /// Ways over it.
    pub ways: Vec<Way>,
    /// Places in it with their names, such as solutions.
    pub places: Vec<(String, [f64; 2])>,
    /// How it was made, in a line.
    pub footnote: String,
}

/// A way over a surface.
pub struct Way {
    /// Its name in the legend; the trajectory of a run has none.
    pub label: String,
    /// Its colour.
    pub colour: Color32,
    /// Where it leads, step by step.
    pub points: Vec<[f64; 2]>,
}

/// A first figure in small.
struct Thumbnail {
    image: RgbImage,
    texture: Option<TextureHandle>,
}

/// All that was drawn so far.
#[derive(Default)]
pub struct Pictures {
    thumbnails: BTreeMap<String, Thumbnail>,
    /// By the names of experiment and figure.
    drawings: HashMap<(String, String), Rc<Drawing>>,
}

impl Pictures {
    /// Lets go of what was drawn of an experiment, which was made anew.
    pub fn replace(&mut self, name: &str, thumbnail: Option<RgbImage>) {
        self.drawings.retain(|(experiment, _), _| experiment != name);
        match thumbnail {
            Some(image) => {
                let fresh = Thumbnail { image, texture: None };
                self.thumbnails.insert(name.to_owned(), fresh);
            }
            None => {
                self.thumbnails.remove(name);
            }
        }
    }

    /// Lets go of all textures: they were another window's.
    pub fn forget_textures(&mut self) {
        self.drawings.clear();
        self.thumbnails
            .values_mut()
            .for_each(|thumbnail| thumbnail.texture = None);
    }

    /// The first figure of an experiment in small.
    pub fn thumbnail(&mut self, context: &Context, name: &str) -> Option<TextureHandle> {
        let thumbnail = self.thumbnails.get_mut(name)?;
        let texture = thumbnail
            .texture
            .get_or_insert_with(|| texture(context, name, &thumbnail.image));
        Some(texture.clone())
    }

    /// A figure of an experiment.
    pub fn drawing(&mut self, context: &Context, experiment: &str, figure: &Figure) -> Rc<Drawing> {
        let key = (experiment.to_owned(), figure.name.clone());
        let drawing = self
            .drawings
            .entry(key)
            .or_insert_with(|| Rc::new(Drawing::new(context, figure)));
        drawing.clone()
    }
}

impl Drawing {
    fn new(context: &Context, figure: &Figure) -> Self {
        let drawn = match &figure.content {
            Content::Surface(record) => Surface::new(context, record).map(|surface| Self::Surface(Box::new(surface))),
            Content::Map(map) => Surface::of_map(context, map).map(|surface| Self::Surface(Box::new(surface))),
            _ => experiment::chart(figure).and_then(Curves::new).map(Self::Curves),
        };
        drawn.unwrap_or(Self::Nothing)
    }

    /// How it was made, in a line.
    pub fn footnote(&self) -> &str {
        match self {
            Self::Curves(curves) => &curves.chart.footnote,
            Self::Surface(surface) => &surface.footnote,
            Self::Nothing => "",
        }
    }
}

impl Curves {
    /// Nothing where no point is finite.
    fn new(chart: Chart) -> Option<Self> {
        let points = chart.series.iter().flat_map(|series| &series.points);
        let finite = points.filter(|(x, y)| x.is_finite() && y.is_finite());
        let boxed = finite.map(|&(x, y)| [(x, x), (y, y)]);
        let wider = |a: [(f64, f64); 2], b: [(f64, f64); 2]| {
            [0, 1].map(|axis: usize| (a[axis].0.min(b[axis].0), a[axis].1.max(b[axis].1)))
        };
        let [across, up] = boxed.reduce(wider)?;
        Some(Self { chart, across, up })
    }
}

impl Surface {
    /// Nothing where no value is finite, or values are missing.
    fn new(context: &Context, record: &SurfaceRecord) -> Option<Self> {
        let grid = &record.grid;
        // It comes out of a file.
        if grid.values.len() != grid.first.len() * grid.second.len() {
            return None;
        }
        let field = grid.field(Quantity::TrainLoss);
        let trajectory = Way {
            label: String::new(),
            colour: LINE,
            points: record.trajectory.iter().map(|step| step.position).collect(),
        };
        let solutions = record.solutions.iter();
        Some(Self {
            axes: record.axes.clone(),
            ways: vec![trajectory],
            places: solutions.map(|one| (one.name.clone(), one.position)).collect(),
            footnote: record.provenance.footnote(),
            ..Self::bare(context, &record.label, &field, Scale::Automatic)?
        })
    }

    /// Nothing where no value is finite, or values are missing.
    fn of_map(context: &Context, map: &Map) -> Option<Self> {
        let ways = map.ways.iter().zip(WAYS.into_iter().cycle());
        let ways = ways.map(|(way, [red, green, blue])| Way {
            label: way.label.clone(),
            colour: Color32::from_rgb(red, green, blue),
            points: way.points.clone(),
        });
        Some(Self {
            axes: map.axes.clone(),
            ways: ways.collect(),
            places: map.places.clone(),
            footnote: map.footnote.clone(),
            ..Self::bare(context, &map.footnote, &map.field()?, map.scale)?
        })
    }

    /// With nothing around and over it; nothing where no value is finite.
    fn bare(context: &Context, name: &str, field: &Field, scale: Scale) -> Option<Self> {
        field.range()?;
        let heights = field.heights(scale);
        let colouring = Colouring::of(&heights, None, None, experiment::LINES, 0.0);
        let (width, height) = SURFACE;
        let pixels = bare(&heights, &colouring, SURFACE, UNKNOWN).ok()?;
        let image = RgbImage::from_raw(width, height, pixels)?;
        Some(Self {
            texture: texture(context, name, &image),
            heights,
            colouring,
            axes: Default::default(),
            ways: Vec::new(),
            places: Vec::new(),
            footnote: String::new(),
        })
    }
}

fn texture(context: &Context, name: &str, image: &RgbImage) -> TextureHandle {
    let (width, height) = image.dimensions();
    let pixels = ColorImage::from_rgb([width as usize, height as usize], image.as_raw());
    context.load_texture(name, pixels, TextureOptions::LINEAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::outcome;
    use crate::figure::chart::Series;

    #[test]
    fn curves_reach_as_far_as_what_is_finite_of_them() {
        let series = |points: &[(f64, f64)]| Series {
            points: points.to_vec(),
            ..Series::default()
        };
        let chart = Chart {
            series: vec![
                series(&[(0.0, 3.0), (1.0, f64::INFINITY), (2.0, 0.5)]),
                series(&[(-1.0, 1.0), (5.0, f64::NAN)]),
            ],
            ..Chart::default()
        };
        let curves = Curves::new(chart).unwrap();
        assert_eq!((curves.across, curves.up), ((-1.0, 2.0), (0.5, 3.0)));
        let lost = Chart {
            series: vec![series(&[(0.0, f64::NAN)])],
            ..Chart::default()
        };
        assert!(Curves::new(lost).is_none());
    }

    #[test]
    fn ways_over_a_map_have_colours_of_their_own() {
        let way = |label: &str| outcome::Way {
            label: label.to_owned(),
            points: vec![[0.0, 0.0], [1.0, 0.5]],
        };
        let map = Map {
            axes: ["first", "second"].map(str::to_owned),
            spans: [(0.0, 1.0); 2],
            columns: 2,
            values: vec![1.0, 2.0, 3.0, 4.0],
            scale: Scale::Linear,
            ways: vec![way("one"), way("other")],
            places: vec![("here".to_owned(), [0.5, 0.5])],
            footnote: "made so".to_owned(),
        };
        let drawn = Surface::of_map(&Context::default(), &map).unwrap();
        let [one, other] = &drawn.ways[..] else {
            panic!("two ways");
        };
        assert!(one.label == "one" && one.colour != other.colour && other.points == way("other").points);
        assert_eq!((&drawn.axes, &drawn.places), (&map.axes, &map.places));
        assert_eq!(drawn.footnote, "made so");
        assert_eq!(drawn.heights.range, (1.0, 4.0));
        let lost = Map {
            values: vec![f64::NAN; 4],
            ..map
        };
        assert!(Surface::of_map(&Context::default(), &lost).is_none());
    }

    #[test]
    fn what_is_made_anew_is_drawn_anew() {
        let context = Context::default();
        let mut pictures = Pictures::default();
        let figure = Figure {
            name: "figure".to_owned(),
            title: String::new(),
            content: Content::Chart {
                x_label: String::new(),
                y_label: String::new(),
                series: Vec::new(),
                marks: Vec::new(),
                footnote: String::new(),
            },
            place: None,
        };
        let first = pictures.drawing(&context, "shift", &figure);
        assert!(Rc::ptr_eq(&first, &pictures.drawing(&context, "shift", &figure)));
        assert!(matches!(*first, Drawing::Nothing));
        let other = pictures.drawing(&context, "logistic", &figure);
        pictures.replace("shift", Some(RgbImage::new(4, 2)));
        assert!(!Rc::ptr_eq(&first, &pictures.drawing(&context, "shift", &figure)));
        assert!(Rc::ptr_eq(&other, &pictures.drawing(&context, "logistic", &figure)));
        let size = pictures.thumbnail(&context, "shift").map(|texture| texture.size());
        assert_eq!(size, Some([4, 2]));
        pictures.replace("shift", None);
        assert!(pictures.thumbnail(&context, "shift").is_none());
    }
}
