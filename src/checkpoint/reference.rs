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

/// What the entries of a file under two keys are called; without the other its name is empty. In the papers' layout the
/// SGD iterate lies beside its average.
pub fn entry_names(first: &str, second: Option<&str>) -> [String; 2] {
    // A file that is a state dict itself has an empty key.
    let name = |key: &str| if key.is_empty() { "checkpoint" } else { key }.to_owned();
    match (first, second) {
        ("swa_state_dict", Some("state_dict")) => ["SWA", "SGD"].map(str::to_owned),
        ("state_dict", Some("swa_state_dict")) => ["SGD", "SWA"].map(str::to_owned),
        (first, second) => [name(first), second.map_or(String::new(), name)],
    }
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
