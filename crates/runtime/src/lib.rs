//! Programs that run on the drive: eBPF
