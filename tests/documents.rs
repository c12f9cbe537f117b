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

#[test]
fn every_test_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let limits = document.split("\n## Limits\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let names: Vec<&str> = limits
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.trim_end_matches('|').rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(names.len() >= 12, "{names:?}");
    let mut all = String::new();
    sources(root, &mut all);
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
