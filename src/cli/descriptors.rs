//! The system's limit on open files, which bounds how many connections the server takes.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::server::{FEWEST_FILES, connections_within, files_of};

/// How many connections the system allows of those wanted, and a warning if that is fewer.
pub(super) struct Affordable {
    pub(super) connections: usize,
    pub(super) warning: Option<String>,
}

/// What the system allows. Changes nothing: [`raise`] does.
pub(super) fn affordable(wanted: usize) -> Result<Affordable, String> {
    let limit = enough_for(wanted).unwrap_or_else(|| getrlimit(Resource::Nofile));
    let Some(files) = limit.current else {
        return Ok(Affordable { connections: wanted, warning: None });
    };
    if files < FEWEST_FILES {
        return Err(format!(
            "the system lets this process open {files} files, and it needs {FEWEST_FILES} at least: raise the hard \
             limit (ulimit -Hn; LimitNOFILE= in a systemd unit)"
        ));
    }
    let connections = connections_within(files);
    let warning = (connections < wanted).then(|| {
        format!("the limit of {files} open files allows {connections} connections, not {wanted}")
    });
    Ok(Affordable { connections: wanted.min(connections), warning })
}

/// Raises the soft limit as far as so many connections need it, and the hard one allows.
pub(super) fn raise(wanted: usize) {
    if let Some(limit) = enough_for(wanted) {
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// The limit to set for so many connections; `None`: the one in force is enough.
fn enough_for(wanted: usize) -> Option<Rlimit> {
    let mut limit = getrlimit(Resource::Nofile);
    let needed = files_of(wanted).max(FEWEST_FILES);
    if limit.current.is_none_or(|files| files >= needed) {
        return None;
    }
    limit.current = Some(limit.maximum.map_or(needed, |most| most.min(needed)));
    Some(limit)
}
