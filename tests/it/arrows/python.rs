//! Which modules of a Python package import which others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Module;

/// All pairs of modules in this folder in which the first imports the second, or something in it.
pub(super) fn arrows(folder: &Path) -> BTreeSet<(Module, Module)> {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let scripts = files.iter().filter(|path| path.extension().is_some_and(|end| end == "py"));
    let mut arrows = BTreeSet::new();
    for script in scripts {
        let module = vec![script.file_stem().unwrap().to_str().unwrap().to_owned()];
        for line in fs::read_to_string(script).unwrap().lines() {
            arrows.extend(imported(line).into_iter().map(|name| (module.clone(), vec![name])));
        }
    }
    arrows
}

/// The modules in the same folder that a line imports.
fn imported(line: &str) -> Vec<String> {
    let Some((from, names)) =
        line.trim().strip_prefix("from .").and_then(|rest| rest.split_once(" import "))
    else {
        return Vec::new();
    };
    if !from.is_empty() {
        return vec![from.to_owned()];
    }
    let first = |name: &str| name.split_whitespace().next().unwrap_or_default().to_owned();
    names.trim_matches(['(', ')']).split(',').map(first).collect()
}

#[test]
fn imports_are_read_in_every_spelling() {
    assert_eq!(imported("from .targets import targets, rows"), ["targets"]);
    assert_eq!(imported("from . import plot, report as told"), ["plot", "report"]);
    assert_eq!(imported("    from .load import Load"), ["load"]);
    assert!(imported("from pathlib import Path").is_empty());
    assert!(imported("import json").is_empty());
}
