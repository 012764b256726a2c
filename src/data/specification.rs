//! The text that names a data set: a family, where it needs one a path, and options, such as
//! `cifar10:/data/cifar:classes=0,1:subset=1000`. It is recorded in every output, so that it can be opened again.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use super::{FAMILIES, recognise};
use crate::error::{Error, Result};

/// Options of every data set, with one line each.
const OPTIONS: &[(&str, &str)] = &[
    (
        "subset",
        "use N training images, drawn at random with a fixed seed and kept in order",
    ),
    ("test-subset", "the same for the test images"),
    (
        "random-labels",
        "give N of the training images used a random label, drawn with the same seed",
    ),
    (
        "classes",
        "use images of these classes only, by number or name, such as 0,1; labels are numbered anew in this order",
    ),
    ("data-seed", "seed of these draws, 0 unless given"),
    (
        "mean",
        "subtract these after scaling to 0..1: one number, or one a channel",
    ),
    ("std", "and divide by these"),
    (
        "augment",
        "off trains on the images as they are, neither shifted nor flipped",
    ),
];

/// Options of one family.
const FAMILY_OPTIONS: &[(&str, &[&str])] = &[
    ("builtin", &["train", "test"]),
    ("two-gaussians", &["seed"]),
    ("folder", &["size"]),
];

/// A specification taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specification {
    family: String,
    path: String,
    options: Vec<(String, String)>,
}

impl Specification {
    /// Takes `text` apart: options are the `:name=value` at its end, the path all that lies between.
    ///
    /// # Errors
    /// When the family or an option does not exist.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let (family, mut path) = text.split_once(':').unwrap_or((text, ""));
        let mut options = Vec::new();
        loop {
            let (before, last) = match path.rsplit_once(':') {
                Some((before, last)) => (before, last),
                None => ("", path),
            };
            let Some((name, value)) = last.split_once('=') else {
                break;
            };
            // A path may hold `=`; an option's name is of small letters.
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
                break;
            }
            options.push((name.to_owned(), value.to_owned()));
            path = before;
        }
        options.reverse();
        let parsed = Self {
            family: family.to_owned(),
            path: path.to_owned(),
            options,
        };
        if !FAMILIES.iter().any(|(name, _)| name.split(':').next() == Some(family)) {
            // A path alone will do where its files tell what they are.
            let found = recognise(Path::new(text)).filter(|found| found != text);
            return found.map_or_else(|| Err(parsed.unknown_family()), |found| Self::parse(&found));
        }
        for (index, (name, _)) in parsed.options.iter().enumerate() {
            parsed.check_option(name)?;
            if parsed.options[..index].iter().any(|(other, _)| other == name) {
                return Err(parsed.error(format!("the option {name} is given twice")));
            }
        }
        Ok(parsed)
    }

    fn check_option(&self, name: &str) -> Result<()> {
        let own: &[&str] = FAMILY_OPTIONS
            .iter()
            .find(|(family, _)| *family == self.family)
            .map_or(&[], |(_, options)| options);
        let known: Vec<&str> = own
            .iter()
            .copied()
            .chain(OPTIONS.iter().map(|(name, _)| *name))
            .collect();
        if known.contains(&name) {
            return Ok(());
        }
        Err(self.error(format!("unknown option `{name}`; there are {}", known.join(", "))))
    }

    /// The same with another option.
    ///
    /// # Errors
    /// When it is given already.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self> {
        if self.option(name).is_some() {
            return Err(self.error(format!("the option {name} is given twice")));
        }
        self.options.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// The family, such as `cifar10`.
    pub fn family(&self) -> &str {
        &self.family
    }

    /// Whether both name the same data, wherever they lie: the same family with the same options, in any order.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_there = |option| other.options.contains(option);
        self.family == other.family && self.options.len() == other.options.len() && self.options.iter().all(is_there)
    }

    /// The path.
    pub(super) fn path(&self) -> Result<&str> {
        if self.path.is_empty() {
            let usage = FAMILIES
                .iter()
                .find(|(name, _)| name.split(':').next() == Some(&self.family))
                .map_or("", |(name, _)| name);
            return Err(self.error(format!("say where it lies: {usage}")));
        }
        Ok(&self.path)
    }

    pub(super) fn needs_no_path(&self) -> Result<()> {
        if self.path.is_empty() {
            return Ok(());
        }
        Err(self.error(format!("`{}` is not of the form name=value", self.path)))
    }

    /// The value of an option, where it is given.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A whole number in `range`.
    pub(super) fn number(&self, name: &str, usual: usize, range: RangeInclusive<usize>) -> Result<usize> {
        let Some(text) = self.option(name) else {
            return Ok(usual);
        };
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.error(format!(
                    "{name}={text} must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }

    /// `on` or `off`, on unless given.
    pub(super) fn is_on(&self, name: &str) -> Result<bool> {
        match self.option(name) {
            None | Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(text) => Err(self.error(format!("{name}={text} must be on or off"))),
        }
    }

    /// A seed, 0 unless given.
    pub(super) fn seed(&self, name: &str) -> Result<u64> {
        let Some(text) = self.option(name) else {
            return Ok(0);
        };
        text.parse()
            .map_err(|_| self.error(format!("{name}={text} is not a whole number of at least 0")))
    }

    /// One number a channel, or one for all of them. Only bytes are normalised.
    pub(super) fn per_channel(&self, name: &str, usual: &[f32], bytes: bool) -> Result<Vec<f32>> {
        let Some(text) = self.option(name) else {
            return Ok(usual.to_vec());
        };
        if !bytes {
            return Err(self.error(format!(
                "{name} has no use here: these images are numbers already and used as they are"
            )));
        }
        let wrong = || {
            self.error(format!(
                "{name}={text} must be one number, or {} (one a channel) with commas between{}",
                usual.len(),
                if name == "std" { ", none of them 0" } else { "" }
            ))
        };
        let numbers: Vec<f32> = text
            .split(',')
            .map(|number| {
                let number: Option<f32> = number.trim().parse().ok();
                number
                    .filter(|number| number.is_finite() && (name != "std" || *number > 0.0))
                    .ok_or_else(wrong)
            })
            .collect::<Result<_>>()?;
        match numbers.len() {
            1 => Ok(vec![numbers[0]; usual.len()]),
            count if count == usual.len() => Ok(numbers),
            _ => Err(wrong()),
        }
    }

    /// An error about this specification.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Data {
            name: self.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn unknown_family(&self) -> Error {
        let known: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
        self.error(format!("no such data set; there are {}", known.join(", ")))
    }
}

impl fmt::Display for Specification {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.family)?;
        if !self.path.is_empty() {
            write!(formatter, ":{}", self.path)?;
        }
        for (name, value) in &self.options {
            write!(formatter, ":{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_keep_their_colons_and_equal_signs() {
        let parsed = Specification::parse("cifar10:C:\\data=1\\x:subset=10:classes=0,1").unwrap();
        assert_eq!(parsed.path().unwrap(), "C:\\data=1\\x");
        assert_eq!(parsed.option("subset"), Some("10"));
        assert_eq!(parsed.option("classes"), Some("0,1"));
    }

    #[test]
    fn the_same_data_may_lie_elsewhere() {
        let is_like = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| Specification::parse(text).unwrap());
            assert_eq!(one.is_like(&other), other.is_like(&one));
            one.is_like(&other)
        };
        let known = "cifar10:/old:subset=5:classes=0,1";
        assert!(is_like(known, "cifar10:/new:classes=0,1:subset=5"));
        for other in [
            "cifar10:/old",
            "cifar10:/old:subset=5",
            "cifar10:/old:subset=6:classes=0,1",
            "cifar10:/old:test-subset=5:classes=0,1",
            "cifar100:/old:subset=5:classes=0,1",
            "builtin:subset=5:classes=0,1",
        ] {
            assert!(!is_like(known, other), "{other}");
        }
    }

    #[test]
    fn what_does_not_exist_is_named() {
        for (text, part) in [
            ("cifar11:x", "there are builtin"),
            ("cifar10:x:subsets=3", "unknown option `subsets`"),
            ("cifar10", "say where it lies: cifar10:DIR"),
            ("builtin:somewhere", "not of the form"),
            ("builtin:train=0", "from 1 to"),
            ("builtin:subset=1:subset=2", "given twice"),
            ("builtin:mean=0.5", "used as they are"),
            ("builtin:augment=no", "must be on or off"),
        ] {
            let error = crate::data::Dataset::open(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn text_survives_being_taken_apart(path in "[a-z/:.= ]{0,12}", count in 1_usize..100) {
            if let Ok(parsed) = Specification::parse(&format!("cifar10:{path}:subset={count}")) {
                let again = Specification::parse(&parsed.to_string()).unwrap();
                prop_assert_eq!(again, parsed);
            }
        }
    }
}
