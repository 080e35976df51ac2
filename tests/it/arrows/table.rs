//! ARCHITECTURE.md's table of which rooms may use which.

use std::collections::BTreeSet;

use super::Module;

/// A row: a room, and the rooms that it may use.
pub(super) struct Room {
    pub(super) name: String,
    uses: BTreeSet<String>,
}

/// The rooms in the order of the table.
pub(super) struct Table {
    pub(super) rooms: Vec<Room>,
    /// The rooms that every room may use.
    tools: BTreeSet<String>,
}

impl Table {
    /// Reads the section *Arrows*.
    pub(super) fn read(architecture: &str) -> Self {
        let (_, section) = architecture.split_once("\n## Arrows\n").expect("a section Arrows");
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let rooms = rows.map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            let name = quoted(cells[1]).pop().expect("a name");
            Room { name, uses: quoted(cells[2]).into_iter().collect() }
        });
        let tools = section
            .lines()
            .find(|line| line.starts_with("All rooms may use"))
            .expect("a line of tools");
        Self { rooms: rooms.collect(), tools: quoted(tools).into_iter().collect() }
    }

    /// The room that a module belongs to: the one with the longest name that is a prefix of its path.
    pub(super) fn room_of(&self, module: &Module) -> Option<&str> {
        let path = module.join("::");
        let within = |name: &str| path == name || path.starts_with(&format!("{name}::"));
        let names = self
            .rooms
            .iter()
            .map(|room| room.name.as_str())
            .chain(self.tools.iter().map(String::as_str));
        names.filter(|name| within(name)).max_by_key(|name| name.len())
    }

    /// Whether code of the first room may use the second.
    pub(super) fn allows(&self, room: &str, other: &str) -> bool {
        let allowed = |row: &Room| row.uses.contains(other);
        let is_tool = self.tools.contains(other) && !self.tools.contains(room);
        room == other
            || is_tool
            || self.rooms.iter().find(|row| row.name == room).is_some_and(allowed)
    }

    /// All arrows that the rows allow.
    pub(super) fn arrows(&self) -> Vec<(String, String)> {
        let of = |room: &Room| {
            let name = room.name.clone();
            room.uses.clone().into_iter().map(move |other| (name.clone(), other))
        };
        self.rooms.iter().flat_map(of).collect()
    }

    /// Rooms that a row names although they come earlier in the table, or don't exist.
    pub(super) fn upward(&self) -> Vec<String> {
        let mut below: BTreeSet<&str> = BTreeSet::new();
        let mut wrong = Vec::new();
        for room in self.rooms.iter().rev() {
            let up = room.uses.iter().filter(|other| !below.contains(other.as_str()));
            wrong.extend(up.map(|other| format!("{} -> {other}", room.name)));
            below.insert(&room.name);
        }
        wrong
    }
}

/// The texts between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
