//! Every way the library can fail, as a value with a sentence a person can act on.

use std::path::{Path, PathBuf};

/// The library's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, worded for the person who can mend it. Printed once, at the edge (command line or window).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option outside its allowed range.
    #[error("{option}{} {reason}", if value.is_empty() { ":".to_owned() } else { format!(" = {value} is not allowed:") })]
    Option {
        /// The option's name as the user typed it, such as `--lr`.
        option: String,
        /// The value given.
        value: String,
        /// What is allowed instead.
        reason: String,
    },
    /// A model name or one of its options that does not exist.
    #[error("model `{name}`: {reason}")]
    Model {
        /// The name as given.
        name: String,
        /// What is wrong and which names exist.
        reason: String,
    },
    /// A data specification that cannot be opened.
    #[error("data `{name}`: {reason}")]
    Data {
        /// The specification as given.
        name: String,
        /// What is wrong and which exist.
        reason: String,
    },
    /// A file or folder that could not be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong and, where there is one, the cure.
        reason: String,
    },
    /// Training left the finite numbers.
    #[error(
        "training diverged in epoch {epoch}: {what} is not finite after batch {batch}. \
         The epochs before are kept; try a lower learning rate than {learning_rate}"
    )]
    Diverged {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Batch within the epoch, counted from 1.
        batch: usize,
        /// What is not finite: the loss, or a weight.
        what: &'static str,
        /// The learning rate in use.
        learning_rate: f64,
    },
    /// The compute device is missing or failed.
    #[error("device: {0}")]
    Device(String),
    /// There is no display to open a window on, or no adapter to draw with.
    #[error("the window could not open: {0}")]
    Display(String),
    /// The person stopped it.
    #[error("cancelled")]
    Cancelled,
    /// A request that does not make sense as asked.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// A [`Error::File`] from an operating-system error, with a cure for the common ones.
    pub fn file(path: impl AsRef<Path>, doing: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let cure = match error.kind() {
            ErrorKind::NotFound => "no such file or folder; check the path",
            ErrorKind::PermissionDenied => "permission denied; choose a folder you may write to",
            ErrorKind::StorageFull => "the disk is full; free some space or choose another folder",
            ErrorKind::ReadOnlyFilesystem => "this disk is read-only; choose another folder",
            ErrorKind::NotADirectory => "a part of this path is a file, not a folder",
            _ => return Self::file_reason(path, format!("could not {doing}: {error}")),
        };
        Self::file_reason(path, format!("could not {doing}: {cure}"))
    }

    /// A [`Error::File`] with a reason in words.
    pub fn file_reason(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_owned(),
            reason: one_line(&reason.into()),
        }
    }

    /// A [`Error::Option`].
    pub fn option(option: &str, value: impl ToString, reason: impl Into<String>) -> Self {
        Self::Option {
            option: option.to_owned(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}

/// Longest reason, in letters: a name out of a file can be longer than the rest of the screen.
const LONGEST_REASON: usize = 2000;

/// The text in one line, whatever names out of a file are in it.
fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(LONGEST_REASON)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let long = format!("name\n{}", "x".repeat(10_000));
        let text = Error::file_reason("file", long).to_string();
        assert!(
            text.starts_with("file: name x") && text.ends_with('…') && text.chars().count() < 2100,
            "{text}"
        );
    }
}
