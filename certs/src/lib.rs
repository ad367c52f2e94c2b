//! The PKI crate.
