//! The command line: the same work without a window. Its flags, output and exit codes are a contract for scripts.

/// `println!` that returns an error instead of panicking.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::cli::print(&format!($($argument)*))?
    };
}

mod axis;
mod bench;
mod curvature;
mod demo;
mod drawing;
mod info;
mod line;
mod plane;
mod progress;
mod reproduce;
mod save;
mod source;
mod train;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};

use crate::app::{self, Start};
use crate::error::{Error, Result};
use crate::objective::{Compute, DeviceChoice, Objective};

/// Look into the valleys of a neural network's loss.
///
/// Without a command the window opens and the built-in example starts to train; with no display, the same example runs
/// as `demo`.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What computes: a real GPU if there is one, else the CPU (auto); the CPU's vectors (cpu), Burn's tensors on the CPU (flex), or wgpu whatever its adapter
    #[arg(long, global = true, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Run folder or checkpoint to show in the window
    #[arg(long, value_name = "RUN|FILE[::KEY]")]
    open: Option<String>,
    /// Open the window without starting to train
    #[arg(long)]
    idle: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train the built-in example, measure its valleys, write figures and tables
    Demo(demo::Arguments),
    /// Train a network with weight averaging and write a run folder
    Train(train::Arguments),
    /// What a run folder, a checkpoint or a data set holds
    Info(info::Arguments),
    /// A solution, or a point of a line, as safetensors that PyTorch loads
    Save(save::Arguments),
    /// Loss and accuracy along a line, as CSV, JSON, PNG or SVG
    Line(line::Arguments),
    /// Loss and accuracy over a plane, or through the whole of training, as CSV, JSON, PNG, SVG, GIF or a 3-D model
    Plane(Box<plane::Arguments>),
    /// Curvature at a point or along a run: eigenvalues of the Hessian, trace, density, noise, and whether SGD may stay
    Curvature(Box<curvature::Arguments>),
    /// The papers' figures and tables, measured anew: pages with claim, settings, results and verdict
    Reproduce(reproduce::Arguments),
    /// Points and training steps a second on this machine, beside what it can do at most
    Bench(bench::Arguments),
}

/// Reads the command line, does what it says, and gives the exit code: 0 done, 1 a failure explained in one line on
/// standard error, 2 bad usage.
pub fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("VALLEYSCOPE_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error")),
        )
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("valleyscope: {error}");
            match error {
                Error::Option { .. } => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        command,
        device,
        open,
        idle,
    } = arguments;
    match command {
        Some(Command::Demo(arguments)) => demo::run(&arguments, device),
        Some(Command::Train(arguments)) => train::run(&arguments, device),
        Some(Command::Info(arguments)) => info::run(&arguments),
        Some(Command::Save(arguments)) => save::run(&arguments, device),
        Some(Command::Line(arguments)) => line::run(&arguments, device),
        Some(Command::Plane(arguments)) => plane::run(&arguments, device),
        Some(Command::Curvature(arguments)) => curvature::run(&arguments, device),
        Some(Command::Reproduce(arguments)) => reproduce::run(&arguments, device),
        Some(Command::Bench(arguments)) => bench::run(&arguments, device),
        None => window(device, open, idle),
    }
}

fn window(device: DeviceChoice, open: Option<String>, idle: bool) -> Result<()> {
    if !has_display() && open.is_some() {
        return Err(Error::Display(
            "there is no display to show it on; `line`, `save` and `info` work without".to_owned(),
        ));
    }
    if !has_display() {
        eprintln!(
            "valleyscope: there is no display, so the built-in example runs without a window (as `valleyscope demo`)"
        );
        return demo::run(&demo::Arguments::default(), device);
    }
    let start = Start {
        open,
        train: !idle,
        runs: None,
        experiments: None,
    };
    let compute = Compute::open(device)?;
    match app::run(compute.clone(), start) {
        Err(error @ Error::Display(_)) => {
            eprintln!("valleyscope: {error}; the built-in example runs without a window (as `valleyscope demo`)");
            demo::run_on(&demo::Arguments::default(), compute)
        }
        result => result,
    }
}

/// Whether a window could open: on X11 and Wayland systems one of the two must be named.
fn has_display() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A flag that Ctrl-C sets: long work asks it after every batch, so that what is on disk stays whole.
fn interrupt_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    // A second Ctrl-C ends the program at once.
    let result = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    if let Err(error) = result {
        tracing::warn!("Ctrl-C cannot be caught: {error}");
    }
    flag
}

/// Says on standard error where something else computes than was asked for.
fn note_device(objective: &Objective) {
    if let Some(reason) = objective.fallback() {
        eprintln!(
            "note: {} is evaluated with {}, not with {}: {reason}",
            objective.graph().name,
            objective.device_name(),
            objective.compute().name()
        );
    }
}

/// Prints one JSON document on standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::Request(format!("the result could not be encoded: {error}")))?;
    print(&text)
}

/// Prints a text and a line end on standard output. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Request(format!("standard output could not be written: {error}")))
        }
        _ => Ok(()),
    }
}
