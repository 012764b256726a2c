//! What directions, planes and curves are called, precisely enough to repeat them.

use super::request::{Marginals, PlaneChoice, Turn};
use super::session::Session;
use crate::landscape::Frame;
use crate::landscape::direction::Basis;
use crate::landscape::normalisation::Normalisation;

impl Session {
    /// What a basis direction is called.
    pub fn basis_name(&self, basis: Basis) -> String {
        if let Basis::Eigenvector { set, index } = basis
            && let Some(known) = self.eigenvectors.iter().find(|known| known.number == set)
            && let Some(name) = known.names.get(index)
        {
            return name.clone();
        }
        let names = self.names();
        let files: Vec<&str> = self.files.iter().map(|(name, _)| name.as_str()).collect();
        basis.name(names.each_ref().map(String::as_str), &files)
    }

    /// `uniform (seed 1)` at 0°, otherwise the angle with both, precise enough to repeat it.
    pub fn turn_name(&self, turn: Turn) -> String {
        let (first, second) = (self.basis_name(turn.first), self.basis_name(turn.second));
        let degrees = turn.angle.to_degrees();
        let name = if degrees.abs() < 0.05 {
            first
        } else if (degrees - 90.0).abs() < 0.05 {
            second
        } else {
            format!("{}° from {first} to {second}", (degrees * 1e4).round() / 1e4)
        };
        name + &normalisation_note(turn.normalisation)
    }

    /// What the axes of a plane are called.
    pub fn axis_names(&self, plane: PlaneChoice) -> [String; 2] {
        let note = normalisation_note(plane.normalisation);
        let [first, second] = [plane.first, plane.second].map(|basis| self.basis_name(basis) + &note);
        match plane.frame {
            Frame::Given => [first, second],
            Frame::Orthonormal => {
                let second = format!("{second}, across the first");
                [first, second]
            }
        }
    }

    pub(super) fn marginal_name(&self, marginals: &Marginals, index: usize) -> String {
        let names = self.axis_names(marginals.plane);
        match marginals.along(index) {
            [1.0, 0.0] => names[0].clone(),
            [0.0, 1.0] => names[1].clone(),
            _ => format!(
                "{:.1}° from {} to {}",
                marginals.angles[index].to_degrees(),
                names[0],
                names[1]
            ),
        }
    }
}

/// What is added to a direction's name.
pub(super) fn normalisation_note(normalisation: Normalisation) -> String {
    match normalisation {
        Normalisation::Unit => String::new(),
        other => format!(", normalised by {other}"),
    }
}
