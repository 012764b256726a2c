//! From an eigenvector to the stage: the slice along it, and the plane of two of them, from the point that they are of.

use crate::app::look::Picture;
use crate::app::page::Page;
use crate::app::state::State;
use crate::engine::{Anchor, CurvatureRequest};
use crate::landscape::{Basis, DirectionKind, Frame, Normalisation};

impl State {
    /// What a direction is called.
    pub fn basis_name(&self, basis: Basis) -> String {
        if let Basis::Eigenvector { set, index } = basis
            && let Some(name) = self.curvature.eigenvector_name(set, index)
        {
            return name.to_owned();
        }
        basis.name(self.names(), &self.direction_files)
    }

    /// Looks along an eigenvector of the page, given its number among them.
    pub fn look_along_eigenvector(&mut self, index: usize) {
        let Some((request, [first])) = self.found([index]) else {
            return;
        };
        self.show_picture(Picture::Direction);
        self.stand_where_found(&request);
        let look = &mut self.look;
        // At 0° the slice is along the first axis.
        (look.first, look.angle) = (first, 0.0);
        if look.second == first {
            // Two axes that are one span no pad.
            look.second = Basis::Random(DirectionKind::Gaussian, 1);
        }
        self.turn_to(Page::Explore);
    }

    /// Shows the plane of two eigenvectors of the page, given their numbers.
    pub fn show_eigenvector_plane(&mut self, indices: [usize; 2]) {
        let Some((request, directions)) = self.found(indices) else {
            return;
        };
        self.show_picture(Picture::Plane);
        self.stand_where_found(&request);
        if request.anchor == Anchor::Current && self.is_training() {
            // A plane through weights that move is another one at every batch.
            self.look.anchor = Anchor::Epoch(self.last_epoch());
        }
        [self.look.first, self.look.second] = directions;
        self.look.surface.frame = Frame::Given;
        self.turn_to(Page::Explore);
    }

    /// What was asked where eigenvectors were found, and these by their numbers.
    fn found<const N: usize>(&self, indices: [usize; N]) -> Option<(CurvatureRequest, [Basis; N])> {
        let view = self.curvature_view()?;
        let found = view.eigenvectors.as_ref()?;
        let set = found.number;
        let is_there = indices.iter().all(|&index| index < found.names.len());
        is_there.then(|| {
            let bases = indices.map(|index| Basis::Eigenvector { set, index });
            (view.request.clone(), bases)
        })
    }

    /// Stands at the point that eigenvectors are of, under the policy they were found under.
    fn stand_where_found(&mut self, request: &CurvatureRequest) {
        self.playing = false;
        let look = &mut self.look;
        look.anchor = request.anchor;
        look.walk.clone_from(&request.walk);
        look.policy = request.policy;
        look.normalisation = Normalisation::Unit;
        look.position = 0.0;
        look.surface.reset_place();
        self.fit = None;
    }
}
