//! The documents name tests; here is checked that there are such tests.

use std::fs;
use std::path::Path;

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !["target", ".git", ".tools", "node_modules"].iter().any(|name| path.ends_with(name)) {
                sources(&path, all);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// The last cells of all tables, without their heads. Empty where a row is not closed.
fn last_cells(document: &str) -> Vec<&str> {
    let lines: Vec<&str> = document.lines().collect();
    let rows = lines.split(|line| !line.starts_with('|')).flat_map(|table| table.iter().skip(2));
    rows.map(|row| row.trim_end().strip_suffix('|').and_then(|row| row.rsplit('|').next()).unwrap_or("").trim())
        .collect()
}

/// What stands between backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn check_tests<'a>(names: impl Iterator<Item = &'a str>) {
    let mut all = String::new();
    sources(root(), &mut all);
    let lines: Vec<&str> = all.lines().map(str::trim).collect();
    let is_test = |name: &str| {
        let function = format!("fn {name}()");
        lines
            .windows(2)
            .any(|pair| pair[0].starts_with("#[") && pair[0].contains("test") && pair[1].contains(&function))
    };
    for name in names {
        assert!(is_test(name), "there is no test {name}");
    }
}

#[test]
fn every_limit_has_a_test_or_is_said_to_have_none() {
    let document = read("ARCHITECTURE.md");
    let limits = document.split("\n## Limits\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let cells = last_cells(limits);
    assert!(cells.len() >= 45, "{cells:?}");
    for cell in &cells {
        assert!(names(cell).next().is_some() != (*cell == "–"), "{cell:?} is neither");
    }
    check_tests(cells.into_iter().flat_map(names));
}

#[test]
fn every_threat_has_a_test_or_is_said_to_have_none() {
    let document = read("docs/threats.md");
    let threats = document.split("\n## The soak\n").next().unwrap();
    let cells = last_cells(threats);
    assert!(cells.len() >= 40, "{cells:?}");
    for cell in &cells {
        assert!(names(cell).next().is_some() != (*cell == "not built yet"), "{cell:?} is neither");
    }
    check_tests(cells.into_iter().flat_map(names));
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let crates: Vec<_> = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(crates.len() >= 5, "{crates:?}");
    for folder in crates {
        let files = ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file));
        let mut roots = files.iter().filter(|file| file.exists()).peekable();
        assert!(roots.peek().is_some(), "{folder:?}");
        for file in roots {
            let forbids = fs::read_to_string(file).unwrap().lines().any(|line| line == "#![forbid(unsafe_code)]");
            assert!(forbids, "{file:?}");
        }
    }
}
