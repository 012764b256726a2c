//! Logistic regression on one input, the two-parameter network of *Asymmetric Valleys* (NeurIPS version), Appendix A.

use super::Name;
use crate::error::Result;
use crate::network::graph::{Builder, Graph, Shape};

pub(super) fn build(name: &Name, input: Shape, classes: usize) -> Result<Graph> {
    if !name.options.is_empty() {
        return Err(name.error("it has no options"));
    }
    if input.iter().product::<usize>() != 1 || classes != 2 {
        return Err(name.error("it takes one number and two classes; use it with the data set `two-gaussians`"));
    }
    let mut builder = Builder::new(name.full, input);
    let logit = builder.linear(builder.input(), "linear", 1);
    builder.two_class_logits(logit);
    Ok(builder.finish())
}
