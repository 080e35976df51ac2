//! Checks the table *Arrows* in ARCHITECTURE.md: which rooms use which, and that there are no cycles.

mod python;
mod rust;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rust::Crate;
use table::Table;

/// A module, as the path of names from the crate's root.
type Module = Vec<String>;
type Arrows = BTreeSet<(Module, Module)>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table() -> Table {
    Table::read(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap())
}

fn server() -> Crate {
    Crate::read("haversack", &root().join("src/lib.rs"), &root().join("src"))
}

/// The Rust programs of bench/: each root, and the folder of its modules.
fn programs() -> Vec<(PathBuf, PathBuf)> {
    let bins = root().join("bench/src/bin");
    let folders = ["floor", "load"].map(|name| (bins.join(name).join("main.rs"), bins.join(name)));
    folders.into_iter().collect()
}

#[test]
fn rooms_use_only_those_that_the_table_allows() {
    let table = table();
    let mut wrong = BTreeSet::new();
    for (from, to) in server().arrows() {
        let room = |module: &Module| table.room_of(module).map(str::to_owned);
        // `main`, and modules that only contain others, are not rooms.
        let (Some(room), Some(other)) = (room(&from), room(&to)) else {
            assert!(
                from == ["main"] || to.is_empty(),
                "{from:?} or {to:?} is in no room of the table"
            );
            continue;
        };
        if !table.allows(&room, &other) {
            wrong.insert(format!("{room} -> {other} ({} uses {})", from.join("::"), to.join("::")));
        }
    }
    assert!(wrong.is_empty(), "arrows that ARCHITECTURE.md's table forbids: {wrong:#?}");
}

#[test]
fn the_table_allows_no_arrow_that_nobody_needs() {
    let table = table();
    let used: BTreeSet<(String, String)> = server()
        .arrows()
        .iter()
        .filter_map(|(from, to)| {
            Some((table.room_of(from)?.to_owned(), table.room_of(to)?.to_owned()))
        })
        .collect();
    let unused: Vec<_> = table.arrows().into_iter().filter(|arrow| !used.contains(arrow)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn arrows_of_the_table_point_down() {
    assert!(table().upward().is_empty(), "{:?}", table().upward());
}

#[test]
fn no_modules_go_round_in_circles() {
    let mut found = circles(&server().arrows());
    for (main, folder) in programs() {
        found.extend(circles(&Crate::read("", &main, &folder).arrows()));
    }
    found.extend(circles(&python::arrows(&root().join("bench/harness"))));
    assert!(found.is_empty(), "circles: {found:#?}");
}

/// Groups of modules that use each other, directly or through others; one line per group.
fn circles(arrows: &Arrows) -> Vec<String> {
    let mut next: BTreeMap<&Module, Vec<&Module>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        next.keys().map(|module| (*module, reached(&next, module))).collect();
    let back = |from: &Module, to: &Module| reached.get(to).is_some_and(|seen| seen.contains(from));
    let groups: BTreeSet<String> = reached
        .iter()
        .filter(|(module, seen)| seen.contains(*module))
        .map(|(module, seen)| {
            let group = seen.iter().filter(|to| back(module, to)).map(|to| to.join("::"));
            group.collect::<Vec<_>>().join(", ")
        })
        .collect();
    groups.into_iter().collect()
}

/// The modules that a module uses, directly or through others.
fn reached<'a>(next: &BTreeMap<&Module, Vec<&'a Module>>, module: &Module) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut todo = next.get(module).cloned().unwrap_or_default();
    while let Some(module) = todo.pop() {
        if seen.insert(module) {
            todo.extend(next.get(module).into_iter().flatten());
        }
    }
    seen
}

#[test]
fn circles_are_found_over_any_number_of_modules() {
    let arrow = |from: &str, to: &str| (vec![from.to_owned()], vec![to.to_owned()]);
    let arrows =
        [arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d"), arrow("e", "a")];
    assert_eq!(circles(&BTreeSet::from(arrows)), ["a, b, c"]);
}

#[test]
fn paths_are_read_wherever_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("lib.rs", "mod a; mod b; mod c; mod d;");
    file(
        "a.rs",
        "use crate::{b::{self, Name}, c}; // use crate::d;\nfn f() { let _ = \"crate::d\"; }",
    );
    file("b.rs", "pub use super::c::Thing; #[cfg(test)] mod tests { use crate::d; }");
    file("c.rs", "fn f() { g!(crate::d::h()); }");
    file("d.rs", "use crate::b::Thing;");
    let arrows = Crate::read("x", &folder.path().join("lib.rs"), folder.path()).arrows();
    let arrow = |from: &str, to: &str| (vec![from.to_owned()], vec![to.to_owned()]);
    let expected =
        [arrow("a", "b"), arrow("a", "c"), arrow("b", "c"), arrow("c", "d"), arrow("d", "c")];
    assert_eq!(arrows, BTreeSet::from(expected));
}
