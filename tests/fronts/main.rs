//! Genuine front ends in PHP, Node, Python and Rust, with their sessions in genuine stores, and sockets of ours that know
//! who has logged in there. Everything is started here, on ports of loopback.
//!
//! They need what `scripts/test install` installs, and `scripts/test fronts` runs them.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/front.rs"]
mod front;
mod services;
mod site;
mod table;

mod cookies;
mod locks;
mod log_in;
mod outage;
