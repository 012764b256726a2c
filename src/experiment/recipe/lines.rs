//! Where the keys of a TOML text stand, for messages that name the line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The lines of a text and of the keys in it.
pub(super) struct Lines<'a> {
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Lines<'a> {
    /// Of a text; where it is not TOML, of no keys.
    pub fn of(text: &'a str) -> Self {
        Self {
            text,
            root: DeTable::parse(text).map(Spanned::into_inner).unwrap_or_default(),
        }
    }

    /// The line, counted from 1, of a place in the text.
    pub fn at(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// The line of the key that a path of keys leads to; of one on the way where the rest is not there.
    pub fn of_key(&self, path: &[&str]) -> Option<usize> {
        self.walk(path).0.map(|offset| self.at(offset))
    }

    /// The line of the key at or under a path whose value is a text; of the path where there is none.
    pub fn of_value(&self, path: &[&str], value: &str) -> Option<usize> {
        let (offset, table) = self.walk(path);
        let found = table.and_then(|table| key_of(table, value));
        found.or(offset).map(|offset| self.at(offset))
    }

    /// The first key of the table under a key.
    pub fn first_under(&self, key: &str) -> Option<&str> {
        let (_, table) = self.walk(&[key]);
        let name = table?.keys().next()?;
        Some(&**name.get_ref())
    }

    /// As far as a path leads: the last key's offset, and the table that the whole path leads to.
    fn walk(&self, path: &[&str]) -> (Option<usize>, Option<&DeTable<'a>>) {
        let (mut offset, mut table) = (None, Some(&self.root));
        for &key in path {
            let Some((name, value)) = table.and_then(|table| table.get_key_value(key)) else {
                return (offset, None);
            };
            offset = Some(name.span().start);
            table = match value.get_ref() {
                DeValue::Table(inner) => Some(inner),
                _ => None,
            };
        }
        (offset, table)
    }
}

/// Offset of the first key whose value is a text, in a table or those within it.
fn key_of(table: &DeTable, value: &str) -> Option<usize> {
    table.iter().find_map(|(name, entry)| match entry.get_ref() {
        DeValue::String(text) if **text == *value => Some(name.span().start),
        DeValue::Table(inner) => key_of(inner, value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"é\"\n\n[runs.first]\nepochs = 3\n\n[measure.rays]\nwider = { run = \"first\" }\n";

    #[test]
    fn keys_are_found_wherever_they_are_written() {
        let lines = Lines::of(TEXT);
        assert_eq!(lines.of_key(&["name"]), Some(1));
        assert_eq!(lines.of_key(&["runs", "first"]), Some(3));
        assert_eq!(lines.of_key(&["runs", "first", "epochs"]), Some(4));
        assert_eq!(lines.of_key(&["runs", "first", "momentum"]), Some(3));
        assert_eq!(lines.of_key(&["measure", "rays", "wider", "run"]), Some(7));
        assert_eq!(lines.of_value(&["measure"], "first"), Some(7));
        assert_eq!(lines.of_value(&["measure"], "second"), Some(6));
        assert_eq!((lines.of_key(&["seeds"]), lines.first_under("seeds")), (None, None));
        assert_eq!(lines.first_under("measure"), Some("rays"));
        assert_eq!((lines.at(0), lines.at(11), lines.at(1000)), (1, 1, 8));
    }

    #[test]
    fn a_text_that_is_not_toml_has_lines_and_no_keys() {
        let lines = Lines::of("name = \n");
        assert_eq!((lines.of_key(&["name"]), lines.at(8)), (None, 2));
    }
}
