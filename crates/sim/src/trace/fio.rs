//! fio's I/O logs, versions 2 (`file action offset length`, with `wait` for times) and 3 (`time
//! file action offset length`, milliseconds), as fio's documentation, "Trace file format", has them.

use super::fields::{Fault, Field, Fields};
use super::{Format, Geometry};
use crate::load::Request;
use ersatz_engine::Ns;
use ersatz_report::Op;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Two,
    Three,
}

/// Lines of an iolog. All files go to the one namespace.
pub struct Fio {
    geometry: Geometry,
    version: Option<Version>,
    /// Version 2: what was waited for until now.
    now: Ns,
}

impl Fio {
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            version: None,
            now: Ns::ZERO,
        }
    }

    fn scaled(field: &Field<'_>, unit: u64) -> Result<Ns, Fault> {
        let time = field.number()?.checked_mul(unit).map(Ns);
        time.ok_or_else(|| field.wrong("is too large"))
    }
}

impl Format for Fio {
    fn request(&mut self, line: &str, _number: u64) -> Result<Option<Request>, Fault> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let Some(version) = self.version else {
            self.version = Some(match line.trim_end() {
                "fio version 2 iolog" => Version::Two,
                "fio version 3 iolog" => Version::Three,
                _ => {
                    let expected =
                        "the first line is \"fio version 2 iolog\" or \"fio version 3 iolog\"";
                    return Err(Fault::new(0, expected));
                }
            });
            return Ok(None);
        };
        let mut fields = Fields::by_space(line);
        let at = match version {
            Version::Two => self.now,
            Version::Three => Self::scaled(&fields.need("time")?, 1_000_000)?,
        };
        fields.need("file")?;
        let action = fields.need("action")?;
        let op = match action.text {
            "read" => Op::Read,
            "write" => Op::Write,
            "trim" => Op::Trim,
            "sync" | "datasync" => Op::Flush,
            "wait" if version == Version::Two => {
                let until = fields.need("offset")?;
                let time = Self::scaled(&until, 1_000)?;
                if time < self.now {
                    return Err(until.wrong("is before the last wait"));
                }
                self.now = time;
                return Ok(None);
            }
            "add" | "open" | "close" => return Ok(None),
            _ => {
                return Err(action.wrong(
                    "is no action; allowed: add, open, close, wait, read, write, sync, datasync or trim",
                ));
            }
        };
        let (slba, nlb) = if op == Op::Flush {
            (0, 0)
        } else {
            let offset = fields.need("offset")?;
            self.geometry
                .blocks(op, &offset, 1, &fields.need("length")?)?
        };
        Ok(Some(Request {
            at,
            op,
            slba,
            nlb,
            job: 0,
        }))
    }
}
