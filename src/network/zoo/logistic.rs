//! Logistic regression on one input, the two-parameter network of *Asymmetric Valleys* (NeurIPS version), Appendix A.

use super::Name;
use super::recognise::{Entries, Guess};
use crate::error::Result;
use crate::network::graph::{Builder, Graph, Shape};

pub(super) fn build(name: &Name, input: Shape, classes: usize) -> Result<Graph> {
    name.no_options()?;
    if input.iter().product::<usize>() != 1 || classes != 2 {
        return Err(name.error("it takes one number and two classes; use it with the data set `two-gaussians`"));
    }
    let mut builder = Builder::new(name.full, input);
    let logit = builder.linear(builder.input(), "linear", 1);
    builder.two_class_logits(logit);
    Ok(builder.finish())
}

pub(super) fn guess(_entries: &Entries) -> Vec<Guess> {
    vec![Guess::new("logistic".to_owned(), "linear.weight", "linear.weight")]
}
