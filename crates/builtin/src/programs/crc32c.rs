//! The checksum of iSCSI, NVMe and ext4 (Castagnoli's polynomial, RFC 3720).

use crate::job::{Job, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;

pub(crate) const CRC32C: Builtin = Builtin {
    name: "crc32c",
    id: id(1),
    summary: "CRC-32C of bytes",
    ranges: &["the bytes"],
    required: 1,
    parameters: [
        "bytes in range 0",
        "the CRC of what comes before them, 0 if nothing does",
    ],
    options: None,
    result: "the CRC",
    cost: rate(2, 8),
    run,
};

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let before = job.parameter();
    let mut crc = u32::try_from(before)
        .map_err(|_| failed(format!("CPARAM2: {before:#x} is not a 32-bit CRC")))?;
    job.input()?.chunks(1, |part| {
        crc = ::crc32c::crc32c_append(crc, part);
        Ok(())
    })?;
    Ok(crc.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, pseudo_random, reason};

    #[test]
    fn the_vectors_of_rfc_3720_come_out() {
        let crc = |bytes: &[u8]| {
            Device::new()
                .with(bytes)
                .result(&CRC32C, [bytes.len() as u64, 0])
        };
        let up: Vec<u8> = (0..32).collect();
        let down: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc(&up), 0x46dd_794e);
        assert_eq!(crc(&down), 0x113f_db5c);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
        assert_eq!(crc(b""), 0);
    }

    #[test]
    fn it_is_the_bitwise_definition_and_can_be_continued() {
        let bytes = pseudo_random(100_003);
        let bitwise = !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
            })
        });
        let device = Device::new().with(&bytes);
        assert_eq!(device.result(&CRC32C, [100_003, 0]), bitwise.into());
        let first = device.result(&CRC32C, [60_001, 0]);
        let rest = Device::new().with(&bytes[60_001..]);
        assert_eq!(rest.result(&CRC32C, [40_002, first]), bitwise.into());
    }

    #[test]
    fn bad_parameters_are_told() {
        let device = Device::new().with(&[0; 8]);
        let run = |parameters| reason(&device.run(&CRC32C, parameters, b""));
        assert_eq!(run([9, 0]), "CPARAM1 says 9 bytes, and range 0 has 8");
        assert!(run([8, 1 << 32]).contains("not a 32-bit CRC"));
        assert_eq!(
            reason(&Device::new().run(&CRC32C, [0, 0], b"")),
            "range 0 is missing: the bytes"
        );
        assert_eq!(
            reason(&device.with(b"").run(&CRC32C, [0, 0], b"")),
            "2 ranges, and the program takes 1"
        );
    }
}
