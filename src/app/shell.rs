//! The window around the app. When the graphics device is lost (a driver that was reset, a card that was unplugged), the
//! window is closed and another one is opened with a new device around the same app: nothing is computed again.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use egui::{Ui, ViewportCommand};

use super::App;

/// Where an app waits between two windows.
pub type Kept = Rc<RefCell<Option<App>>>;

/// The window around the app.
pub struct Shell {
    app: Option<App>,
    device: Option<wgpu::Device>,
    lost: Arc<AtomicBool>,
    kept: Kept,
}

impl Shell {
    /// Puts `app` into a window; it is left in `kept` when the window's graphics device is lost.
    pub fn new(context: &eframe::CreationContext, app: App, kept: Kept) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let device = context.wgpu_render_state.as_ref().map(|render| render.device.clone());
        if let Some(device) = &device {
            let (flag, repaint) = (lost.clone(), context.egui_ctx.clone());
            device.set_device_lost_callback(move |reason, message| {
                tracing::warn!("the graphics device was lost ({reason:?}): {message}");
                flag.store(true, Ordering::Release);
                repaint.request_repaint();
            });
        }
        Self {
            app: Some(app),
            device,
            lost,
            kept,
        }
    }

    /// What is in the window, unless it is on its way to another one.
    pub fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }
}

impl eframe::App for Shell {
    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        if self.lost.load(Ordering::Acquire) {
            // Nothing is drawn: a lost device has no memory for it, and takes none.
            ui.ctx().send_viewport_cmd(ViewportCommand::Close);
        } else if let Some(app) = &mut self.app {
            app.ui(ui, frame);
        }
    }
}

impl Drop for Shell {
    // Not when the window is told to close: it may also end where drawing failed on the device just lost, which is told
    // only when it is asked.
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            let _ = device.poll(wgpu::PollType::Poll);
        }
        if self.lost.load(Ordering::Acquire) {
            *self.kept.borrow_mut() = self.app.take();
        }
    }
}
