//! Colours, type and spacing, dark and light. Curve colours are Okabe and Ito's, told apart by colour-blind readers.

use egui::{
    Color32, Context, CornerRadius, FontDefinitions, FontFamily, FontId, Frame, Margin, Stroke, TextStyle, Theme,
    Visuals,
};

use crate::experiment::outcome::Answer;
use crate::figure::chart::{BLUE, GREEN, ORANGE, PURPLE, VERMILION};

/// Colours of one theme.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    /// Train curve, and the first of two directions.
    pub train: Color32,
    /// Test curve, and the second of two directions.
    pub test: Color32,
    /// Two directions over each other.
    pub directions: [Color32; 2],
    /// Flat and sharp side of a point on a line.
    pub sides: [Color32; 2],
    /// What the hand holds.
    pub handle: Color32,
    /// Lines of reference.
    pub reference: Color32,
    /// Text of lesser weight.
    pub faint: Color32,
    /// Grid lines of plots.
    pub grid: Color32,
    /// Notices of things gone wrong.
    pub warning: Color32,
    /// The fifth and the sixth of many curves.
    pub more: [Color32; 2],
    /// Verdicts: shown, partly shown, not shown.
    pub answers: [Color32; 3],
}

impl Palette {
    /// The colour of a verdict.
    pub fn answer(&self, answer: Answer) -> Color32 {
        match answer {
            Answer::Shown => self.answers[0],
            Answer::PartlyShown => self.answers[1],
            Answer::NotShown => self.answers[2],
        }
    }

    /// The colour of a curve that a figure on paper draws in `colour`.
    pub fn curve(&self, colour: [u8; 3]) -> Color32 {
        match colour {
            BLUE => self.train,
            VERMILION => self.test,
            GREEN => self.directions[0],
            PURPLE => self.directions[1],
            ORANGE => self.more[0],
            _ => self.more[1],
        }
    }
}

/// The palette of the theme in use.
pub fn palette(context: &Context) -> Palette {
    match context.theme() {
        Theme::Dark => Palette {
            train: Color32::from_rgb(86, 180, 233),
            test: Color32::from_rgb(240, 146, 60),
            directions: [Color32::from_rgb(46, 190, 140), Color32::from_rgb(216, 140, 200)],
            sides: [Color32::from_rgb(72, 200, 152), Color32::from_rgb(222, 146, 200)],
            handle: Color32::from_rgb(255, 255, 255),
            reference: Color32::from_gray(130),
            faint: Color32::from_gray(165),
            grid: Color32::from_gray(70),
            warning: Color32::from_rgb(255, 176, 120),
            // Beside the lighter vermilion of this theme, Okabe and Ito's yellow in place of their orange.
            more: [Color32::from_rgb(240, 228, 66), Color32::from_gray(165)],
            answers: [
                Color32::from_rgb(64, 200, 154),
                Color32::from_rgb(240, 200, 84),
                Color32::from_rgb(224, 142, 198),
            ],
        },
        Theme::Light => Palette {
            train: Color32::from_rgb(0, 114, 178),
            test: Color32::from_rgb(213, 94, 0),
            directions: [Color32::from_rgb(0, 140, 100), Color32::from_rgb(170, 68, 136)],
            sides: [Color32::from_rgb(0, 128, 92), Color32::from_rgb(160, 60, 124)],
            handle: Color32::from_rgb(20, 24, 32),
            reference: Color32::from_gray(130),
            faint: Color32::from_gray(95),
            grid: Color32::from_gray(205),
            warning: Color32::from_rgb(176, 60, 0),
            more: [Color32::from_rgb(230, 159, 0), Color32::from_gray(90)],
            answers: [
                Color32::from_rgb(0, 122, 90),
                Color32::from_rgb(150, 100, 0),
                Color32::from_rgb(160, 56, 120),
            ],
        },
    }
}

/// Sets type, spacing and both themes.
pub fn apply(context: &Context) {
    // Arrows, norms and angles are not in the proportional font; the monospaced one has them.
    let mut fonts = FontDefinitions::default();
    let monospaced = fonts.families.get(&FontFamily::Monospace).cloned();
    if let Some(proportional) = fonts.families.get_mut(&FontFamily::Proportional) {
        for font in monospaced.unwrap_or_default() {
            if !proportional.contains(&font) {
                proportional.push(font);
            }
        }
    }
    context.set_fonts(fonts);
    context.all_styles_mut(|style| {
        for (text_style, size) in [
            (TextStyle::Small, 11.5),
            (TextStyle::Body, 13.5),
            (TextStyle::Button, 13.5),
            (TextStyle::Heading, 16.0),
        ] {
            style.text_styles.insert(text_style, FontId::proportional(size));
        }
        style.text_styles.insert(TextStyle::Monospace, FontId::monospace(13.0));
        style.spacing.item_spacing = egui::vec2(8.0, 6.0);
        style.spacing.button_padding = egui::vec2(10.0, 4.0);
        style.spacing.interact_size.y = 24.0;
        style.interaction.selectable_labels = false;
    });
    let accent = Color32::from_rgb(47, 129, 214);
    let mut dark = Visuals::dark();
    dark.panel_fill = Color32::from_rgb(22, 25, 31);
    dark.window_fill = Color32::from_rgb(30, 34, 42);
    dark.extreme_bg_color = Color32::from_rgb(13, 15, 19);
    dark.widgets.noninteractive.bg_stroke = Stroke::new(1.0, Color32::from_rgb(42, 47, 57));
    dark.widgets.noninteractive.fg_stroke.color = Color32::from_gray(222);
    dark.widgets.inactive.fg_stroke.color = Color32::from_gray(228);
    dark.widgets.inactive.weak_bg_fill = Color32::from_rgb(44, 50, 61);
    dark.widgets.inactive.bg_fill = Color32::from_rgb(44, 50, 61);
    dark.selection.bg_fill = accent;
    dark.selection.stroke.color = Color32::WHITE;
    let mut light = Visuals::light();
    light.panel_fill = Color32::from_rgb(245, 246, 248);
    light.extreme_bg_color = Color32::WHITE;
    light.widgets.noninteractive.fg_stroke.color = Color32::from_gray(30);
    light.widgets.inactive.fg_stroke.color = Color32::from_gray(25);
    light.widgets.inactive.weak_bg_fill = Color32::from_rgb(225, 228, 234);
    light.selection.bg_fill = accent;
    light.selection.stroke.color = Color32::WHITE;
    for visuals in [&mut dark, &mut light] {
        for widget in [
            &mut visuals.widgets.inactive,
            &mut visuals.widgets.hovered,
            &mut visuals.widgets.active,
            &mut visuals.widgets.open,
        ] {
            widget.corner_radius = CornerRadius::same(5);
        }
    }
    context.set_visuals_of(Theme::Dark, dark);
    context.set_visuals_of(Theme::Light, light);
    context.set_theme(Theme::Dark);
}

/// Frame of the side panels.
pub fn panel_frame(context: &Context) -> Frame {
    Frame::NONE
        .fill(context.global_style().visuals.panel_fill)
        .inner_margin(Margin::symmetric(12, 8))
}

/// Frame of the stage.
pub fn stage_frame(context: &Context) -> Frame {
    Frame::NONE
        .fill(context.global_style().visuals.extreme_bg_color)
        .inner_margin(Margin::symmetric(12, 10))
}

/// A small caption above a group.
pub fn caption(ui: &mut egui::Ui, text: &str) {
    let colour = palette(ui.ctx()).faint;
    ui.label(egui::RichText::new(text).small().color(colour).strong());
}

/// A group below a small caption that opens and closes it.
pub fn section(ui: &mut egui::Ui, text: &str, open: bool, add: impl FnOnce(&mut egui::Ui)) {
    let colour = palette(ui.ctx()).faint;
    let caption = egui::RichText::new(text).small().color(colour).strong();
    let padding = ui.spacing().button_padding;
    ui.scope(|ui| {
        // No taller than other captions; what is below it has the usual room.
        ui.spacing_mut().button_padding.y = 0.0;
        egui::CollapsingHeader::new(caption)
            .default_open(open)
            .show_unindented(ui, |ui| {
                ui.spacing_mut().button_padding = padding;
                add(ui);
            });
    });
}
