//! Data structures that Identify returns, 4096 bytes each (Base, 5.1.13).
//!
//! [`controller`] has Identify Controller, [`capability`] its bit fields; [`namespace`] what the
//! NVM Command Set and the base specification say about a namespace, and the lists of CNS 03h and
//! 1Ch; [`csd`] the structures of the SLM and CP Command Sets.

pub mod capability;
pub mod controller;
pub mod csd;
pub mod namespace;

pub use controller::{IdentifyController, PowerStateDescriptor};
pub use csd::{IdentifyNamespaceCp, IdentifyNamespaceSlm};
pub use namespace::{
    ExtendedLbaFormat, IdentifyControllerNvm, IdentifyNamespace, IdentifyNamespaceIndependent,
    IdentifyNamespaceNvm, IocsCombinations, IocsVector, LbaFormat, NamespaceIdDescriptor,
    NamespaceIdType,
};

/// Size of everything that Identify returns.
pub const IDENTIFY_SIZE: usize = 4096;

/// Fills a text field as the specification wants it: ASCII, padded with spaces at the end.
/// What does not fit is cut off; what is not printable ASCII becomes a space.
pub const fn ascii<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < N && i < bytes.len() {
        if matches!(bytes[i], 0x20..=0x7E) {
            field[i] = bytes[i];
        }
        i += 1;
    }
    field
}

wire! {
    /// A list of Namespace IDs in ascending order, ended by 0 or by its size: CNS 02h, 07h, 10h
    /// and 1Ah, and the Changed Namespace List logs.
    pub struct NamespaceList: 4096 {
        /// The Namespace IDs.
        pub nsid: [u32; 1024],
    }
}

wire! {
    /// A list of Controller IDs in ascending order: CNS 12h and 13h.
    pub struct ControllerList: 4096 {
        /// Bytes 0-1: Number of identifiers.
        pub num: u16,
        /// Bytes 2-4095: the identifiers.
        pub cntlid: [u16; 2047],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_padded_cut_and_printable() {
        assert_eq!(&ascii::<6>("ab"), b"ab    ");
        assert_eq!(&ascii::<3>("abcdef"), b"abc");
        assert_eq!(&ascii::<4>("a\u{e9}\n"), b"a   ");
    }
}
