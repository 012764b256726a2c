//! The instructions of a pickle: a stack, a memo and an arena of values, all bounded.

use std::collections::HashMap;

use super::pickle::{self, Outcome, Span, Value};

/// Most instructions; CIFAR-100 has some 250 000. It bounds the values, the stack and the memo too.
const MOST_STEPS: usize = 4_000_000;
/// Most sequences begun and not yet ended.
const MOST_NESTING: usize = 64;
/// Longest line: a number, or the name of a module.
const LONGEST_LINE: usize = 128;
const DAMAGED: &str = "its values are damaged, or this is not a CIFAR batch; download it again";

/// Follows the instructions to the end: the topmost value, and the arena that it refers to.
///
/// # Errors
/// What is wrong, for a person.
pub(super) fn run(bytes: &[u8]) -> Outcome<(Value, Vec<Vec<Value>>)> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        nodes: Vec::new(),
    };
    for _ in 0..MOST_STEPS {
        if let Some(top) = machine.step()? {
            return Ok((top, machine.nodes));
        }
    }
    Err("it has more values than a CIFAR batch; this is another kind of file".to_owned())
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Lengths of the stack where a sequence began.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    nodes: Vec<Vec<Value>>,
}

impl<'a> Machine<'a> {
    /// Follows one instruction; the topmost value if it was the last.
    fn step(&mut self) -> Outcome<Option<Value>> {
        let code = self.number(1)? as u8;
        match code {
            0x80 => match self.number(1)? {
                0..=5 => {}
                version => return Err(format!("it is a pickle of version {version}; save it with version 2")),
            },
            0x95 => drop(self.span(8)?),
            b'(' if self.marks.len() == MOST_NESTING => return Err("its values are nested too deeply".to_owned()),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::Other),
            b'G' => {
                self.span(8)?;
                self.stack.push(Value::Other);
            }
            0x88 | 0x89 => self.stack.push(Value::Flag(code == 0x88)),
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            b'J' => {
                let value = self.number(4)? as u32;
                self.stack.push(Value::Integer(i64::from(value.cast_signed())));
            }
            b'I' => {
                let value = match self.line()? {
                    b"00" => Value::Flag(false),
                    b"01" => Value::Flag(true),
                    line => Value::Integer(decimal(line)?),
                };
                self.stack.push(value);
            }
            0x8a => {
                let length = self.number(1)? as usize;
                if length > 8 {
                    return Err(format!("it has a whole number of {length} bytes"));
                }
                // Filled up from the top, so that shifting back carries the sign.
                let missing = 64 - 8 * length as u32;
                let value = self.number(length)?.checked_shl(missing).unwrap_or(0).cast_signed();
                self.stack.push(Value::Integer(value.checked_shr(missing).unwrap_or(0)));
            }
            b'U' | b'C' | 0x8c => self.text(1)?,
            b'T' | b'X' | b'B' => self.text(4)?,
            0x8e => self.text(8)?,
            b'}' => self.node(Vec::new(), Value::Dictionary),
            b']' => self.node(Vec::new(), Value::List),
            b')' => self.node(Vec::new(), Value::Tuple),
            b'l' => {
                let elements = self.since_mark()?;
                self.node(elements, Value::List);
            }
            b't' => {
                let elements = self.since_mark()?;
                self.node(elements, Value::Tuple);
            }
            0x85..=0x87 => {
                let mut elements = Vec::new();
                for _ in 0x84..code {
                    elements.push(self.pop()?);
                }
                elements.reverse();
                self.node(elements, Value::Tuple);
            }
            b'a' => {
                let element = self.pop()?;
                self.append(vec![element])?;
            }
            b'e' => {
                let elements = self.since_mark()?;
                self.append(elements)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![key, value])?;
            }
            b'u' => {
                let pairs = self.since_mark()?;
                self.set(pairs)?;
            }
            b'q' | b'r' | b'p' | 0x94 => {
                let slot = match code {
                    b'q' => self.number(1)?,
                    b'r' => self.number(4)?,
                    b'p' => decimal(self.line()?)?.cast_unsigned(),
                    _ => self.memo.len() as u64,
                };
                let value = *self.stack.last().ok_or(DAMAGED)?;
                self.memo.insert(slot, value);
            }
            b'h' | b'j' | b'g' => {
                let slot = match code {
                    b'h' => self.number(1)?,
                    b'j' => self.number(4)?,
                    _ => decimal(self.line()?)?.cast_unsigned(),
                };
                let value = self
                    .memo
                    .get(&slot)
                    .ok_or("it refers to a value that it does not hold")?;
                self.stack.push(*value);
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Callable(pickle::callable(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(name), Value::Text(module)) = (name, module) else {
                    return Err(DAMAGED.to_owned());
                };
                let called = pickle::callable(self.slice(module), self.slice(name))?;
                self.stack.push(Value::Callable(called));
            }
            b'R' => {
                let arguments = self.pop()?;
                let called = self.pop()?;
                let value = pickle::reduce(&mut self.nodes, called, arguments)?;
                self.stack.push(value);
            }
            b'b' => {
                let state = self.pop()?;
                let built = *self.stack.last().ok_or(DAMAGED)?;
                pickle::build(&mut self.nodes, built, state)?;
            }
            b'.' => return self.pop().map(Some),
            _ => return Err(format!("it has the instruction {code:#04x}, which no CIFAR batch has")),
        }
        Ok(None)
    }

    /// The next `length` bytes, which stay where they are.
    fn span(&mut self, length: usize) -> Outcome<Span> {
        let start = self.at;
        let end = start.checked_add(length).filter(|&end| end <= self.bytes.len());
        self.at = end.ok_or("the file ends too early; download it again")?;
        Ok(Span { start, end: self.at })
    }

    fn slice(&self, span: Span) -> &'a [u8] {
        self.bytes.get(span.start..span.end).unwrap_or_default()
    }

    /// The next at most eight bytes as a number, the lowest first.
    fn number(&mut self, length: usize) -> Outcome<u64> {
        let span = self.span(length)?;
        Ok(self
            .slice(span)
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn unsigned(&mut self, length: usize) -> Outcome<()> {
        let value = self.number(length)?.cast_signed();
        self.stack.push(Value::Integer(value));
        Ok(())
    }

    /// A text after its length, which takes `width` bytes.
    fn text(&mut self, width: usize) -> Outcome<()> {
        let length = usize::try_from(self.number(width)?).unwrap_or(usize::MAX);
        let span = self.span(length)?;
        self.stack.push(Value::Text(span));
        Ok(())
    }

    /// The next line, without its end.
    fn line(&mut self) -> Outcome<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take(LONGEST_LINE).position(|&byte| byte == b'\n');
        let span = self.span(length.ok_or("a line in it has no end; this is not a CIFAR batch")?)?;
        self.span(1)?;
        Ok(self.slice(span))
    }

    /// The topmost value of the sequence that was begun last.
    fn pop(&mut self) -> Outcome<Value> {
        let begun = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= begun {
            return Err(DAMAGED.to_owned());
        }
        self.stack.pop().ok_or_else(|| DAMAGED.to_owned())
    }

    /// Takes the values of the sequence that was begun last.
    fn since_mark(&mut self) -> Outcome<Vec<Value>> {
        let begun = self.marks.pop().filter(|&begun| begun <= self.stack.len());
        Ok(self.stack.split_off(begun.ok_or(DAMAGED)?))
    }

    /// Puts `elements` into the arena and their index onto the stack.
    fn node(&mut self, elements: Vec<Value>, kind: impl Fn(usize) -> Value) {
        self.nodes.push(elements);
        self.stack.push(kind(self.nodes.len() - 1));
    }

    fn append(&mut self, elements: Vec<Value>) -> Outcome<()> {
        let Some(Value::List(index)) = self.stack.last() else {
            return Err(DAMAGED.to_owned());
        };
        self.nodes.get_mut(*index).ok_or(DAMAGED)?.extend(elements);
        Ok(())
    }

    fn set(&mut self, pairs: Vec<Value>) -> Outcome<()> {
        match self.stack.last() {
            Some(Value::Dictionary(index)) if pairs.len().is_multiple_of(2) => {
                self.nodes.get_mut(*index).ok_or(DAMAGED)?.extend(pairs);
                Ok(())
            }
            _ => Err(DAMAGED.to_owned()),
        }
    }
}

/// The number on a line.
fn decimal(line: &[u8]) -> Outcome<i64> {
    let number = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    number.ok_or_else(|| format!("`{}` in it is no whole number", line.escape_ascii()))
}
