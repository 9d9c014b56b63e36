//! The command sets.
