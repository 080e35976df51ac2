//! What all requests share, whatever their dialect.

use std::sync::Arc;

use super::options::Options;
use super::requests::Requests;
use crate::admission::Admission;
use crate::auth::Auth;
use crate::files::Files;
use crate::links::Links;
use crate::metrics::AdmissionMetrics;
use crate::uploads::Uploads;

/// What all requests share.
pub struct Context {
    /// Settings.
    pub options: Options,
    /// Gives requests their ids, and logs them.
    pub requests: Requests,
    /// Limits on users and addresses.
    pub admission: Arc<Admission>,
    /// How long requests waited for their turn.
    pub waits: AdmissionMetrics,
    /// Checks tokens.
    pub auth: Auth,
    /// Makes and checks links.
    pub links: Links,
    /// Files.
    pub files: Files,
    /// Uploads.
    pub uploads: Arc<Uploads>,
}
