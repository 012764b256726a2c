//! How a person names a solution: a file, and with `::` an entry of it.

use std::fmt;
use std::path::PathBuf;

/// `FILE` or `FILE::key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The file.
    pub path: PathBuf,
    /// The entry: a key of the file's outermost dictionary, or a dotted path into it.
    pub key: Option<String>,
}

/// What two entries of a file are called. In the papers' layout the SGD iterate lies beside its average.
pub fn entry_names(first: &str, second: &str) -> [String; 2] {
    match (first, second) {
        ("swa_state_dict", "state_dict") => ["SWA", "SGD"],
        ("state_dict", "swa_state_dict") => ["SGD", "SWA"],
        names => [names.0, names.1],
    }
    .map(str::to_owned)
}

impl From<&str> for Reference {
    fn from(text: &str) -> Self {
        // A file of that very name comes first: `::` may stand in file names.
        let whole = PathBuf::from(text);
        match text.rsplit_once("::") {
            Some((path, key)) if !key.is_empty() && !whole.exists() => Self {
                path: path.into(),
                key: Some(key.to_owned()),
            },
            _ => Self { path: whole, key: None },
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match &self.key {
            Some(key) => write!(formatter, "{}::{key}", self.path.display()),
            None => self.path.display().fmt(formatter),
        }
    }
}
