//! Checks that the files which documents name exist.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All documents of the project: their paths from its root, and their texts.
fn documents() -> Vec<(PathBuf, String)> {
    let folders = ["", "docs", "clients", ".github"];
    let listed = folders.iter().flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap());
    let paths = listed.map(|entry| entry.unwrap().path());
    let documents = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
    documents.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The targets of a document's links, except web addresses.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://"))
}

/// The anchors that GitHub gives to a document's headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 7, "{documents:?}");
    for (path, text) in &documents {
        for link in links(text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).contains(&anchor.to_owned()), "{}: {link}", path.display());
            }
        }
    }
}

#[test]
fn files_that_a_contributor_is_sent_to_exist() {
    let text = include_str!("../../CONTRIBUTING.md");
    let code = text.split('`').skip(1).step_by(2);
    let is_path = |code: &&str| code.contains('/') && !code.contains(['<', ' ', '\n', '>']);
    let (mut found, mut missing) = (0, Vec::new());
    for path in code.filter(is_path) {
        found += 1;
        if !root().join(path).exists() {
            missing.push(path);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(found > 30, "{found}");
}
