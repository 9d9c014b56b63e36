//! A line in its parts, each with its place.

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte of the line, from 0.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
}

impl Fault {
    /// `message` about the byte `at`.
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// The text that is shown of a part that is wrong.
fn quote(text: &str) -> String {
    const SHOWN: usize = 32;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A part of a line.
#[derive(Clone, Copy, Debug)]
pub struct Field<'l> {
    /// What it is, for refusals.
    pub name: &'static str,
    /// Its text without spaces around it.
    pub text: &'l str,
    /// Its byte of the line.
    pub at: usize,
}

impl Field<'_> {
    /// Refuses the part: `message` follows its text.
    pub fn wrong(&self, message: &str) -> Fault {
        Fault::new(self.at, format!("{} {message}", quote(self.text)))
    }

    /// Refuses the part by its name.
    pub fn refuse(&self, message: impl std::fmt::Display) -> Fault {
        Fault::new(self.at, format!("{}: {message}", self.name))
    }

    /// A whole number.
    pub fn number(&self) -> Result<u64, Fault> {
        let bytes = self.text.as_bytes();
        if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
            return Err(self.refuse(format_args!("{} is no whole number", quote(self.text))));
        }
        bytes
            .iter()
            .try_fold(0u64, |value, digit| {
                value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            })
            .ok_or_else(|| self.refuse(format_args!("{} is too large", quote(self.text))))
    }
}

/// Goes through the parts of a line.
pub struct Fields<'l> {
    line: &'l str,
    at: usize,
    separator: Option<u8>,
}

impl<'l> Fields<'l> {
    /// Parts between `separator`s.
    pub fn between(line: &'l str, separator: u8) -> Self {
        Self {
            line,
            at: 0,
            separator: Some(separator),
        }
    }

    /// Parts between white space.
    pub fn by_space(line: &'l str) -> Self {
        Self {
            line,
            at: 0,
            separator: None,
        }
    }

    /// The next part, or `None` at the end of the line.
    pub fn next(&mut self, name: &'static str) -> Option<Field<'l>> {
        let rest = self.line.get(self.at..)?;
        let (len, step) = match self.separator {
            Some(separator) => match rest.bytes().position(|byte| byte == separator) {
                Some(len) => (len, len + 1),
                None => (rest.len(), rest.len() + 1),
            },
            None => {
                let blank = rest.len() - rest.trim_start().len();
                self.at += blank;
                let rest = &rest[blank..];
                if rest.is_empty() {
                    return None;
                }
                let len = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (len, len)
            }
        };
        let raw = self.line.get(self.at..self.at + len)?;
        let text = raw.trim();
        let at = self.at + (raw.len() - raw.trim_start().len());
        self.at += step;
        Some(Field { name, text, at })
    }

    /// The next part, which must be there.
    pub fn need(&mut self, name: &'static str) -> Result<Field<'l>, Fault> {
        let end = self.line.len();
        self.next(name)
            .ok_or_else(|| Fault::new(end, format!("{name} is missing")))
    }
}
