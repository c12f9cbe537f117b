//! The soak in short, so that it still runs when it is wanted. `scripts/test --long` runs all of it.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::Command;

/// Beside the folder this test program lies in.
fn program() -> PathBuf {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.join("examples/soak")
}

#[test]
fn a_short_soak_leaves_nothing_behind() {
    let soak = Command::new(program()).args(["--minutes", "0.3", "--connections", "300"]).output();
    let soak =
        soak.expect("the program; `cargo build -p wsrv-tests --example soak` builds it, with --release if this is");
    let report = String::from_utf8_lossy(&soak.stdout);
    assert!(soak.status.success(), "{report}{}", String::from_utf8_lossy(&soak.stderr));
    assert!(report.contains("the soak passed"), "{report}");
}
