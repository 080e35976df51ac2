//! What requests share, whichever dialect they speak.

use std::sync::Arc;

use super::options::Options;
use crate::admission::Admission;
use crate::auth::Auth;
use crate::files::Files;
use crate::links::Links;
use crate::uploads::Uploads;

/// What requests share.
pub struct Context {
    /// The settings in force.
    pub options: Options,
    /// What users and addresses have taken of their limits.
    pub admission: Arc<Admission>,
    /// Checks tokens.
    pub auth: Auth,
    /// Makes and checks links.
    pub links: Links,
    /// Files.
    pub files: Files,
    /// Uploads.
    pub uploads: Arc<Uploads>,
}
