//! The limit on open files, which also limits the number of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::server::{FEWEST_FILES, connections_within, files_of};

/// Number of connections that the limit on open files allows, and a warning if that is fewer than wanted.
pub(super) struct Affordable {
    pub(super) connections: usize,
    pub(super) warning: Option<String>,
}

/// Returns how many of the wanted connections are possible once [`raise`] has been called. Changes nothing itself.
pub(super) fn affordable(wanted: usize) -> Result<Affordable, String> {
    let limit = enough_for(wanted).unwrap_or_else(|| getrlimit(Resource::Nofile));
    let Some(files) = limit.current else {
        return Ok(Affordable { connections: wanted, warning: None });
    };
    if files < FEWEST_FILES {
        return Err(format!(
            "this process may open only {files} files, and needs at least {FEWEST_FILES}: raise the hard limit \
             (ulimit -Hn; LimitNOFILE= in a systemd unit)"
        ));
    }
    let connections = connections_within(files);
    let warning = (connections < wanted).then(|| {
        format!("the limit of {files} open files allows {connections} connections, not {wanted}")
    });
    Ok(Affordable { connections: wanted.min(connections), warning })
}

/// Raises the soft limit as far as this number of connections needs and the hard limit allows.
pub(super) fn raise(wanted: usize) {
    if let Some(limit) = enough_for(wanted) {
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Returns the limit to set for this number of connections, or `None` if the current limit is enough.
fn enough_for(wanted: usize) -> Option<Rlimit> {
    let mut limit = getrlimit(Resource::Nofile);
    let needed = files_of(wanted).max(FEWEST_FILES);
    if limit.current.is_none_or(|files| files >= needed) {
        return None;
    }
    limit.current = Some(limit.maximum.map_or(needed, |most| most.min(needed)));
    Some(limit)
}
