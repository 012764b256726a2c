//! What the smoothing comes to, in numbers.

use egui::{Color32, Label, RichText, Ui};

use super::{NEAR, START, Smoothing, trials};
use crate::app::theme;
use crate::experiment::outcome::significant;

/// Size of the numbers.
const TEXT: f32 = 18.0;

/// The column beside the plots.
pub fn show(ui: &mut Ui, smoothing: &Smoothing) {
    let palette = theme::palette(ui.ctx());
    let (Some(curve), Some(trials)) = (&smoothing.curve, &smoothing.trials) else {
        return;
    };
    let plain = ui.visuals().text_color();
    let convex = |constant: f64| match constant > 0.0 {
        true => palette.directions[0],
        false => palette.test,
    };
    let definition = "the largest c with ⟨−g′(x), x* − x⟩ ≥ c·(x* − x)² for all x there, where g is f convolved with \
                      the noise and x* = 0. Above 0, g is one-point strongly convex (Assumption 1), and SGD comes to \
                      x* and stays around it (Theorem 1)";
    for (reach, [constant, _]) in [(NEAR, curve.near), (START, curve.starts)] {
        let caption = format!("c OF ONE-POINT CONVEXITY ON ±{reach}");
        fact(ui, &caption, &number(constant), convex(constant), definition);
    }
    let hint = format!(
        "2c′·(x − x*)²/g′(x)² with the least c′ for which ⟨−g′(x), x* − x⟩ ≤ c′·(x* − x)² on ±{START}: a larger step \
         of gradient descent on g leads no nearer to x* (Theorem 3). That of SGD is η = {} here",
        trials::LEARNING_RATE
    );
    let caption = format!("LARGEST USEFUL STEP AT |x| = {START}");
    fact(ui, &caption, &number(curve.step), plain, &hint);
    let bad: Vec<String> = curve.bad.iter().map(|x| format!("±{x:.2}")).collect();
    let (told, colour) = match bad.as_slice() {
        [] => ("none".to_owned(), palette.directions[0]),
        bad => (bad.join(", "), palette.test),
    };
    let hint = "minima of the smoothed function with 0 < |x| ≤ 3";
    fact(ui, "BAD MINIMA AMONG THE STARTS", &told, colour, hint);
    let step = smoothing.clock.step();
    let told = match curve.basin > 0.0 {
        true => trials.within(step, curve.basin).to_string(),
        false => "x* is no minimum".to_owned(),
    };
    let hint = format!(
        "trials that are in the shaded basin after step {step}, with Wilson's interval of 95 %. So much noise that x* \
         is a maximum of the smoothed function leaves no basin"
    );
    fact(ui, "TRIALS IN THE BASIN OF x*", &told, plain, &hint);
    let hint = format!("trials with |x| ≤ {NEAR} after step {step}, with Wilson's interval of 95 %");
    let caption = format!("TRIALS UP TO {NEAR} FROM x*");
    fact(ui, &caption, &trials.within(step, NEAR).to_string(), plain, &hint);
}

/// A number that may be infinite, with three digits.
fn number(value: f64) -> String {
    match value.is_finite() {
        true => significant(value, 3),
        false => "∞".to_owned(),
    }
}

/// A number below its name; both explain it.
fn fact(ui: &mut Ui, caption: &str, value: &str, colour: Color32, hint: &str) {
    let faint = theme::palette(ui.ctx()).faint;
    let caption = RichText::new(caption).small().color(faint).strong();
    ui.spacing_mut().item_spacing.y = 1.0;
    ui.add(Label::new(caption).wrap()).on_hover_text(hint);
    let value = RichText::new(value).size(TEXT).strong().color(colour);
    ui.add(Label::new(value).wrap()).on_hover_text(hint);
    ui.add_space(9.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_may_be_infinite() {
        assert_eq!(number(1.4321), "1.43");
        assert_eq!(number(-0.51299), "-0.513");
        assert_eq!(number(f64::INFINITY), "∞");
    }
}
