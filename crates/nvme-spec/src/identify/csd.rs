//! I/O Command Set specific Identify Namespace (CNS 05h) of memory and compute namespaces.

wire! {
    /// Identify Namespace of a memory namespace: CNS 05h, CSI 03h (SLM).
    ///
    /// **No public source gives this layout; the one here was chosen for this crate.** A host that
    /// was not written for it cannot rely on any field.
    pub struct IdentifyNamespaceSlm: 4096 {
        /// Bytes 0-7: Namespace Size, in bytes.
        pub nsze: u64,
        /// Bytes 8-15: Maximum Copy Length of one Memory Copy, in bytes; 0 for no limit.
        pub mcl: u64,
        /// Bytes 16-17: Granularity of addresses and lengths is 2^GRAN bytes, 2 at least.
        pub gran: u16,
        /// Byte 18: Maximum Source Range Count of Memory Copy, 0's-based.
        pub msrc_z: u8,
        rsvd19: [u8; 4077],
    }
}

wire! {
    /// Identify Namespace of a compute namespace: CNS 05h, CSI 04h (CP, Figure 36).
    pub struct IdentifyNamespaceCp: 4096 {
        /// Bytes 0-1: Maximum Activated Programs; 0 for no limit.
        pub maxact: u16,
        /// Bytes 2-3: Maximum Memory Range Sets.
        pub maxmemrs: u16,
        /// Bytes 4-5: Memory Range Set Granularity is 2^MRSG bytes.
        pub mrsg: u16,
        /// Byte 6: Maximum Memory Ranges of a set, or of a command that brings its own.
        pub maxmemr: u8,
        rsvd7: u8,
        /// Bytes 8-15: Maximum Program Bytes of all downloaded programs together, in MiB.
        pub maxpb: u64,
        /// Byte 16: Load Program Granularity is 2^LPG bytes.
        pub lpg: u8,
        rsvd17: [u8; 4079],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn fields_are_at_their_bytes() {
        assert_eq!(offset_of!(IdentifyNamespaceCp, maxmemrs), 2);
        assert_eq!(offset_of!(IdentifyNamespaceCp, mrsg), 4);
        assert_eq!(offset_of!(IdentifyNamespaceCp, maxmemr), 6);
        assert_eq!(offset_of!(IdentifyNamespaceCp, maxpb), 8);
        assert_eq!(offset_of!(IdentifyNamespaceCp, lpg), 16);
        assert_eq!(offset_of!(IdentifyNamespaceSlm, gran), 16);
        assert_eq!(offset_of!(IdentifyNamespaceSlm, msrc_z), 18);
    }
}
