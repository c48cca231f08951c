//! The crates use each other as `docs/architecture.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

type Edges = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_edge_between_crates_is_drawn() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(workspace.join("docs/architecture.md")).expect("the page is there");
    let real = real_edges(&workspace);
    let drawn = drawn_edges(&page, &real);
    for (name, uses) in &real {
        let allowed =
            drawn.get(name).unwrap_or_else(|| panic!("docs/architecture.md has no row for `{name}`"));
        let missing: Vec<_> = uses.difference(allowed).collect();
        assert!(missing.is_empty(), "`{name}` uses {missing:?}, which docs/architecture.md does not draw");
    }
}

/// What each crate uses, tests aside.
fn real_edges(workspace: &Path) -> Edges {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace)
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let name = |package: &Value| package["name"].as_str().expect("a package has a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let uses = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("there is a list").iter();
        dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .map(name)
            .filter(|name| ours.contains(name))
            .collect()
    };
    packages.iter().map(|package| (name(package), uses(package))).collect()
}

/// The rows `| crate | … | uses |` of the page; `all` is every crate.
fn drawn_edges(page: &str, real: &Edges) -> Edges {
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').collect();
        let (first, last) = (cells.first()?, cells.last()?);
        let uses = match last.trim() {
            "all" => real.keys().cloned().collect(),
            list => list.split(',').map(cell).collect(),
        };
        Some((cell(first), uses))
    })
    .collect()
}
