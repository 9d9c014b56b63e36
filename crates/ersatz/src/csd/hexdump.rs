//! Bytes in hexadecimal and as characters, as `hexdump -C` prints them.

use std::io::{self, Write};

const COLUMNS: usize = 16;

/// Writes lines for `bytes`, which start at `address`.
pub fn write(out: &mut impl Write, address: u64, bytes: &[u8]) -> io::Result<()> {
    for (row, bytes) in (address..).step_by(COLUMNS).zip(bytes.chunks(COLUMNS)) {
        write!(out, "{row:08x} ")?;
        for i in 0..COLUMNS {
            let gap = if i == COLUMNS / 2 { " " } else { "" };
            match bytes.get(i) {
                Some(byte) => write!(out, "{gap} {byte:02x}")?,
                None => write!(out, "{gap}   ")?,
            }
        }
        let printable = |&byte: &u8| match byte {
            0x20..=0x7E => char::from(byte),
            _ => '.',
        };
        writeln!(
            out,
            "  |{}|",
            bytes.iter().map(printable).collect::<String>()
        )?;
    }
    Ok(())
}

/// Two digits for each byte.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_of_16_bytes_and_the_last_is_filled_up() {
        let mut out = Vec::new();
        write(&mut out, 0x1000, b"0123456789abcdef\nxy").expect("memory");
        let expected = "\
00001000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|
00001010  0a 78 79                                          |.xy|
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
