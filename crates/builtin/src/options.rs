//! Reads the options of a program.

use crate::job::failed;
use ersatz_runtime::Fault;

/// Options that were not read yet. Numbers are little-endian.
#[derive(Clone, Copy)]
pub(crate) struct Options<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Options<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// The next `N` bytes, called `what` if they are missing.
    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(failed(format!(
                "the options end before byte {}: {what}",
                self.at + N
            )));
        };
        self.rest = rest;
        self.at += N;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self, what: &str) -> Result<u8, Fault> {
        self.take(what).map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        self.take(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, Fault> {
        self.take(what).map(u64::from_le_bytes)
    }

    /// Bytes that a later version may give a meaning: zero today.
    pub(crate) fn reserved<const N: usize>(&mut self) -> Result<(), Fault> {
        let at = self.at;
        if self.take::<N>("reserved")? != [0; N] {
            return Err(failed(format!(
                "bytes {at} to {} of the options are reserved and not zero",
                at + N - 1
            )));
        }
        Ok(())
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// All that is left, which has to be `len` bytes.
    pub(crate) fn rest_of(self, len: usize, what: &str) -> Result<&'a [u8], Fault> {
        if self.rest.len() != len {
            return Err(failed(format!(
                "{what} has {} bytes, and should have {len}",
                self.rest.len()
            )));
        }
        Ok(self.rest)
    }
}
