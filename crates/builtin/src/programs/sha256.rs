//! SHA-256 (FIPS 180-4).

use crate::job::Job;
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use sha2::{Digest, Sha256};

pub(crate) const SHA256: Builtin = Builtin {
    name: "sha256",
    id: id(2),
    summary: "SHA-256 of bytes",
    ranges: &["the bytes", "gets the 32 bytes of the digest"],
    required: 2,
    parameters: ["bytes in range 0", ""],
    options: None,
    result: "the first 8 bytes of the digest as a big-endian number: how it is written begins with it",
    cost: rate(2, 2),
    run,
};

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let mut hash = Sha256::new();
    let mut output = job.output(1)?;
    job.input()?.chunks(1, |part| {
        hash.update(part);
        Ok(())
    })?;
    let digest: [u8; 32] = hash.finalize().into();
    output.put(&digest)?;
    Ok(digest[..8]
        .iter()
        .fold(0, |all, byte| all << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, reason};

    fn digest(bytes: &[u8]) -> String {
        let device = Device::new().with(bytes).with(&[0xee; 32]);
        let first = device.result(&SHA256, [bytes.len() as u64, 0]);
        let hex: String = device.bytes(1).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex[..16], format!("{first:016x}"));
        hex
    }

    #[test]
    fn the_vectors_of_fips_180_come_out() {
        assert_eq!(
            digest(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            digest(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            digest(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        );
        assert_eq!(
            digest(&vec![b'a'; 1_000_000]),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
    }

    #[test]
    fn a_small_or_overlapping_output_is_told() {
        let device = Device::new().with(b"text").with(&[0; 31]);
        assert_eq!(
            reason(&device.run(&SHA256, [4, 0], b"")),
            "the result does not fit into range 1, which has 31 bytes"
        );
        let device = Device::new().with(&[0; 64]).again(60, 32);
        assert_eq!(
            reason(&device.run(&SHA256, [4, 0], b"")),
            "ranges 0 and 1 overlap"
        );
    }
}
