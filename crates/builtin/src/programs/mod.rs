//! The programs, one file each.

pub(crate) mod aes_xts;
pub(crate) mod crc32c;
pub(crate) mod filter;
pub(crate) mod find;
pub(crate) mod histogram;
pub(crate) mod knn;
pub(crate) mod lz4;
pub(crate) mod reduce;
pub(crate) mod regex;
pub(crate) mod sha256;
pub(crate) mod zstd;
