//! What a pickled CIFAR batch says: its labels, its pixels, or the names of its classes.

use std::borrow::Cow;

use super::pickle::{Outcome, Pickle, Value};

/// A batch of images.
pub(super) struct Batch<'a> {
    /// Class of each image, unchecked; as many as images.
    pub(super) labels: Vec<i64>,
    /// Bytes of an image.
    pub(super) columns: usize,
    /// The images one after the other, `labels.len() * columns` bytes.
    pub(super) pixels: Cow<'a, [u8]>,
}

/// Reads a batch whose labels are under `label_key` and whose pixels are under `data`.
///
/// # Errors
/// What is wrong, for a person: it is no pickle, an entry is missing or is not an array of bytes.
pub(super) fn read<'a>(bytes: &'a [u8], label_key: &str) -> Outcome<Batch<'a>> {
    let pickle = Pickle::read(bytes)?;
    let missing = |key: &str| format!("it has no entry `{key}`, so this is not the CIFAR batch that was looked for");
    let labels = pickle.entry(label_key).ok_or_else(|| missing(label_key))?;
    let labels: Option<Vec<i64>> = pickle.elements(labels).and_then(|labels| {
        let number = |label: &Value| match label {
            Value::Integer(number) => Some(*number),
            _ => None,
        };
        labels.iter().map(number).collect()
    });
    let labels = labels.ok_or_else(|| format!("`{label_key}` is not a list of whole numbers"))?;
    let data = pickle.entry("data").ok_or_else(|| missing("data"))?;
    let (columns, pixels) = array(&pickle, data, labels.len())?;
    Ok(Batch {
        labels,
        columns,
        pixels,
    })
}

/// The texts of the list under `key`, if it is one.
pub(super) fn names(bytes: &[u8], key: &str) -> Option<Vec<String>> {
    let pickle = Pickle::read(bytes).ok()?;
    let name = |&name: &Value| String::from_utf8(pickle.text(name)?.to_vec()).ok();
    pickle.elements(pickle.entry(key)?)?.iter().map(name).collect()
}

/// Columns and bytes of an array with `rows` rows, in the order of its rows.
fn array<'a>(pickle: &Pickle<'a>, array: Value, rows: usize) -> Outcome<(usize, Cow<'a, [u8]>)> {
    let (Value::Array(_), Some([_, shape, kind, columns_first, content])) = (array, pickle.elements(array)) else {
        return Err("`data` is not an array".to_owned());
    };
    match pickle.text(*kind) {
        Some(b"u1" | b"uint8" | b"|u1") => {}
        _ => return Err("`data` does not consist of unsigned bytes (uint8)".to_owned()),
    }
    let strange = || format!("`data` does not have the shape of {rows} images");
    let side = |side: &Value| match side {
        Value::Integer(side) => usize::try_from(*side).ok(),
        _ => None,
    };
    let shape: Option<Vec<usize>> = match shape {
        Value::Tuple(_) => pickle
            .elements(*shape)
            .and_then(|shape| shape.iter().map(side).collect()),
        _ => None,
    };
    let columns = match *shape.ok_or_else(strange)? {
        [all] => all.checked_div(rows),
        [first, columns] if first == rows => Some(columns),
        _ => None,
    };
    let columns = columns.filter(|&columns| columns > 0).ok_or_else(strange)?;
    let text = pickle.text(*content).ok_or("`data` holds no bytes")?;
    let bytes = match content {
        // Bytes as a Python 3 pickle of version 2 writes them: text whose characters are the bytes.
        Value::Latin1(_) => Cow::Owned(latin1(text)?),
        _ => Cow::Borrowed(text),
    };
    if rows.checked_mul(columns) != Some(bytes.len()) {
        let found = bytes.len();
        return Err(format!(
            "`data` holds {found} bytes instead of {rows} images of {columns}; download it again"
        ));
    }
    match columns_first {
        Value::Flag(false) => Ok((columns, bytes)),
        Value::Flag(true) => {
            let row = |row: usize| bytes.iter().skip(row).step_by(rows).copied();
            Ok((columns, (0..rows).flat_map(row).collect()))
        }
        _ => Err("`data` does not say whether its rows or its columns come first".to_owned()),
    }
}

/// The bytes that stand in `text` as characters.
fn latin1(text: &[u8]) -> Outcome<Vec<u8>> {
    let bytes = std::str::from_utf8(text).ok().and_then(|text| {
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars() {
            bytes.push(u8::try_from(character).ok()?);
        }
        Some(bytes)
    });
    bytes.ok_or_else(|| "`data` holds text instead of bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of three bytes, as Python 2 writes them with version 2.
    fn python2() -> Vec<u8> {
        [
            b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x07M\x00\x01eU\x04dataq\x04".as_slice(),
            b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07",
            b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09",
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x06\x00\x00\x00\x01\x02\x03\xfd\xfe\xfftbu.",
        ]
        .concat()
    }

    /// One image of three bytes, as Python 3 writes them with version 4, `callable` being what makes the array.
    fn python3(callable: &[u8; 12]) -> Vec<u8> {
        [
            b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06labels\x94]\x94K\x05a\x8c\x04data\x94"
                .as_slice(),
            b"\x8c\x16numpy._core.multiarray\x94\x8c\x0c",
            callable,
            b"\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94",
            b"(K\x01K\x01K\x03\x86\x94h\x07\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94",
            b"(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x03\x07\x08\x09\x94t\x94bu.",
        ]
        .concat()
    }

    fn reason(bytes: &[u8], key: &str) -> String {
        read(bytes, key).err().unwrap_or_default()
    }

    #[test]
    fn both_pythons_are_read() {
        let bytes = python2();
        let batch = read(&bytes, "labels").unwrap();
        assert_eq!((batch.labels, batch.columns), (vec![7, 256], 3));
        assert_eq!(*batch.pixels, [1, 2, 3, 253, 254, 255]);
        let bytes = python3(b"_reconstruct");
        let batch = read(&bytes, "labels").unwrap();
        assert_eq!(
            (batch.labels, batch.columns, &*batch.pixels),
            (vec![5], 3, &[7, 8, 9][..])
        );
        assert!(reason(&bytes, "fine_labels").contains("no entry `fine_labels`"));
    }

    #[test]
    fn columns_first_and_bytes_as_text_are_read() {
        let mut bytes = python2();
        let flag = bytes.iter().position(|&byte| byte == 0x89).unwrap();
        bytes[flag] = 0x88;
        assert_eq!(*read(&bytes, "labels").unwrap().pixels, [1, 3, 254, 2, 253, 255]);
        assert_eq!(latin1("a\u{ff}".as_bytes()), Ok(vec![b'a', 255]));
        assert!(latin1("\u{100}".as_bytes()).is_err());
    }

    #[test]
    fn another_callable_is_named_and_not_run() {
        let message = reason(&python3(b"_destruct_it"), "labels");
        assert!(message.contains("`numpy._core.multiarray._destruct_it`"), "{message}");
        let message = reason(b"cos\nsystem\n(U\x04ruintR.", "labels");
        assert!(
            message.contains("`os.system`") && message.contains("nothing of it was run"),
            "{message}"
        );
    }

    #[test]
    fn hostile_pickles_end_in_an_error() {
        let nested = [b"(".repeat(1_000_000).as_slice(), b"."].concat();
        assert!(reason(&nested, "labels").contains("nested"));
        // Lists of lists, each holding the one before twice: cheap, since a list is held by its index.
        let doubled = [b"]q\x00".as_slice(), &b"](h\x00h\x00eq\x00".repeat(100_000), b"."].concat();
        assert!(reason(&doubled, "labels").contains("no entry"));
        let deep = [b"]".as_slice(), &b"\x85".repeat(3_000_000), b"."].concat();
        assert!(reason(&deep, "labels").contains("no entry"));
        assert!(reason(&b"N".repeat(5_000_000), "labels").contains("more values"));
        assert!(reason(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "labels").contains("too early"));
        assert!(
            reason(b"]q\x00h\x00a.", "labels").contains("no entry"),
            "a list may hold itself"
        );
    }

    #[test]
    fn a_cut_or_damaged_batch_never_panics() {
        for whole in [python2(), python3(b"_reconstruct")] {
            for length in 0..whole.len() {
                assert!(read(&whole[..length], "labels").is_err(), "{length}");
            }
            for index in 0..whole.len() {
                for change in 1..=255 {
                    let mut damaged = whole.clone();
                    damaged[index] ^= change;
                    let _ = read(&damaged, "labels");
                }
            }
        }
    }
}
