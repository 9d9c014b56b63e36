//! Negotiation: the payload of `VERSION`.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::wire::VersionNumbers;
use crate::{MAX_DATA_XFER_SIZE, MAX_MSG_FDS};

/// The protocol version spoken here.
pub(crate) const MAJOR: u16 = 0;
/// The newest additions known here.
pub(crate) const MINOR: u16 = 1;

/// What one end said in `VERSION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Major version; always 0 once negotiated.
    pub major: u16,
    /// Minor version, as proposed.
    pub minor: u16,
    /// The capabilities; `None` when the message ended after the version numbers, as SPDK's does.
    pub capabilities: Option<Capabilities>,
}

/// Limits and abilities of one end. Those that it leaves out have the specification's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Most descriptors that the sender takes in one message.
    pub max_msg_fds: u32,
    /// Most bytes of one region or DMA access.
    pub max_data_xfer_size: u64,
    /// Most DMA ranges at a time.
    pub max_dma_maps: u64,
    /// Page sizes for DMA ranges, or'ed together, in bytes.
    pub pgsizes: u64,
    /// Whether `REGION_WRITE_MULTI` is understood.
    pub write_multiple: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            max_msg_fds: 1,
            max_data_xfer_size: u64::from(MAX_DATA_XFER_SIZE),
            max_dma_maps: 65535,
            pgsizes: 4096,
            write_multiple: false,
        }
    }
}

impl Capabilities {
    /// What this crate's two ends offer.
    pub(crate) fn ours() -> Self {
        Self {
            max_msg_fds: MAX_MSG_FDS as u32,
            write_multiple: true,
            ..Self::default()
        }
    }

    /// The limit that both ends keep to.
    pub(crate) fn common_xfer_size(&self) -> u32 {
        u32::try_from(self.max_data_xfer_size)
            .map_or(MAX_DATA_XFER_SIZE, |size| size.min(MAX_DATA_XFER_SIZE))
    }
}

/// The JSON object around the capabilities.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct VersionData {
    capabilities: Capabilities,
}

impl Version {
    /// The payload of a `VERSION` message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = VersionNumbers {
            major: self.major,
            minor: self.minor,
        };
        let mut payload = numbers.encode().to_vec();
        if let Some(capabilities) = &self.capabilities {
            let data = VersionData {
                capabilities: capabilities.clone(),
            };
            // Numbers and booleans under fixed names always serialize.
            if serde_json::to_writer(&mut payload, &data).is_ok() {
                payload.push(0);
            }
        }
        payload
    }

    /// Reads and checks the payload of a `VERSION` message.
    ///
    /// # Errors
    /// `EINVAL`: too short, another major version, JSON that isn't a NUL-terminated object of the
    /// specified types, or a transfer size or number of descriptors of 0.
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Errno> {
        let numbers = VersionNumbers::decode(payload).ok_or(Errno::INVAL)?;
        if numbers.major != MAJOR {
            return Err(Errno::INVAL);
        }
        let capabilities = match &payload[VersionNumbers::SIZE..] {
            [] | [0] => None,
            data => {
                let end = data.iter().position(|&b| b == 0).ok_or(Errno::INVAL)?;
                let data: VersionData =
                    serde_json::from_slice(&data[..end]).map_err(|_| Errno::INVAL)?;
                Some(data.capabilities)
            }
        };
        if let Some(c) = &capabilities
            && (c.max_data_xfer_size == 0 || c.max_msg_fds == 0)
        {
            return Err(Errno::INVAL);
        }
        Ok(Self {
            major: numbers.major,
            minor: numbers.minor,
            capabilities,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(json: &str) -> Vec<u8> {
        let mut bytes = VersionNumbers { major: 0, minor: 0 }.encode().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.push(0);
        bytes
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let version = Version {
            major: 0,
            minor: 1,
            capabilities: Some(Capabilities::ours()),
        };
        assert_eq!(Version::decode(&version.encode()), Ok(version));
    }

    #[test]
    fn four_bytes_are_a_version_without_capabilities() {
        let version = Version::decode(&[0; 4]).unwrap();
        assert_eq!(version.capabilities, None);
        assert_eq!(version.encode(), [0; 4]);
        assert_eq!(Version::decode(&[0; 5]).unwrap().capabilities, None);
    }

    #[test]
    fn what_is_left_out_has_the_default_and_what_is_unknown_is_skipped() {
        let some = Version::decode(&payload(
            r#"{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true}},"x":1}"#,
        ))
        .unwrap()
        .capabilities
        .unwrap();
        assert_eq!(some.max_msg_fds, 8);
        assert_eq!(some.max_data_xfer_size, 1 << 20);
        assert!(!some.write_multiple);
        let none = Version::decode(&payload("{}")).unwrap().capabilities;
        assert_eq!(none, Some(Capabilities::default()));
    }

    #[test]
    fn malformed_versions_are_refused() {
        for json in [
            "{",
            "7",
            r#"{"capabilities":7}"#,
            r#"{"capabilities":{"max_msg_fds":-1}}"#,
            r#"{"capabilities":{"max_msg_fds":0}}"#,
            r#"{"capabilities":{"max_data_xfer_size":0}}"#,
            r#"{"capabilities":{"write_multiple":1}}"#,
        ] {
            assert_eq!(Version::decode(&payload(json)), Err(Errno::INVAL), "{json}");
        }
        assert_eq!(Version::decode(&[0; 3]), Err(Errno::INVAL));
        assert_eq!(Version::decode(b"\0\0\0\0{}"), Err(Errno::INVAL), "no NUL");
        let major = VersionNumbers { major: 1, minor: 0 }.encode();
        assert_eq!(Version::decode(&major), Err(Errno::INVAL));
    }

    #[test]
    fn the_smaller_transfer_size_is_the_common_one() {
        let of = |max_data_xfer_size| Capabilities {
            max_data_xfer_size,
            ..Capabilities::default()
        };
        assert_eq!(of(4096).common_xfer_size(), 4096);
        assert_eq!(of(u64::MAX).common_xfer_size(), MAX_DATA_XFER_SIZE);
    }
}
