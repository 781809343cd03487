//! Empty: lets `fault-user` name this crate as a build dependency (see Cargo.toml).
#![no_std]
