//! Connect to the one background server for a name, and start it if there is none.
#![cfg_attr(not(any(feature = "tokio", test)), no_std)]
#![forbid(unsafe_code)]

pub mod proto;
