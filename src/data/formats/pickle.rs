//! A reader of the pickled values that a CIFAR batch holds. It never calls anything: of the callables that a pickle
//! may name, the four that describe an array of bytes are known, and only what they would be given is kept.
//!
//! Values lie in one arena and refer to each other by index, and texts are ranges of the file. So nothing is copied,
//! however often a pickle refers to it, and dropping the values never recurses.

use super::pickle_machine;

/// A range of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Its first byte.
    pub(super) start: usize,
    /// The byte after its last.
    pub(super) end: usize,
}

/// A value, or the index of one in the arena.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Something that means nothing here: none, a real number, a flag.
    Other,
    /// A whole number.
    Integer(i64),
    /// Bytes or text, which need not be UTF-8.
    Text(Span),
    /// UTF-8 whose characters stand for bytes.
    Latin1(Span),
    /// Index of a list.
    List(usize),
    /// Index of a tuple.
    Tuple(usize),
    /// Index of a dictionary: key, value, key, value.
    Dictionary(usize),
    /// Index of an array's state: version, shape, type, whether columns come first, bytes. Empty until it is known.
    Array(usize),
    /// The type of an array's elements, by name.
    Type(Span),
    /// A flag.
    Flag(bool),
    /// A callable, which nothing calls.
    Callable(Callable),
}

/// The callables that may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callable {
    /// Begins an array.
    Reconstruct,
    /// Its class.
    NdArray,
    /// Makes the type of its elements.
    Dtype,
    /// Turns text into bytes.
    Encode,
}

/// A value, or what is wrong with the pickle, for a person.
pub(super) type Outcome<T> = std::result::Result<T, String>;

/// The values of a pickle.
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    nodes: Vec<Vec<Value>>,
    top: Value,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub(super) fn read(bytes: &'a [u8]) -> Outcome<Self> {
        let (top, nodes) = pickle_machine::run(bytes)?;
        Ok(Self { bytes, nodes, top })
    }

    /// The entry of the outermost dictionary under `key`.
    pub(super) fn entry(&self, key: &str) -> Option<Value> {
        let Value::Dictionary(index) = self.top else {
            return None;
        };
        let pairs = self.nodes.get(index)?.chunks_exact(2);
        // The last of several is the one that Python would keep.
        pairs.rev().find_map(|pair| match *pair {
            [found, value] if self.text(found) == Some(key.as_bytes()) => Some(value),
            _ => None,
        })
    }

    /// The elements of a list, a tuple or an array's state.
    pub(super) fn elements(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::List(index) | Value::Tuple(index) | Value::Array(index) => self.nodes.get(index).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The bytes of a text, of the name of a type, or of what Latin-1 is to be made from.
    pub(super) fn text(&self, value: Value) -> Option<&'a [u8]> {
        match value {
            Value::Text(span) | Value::Latin1(span) | Value::Type(span) => self.bytes.get(span.start..span.end),
            _ => None,
        }
    }
}

/// The callable of this name, if it is one that an array needs.
///
/// # Errors
/// Names any other.
pub(super) fn callable(module: &[u8], name: &[u8]) -> Outcome<Callable> {
    match (module, name) {
        (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => Ok(Callable::Reconstruct),
        (b"numpy", b"ndarray") => Ok(Callable::NdArray),
        (b"numpy", b"dtype") => Ok(Callable::Dtype),
        (b"_codecs", b"encode") => Ok(Callable::Encode),
        _ => {
            let shown = |name: &[u8]| name.escape_ascii().take(60).map(char::from).collect::<String>();
            Err(format!(
                "it would call `{}.{}` when Python opens it, so this is not a CIFAR batch; nothing of it was run",
                shown(module),
                shown(name)
            ))
        }
    }
}

/// What `called` would make of `arguments`, in so far as it is needed later.
///
/// # Errors
/// Says that no CIFAR batch makes such a value.
pub(super) fn reduce(nodes: &mut Vec<Vec<Value>>, called: Value, arguments: Value) -> Outcome<Value> {
    let strange = || "it makes a value that no CIFAR batch has; nothing of it was run".to_owned();
    let Value::Tuple(index) = arguments else {
        return Err(strange());
    };
    match (called, nodes.get(index).map(Vec::as_slice).unwrap_or_default()) {
        (Value::Callable(Callable::Reconstruct), [Value::Callable(Callable::NdArray), ..]) => {
            nodes.push(Vec::new());
            Ok(Value::Array(nodes.len() - 1))
        }
        (Value::Callable(Callable::Dtype), [Value::Text(name) | Value::Latin1(name), ..]) => Ok(Value::Type(*name)),
        // The second argument says how to encode: `latin1` is the only one that pickles use for bytes.
        (Value::Callable(Callable::Encode), [Value::Text(text), Value::Text(_)]) => Ok(Value::Latin1(*text)),
        _ => Err(strange()),
    }
}

/// Gives an array its state; the state of a type says nothing more about bytes.
///
/// # Errors
/// Says that no CIFAR batch has such a value.
pub(super) fn build(nodes: &mut [Vec<Value>], built: Value, state: Value) -> Outcome<()> {
    match (built, state) {
        (Value::Type(_), Value::Tuple(_)) => return Ok(()),
        (Value::Array(array), Value::Tuple(state)) => {
            // Five values by definition, so a hostile pickle cannot copy long ones again and again.
            if let Some(state) = nodes.get(state).filter(|state| state.len() == 5).cloned()
                && let Some(array) = nodes.get_mut(array)
            {
                *array = state;
                return Ok(());
            }
        }
        _ => {}
    }
    Err("it sets the state of a value that no CIFAR batch has; nothing of it was run".to_owned())
}
