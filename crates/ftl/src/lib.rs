//! Flash translation layers: when logical work finishes
