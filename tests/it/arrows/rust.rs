//! Which modules of a crate use which others, read from its files: `use` lines and paths in code. What only tests use
//! doesn't count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Module;

/// A name that a module takes from elsewhere: its whole path from the crate's root.
struct Name {
    path: Vec<String>,
    /// Its local name.
    alias: String,
    /// Whether it is re-exported (`pub use`) rather than used.
    passed_on: bool,
}

/// A crate's modules, and the names that each of them takes from others.
#[derive(Default)]
pub(super) struct Crate {
    modules: BTreeMap<Module, Vec<Name>>,
}

impl Crate {
    /// Reads the crate with this root file and its modules in `folder`. Other crates call it `name`.
    pub(super) fn read(name: &str, root: &Path, folder: &Path) -> Self {
        let mut files = vec![(Module::new(), root.to_owned())];
        find(folder, &Module::new(), &mut files);
        files.retain(|(module, file)| !(module.len() == 1 && file == root));
        let paths: BTreeSet<Module> = files.iter().map(|(module, _)| module.clone()).collect();
        let modules = files.into_iter().map(|(module, file)| {
            let text = fs::read_to_string(&file).unwrap();
            let tokens: TokenStream =
                text.parse().unwrap_or_else(|error| panic!("{file:?}: {error}"));
            let mut reader =
                Reader { name, module: &module, modules: &paths, inner: 0, names: Vec::new() };
            reader.read(tokens);
            let names = reader.names;
            (module, names)
        });
        Self { modules: modules.collect() }
    }

    /// All pairs of modules in which the first uses something in the second.
    pub(super) fn arrows(&self) -> BTreeSet<(Module, Module)> {
        let mut arrows = BTreeSet::new();
        for (module, names) in &self.modules {
            for name in names {
                let target = self.home(&name.path);
                // If a module re-exports names of its children, the names belong to the children.
                if target != *module && !(name.passed_on && target.starts_with(module)) {
                    arrows.insert((module.clone(), target));
                }
            }
        }
        arrows
    }

    /// The module that defines the thing at this path.
    fn home(&self, path: &[String]) -> Module {
        let mut module = Module::new();
        for (depth, name) in path.iter().enumerate() {
            let inner: Module = path[..=depth].to_vec();
            if self.modules.contains_key(&inner) {
                module = inner;
                continue;
            }
            let passed_on =
                self.modules.get(&module).into_iter().flatten().find(|known| known.alias == *name);
            return match passed_on {
                Some(known) if known.path != path => self.home(&known.path),
                _ => module,
            };
        }
        module
    }
}

/// Finds the files of all modules in a folder, except tests.
fn find(folder: &Path, module: &Module, files: &mut Vec<(Module, std::path::PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "tests" {
            continue;
        }
        let inner = [module.as_slice(), &[name]].concat();
        if path.is_dir() {
            find(&path, &inner, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((inner, path));
        }
    }
}

struct Reader<'a> {
    name: &'a str,
    module: &'a Module,
    modules: &'a BTreeSet<Module>,
    /// Number of open inline modules.
    inner: usize,
    names: Vec<Name>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut is_public = false;
        while at < tokens.len() {
            let after_path = at >= 2 && is_colons(&tokens[at - 2..at]);
            match &tokens[at] {
                TokenTree::Punct(punct)
                    if punct.as_char() == '#' && is_for_tests(tokens.get(at + 1)) =>
                {
                    at = end_of_item(&tokens, at + 2);
                    continue;
                }
                TokenTree::Ident(word) if word == "pub" => {
                    is_public = true;
                    at += 1;
                    if is_group(tokens.get(at), Delimiter::Parenthesis) {
                        at += 1;
                    }
                    continue;
                }
                TokenTree::Ident(word) if word == "use" => {
                    let end = (at..tokens.len())
                        .find(|at| is_punct(&tokens[*at], ';'))
                        .unwrap_or(tokens.len());
                    self.tree(&[], &tokens[at + 1..end], is_public);
                    at = end;
                }
                TokenTree::Ident(word)
                    if word == "mod" && is_group(tokens.get(at + 2), Delimiter::Brace) =>
                {
                    self.inner += 1;
                    if let TokenTree::Group(group) = &tokens[at + 2] {
                        self.read(group.stream());
                    }
                    self.inner -= 1;
                    at += 2;
                }
                TokenTree::Ident(word) if !after_path => {
                    let path = path(&tokens[at..]);
                    if path.len() > 1 {
                        let alias = word.to_string();
                        self.take(&path, alias, false);
                        at += 3 * (path.len() - 1);
                    }
                }
                TokenTree::Group(group) => self.read(group.stream()),
                _ => {}
            }
            is_public = false;
            at += 1;
        }
    }

    /// Reads the names in a `use` line.
    fn tree(&mut self, before: &[String], tokens: &[TokenTree], passed_on: bool) {
        let mut path = before.to_vec();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(word) if word == "as" => break,
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in inner.split(|token| is_punct(token, ',')) {
                        self.tree(&path, part, passed_on);
                    }
                    return;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
        if tokens.is_empty() {
            return;
        }
        let alias = match &tokens[tokens.len() - 1] {
            TokenTree::Ident(word) => word.to_string(),
            _ => String::new(), // a glob
        };
        if path.last().is_some_and(|name| name == "self") && path.len() > 1 {
            path.pop();
        }
        self.take(&path, alias, passed_on);
    }

    /// Records a path written here, if it leads to a module of this crate.
    fn take(&mut self, path: &[String], alias: String, passed_on: bool) {
        let mut module: Vec<String> = match path[0].as_str() {
            "crate" => Vec::new(),
            name if name == self.name => Vec::new(),
            "self" => self.module.clone(),
            "super" => {
                let supers = path.iter().take_while(|name| *name == "super").count();
                let up = supers.saturating_sub(self.inner);
                self.module[..self.module.len().saturating_sub(up)].to_vec()
            }
            name => {
                let child = [self.module.as_slice(), &[name.to_owned()]].concat();
                if !self.modules.contains(&child) {
                    return;
                }
                child
            }
        };
        let rest = path.iter().skip_while(|name| ["self", "super"].contains(&name.as_str()));
        let skipped = usize::from(!["self", "super"].contains(&path[0].as_str()));
        module.extend(rest.skip(skipped).cloned());
        self.names.push(Name { path: module, alias, passed_on });
    }
}

/// The path that begins with the first token.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        if tokens.len() < at + 3 || !is_colons(&tokens[at + 1..at + 3]) {
            break;
        }
        at += 3;
    }
    path
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    tokens.iter().all(|token| is_punct(token, ':'))
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn is_group(token: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

/// Whether this is `[cfg(test)]`.
fn is_for_tests(attribute: Option<&TokenTree>) -> bool {
    attribute.is_some_and(|token| token.to_string().replace(' ', "") == "[cfg(test)]")
}

/// Where the item that begins here ends: after its braces or its semicolon.
fn end_of_item(tokens: &[TokenTree], from: usize) -> usize {
    let ends = |token: &TokenTree| is_punct(token, ';') || is_group(Some(token), Delimiter::Brace);
    (from..tokens.len()).find(|at| ends(&tokens[*at])).map_or(tokens.len(), |at| at + 1)
}
