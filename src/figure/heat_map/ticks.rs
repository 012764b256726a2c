//! Round numbers for axes and colour bars.

use crate::figure::chart::number;
use crate::figure::colouring::Colouring;

/// Round numbers between two, `count` or fewer, as they are written: all with as many digits.
pub(super) fn ticks((start, end): (f64, f64), count: usize) -> Vec<(f64, String)> {
    let (low, high) = (start.min(end), start.max(end));
    let rough = (high - low) / count as f64;
    if !rough.is_normal() {
        return Vec::new();
    }
    let power = rough.log10().floor() as i32;
    let ten = 10.0f64.powi(power);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * ten >= rough);
    let step = factor.unwrap_or(10.0) * ten;
    let digits = (-power - i32::from(factor.is_none())).max(0) as usize;
    let first = (low / step - 1e-9).ceil();
    (0..=count)
        // What rounding puts beside 0 is 0, and −0 is, too.
        .map(|index| (first + index as f64) * step + 0.0)
        .take_while(|value| *value <= high + 1e-9 * step)
        .map(|value| {
            let plain = digits <= 5 && value.abs() < 1e5;
            (
                value,
                if plain {
                    format!("{value:.digits$}")
                } else {
                    number(value)
                },
            )
        })
        .collect()
}

/// Round values for a colour bar: powers of ten and what lies between them on a logarithmic scale.
pub(super) fn level_ticks(colouring: &Colouring) -> Vec<(f64, String)> {
    let (low, high) = colouring.range;
    if !colouring.height.logarithmic || high < 10.0 * low {
        return ticks(colouring.range, 7);
    }
    let decades = (high / low).log10();
    let between: &[f64] = if decades < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let every = (decades / 8.0).ceil() as usize;
    (low.log10().floor() as i32..=high.log10().ceil() as i32)
        .step_by(every.max(1))
        .flat_map(|power| between.iter().map(move |factor| factor * 10.0f64.powi(power)))
        .filter(|value| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(value))
        .map(|value| (value, number(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heat_map::HeatMap;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, record};
    use crate::landscape::Scale;

    #[test]
    fn ticks_are_round_numbers() {
        let names = |ticks: Vec<(f64, String)>| ticks.into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names(ticks((1.0, -1.0), 5)), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(names(ticks((0.0, 30.0), 4)), ["0", "10", "20", "30"]);
        assert_eq!(names(ticks((2.301, 2.306), 3)), ["2.302", "2.304", "2.306"]);
        let record = record(5, |a, _| 10.0f64.powf(2.0 * a));
        let map = HeatMap {
            scale: Scale::Logarithmic,
            ..heat_map(&record)
        };
        let picture = map.picture(SIZE).unwrap();
        assert_eq!(
            names(level_ticks(&picture.panels[0].colouring)),
            ["0.01", "0.1", "1", "10", "100"]
        );
    }
}
