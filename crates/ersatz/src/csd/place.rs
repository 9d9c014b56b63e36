//! Places in device memory, as they are written on the command line.

use crate::quantity::{number, number32};
use anyhow::{Result, ensure};
use ersatz_host::Csd;
use ersatz_host::csd::MemoryAt;
use nvme_spec::slm::MemoryRange;
use std::str::FromStr;

/// A place: a byte, and a namespace unless there is only one.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Place {
    /// Byte of device memory.
    #[arg(value_name = "ADDR", value_parser = number)]
    pub byte: u64,
    /// Memory namespace; need not be given if there is only one.
    #[arg(long, value_name = "NSID", value_parser = number32)]
    pub memory: Option<u32>,
}

impl Place {
    pub fn resolve(&self, csd: &Csd) -> Result<MemoryAt> {
        Ok(MemoryAt {
            nsid: super::memory(csd, self.memory)?,
            byte: self.byte,
        })
    }
}

/// A range of device memory, written `[NSID:]ADDR:LEN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    nsid: Option<u32>,
    byte: u64,
    len: u64,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split(':').collect();
        let (nsid, byte, len) = match parts[..] {
            [byte, len] => (None, byte, len),
            [nsid, byte, len] => (Some(number32(nsid)?), byte, len),
            _ => return Err(format!("{text:?} is not of the form [NSID:]ADDR:LEN")),
        };
        Ok(Self {
            nsid,
            byte: number(byte)?,
            len: number(len)?,
        })
    }
}

impl Range {
    pub fn at(&self, csd: &Csd) -> Result<MemoryAt> {
        Ok(MemoryAt {
            nsid: super::memory(csd, self.nsid)?,
            byte: self.byte,
        })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The descriptor that a program is given.
    fn resolve(&self, csd: &Csd) -> Result<MemoryRange> {
        let at = self.at(csd)?;
        let len = u32::try_from(self.len);
        ensure!(
            len.is_ok(),
            "a range of {} bytes: it has to be less than 4 GiB",
            self.len
        );
        Ok(MemoryRange::new(at.nsid, at.byte, len.unwrap_or_default()))
    }
}

/// Descriptors of all `ranges`.
pub fn resolve(csd: &Csd, ranges: &[Range]) -> Result<Vec<MemoryRange>> {
    ranges.iter().map(|range| range.resolve(csd)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_may_name_its_namespace() {
        let range = |nsid, byte, len| Range { nsid, byte, len };
        assert_eq!("0:4KiB".parse(), Ok(range(None, 0, 4096)));
        assert_eq!("2:0x10:8".parse(), Ok(range(Some(2), 16, 8)));
        for bad in ["", "1", "1:2:3:4", "a:1", "1:", ":1"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }
}
