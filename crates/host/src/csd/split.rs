//! Cutting work into commands that a drive accepts.

/// Parts of `len` bytes or blocks, each of `step` but the last: where each starts, and its length.
pub(super) fn parts(len: u64, step: u64) -> impl Iterator<Item = (u64, u64)> {
    let step = step.max(1);
    let count = len.div_ceil(step);
    (0..count).map(move |i| (i * step, step.min(len - i * step)))
}

/// Entries that go into one command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch<T> {
    pub(super) entries: Vec<T>,
    /// Bytes of all entries.
    pub(super) bytes: u64,
}

/// Puts entries, each with its bytes, into as few batches as keep to the limits, in order. An
/// entry of more than `max_bytes` is alone in its batch.
pub(super) fn batches<T>(
    entries: impl IntoIterator<Item = (T, u64)>,
    max_entries: usize,
    max_bytes: u64,
) -> Vec<Batch<T>> {
    let mut all: Vec<Batch<T>> = Vec::new();
    for (entry, bytes) in entries {
        match all.last_mut() {
            Some(last)
                if last.entries.len() < max_entries
                    && bytes <= max_bytes.saturating_sub(last.bytes) =>
            {
                last.entries.push(entry);
                last.bytes += bytes;
            }
            _ => all.push(Batch {
                entries: vec![entry],
                bytes,
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        assert!(parts(0, 4).eq([]));
        assert!(parts(4, 4).eq([(0, 4)]));
        assert!(parts(9, 4).eq([(0, 4), (4, 4), (8, 1)]));
        assert!(parts(u64::MAX, u64::MAX).eq([(0, u64::MAX)]));
    }

    #[test]
    fn a_batch_ends_where_a_limit_is_met() {
        let entries = [("a", 4), ("b", 4), ("c", 4), ("d", 1), ("e", 20), ("f", 1)];
        let found = batches(entries, 3, 9);
        let found: Vec<_> = found
            .iter()
            .map(|batch| (batch.entries.concat(), batch.bytes))
            .collect();
        let expected = [("ab", 8), ("cd", 5), ("e", 20), ("f", 1)];
        assert!(
            found
                .iter()
                .map(|(names, bytes)| (names.as_str(), *bytes))
                .eq(expected)
        );
        assert_eq!(batches([((), 1); 10], 3, 100).len(), 4);
    }
}
