//! NAND geometry and timing
