//! `CONFORMANCE.md` names tests; here is checked that there are such tests.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Adds the names of the tests in all sources of a folder and the folders in it.
fn tests_in(folder: &Path, names: &mut HashSet<String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            tests_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(tests_of(&fs::read_to_string(path).unwrap()));
        }
    }
}

/// The functions that stand below a test attribute, with other attributes between at most.
fn tests_of(source: &str) -> Vec<String> {
    let mut is_test = false;
    let mut names = Vec::new();
    for line in source.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if !line.starts_with("#[") {
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let Some((name, _)) = function.filter(|_| is_test).and_then(|function| function.split_once('(')) {
                names.push(name.to_owned());
            }
            is_test = false;
        }
    }
    names
}

/// The rows of all tables: section, rule, and what holds it.
fn rows(document: &str) -> Vec<[&str; 3]> {
    document
        .lines()
        .filter(|line| line.starts_with("| §"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.try_into().unwrap_or_else(|cells| panic!("three cells: {cells:?}"))
        })
        .collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = HashSet::new();
    for folder in ["src", "tests"] {
        tests_in(&home.join(folder), &mut tests);
    }
    // The crate alone, as a registry has it, lacks the tests of whole servers.
    let elsewhere = ["../../tests", "../wsrv-core/tests"].map(|folder| home.join(folder));
    if !elsewhere.iter().all(|folder| folder.is_dir()) {
        println!("skipped: this crate is not in its workspace");
        return;
    }
    for folder in elsewhere {
        tests_in(&folder, &mut tests);
    }

    let rows = rows(include_str!("../CONFORMANCE.md"));
    assert!(rows.len() >= 60, "only {} rules", rows.len());
    for [section, rule, held_by] in rows {
        let names: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || held_by.len() > 10, "{section} {rule}: neither a test nor a reason");
        let (server, client) = (held_by.contains("server: `"), held_by.contains("client: `"));
        assert_eq!(server, client, "{section} {rule}: a role is missing");
        for name in names {
            assert!(tests.contains(name), "{section} {rule}: there is no test {name}");
        }
    }
}

#[test]
fn a_function_is_a_test_only_below_its_attribute() {
    let source = "#[test]\nfn one() {}\nfn helper() {}\n#[tokio::test(start_paused = true)]\nasync fn two() {}\n\
                  #[test]\n#[should_panic(expected = \"x\")]\n  fn three(a: u8) {}\n// #[test]\nfn four() {}\n";
    assert_eq!(tests_of(source), ["one", "two", "three"]);
}
