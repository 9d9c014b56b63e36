//! Mapped memory that several parties touch at once
