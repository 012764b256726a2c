//! Names of solutions in boxes, so placed that each is read as its own marker's.

use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Canvas, Words, measure, solid};
use super::layout::{Frame, clip};
use super::stroke::{LINE, Stroke, distance, dot};
use crate::error::Result;

/// Radius of a solution's marker, in units.
const MARKER: f64 = 11.0;

/// Diameter of the dark dot in it.
const DOT: f64 = 15.0;

/// Size of the words, in units.
const TEXT: f64 = 22.0;

/// From a marker's middle to its box along an axis, in units.
const GAP: f64 = 14.0;

/// The gaps tried, in [`GAP`]s. A box beyond the first has a line to its marker.
const REACHES: [f64; 5] = [1.0, 3.0, 5.0, 8.0, 12.0];

/// The eight places around a marker, to the right and down, the ones liked best first.
const AROUND: [[f64; 2]; 8] = [
    [1.0, -1.0],
    [-1.0, -1.0],
    [1.0, 1.0],
    [-1.0, 1.0],
    [1.0, 0.0],
    [-1.0, 0.0],
    [0.0, -1.0],
    [0.0, 1.0],
];

/// A box is clear to belong to its marker where others are so many times as far from it.
const CLEAR: f64 = 2.0;

/// A solution's name in a box.
pub(in crate::figure) struct Label {
    name: String,
    place: Place,
}

impl Label {
    /// Left, top, right and bottom edge of its box in pixels.
    pub(super) fn edges(&self) -> [f64; 4] {
        self.place.edges
    }

    pub(in crate::figure) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, unit: f64) -> Result<()> {
        let [left, top, right, bottom] = self.place.edges;
        let thin = border(unit);
        canvas.rectangle(self.place.edges, solid([150; 3]))?;
        canvas.rectangle([left + thin, top + thin, right - thin, bottom - thin], solid([255; 3]))?;
        let words = Words {
            size: TEXT * unit,
            room: right - left - 2.0 * thin - 12.0 * unit,
            ..Words::at(
                [left + thin + 7.0 * unit, 0.5 * (top + bottom)],
                HPos::Left,
                VPos::Center,
            )
        };
        canvas.text(&self.name, words)
    }

    /// The line to the marker, if there is one, with a white seam.
    fn leader(&self, unit: f64) -> Vec<Stroke> {
        let Some(ends) = self.place.leader else {
            return Vec::new();
        };
        let stroke = |(width, colour): (f64, [u8; 3])| Stroke {
            points: ends.to_vec(),
            width: width * unit,
            colour,
            opacity: 0.9,
        };
        [(4.0, [255; 3]), (1.6, LINE)].map(stroke).to_vec()
    }
}

/// Names of places in boxes, and what is drawn below those: the lines to boxes farther out, and a dot at every place.
///
/// # Errors
/// When the words cannot be measured.
pub(in crate::figure) fn pins(
    named: &[(&str, [f64; 2])],
    frame: &Frame,
    unit: f64,
) -> Result<(Vec<Label>, Vec<Stroke>)> {
    let labels = labels(named, frame, unit)?;
    let mut strokes: Vec<Stroke> = labels.iter().flat_map(|label| label.leader(unit)).collect();
    for (_, at) in named {
        strokes.extend(dot(*at, 2.0 * MARKER * unit, DOT * unit, 1.0));
    }
    Ok((labels, strokes))
}

/// Boxes for names beside their points, inside the frame and in the order given. None covers a point or another box, and
/// each is nearer to its own point than to any other or has a line to it, as far as there is room.
fn labels(named: &[(&str, [f64; 2])], frame: &Frame, unit: f64) -> Result<Vec<Label>> {
    let markers: Vec<[f64; 2]> = named.iter().map(|(_, at)| *at).collect();
    let choices = named
        .iter()
        .map(|(name, at)| places(name, *at, &markers, frame, unit))
        .collect::<Result<Vec<_>>>()?;
    // The most crowded are the first to choose.
    let mut order: Vec<usize> = (0..named.len()).collect();
    order.sort_by_key(|&index| {
        let good = |place: &&Place| place.leader.is_none() && place.faults == [0, 0];
        choices[index].iter().filter(good).count()
    });
    let mut chosen: Vec<Option<Place>> = vec![None; named.len()];
    // In the second round each knows where all the others went.
    for &index in order.iter().chain(&order) {
        let others = chosen.iter().enumerate().filter(|(other, _)| *other != index);
        let others: Vec<Place> = others.filter_map(|(_, place)| *place).collect();
        let faults = |place: &Place| {
            let overlaps = others.iter().filter(|other| place.overlaps(other)).count();
            let crossings: usize = others.iter().map(|other| place.crossings(other)).sum();
            (place.faults, overlaps, place.crossed + crossings)
        };
        chosen[index] = choices[index]
            .iter()
            .min_by(|a, b| faults(a).cmp(&faults(b)).then(a.unease.total_cmp(&b.unease)))
            .copied();
    }
    let placed = named.iter().zip(chosen);
    Ok(placed
        .filter_map(|((name, _), place)| {
            Some(Label {
                name: (*name).to_owned(),
                place: place?,
            })
        })
        .collect())
}

/// A box beside a marker, and what speaks against it.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Left, top, right and bottom edge in pixels, its border included.
    edges: [f64; 4],
    /// Ends of the line from the marker to a box farther out.
    leader: Option<[[f64; 2]; 2]>,
    /// Markers that it covers, and 1 where it would be read as another marker's.
    faults: [usize; 2],
    /// Other markers that the line runs over.
    crossed: usize,
    /// Tells places without faults apart: the less the better.
    unease: f64,
}

impl Place {
    fn overlaps(&self, other: &Self) -> bool {
        (0..2).all(|axis| self.edges[axis] <= other.edges[axis + 2] && other.edges[axis] <= self.edges[axis + 2])
    }

    /// How many of the two lines run through the other's box.
    fn crossings(&self, other: &Self) -> usize {
        let through = |line: &Self, [left, top, right, bottom]: [f64; 4]| {
            line.leader
                .is_some_and(|[from, to]| clip(from, to, [(left, right), (top, bottom)]).is_some())
        };
        usize::from(through(self, other.edges)) + usize::from(through(other, self.edges))
    }
}

/// All places for the name of a marker, moved into the frame where they would leave it.
fn places(name: &str, marker: [f64; 2], markers: &[[f64; 2]], frame: &Frame, unit: f64) -> Result<Vec<Place>> {
    let [left, top, right, bottom] = frame.edges();
    let [width, height] = measure(name, TEXT * unit)?;
    let width = (width + 14.0 * unit + 2.0 * border(unit)).min(right - left);
    let height = height + 12.0 * unit + 2.0 * border(unit);
    let radius = MARKER * unit;
    // Markers in the same place look like one.
    let others: Vec<[f64; 2]> = markers
        .iter()
        .copied()
        .filter(|other| apart(*other, marker) > unit)
        .collect();
    let place = |ring: usize, rank: usize| {
        let [right_of, below] = AROUND[rank];
        let gap = GAP * REACHES[ring] * unit;
        let x = marker[0] + right_of * gap + 0.5 * (right_of - 1.0) * width;
        let y = marker[1] + below * gap + 0.5 * (below - 1.0) * height;
        let x = x.min(right - width).max(left);
        let y = y.min(bottom - height).max(top);
        let edges = [x, y, x + width, y + height];
        let from = |point: [f64; 2]| apart(point, nearest(edges, point));
        let own = from(marker);
        let other = others.iter().map(|other| from(*other)).fold(f64::INFINITY, f64::min);
        let leader = (ring > 0).then(|| [marker, nearest(edges, marker)]);
        let runs_over = |other: &&[f64; 2]| leader.is_some_and(|[start, end]| distance(**other, start, end) < radius);
        Place {
            edges,
            leader,
            faults: [
                markers.iter().filter(|marker| from(**marker) < radius).count(),
                usize::from(leader.is_none() && other <= own),
            ],
            crossed: others.iter().filter(runs_over).count(),
            // Any place without a line is better than any with one; then it counts how clear a place is.
            unease: (CLEAR - other / own).max(0.0)
                + 0.05 * rank as f64
                + if ring > 0 { 3.0 + ring as f64 } else { 0.0 },
        }
    };
    Ok((0..REACHES.len())
        .flat_map(|ring| (0..AROUND.len()).map(move |rank| (ring, rank)))
        .map(|(ring, rank)| place(ring, rank))
        .collect())
}

/// The point of a box that is nearest to another point.
fn nearest([left, top, right, bottom]: [f64; 4], [x, y]: [f64; 2]) -> [f64; 2] {
    [x.min(right).max(left), y.min(bottom).max(top)]
}

fn apart(one: [f64; 2], other: [f64; 2]) -> f64 {
    (one[0] - other[0]).hypot(one[1] - other[1])
}

/// Width of a box's border: whole pixels.
fn border(unit: f64) -> f64 {
    unit.round().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::chart::use_own_font;
    use crate::figure::heat_map::layout::Layout;
    use crate::figure::heat_map::panel::Panel;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, record, seen};

    /// From a box to a point outside it, along the shortest way.
    fn far([left, top, right, bottom]: [f64; 4], [x, y]: [f64; 2]) -> f64 {
        let across = (left - x).max(x - right).max(0.0);
        let down = (top - y).max(y - bottom).max(0.0);
        across.hypot(down)
    }

    /// Points over a square from −reach to reach with the places of their names, of which none covers a marker or
    /// another name.
    fn placed(reach: f64, solutions: &[(&str, [f64; 2])]) -> Vec<([f64; 2], Place)> {
        use_own_font().unwrap();
        let layout = Layout::new((1200, 1000), 1, true, 1);
        let frame = layout.frame(0, [(-reach, reach); 2], None);
        let named: Vec<(&str, [f64; 2])> = solutions
            .iter()
            .map(|(name, position)| (*name, frame.pixel(*position)))
            .collect();
        let labels = labels(&named, &frame, layout.unit).unwrap();
        assert_eq!(labels.len(), named.len());
        for (index, label) in labels.iter().enumerate() {
            let place = label.place;
            assert_eq!(label.name, named[index].0);
            for (name, marker) in &named {
                assert!(
                    far(place.edges, *marker) >= MARKER * layout.unit,
                    "{place:?} covers {name}"
                );
            }
            for other in &labels[index + 1..] {
                assert!(!place.overlaps(&other.place), "{place:?} and {:?}", other.place);
            }
        }
        named
            .into_iter()
            .zip(labels)
            .map(|((_, at), label)| (at, label.place))
            .collect()
    }

    #[test]
    fn two_solutions_close_together_have_their_names_beside_their_own_markers() {
        for reach in [0.3, 0.5, 1.0, 2.0, 6.0, 20.0] {
            for second in [[0.24, 0.0], [0.0, 0.24], [-0.17, 0.17]] {
                let named = [("swa", [0.0, 0.0]), ("sgd", second)];
                for named in [named, [named[1], named[0]]] {
                    let placed = placed(reach, &named);
                    for (index, (own, place)) in placed.iter().enumerate() {
                        let (mine, others) = (far(place.edges, *own), far(place.edges, placed[1 - index].0));
                        assert!(mine < others, "{named:?} within {reach}: {mine} and {others}");
                        assert!(place.leader.is_none(), "{named:?} within {reach}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_without_a_place_of_its_own_is_farther_out_on_a_line() {
        let placed = placed(
            1.0,
            &[("first", [-0.03, 0.0]), ("middle", [0.0, 0.0]), ("last", [0.03, 0.0])],
        );
        let (own, middle) = placed[1];
        let [from, to] = middle.leader.unwrap();
        assert_eq!((from, far(middle.edges, to)), (own, 0.0));
        for (at, place) in [placed[0], placed[2]] {
            assert!(place.leader.is_none());
            assert!(far(place.edges, at) < far(place.edges, own));
        }
        let line = Label {
            name: String::new(),
            place: middle,
        };
        assert!(line.leader(1.0).iter().all(|stroke| stroke.points == [from, to]));
        assert_eq!(line.leader(1.0).len(), 2);
    }

    #[test]
    fn crowded_names_cover_neither_markers_nor_each_other() {
        let cross = [[-0.02, 0.0], [0.02, 0.0], [0.0, 0.02], [0.0, -0.02], [0.0, 0.0]];
        let names = ["SWA", "SGD", "last iterate", "epoch 225", "from SWA"];
        for corner in [[0.0, 0.0], [0.98, 0.98], [-0.98, 0.4]] {
            let moved: Vec<(&str, [f64; 2])> = names
                .into_iter()
                .zip(cross.map(|[a, b]| [a + corner[0], b + corner[1]]))
                .collect();
            assert_eq!(placed(1.0, &moved).len(), 5);
        }
        // Markers that look like one need no lines.
        let same = placed(1.0, &[("one", [0.3, 0.3]), ("two", [0.3, 0.3])]);
        assert!(same.iter().all(|(_, place)| place.leader.is_none()));
    }

    #[test]
    fn names_of_solutions_stay_inside_and_apart() {
        let mut record = record(5, |a, b| a + b);
        record.solutions = vec![
            seen("a solution in the corner", [1.0, 1.0], 0.0),
            seen("SWA", [0.0, 0.0], 0.0),
            seen("SGD", [0.01, 0.0], 0.0),
            seen("outside", [3.0, 0.0], 0.0),
        ];
        let map = heat_map(&record);
        let picture = map.picture(SIZE).unwrap();
        let Panel { frame, labels, .. } = &picture.panels[0];
        assert_eq!(labels.len(), 3);
        let edges = frame.edges();
        for (index, label) in labels.iter().enumerate() {
            let place = label.place.edges;
            assert!(
                (0..2).all(|a| place[a] >= edges[a] && place[a + 2] <= edges[a + 2]),
                "{place:?}"
            );
            for other in &labels[index + 1..] {
                let other = other.place.edges;
                let apart = (0..2).any(|a| place[a] > other[a + 2] || place[a + 2] < other[a]);
                assert!(apart, "{place:?} and {other:?}");
            }
        }
        assert!(map.svg(SIZE).unwrap().contains("SWA"));
    }
}
