//! fio's iolog, versions 2 and 3 (fio's manual, "Trace file format").

use super::fields::{Blocks, Fault, Field, Fields};
use super::{Lines, Record};
use crate::request::Op;
use ersatz_engine::Ns;

/// The first line, without its version.
pub(super) const HEADING: [&str; 2] = ["fio version 2 iolog", "fio version 3 iolog"];

/// Nanoseconds of fio's microsecond.
const MICROSECOND: u64 = 1_000;

/// Lines of `[time] file action [offset length]`, in microseconds and bytes. Version 2 has no
/// times, but `wait` actions between which everything comes at once.
pub(super) struct Iolog {
    blocks: Blocks,
    version: Version,
    /// Sum of all waits.
    waited: Ns,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// The heading was not there yet.
    Unknown,
    Two,
    Three,
}

impl Iolog {
    pub(super) fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            version: Version::Unknown,
            waited: Ns::ZERO,
        }
    }

    fn heading(&mut self, line: &str) -> Result<(), Fault> {
        let [two, three] = HEADING;
        self.version = match line.trim() {
            text if text == two => Version::Two,
            text if text == three => Version::Three,
            _ => {
                let message = format!("this is not the first line; allowed: {two:?}, {three:?}");
                return Err(Fault::new(0, message));
            }
        };
        Ok(())
    }

    fn wait(&mut self, fields: &mut Fields<'_>) -> Result<(), Fault> {
        let time = fields.need("microseconds")?.time(MICROSECOND)?;
        self.waited += time;
        Ok(())
    }
}

impl Lines for Iolog {
    fn record<'l>(&mut self, line: &'l str, _number: u64) -> Result<Option<Record<'l>>, Fault> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        if self.version == Version::Unknown {
            self.heading(line)?;
            return Ok(None);
        }
        let mut fields = Fields::between_spaces(line);
        let at = match self.version {
            Version::Three => fields.need("time")?.time(MICROSECOND)?,
            _ => self.waited,
        };
        let device = fields.need("file")?.text;
        let action = fields.need("action")?;
        let op = match action.text {
            "read" => Op::Read,
            "write" => Op::Write,
            "trim" => Op::Trim,
            "sync" | "datasync" => Op::Flush,
            "add" | "open" | "close" => return Ok(None),
            "wait" if self.version == Version::Two => {
                self.wait(&mut fields)?;
                return Ok(None);
            }
            _ => return Err(self.unknown(&action)),
        };
        let (slba, nlb) = if op == Op::Flush {
            (0, 0)
        } else {
            let offset = fields.need("offset")?;
            let length = fields.need("length")?;
            let (start, bytes) = (offset.number()?, length.number()?);
            self.blocks.of(op, (&offset, start), (&length, bytes))?
        };
        Ok(Some(Record {
            at,
            op,
            slba,
            nlb,
            device,
        }))
    }
}

impl Iolog {
    fn unknown(&self, action: &Field<'_>) -> Fault {
        let actions = "read, write, trim, sync, datasync, add, open, close";
        match self.version {
            Version::Two => action.none_of(&format!("{actions}, wait")),
            _ => action.none_of(actions),
        }
    }
}
