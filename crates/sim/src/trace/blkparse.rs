//! blkparse's default text: `8,0 3 11 0.009507758 697 C W 223490 + 8 [0]`, sectors of 512 bytes.

use super::fields::{Fault, Fields};
use super::{Format, Geometry, seconds};
use crate::load::Request;
use ersatz_report::Op;

/// Requests as they were issued to the device (action `D`); other actions, and the summary that
/// follows them, are none.
pub struct Blkparse {
    geometry: Geometry,
    ended: bool,
}

impl Blkparse {
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            ended: false,
        }
    }
}

impl Format for Blkparse {
    fn request(&mut self, line: &str, _number: u64) -> Result<Option<Request>, Fault> {
        // After the events, blkparse prints sums for each processor and for all.
        self.ended |= line.starts_with("CPU") || line.starts_with("Total");
        if self.ended || line.trim().is_empty() {
            return Ok(None);
        }
        let mut fields = Fields::by_space(line);
        let device = fields.need("device")?;
        if !device.text.contains(',') {
            return Err(device.wrong("is no device number such as 8,0"));
        }
        fields.need("processor")?.number()?;
        fields.need("sequence")?.number()?;
        let time = fields.need("time")?;
        let at = seconds(&time)?;
        fields.need("process")?;
        let action = fields.need("action")?;
        if action.text != "D" {
            return Ok(None);
        }
        let kind = fields.need("kind")?;
        let op = match kind.text {
            text if text.contains('D') => Op::Trim,
            text if text.contains('R') => Op::Read,
            text if text.contains('W') => Op::Write,
            text if text.contains('F') => Op::Flush,
            // A command that is not about blocks.
            _ => return Ok(None),
        };
        if op == Op::Flush {
            return Ok(Some(Request {
                at,
                op,
                slba: 0,
                nlb: 0,
                job: 0,
            }));
        }
        let sector = fields.need("sector")?;
        let plus = fields.need("+")?;
        if plus.text != "+" {
            // A flush that is flagged as a write (`FWS`) has no sectors.
            let bare = kind.text.contains('F');
            return if bare {
                Ok(None)
            } else {
                Err(plus.wrong("stands where + does"))
            };
        }
        let count = fields.need("sectors")?;
        let (slba, nlb) = self.geometry.sectors(op, &sector, &count)?;
        Ok(Some(Request {
            at,
            op,
            slba,
            nlb,
            job: 0,
        }))
    }
}
