//! What a built-in program is.

use crate::job::Job;
use crate::programs;
use ersatz_compute::CostModel;
use ersatz_engine::Ns;
use ersatz_runtime::{Args, Fault, Fuel, Program, Report, Window};
use std::fmt;

/// A program that the drive brings along.
#[derive(Clone, Copy)]
pub struct Builtin {
    /// Its name, for people.
    pub name: &'static str,
    /// Its program identifier (PID with an identifier type of PUID), the same on every drive: the
    /// letters `ersatz`, then a number.
    pub id: u64,
    /// What it does.
    pub summary: &'static str,
    /// What each of the job's ranges is, in order.
    pub ranges: &'static [&'static str],
    /// How many of `ranges` a job must have.
    pub required: usize,
    /// What CPARAM1 and CPARAM2 are; empty where the program does not look. For a program with
    /// options, CPARAM2 is the number of their bytes, if they are in a range.
    pub parameters: [&'static str; 2],
    /// What the command's data buffer holds. If that is empty, the same bytes are expected at the
    /// beginning of the job's last range, behind the others. `None` for a program without options.
    pub options: Option<&'static str>,
    /// What the return value is.
    pub result: &'static str,
    /// What a job costs, unless the drive file says otherwise: a rate for [`Report::bytes`], the bytes
    /// that were read from range 0, and those that were written where a program decompresses.
    pub cost: CostModel,
    pub(crate) run: fn(&Job<'_>) -> Result<u64, Fault>,
}

impl fmt::Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builtin")
            .field("name", &self.name)
            .field("id", &format_args!("{:#x}", self.id))
            .finish_non_exhaustive()
    }
}

impl Program for Builtin {
    /// Takes no instructions, so that `budget` sets no bound: the lengths of the ranges do.
    fn run(&self, memory: &Window, args: &Args<'_>, _budget: Fuel) -> Report {
        match Job::new(self, memory, args) {
            Ok(job) => {
                let result = (self.run)(&job);
                Report {
                    bytes: job.bytes(),
                    ..Report::of(result)
                }
            }
            Err(fault) => Report::of(Err(fault)),
        }
    }
}

/// Every built-in program, by number.
#[must_use]
pub fn all() -> &'static [Builtin] {
    const ALL: &[Builtin] = &[
        programs::crc32c::CRC32C,
        programs::sha256::SHA256,
        programs::lz4::COMPRESS,
        programs::lz4::DECOMPRESS,
        programs::zstd::COMPRESS,
        programs::zstd::DECOMPRESS,
        programs::filter::FILTER,
        programs::find::FIND,
        programs::regex::REGEX,
        programs::knn::KNN,
        programs::reduce::SUM,
        programs::reduce::MIN,
        programs::reduce::MAX,
        programs::histogram::HISTOGRAM,
        programs::aes_xts::ENCRYPT,
        programs::aes_xts::DECRYPT,
    ];
    ALL
}

/// The identifier of program number `number`.
pub(crate) const fn id(number: u16) -> u64 {
    u64::from_be_bytes(*b"ersatz\0\0") | number as u64
}

/// A default rate, in microseconds and GB/s.
pub(crate) const fn rate(setup: u64, bandwidth: u64) -> CostModel {
    CostModel::Rate {
        setup: Ns::from_us(setup),
        bandwidth: bandwidth * 1_000_000_000,
    }
}

#[cfg(test)]
mod tests;
