//! The journal that `power.c` writes, and the disk that a power cut leaves at any point in it.
//!
//! This is the worst possible disk. A file contains what it had at its last sync, and a folder the names it had at its
//! last sync. Of anything later, nothing is kept, or what a test chooses.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// The unit in which a disk keeps or loses bytes.
const SECTOR: usize = 512;
/// Length of each entry's header in bytes.
const HEAD: usize = 32;

/// The purpose of a file; numbered as in `power.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    Blob = 1,
    /// A folder of blobs.
    Shard,
    /// The folder that contains these folders.
    Blobs,
    Marker,
    Database,
    Log,
    DataDir,
    /// The folder that contains the data directory.
    Parent,
    Secret,
    Other,
}

impl Class {
    pub(crate) const ALL: [Self; 10] = [
        Self::Blob,
        Self::Shard,
        Self::Blobs,
        Self::Marker,
        Self::Database,
        Self::Log,
        Self::DataDir,
        Self::Parent,
        Self::Secret,
        Self::Other,
    ];
}

/// One change to the disk.
#[derive(Clone, Debug)]
struct Entry {
    kind: u8,
    class: Class,
    inode: u64,
    offset: u64,
    path: Range<usize>,
    data: Range<usize>,
}

/// All changes to a disk.
pub(crate) struct Journal {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Journal {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("a journal");
        let mut entries = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let word = |from: usize| {
                u32::from_le_bytes(bytes[at + from..at + from + 4].try_into().expect("4"))
            };
            let long = |from: usize| {
                u64::from_le_bytes(bytes[at + from..at + from + 8].try_into().expect("8"))
            };
            let path = at + HEAD..at + HEAD + word(4) as usize;
            let data = path.end..path.end + word(8) as usize;
            entries.push(Entry {
                kind: bytes[at],
                class: Class::ALL[usize::from(bytes[at + 1]) - 1],
                inode: long(16),
                offset: long(24),
                path,
                data: data.clone(),
            });
            at = data.end;
        }
        Self { bytes, entries }
    }

    /// Length of the journal in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The last moment before each sync, and the end. Between two of them, a disk keeps nothing new.
    pub(crate) fn boundaries(&self) -> Vec<u64> {
        let syncs = self.entries.iter().filter(|entry| matches!(entry.kind, b'S' | b's'));
        syncs.map(|entry| (entry.path.start - HEAD) as u64).chain([self.end()]).collect()
    }

    /// Number of writes to files of this class within the first `before` bytes of the journal.
    pub(crate) fn writes(&self, class: Class, before: u64) -> usize {
        let writes = self.entries.iter().filter(|entry| entry.kind == b'W' && entry.class == class);
        writes.take_while(|entry| (entry.path.start as u64) < before).count()
    }

    fn text(&self, range: &Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range.clone()]).expect("UTF-8")
    }
}

#[derive(Clone, Copy)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Range<usize> },
    Length(usize),
}

#[derive(Default)]
struct FileState {
    class: Option<Class>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Default)]
struct Folder {
    durable: BTreeMap<String, Node>,
    pending: Vec<(String, Option<Node>)>,
}

/// Something that was not synced when the power failed.
pub(crate) enum Unsynced {
    /// A new name, or a removed one. The names in a folder are in order, and the first one that is lost takes the rest
    /// with it.
    Name,
    /// A sector, by the class of its file and its offset.
    Bytes(Class, usize),
    /// A new length.
    Length,
}

/// A disk at some point in a journal.
pub(crate) struct Disk<'a> {
    journal: &'a Journal,
    next: usize,
    /// Syncs of files of this class do nothing.
    deaf: Option<Class>,
    folders: HashMap<String, Folder>,
    files: Vec<FileState>,
    by_inode: HashMap<u64, usize>,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(journal: &'a Journal, deaf: Option<Class>) -> Self {
        let (folders, files, by_inode) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { journal, next: 0, deaf, folders, files, by_inode }
    }

    /// Advances to the moment at which the journal had this many bytes.
    pub(crate) fn advance(&mut self, to: u64) {
        while let Some(entry) = self.journal.entries.get(self.next) {
            if entry.data.end as u64 > to {
                return;
            }
            self.take(entry);
            self.next += 1;
        }
    }

    fn take(&mut self, entry: &Entry) {
        let path = self.journal.text(&entry.path);
        let deaf = self.deaf == Some(entry.class);
        match entry.kind {
            b'C' => {
                self.files.push(FileState { class: Some(entry.class), ..FileState::default() });
                let file = self.files.len() - 1;
                self.by_inode.insert(entry.inode, file);
                self.name(path, Some(Node::File(file)));
            }
            b'D' => self.name(path, Some(Node::Folder)),
            b'U' => self.name(path, None),
            b'R' => {
                let node = self.node(path);
                self.name(path, None);
                self.name(self.journal.text(&entry.data), Some(node));
            }
            b'W' => {
                let offset = entry.offset as usize;
                let change = Change::Write { offset, data: entry.data.clone() };
                self.file(entry).pending.push(change);
            }
            b'T' => self.file(entry).pending.push(Change::Length(entry.offset as usize)),
            b'S' if !deaf => {
                let bytes = &self.journal.bytes;
                let file = self.file(entry);
                for change in std::mem::take(&mut file.pending) {
                    apply(&mut file.durable, bytes, &change, |_| true);
                }
            }
            b's' if !deaf => {
                let folder = self.folders.entry(path.to_owned()).or_default();
                for (name, node) in std::mem::take(&mut folder.pending) {
                    put(&mut folder.durable, name, node);
                }
            }
            // What the sync should have kept is lost, and no later sync brings it back.
            b'F' => self.file(entry).pending.clear(),
            b'f' => self.folders.entry(path.to_owned()).or_default().pending.clear(),
            b'S' | b's' => {}
            kind => panic!("an entry of kind {kind}"),
        }
    }

    fn file(&mut self, entry: &Entry) -> &mut FileState {
        let file = self.by_inode.get(&entry.inode).expect("made under the journal's eyes");
        &mut self.files[*file]
    }

    fn name(&mut self, path: &str, node: Option<Node>) {
        let (folder, name) = split(path);
        self.folders.entry(folder.to_owned()).or_default().pending.push((name.to_owned(), node));
    }

    fn node(&self, path: &str) -> Node {
        let (folder, name) = split(path);
        let folder = &self.folders[folder];
        let pending = folder.pending.iter().rev().find(|(named, _)| named == name);
        let found = pending.map_or(folder.durable.get(name).copied(), |(_, node)| *node);
        found.expect("a name that is there")
    }

    /// Writes the disk as it is after the power returns: what was synced, and what `keep` chooses of the rest.
    pub(crate) fn leave(&self, at: &Path, mut keep: impl FnMut(Unsynced) -> bool) {
        std::fs::create_dir(at).expect("made");
        self.leave_folder("", at, &mut keep);
    }

    fn leave_folder(&self, path: &str, at: &Path, keep: &mut dyn FnMut(Unsynced) -> bool) {
        let Some(folder) = self.folders.get(path) else {
            return;
        };
        let mut names = folder.durable.clone();
        for (name, node) in &folder.pending {
            if !keep(Unsynced::Name) {
                break;
            }
            put(&mut names, name.clone(), *node);
        }
        for (name, node) in names {
            let at = at.join(&name);
            match node {
                Node::Folder => {
                    std::fs::create_dir(&at).expect("made");
                    let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                    self.leave_folder(&path, &at, keep);
                }
                Node::File(file) => std::fs::write(at, self.left(file, keep)).expect("written"),
            }
        }
    }

    fn left(&self, file: usize, keep: &mut dyn FnMut(Unsynced) -> bool) -> Vec<u8> {
        let file = &self.files[file];
        let class = file.class.expect("known since it was made");
        let mut bytes = file.durable.clone();
        for change in &file.pending {
            match change {
                Change::Length(_) if !keep(Unsynced::Length) => {}
                change => apply(&mut bytes, &self.journal.bytes, change, |at| {
                    keep(Unsynced::Bytes(class, at))
                }),
            }
        }
        bytes
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn put(names: &mut BTreeMap<String, Node>, name: String, node: Option<Node>) {
    match node {
        Some(node) => drop(names.insert(name, node)),
        None => drop(names.remove(&name)),
    }
}

/// Applies a change of which only some sectors may be kept.
fn apply(
    file: &mut Vec<u8>,
    journal: &[u8],
    change: &Change,
    mut keeps: impl FnMut(usize) -> bool,
) {
    match change {
        Change::Length(length) => file.resize(*length, 0),
        Change::Write { offset, data } => {
            let end = offset + data.len();
            let mut at = *offset;
            while at < end {
                let next = ((at / SECTOR + 1) * SECTOR).min(end);
                if keeps(at) {
                    file.resize(file.len().max(next), 0);
                    let from = data.start + (at - offset);
                    file[at..next].copy_from_slice(&journal[from..from + (next - at)]);
                }
                at = next;
            }
        }
    }
}

#[test]
fn of_a_write_only_the_sectors_that_are_kept_are_there() {
    let mut file = b"old".to_vec();
    let journal = [7; 1100];
    apply(&mut file, &journal, &Change::Write { offset: 0, data: 0..1100 }, |at| at == 512);
    assert_eq!(file.len(), 1024);
    assert_eq!((&file[..3], file[511], file[512], file[1023]), (&b"old"[..], 0, 7, 7));
}
