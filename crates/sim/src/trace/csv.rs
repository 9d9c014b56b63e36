//! Our own format: `time_ns,op,slba,nlb`.

use super::Format;
use super::fields::{Fault, Field, Fields};
use crate::load::{Request, max_blocks};
use ersatz_engine::Ns;
use ersatz_report::Op;

const HEADING: &str = "time_ns,";

/// Lines of `time_ns,op,slba,nlb`. A heading, blank lines and lines that begin with `#` are none.
pub struct Csv;

impl Format for Csv {
    fn request(&mut self, line: &str, number: u64) -> Result<Option<Request>, Fault> {
        let is_heading = number == 1 && line.starts_with(HEADING);
        if line.is_empty() || line.starts_with('#') || is_heading {
            return Ok(None);
        }
        let mut fields = Fields::between(line, b',');
        let at = Ns(fields.need("time_ns")?.number()?);
        let op = fields.need("op")?;
        let op = match op.text {
            "R" => Op::Read,
            "W" => Op::Write,
            "T" => Op::Trim,
            "F" => Op::Flush,
            _ => return Err(op.wrong("is no operation; allowed: R, W, T or F")),
        };
        let slba = fields.need("slba")?.number()?;
        let nlb = blocks(op, &fields.need("nlb")?)?;
        if let Some(more) = fields.next("") {
            return Err(Fault::new(
                more.at,
                "there is more than time_ns, op, slba and nlb",
            ));
        }
        Ok(Some(Request {
            at,
            op,
            slba,
            nlb,
            job: 0,
        }))
    }
}

/// As many blocks as a command of this kind can have.
fn blocks(op: Op, field: &Field<'_>) -> Result<u32, Fault> {
    let (nlb, most) = (field.number()?, max_blocks(op));
    if op == Op::Flush {
        return Ok(0);
    }
    if nlb == 0 {
        return Err(field.refuse("a request has at least one block"));
    }
    if nlb > most {
        let message = format!("{nlb} blocks are more than a command can have ({most})");
        return Err(field.refuse(message));
    }
    Ok(nlb as u32)
}
