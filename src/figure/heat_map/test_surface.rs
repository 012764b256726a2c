//! Surfaces that the tests of the picture draw.

use super::HeatMap;
use crate::landscape::{Grid, Projected, Quantity, Scale, SurfaceRecord};
use crate::objective::{Measurement, Quality};

/// A record over the square from −1 to 1 with the train loss given.
pub(in crate::figure) fn record(nodes: usize, loss: impl Fn(f64, f64) -> f64) -> SurfaceRecord {
    let positions: Vec<f64> = (0..nodes).map(|i| -1.0 + 2.0 * i as f64 / (nodes - 1) as f64).collect();
    let mut grid = Grid::new(positions.clone(), positions);
    for index in 0..grid.values.len() {
        let [a, b] = grid.position(index);
        let train = Quality {
            loss: loss(a, b),
            accuracy: 0.5,
        };
        grid.values[index] = Some(Measurement { train, test: train });
    }
    let provenance = serde_json::json!({
        "model": "logistic", "data": "two-gaussians", "run": null, "origin": "SWA", "line": "uniform",
        "batch_norm": "running", "batch_size": 8, "train_images": 8, "test_images": 8, "seed": 1,
        "device": "cpu", "version": "0"
    });
    SurfaceRecord {
        label: String::new(),
        axes: ["first".to_owned(), "second".to_owned()],
        provenance: serde_json::from_value(provenance).unwrap(),
        lengths: Some([1.0, 1.0]),
        grid,
        ..SurfaceRecord::default()
    }
}

pub(in crate::figure) fn heat_map(record: &SurfaceRecord) -> HeatMap<'_> {
    HeatMap {
        record,
        quantities: vec![Quantity::TrainLoss],
        map: None,
        range: None,
        lines: 0,
        offset: 0.0,
        scale: Scale::Linear,
        title: "A valley".to_owned(),
        until: None,
    }
}

pub(in crate::figure) fn seen(name: &str, position: [f64; 2], distance: f64) -> Projected {
    Projected {
        name: name.to_owned(),
        position,
        distance,
        own: None,
    }
}

pub(in crate::figure) const SIZE: (u32, u32) = (640, 480);

pub(in crate::figure) fn pixel(pixels: &[u8], [x, y]: [f64; 2]) -> [u8; 3] {
    let start = 3 * (y.round() as usize * SIZE.0 as usize + x.round() as usize);
    [pixels[start], pixels[start + 1], pixels[start + 2]]
}
