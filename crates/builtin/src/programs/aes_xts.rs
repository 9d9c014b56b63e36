//! AES-XTS (IEEE 1619, NIST SP 800-38E), which disks are encrypted with.

use crate::job::{Job, failed};
use crate::table::{Builtin, id, rate};
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16};
use aes::{Aes128, Aes256};
use ersatz_compute::CostModel;
use ersatz_runtime::Fault;
use xts_mode::{Xts128, get_tweak_default};

const COST: CostModel = rate(2, 8);
const RANGES: &[&str] = &[
    "the sectors",
    "gets the result, which else takes the place of the sectors",
];
const PARAMETERS: [&str; 2] = ["bytes in range 0, whole sectors", "bytes of options"];
const OPTIONS: Option<&str> = Some(
    "byte 0: u64, number of the first sector; 8: u32, bytes of a sector (16 to 65536); \
     12: 4 zero bytes; 16: the key, 32 bytes for AES-128 or 64 for AES-256, of which the second \
     half is for the sector numbers",
);

pub(crate) const ENCRYPT: Builtin = Builtin {
    name: "aes-xts-encrypt",
    id: id(15),
    summary: "encrypts sectors with AES-XTS",
    ranges: RANGES,
    required: 1,
    parameters: PARAMETERS,
    options: OPTIONS,
    result: "bytes encrypted",
    cost: COST,
    run: |job| run(job, Direction::Encrypt),
};

pub(crate) const DECRYPT: Builtin = Builtin {
    name: "aes-xts-decrypt",
    id: id(16),
    summary: "decrypts sectors with AES-XTS",
    ranges: RANGES,
    required: 1,
    parameters: PARAMETERS,
    options: OPTIONS,
    result: "bytes decrypted",
    cost: COST,
    run: |job| run(job, Direction::Decrypt),
};

/// Shortest sector, and longest.
const SECTOR: (u32, u32) = (16, 64 << 10);

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

fn run(job: &Job<'_>, direction: Direction) -> Result<u64, Fault> {
    let mut options = job.options();
    let first = options.u64("number of the first sector")?;
    let sector = options.u32("bytes of a sector")?;
    options.reserved::<4>()?;
    let (shortest, longest) = SECTOR;
    if !(shortest..=longest).contains(&sector) {
        return Err(failed(format!(
            "sectors of {sector} bytes: {shortest} to {longest} are possible"
        )));
    }
    let sector = sector as usize;
    let key = options.rest();
    match key.len() {
        32 => convert::<Aes128>(job, direction, first, sector, key),
        64 => convert::<Aes256>(job, direction, first, sector, key),
        other => Err(failed(format!(
            "a key of {other} bytes: 32 and 64 are possible"
        ))),
    }
}

fn convert<C>(
    job: &Job<'_>,
    direction: Direction,
    first: u64,
    sector: usize,
    key: &[u8],
) -> Result<u64, Fault>
where
    C: KeyInit + BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + BlockCipherDecrypt,
{
    let (data_key, tweak_key) = key.split_at(key.len() / 2);
    let cipher = |key| C::new_from_slice(key).map_err(|error| failed(error.to_string()));
    let xts = Xts128::new(cipher(data_key)?, cipher(tweak_key)?);
    let mut output = match job.ranges() {
        1 => job.output_anywhere(0),
        _ => job.output(1)?,
    };
    let mut number = u128::from(first);
    job.input_of(sector, "sectors")?.chunks(sector, |part| {
        match direction {
            Direction::Encrypt => xts.encrypt_area(part, sector, number, get_tweak_default),
            Direction::Decrypt => xts.decrypt_area(part, sector, number, get_tweak_default),
        }
        number += (part.len() / sector) as u128;
        output.put(part)
    })?;
    Ok(output.written())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, log, reason};

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).expect("digits"), 16);
        digits
            .chunks(2)
            .map(|pair| byte(pair).expect("a byte"))
            .collect()
    }

    fn options(first: u64, sector: u32, key: &[u8]) -> Vec<u8> {
        [
            &first.to_le_bytes()[..],
            &sector.to_le_bytes(),
            &[0; 4],
            key,
        ]
        .concat()
    }

    /// Encrypts, and checks that decryption gives the text again.
    fn encrypted(text: &[u8], options: &[u8]) -> Vec<u8> {
        let len = text.len() as u64;
        let device = Device::new().with(text).with(&vec![0; text.len()]);
        assert_eq!(device.result_with(&ENCRYPT, [len, 0], options), len);
        let secret = device.bytes(1);
        let device = Device::new().with(&secret);
        assert_eq!(device.result_with(&DECRYPT, [len, 0], options), len);
        assert_eq!(device.bytes(0), text);
        secret
    }

    #[test]
    fn the_vectors_of_ieee_1619_come_out() {
        let vector = |number, text: &[u8], key: &str| {
            let options = options(number, text.len() as u32, &hex(key));
            encrypted(text, &options)
        };
        // Vectors 1 to 3, then 15, whose last block is short.
        assert_eq!(
            vector(0, &[0; 32], &"00".repeat(32)),
            hex("917cf69ebd68b2ec9b9fe9a3eadda692 cd43d2f59598ed858c02c2652fbf922e")
        );
        let key = "11".repeat(16) + &"22".repeat(16);
        assert_eq!(
            vector(0x33_3333_3333, &[0x44; 32], &key),
            hex("c454185e6a16936e39334038acef838b fb186fff7480adc4289382ecd6d394f0")
        );
        let key = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0".to_owned() + &"22".repeat(16);
        assert_eq!(
            vector(0x33_3333_3333, &[0x44; 32], &key),
            hex("af85336b597afc1a900b2eb21ec949d2 92df4c047e0b21532186a5971a227a89")
        );
        let key = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0";
        let text: Vec<u8> = (0..17).collect();
        assert_eq!(
            vector(0x12_3456_789a, &text, key),
            hex("6c1625db4671522d3d7599601de7ca09 ed")
        );
        // Vector 10, whose key is for AES-256: the first and the last block.
        let key = "2718281828459045235360287471352662497757247093699959574966967627
                   3141592653589793238462643383279502884197169399375105820974944592";
        let text: Vec<u8> = (0..512).map(|i| i as u8).collect();
        let secret = vector(0xff, &text, key);
        assert_eq!(secret[..16], hex("1c3b3a102f770386e4836c99e370cf9b"));
        assert_eq!(secret[496..], hex("c4f36ffda9fcea70b9c6e693e148c151"));
    }

    #[test]
    fn each_sector_has_its_number() {
        let text = log(70_000 / 4096 * 4096);
        let key = hex(&"0123456789abcdef".repeat(8));
        let whole = encrypted(&text, &options(1000, 4096, &key));
        for (i, part) in text.chunks(4096).enumerate() {
            let alone = encrypted(part, &options(1000 + i as u64, 4096, &key));
            assert_eq!(whole[i * 4096..][..4096], alone);
        }
        // The numbers go on past 64 bits.
        let over = encrypted(&text, &options(u64::MAX, 4096, &key));
        assert_ne!(
            over[4096..8192],
            encrypted(&text[4096..8192], &options(0, 4096, &key))
        );
    }

    #[test]
    fn the_key_may_come_in_the_last_range() {
        let options = options(7, 16, &[9; 32]);
        let device = Device::new().with(b"sixteen letters.").with(&options);
        let len = options.len() as u64;
        assert_eq!(device.result(&ENCRYPT, [16, len]), 16);
        assert_ne!(device.bytes(0), b"sixteen letters.");
        assert_eq!(device.result(&DECRYPT, [16, len]), 16);
        assert_eq!(device.bytes(0), b"sixteen letters.");
    }

    #[test]
    fn bad_options_are_told() {
        let device = Device::new().with(&[0; 64]).with(&[0; 32]);
        let run = |bytes, options: &[u8]| reason(&device.run(&ENCRYPT, [bytes, 0], options));
        assert!(run(64, &options(0, 15, &[0; 32])).contains("sectors of 15 bytes"));
        assert!(run(64, &options(0, 65_537, &[0; 32])).contains("sectors of 65537 bytes"));
        assert!(run(64, &options(0, 16, &[0; 33])).contains("a key of 33 bytes"));
        assert!(run(60, &options(0, 16, &[0; 32])).contains("not whole sectors of 16 bytes"));
        assert!(run(64, &options(0, 16, &[0; 32])).contains("does not fit into range 1"));
        assert!(run(64, &[0; 11]).contains("end before byte 12"));
        let mut reserved = options(0, 16, &[0; 32]);
        reserved[12] = 1;
        assert!(run(64, &reserved).contains("reserved"));
        let device = Device::new().with(&[0; 64]).again(32, 32);
        let told = reason(&device.run(&ENCRYPT, [32, 0], &options(0, 16, &[0; 32])));
        assert_eq!(told, "ranges 0 and 1 overlap");
    }
}
