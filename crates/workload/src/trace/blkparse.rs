//! What blkparse prints by default (its manual, "Default output"):
//! `%D %2c %8s %5T.%9t %5p %2a %3d`, and `%S + %n [%C]`.

use super::fields::{Blocks, Fault, Fields, SECTOR, sectors};
use super::{Action, Lines, Record};
use crate::request::Op;

/// All actions that blkparse knows (its manual, "Trace actions"): a line with another one is bad.
const ACTIONS: [&str; 17] = [
    "A", "B", "C", "D", "F", "G", "I", "M", "P", "Q", "R", "S", "T", "U", "UT", "X", "m",
];

/// Lines of `major,minor cpu sequence seconds pid action rwbs sector + sectors [process]`. The
/// statistics at the end are none.
pub(super) struct Blkparse {
    blocks: Blocks,
    action: &'static str,
    /// Whether the statistics have begun.
    ended: bool,
}

impl Blkparse {
    pub(super) fn new(blocks: Blocks, action: Action) -> Self {
        Self {
            blocks,
            action: match action {
                Action::Queued => "Q",
                Action::Issued => "D",
            },
            ended: false,
        }
    }
}

/// Whether a line is of the statistics that follow the events: `CPU0 (sda):`, `Total (sda):`.
fn is_statistics(line: &str) -> bool {
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    line.strip_prefix("CPU").is_some_and(numbered) || line.starts_with("Total (")
}

impl Lines for Blkparse {
    fn record<'l>(&mut self, line: &'l str, _number: u64) -> Result<Option<Record<'l>>, Fault> {
        self.ended |= is_statistics(line);
        if self.ended || line.trim().is_empty() || line.starts_with("Input file ") {
            return Ok(None);
        }
        let mut fields = Fields::between_spaces(line);
        let device = fields.need("device")?;
        if !is_device(device.text) {
            return Err(device.refuse("this is not major,minor, such as 259,0"));
        }
        fields.need("cpu")?;
        fields.need("sequence")?;
        let at = fields.need("time")?.seconds()?;
        fields.need("pid")?;
        let action = fields.need("action")?;
        if !ACTIONS.contains(&action.text) {
            return Err(action.none_of(&ACTIONS.join(", ")));
        }
        if action.text != self.action {
            return Ok(None);
        }
        let rwbs = fields.need("rwbs")?;
        if !rwbs.text.bytes().all(|byte| b"RWDFNASMBE".contains(&byte)) {
            return Err(rwbs.none_of("letters out of R, W, D, F, N, A, S, M, B, E"));
        }
        // A command of another kind than reading and writing, for example of SG_IO.
        if rwbs.text.starts_with('N') {
            return Ok(None);
        }
        let sector = fields
            .next("sector")
            .filter(|field| !field.text.starts_with('['));
        let Some(sector) = sector else {
            // Nothing but a flush has no blocks.
            if !rwbs.text.contains('F') {
                return Err(Fault::new(line.len(), "sector is missing"));
            }
            return Ok(Some(Record {
                at,
                op: Op::Flush,
                slba: 0,
                nlb: 0,
                device: device.text,
            }));
        };
        let offset = sectors(&sector)?;
        let plus = fields.need("+")?;
        if plus.text != "+" {
            return Err(plus.none_of("+"));
        }
        let count = fields.need("sectors")?;
        let bytes = sectors(&count)?;
        let op = match rwbs.text.trim_start_matches('F').bytes().next() {
            Some(b'D') => Op::Trim,
            Some(b'R') => Op::Read,
            _ if bytes < SECTOR => Op::Flush,
            Some(b'W') => Op::Write,
            _ => return Err(rwbs.none_of("R, W, D or F with other letters behind")),
        };
        let (slba, nlb) = match op {
            Op::Flush => (0, 0),
            _ => self.blocks.of(op, (&sector, offset), (&count, bytes))?,
        };
        Ok(Some(Record {
            at,
            op,
            slba,
            nlb,
            device: device.text,
        }))
    }
}

/// Whether it has the form `major,minor`.
pub(super) fn is_device(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(',')
        .is_some_and(|(major, minor)| number(major) && number(minor))
}
