//! What is chosen of the race: seed, rules, pictures, and which dynamics are drawn.

use egui::{Button, ComboBox, DragValue, RichText, Slider, Ui};

use super::Race;
use super::made::Rules;
use crate::app::source::name;
use crate::app::surface::look::Layout;
use crate::app::theme::{self, Palette};
use crate::dynamics::noise::Noise;
use crate::dynamics::race::COMPARED;
use crate::dynamics::surface::Samples;

/// Largest seed that can be asked for.
const LAST_SEED: u64 = 999_999;
/// Learning rates that can be asked for: at 2/λ₁ = 0.01 the sharp minimum holds gradient descent no longer.
const LEARNING_RATES: (f64, f64) = (0.001, 0.02);
/// Most noise that can be asked for; with more of it runs are seen from afar.
const MOST_NOISE: f64 = 0.03;
/// Width of a slider.
const SLIDER: f32 = 90.0;

/// Colours of the compared dynamics, in their order: Okabe and Ito's, as the theme has them.
pub fn colours(palette: &Palette) -> [egui::Color32; COMPARED.len()] {
    [
        palette.more[1],
        palette.train,
        palette.directions[0],
        palette.directions[1],
        palette.test,
        palette.more[0],
    ]
}

/// The rows above the pictures.
pub fn rows(ui: &mut Ui, race: &mut Race) {
    let (mut rules, mut seed) = (race.rules, race.seed);
    ui.horizontal(|ui| {
        ui.spacing_mut().slider_width = SLIDER;
        seeds(ui, &mut seed);
        ui.separator();
        samples(ui, &mut rules);
        ui.separator();
        rates(ui, &mut rules);
        let paper = ui.add_enabled(rules != Rules::default(), Button::new("As in the paper"));
        if paper
            .on_hover_text("back to η = 0.005, E‖ε‖² = 0.01 and the samples of the published code")
            .clicked()
        {
            rules = Rules::default();
        }
    });
    race.choose(rules, seed);
    ui.horizontal(|ui| {
        dynamics(ui, race);
        ui.separator();
        for (layout, text, hint) in [
            (Layout::Map, "Map", "the loss from above"),
            (Layout::Relief, "Relief", "the loss in three dimensions"),
            (Layout::Both, "Both", "side by side"),
        ] {
            let button = Button::selectable(race.layout == layout, text);
            if ui.add(button).on_hover_text(hint).clicked() {
                race.layout = layout;
            }
        }
    });
    ui.add_space(2.0);
}

fn seeds(ui: &mut Ui, seed: &mut u64) {
    let label = ui.label("Seed");
    ui.add(DragValue::new(seed).range(1..=LAST_SEED).speed(0.1))
        .labelled_by(label.id)
        .on_hover_text("seed of the samples, which all dynamics share, and of each one's own noise");
    let next = ui
        .button("Next seed")
        .on_hover_text("the same race with other samples and other noise");
    if next.clicked() {
        *seed = (*seed + 1).min(LAST_SEED);
    }
}

fn samples(ui: &mut Ui, rules: &mut Rules) {
    let combo = ComboBox::from_id_salt("samples")
        .width(140.0)
        .selected_text(format!("samples {}", rules.samples.name()))
        .show_ui(ui, |ui| {
            for samples in [Samples::Code, Samples::Paper] {
                ui.selectable_value(&mut rules.samples, samples, samples.name())
                    .on_hover_text(explained(samples));
            }
        })
        .response
        .on_hover_text("how the 100 samples are drawn, of whose losses L is the mean (Supplementary D.1)");
    name(&combo, "Samples");
}

fn explained(samples: Samples) -> &'static str {
    match samples {
        Samples::Code => {
            "as the published code draws them, with deviations of 0.01·√10 along (1, −1) and 0.01 along (1, 1): both \
             minima have a loss of nearly 0"
        }
        Samples::Paper => {
            "as the paper says, from N(0, H⁻¹) with the sharp bowl's Hessian H: the sharp minimum has a loss of about 1"
        }
    }
}

fn rates(ui: &mut Ui, rules: &mut Rules) {
    ui.label("η");
    let rate = ui
        .add(
            Slider::new(&mut rules.learning_rate, LEARNING_RATES.0..=LEARNING_RATES.1)
                .logarithmic(true)
                .max_decimals(4),
        )
        .on_hover_text(
            "learning rate of w ← w − η·∇L(w) + ε (Eq. 7, with the noise not times η, as in the published code); 0.005 \
             in the paper. The largest eigenvalue at the sharp minimum is λ₁ = 200: above 2/λ₁ = 0.01 it does not hold \
             gradient descent either",
        );
    name(&rate, "Learning rate");
    ui.label("E‖ε‖²");
    let noise = ui
        .add(Slider::new(&mut rules.magnitude, 0.0..=MOST_NOISE).max_decimals(4))
        .on_hover_text(
            "expected square of the noise's length, E‖ε‖² = Tr Σ, the same for all dynamics but GD, so that only its \
             shape differs (Eq. 14); 0.01 in the paper",
        );
    name(&noise, "Length of the noise");
}

fn dynamics(ui: &mut Ui, race: &mut Race) {
    let colours = colours(&theme::palette(ui.ctx()));
    for ((noise, shown), colour) in COMPARED.into_iter().zip(&mut race.shown).zip(colours) {
        ui.checkbox(shown, RichText::new(noise.name()).color(colour).strong())
            .on_hover_text(definition(noise));
    }
}

/// What a noise is, with its formula.
pub fn definition(noise: Noise) -> &'static str {
    match noise {
        Noise::Gd => "w ← w − η·∇L(w): gradient descent, no noise (Eq. 2)",
        Noise::GldConstant | Noise::GldDynamic => {
            "ε ~ N(0, σ²·I): the same in all directions (Table 1), with Tr(σ²·I) = E‖ε‖² (Eq. 14)"
        }
        Noise::GldDiagonal => {
            "ε ~ N(0, c·diag Σ), Σ the covariance of the samples' gradients (Eq. 5, Table 1), c such that \
             c·Tr Σ = E‖ε‖² (Eq. 14)"
        }
        Noise::Sgd | Noise::GldLeading => {
            "ε ~ N(0, c·Σ) by the k = 2 leading eigenpairs of Σ, the covariance of the samples' gradients (Eq. 5, \
             Table 1). With two weights these are all: it is SGD's own noise"
        }
        Noise::GldHessian => {
            "ε ~ N(0, c·H) by the k = 2 leading eigenpairs of the Hessian H (Table 1), c such that c·Tr H = E‖ε‖² \
             (Eq. 14)"
        }
        Noise::GldFirstEigenvector => {
            "ε along u₁ alone, the Hessian's first eigenvector (Table 1): of all noise with this E‖ε‖² it has the \
             largest Tr(HΣ), λ₁·E‖ε‖² (Section 3.2)"
        }
    }
}
