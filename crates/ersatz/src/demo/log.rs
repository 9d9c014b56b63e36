//! A log as a few services would write it: the same bytes in every run.

use ersatz_engine::Rng;
use std::io::Write;

const HOSTS: u64 = 48;
const SERVICES: [&str; 8] = [
    "gateway",
    "orders",
    "payments",
    "search",
    "sessions",
    "images",
    "mail",
    "inventory",
];
const PATHS: [&str; 6] = [
    "/api/v1/orders",
    "/api/v1/cart",
    "/login",
    "/search",
    "/img",
    "/health",
];
const WARNINGS: [&str; 4] = [
    "retry after the peer closed the connection",
    "slow query, 0 errors so far",
    "cache miss rate above the limit",
    "certificate expires soon",
];
const ERRORS: [&str; 4] = [
    "upstream timed out",
    "write to the journal failed: no space left on device",
    "constraint violated: duplicate key",
    "unexpected end of stream",
];

/// Never ends; lines run on from one call of [`fill`](Self::fill) to the next.
pub struct Log {
    rng: Rng,
    /// Milliseconds since midnight.
    clock: u64,
    line: Vec<u8>,
    /// Bytes of `line` that were given out.
    given: usize,
}

impl Log {
    /// The log from its beginning.
    pub fn new() -> Self {
        Self {
            rng: Rng::new(0x0E_25A7),
            clock: 0,
            line: Vec::new(),
            given: 0,
        }
    }

    /// Writes the next bytes of the log.
    pub fn fill(&mut self, mut buf: &mut [u8]) {
        while !buf.is_empty() {
            if self.given == self.line.len() {
                self.next_line();
            }
            let rest = &self.line[self.given..];
            let len = rest.len().min(buf.len());
            let (now, later) = buf.split_at_mut(len);
            now.copy_from_slice(&rest[..len]);
            self.given += len;
            buf = later;
        }
    }

    fn next_line(&mut self) {
        let Self {
            rng, clock, line, ..
        } = self;
        line.clear();
        self.given = 0;
        *clock += rng.below(40);
        let (seconds, ms) = (*clock / 1000, *clock % 1000);
        let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let (day, host) = (1 + seconds / 86_400 % 28, rng.below(HOSTS));
        let (service, pid) = (pick(rng, &SERVICES), 1000 + rng.below(9000));
        let request = rng.next_u64();
        let event = rng.below(100);
        let level = match event {
            0..3 => "ERROR",
            3..10 => "WARN",
            10..25 => "DEBUG",
            _ => "INFO",
        };
        // Writing to a vector does not fail.
        let _ = write!(
            line,
            "2026-03-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z host-{host:02} {service}[{pid}] \
             {level:<5} request={request:016x} "
        );
        let _ = match event {
            0..3 => writeln!(
                line,
                "{} after {} ms",
                pick(rng, &ERRORS),
                rng.below(30_000)
            ),
            3..10 => writeln!(line, "{}", pick(rng, &WARNINGS)),
            10..25 => writeln!(line, "pool={} queued={}", rng.below(64), rng.below(500)),
            _ => writeln!(
                line,
                "GET {}/{} status=200 bytes={} took {} us",
                pick(rng, &PATHS),
                rng.below(1_000_000),
                rng.below(65_536),
                rng.below(200_000)
            ),
        };
    }
}

fn pick<'a>(rng: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[rng.below(choices.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(len: usize, piece: usize) -> Vec<u8> {
        let mut log = Log::new();
        let mut bytes = vec![0; len];
        bytes.chunks_mut(piece).for_each(|chunk| log.fill(chunk));
        bytes
    }

    #[test]
    fn the_log_does_not_depend_on_how_it_is_cut() {
        assert_eq!(log(100_000, 100_000), log(100_000, 777));
    }

    #[test]
    fn a_few_lines_of_a_hundred_are_errors() {
        let bytes = log(1 << 20, 1 << 20);
        let text = str::from_utf8(&bytes).expect("ASCII");
        let lines = text.lines().count();
        let errors = text.lines().filter(|line| line.contains("ERROR")).count();
        assert!(
            (lines / 50..lines / 25).contains(&errors),
            "{errors} of {lines}"
        );
        assert!(text.lines().all(|line| line.len() < 256));
    }
}
