//! Moves in a plane: to the plane of two directions, to a point of it, along the trajectory, and to the slice across it.

use std::sync::Arc;

use crate::app::look::{Fit, Fitting, Picture};
use crate::app::state::State;
use crate::engine::{Anchor, Step, SurfaceChoice, SurfaceView};
use crate::landscape::{Basis, Frame, Normalisation};

impl State {
    /// Shows the plane of two directions through a solution, and what of it is to be seen.
    pub fn show_plane(&mut self, anchor: Anchor, directions: [Basis; 2], frame: Frame, fit: Fit) {
        self.show_picture(Picture::Plane);
        self.look.anchor = anchor;
        self.look.walk.clear();
        [self.look.first, self.look.second] = directions;
        self.look.normalisation = Normalisation::Unit;
        self.look.surface.reset_place();
        self.look.surface.frame = frame;
        self.fit = Some(Fitting {
            what: fit,
            plane: self.look.plane(),
            anchor,
        });
    }

    /// Takes a newer view of the surface, and the ranges that it was waited for.
    pub fn see_surface(&mut self, view: Option<Arc<SurfaceView>>) {
        self.surface = view;
        let (Some(fit), Some(view)) = (self.fit, &self.surface) else {
            return;
        };
        let record = &view.record;
        let known = record.trajectory.len() + record.solutions.len() > 0;
        // The ranges are for the plane that was chosen with them; who looks at another by now keeps that one's.
        let chosen = fit.anchor == self.look.anchor && self.look.walk.is_empty() && fit.plane == self.look.plane();
        if !chosen || self.look.picture != Picture::Plane {
            self.fit = None;
            return;
        }
        let here = view.anchor == fit.anchor && view.walk.is_empty();
        if view.request.choice != SurfaceChoice::Plane(fit.plane) || !here || !known {
            return;
        }
        let fit = fit.what;
        let steps = record.trajectory.iter().filter(|_| fit == Fit::Trajectory);
        let points: Vec<[f64; 2]> = steps
            .chain(&record.solutions)
            .map(|landmark| landmark.position)
            .chain(std::iter::once([0.0; 2]))
            .collect();
        // What is shown reaches beyond what it is to hold, and is never a sliver.
        let margin = if fit == Fit::Trajectory { 0.15 } else { 0.6 };
        let bounds = [0, 1].map(|axis| {
            points
                .iter()
                .map(|p| p[axis])
                .fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)))
        });
        let longest = bounds.iter().map(|(low, high)| high - low).fold(0.1, f64::max);
        let ranges = bounds.map(|(low, high)| {
            let half = (0.5 * (high - low)).max(0.2 * longest) * (1.0 + 2.0 * margin);
            let rounded = |x: f64| (x * 1e3).round() / 1e3;
            (rounded(0.5 * (low + high) - half), rounded(0.5 * (low + high) + half))
        });
        self.look.surface.ranges = Some(ranges);
        self.continue_look();
        self.fit = None;
    }

    /// Takes the marked point of the plane as the new point w.
    pub fn recentre(&mut self) {
        let mark = self.look.surface.mark;
        let step = self.surface.as_ref().and_then(|view| view.turn(mark));
        let (Picture::Plane, Some((turn, position))) = (self.look.picture, step) else {
            return self.look.settle();
        };
        if position > 0.0 {
            self.look.walk.push(Step { turn, position });
            let surface = &mut self.look.surface;
            // The same part of the plane stays in sight.
            if let Some(ranges) = &mut surface.ranges {
                for (range, by) in ranges.iter_mut().zip(mark) {
                    *range = (range.0 - by, range.1 - by);
                }
            }
            surface.window = surface
                .window
                .map(|[left, bottom, right, top]| [left - mark[0], bottom - mark[1], right - mark[0], top - mark[1]]);
            (surface.mark, surface.step) = ([0.0; 2], None);
        }
    }

    /// Puts the slice between two positions of the plane on the stage, its middle as the new point w.
    pub fn slice_across(&mut self, from: [f64; 2], to: [f64; 2]) {
        let Some(view) = self.surface.clone() else { return };
        let middle = [0.5 * (from[0] + to[0]), 0.5 * (from[1] + to[1])];
        let along = view.turn([to[0] - from[0], to[1] - from[1]]);
        let (Some((turn, length)), Some((towards, distance))) = (along, view.turn(middle)) else {
            return;
        };
        if length < 1e-6 {
            return;
        }
        if distance > 0.0 {
            self.look.walk.push(Step {
                turn: towards,
                position: distance,
            });
        }
        self.show_picture(Picture::Direction);
        self.look.angle = turn.angle.rem_euclid(std::f64::consts::TAU);
        self.look.reach = 0.5 * length;
        self.look.surface.reset_place();
    }

    /// Goes to a step of the trajectory in the plane.
    pub fn step_in_plane(&mut self, step: usize) {
        let known = self.surface.as_ref().and_then(|view| view.record.trajectory.get(step));
        if let Some(known) = known {
            self.look.surface.mark = known.position;
            self.look.surface.step = Some(step);
        }
    }
}
