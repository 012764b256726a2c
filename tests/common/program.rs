//! The built program as scripts run it: with the words of a command line, in a folder, without a display.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// The program with some arguments.
pub fn program<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_valleyscope"));
    command.args(arguments).current_dir(folder);
    for display in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
        command.env_remove(display);
    }
    command
}

/// Runs it: whether it succeeded, and what it said on standard output and standard error.
pub fn run(arguments: &[&str], folder: &Path) -> (bool, String, String) {
    let output = program(arguments, folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// Runs it with words that have spaces between them and none within.
pub fn output(words: &str, folder: &Path) -> Output {
    program(words.split_whitespace(), folder).output().unwrap()
}

/// Standard output.
#[track_caller]
pub fn succeed(words: &str, folder: &Path) -> String {
    let output = output(words, folder);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error and the exit code.
#[track_caller]
pub fn fail(words: &str, folder: &Path) -> (String, i32) {
    let output = output(words, folder);
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(!output.status.success(), "{words} succeeded");
    assert!(!errors.contains("panicked"), "{words}: {errors}");
    (errors, output.status.code().unwrap())
}

/// Interrupts it, as Ctrl-C does, once a line of standard error begins with a word: the lines after that one, and how
/// it ended.
#[cfg(unix)]
#[track_caller]
pub fn interrupt(words: &str, folder: &Path, at: &str) -> (Vec<String>, Output) {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let mut child = program(words.split_whitespace(), folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(errors.any(|line| line.starts_with(at)), "it was done too soon");
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let said: Vec<String> = errors.collect();
    (said, child.wait_with_output().unwrap())
}
