//! The kernel, unpacked.
//!
//! A distribution's kernel is a bzImage: a small program that decompresses the real one. Under
//! emulation that costs a second; QEMU also boots the real one (an ELF file with a PVH note).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::PrepareError;
use crate::packages::Prefix;

/// Writes the kernel that is in `packages` to `target`, unpacked if it is packed with zstd,
/// else as it is.
pub(crate) fn unpack(packages: &Prefix, target: &Path) -> Result<(), PrepareError> {
    let image_path = find(&packages.root.join("boot"))?;
    let image = fs::read(&image_path).map_err(PrepareError::at(&image_path))?;
    let packed = payload(&image).filter(|packed| packed.starts_with(&ZSTD));
    let Some(packed) = packed else {
        return fs::write(target, image).map_err(PrepareError::at(target));
    };
    let packed_path = target.with_extension("zst");
    fs::write(&packed_path, packed).map_err(PrepareError::at(&packed_path))?;
    let output = packages
        .command("usr/bin/zstd")
        .args(["--decompress", "--stdout", "--quiet"])
        .arg(&packed_path)
        .stdout(File::create(target).map_err(PrepareError::at(target))?)
        .stderr(Stdio::piped())
        .output()
        .map_err(PrepareError::at(target))?;
    fs::remove_file(&packed_path).map_err(PrepareError::at(&packed_path))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(PrepareError::Package {
            what: "unpacking the kernel".to_owned(),
            output,
        });
    }
    Ok(())
}

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn find(boot: &Path) -> Result<PathBuf, PrepareError> {
    let entries = fs::read_dir(boot).map_err(PrepareError::at(boot))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-"))
        })
        .ok_or_else(|| PrepareError::Missing {
            what: "kernel (boot/vmlinuz-*)".to_owned(),
        })
}

/// The compressed kernel inside a bzImage (Linux, Documentation/arch/x86/boot.rst: `setup_sects`,
/// `payload_offset`, `payload_length`), without the four bytes of uncompressed size at its end.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let setup = (usize::from(*image.get(0x1f1)?) + 1) * 512;
    let start = setup.checked_add(word(0x248)?)?;
    let length = word(0x24c)?.checked_sub(4)?;
    image.get(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<u8> {
        let mut image = vec![0; 4096];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x1f1] = 3;
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&12_u32.to_le_bytes());
        image[4 * 512 + 16..4 * 512 + 24].copy_from_slice(b"compress");
        image
    }

    #[test]
    fn the_payload_is_where_the_header_says() {
        assert_eq!(payload(&image()), Some(&b"compress"[..]));
    }

    #[test]
    fn an_image_that_is_cut_or_lies_has_no_payload() {
        assert_eq!(payload(&image()[..2048]), None);
        assert_eq!(payload(&image()[..0x100]), None);
        let mut far = image();
        far[0x248..0x24c].fill(0xff);
        assert_eq!(payload(&far), None);
        let mut short = image();
        short[0x24c..0x250].fill(0);
        assert_eq!(payload(&short), None);
    }
}
