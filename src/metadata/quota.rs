//! Limits on the stored bytes and files of one user and of all users. Pure.
//!
//! A finished file counts with its size, an unfinished one with what it has reserved. Thumbnails don't count as files.
//! The bytes of a thumbnail that a client sent count until a picture was made of it. Pictures that the server makes are
//! free, because a file has at most one.

use crate::words::bytes;

/// Limits. `None` means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Maximum number of bytes of one user.
    pub user_bytes: Option<u64>,
    /// Maximum number of files of one user, unfinished ones included.
    pub user_files: Option<u64>,
    /// Maximum number of bytes of all users.
    pub total_bytes: Option<u64>,
}

/// How much is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of this user.
    pub user_bytes: u64,
    /// Files of this user.
    pub user_files: u64,
    /// Bytes of all users.
    pub total_bytes: u64,
}

/// Why something exceeds a limit. The messages are for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverQuota {
    /// The user's bytes would exceed the limit.
    #[error(
        "only {} of your {} are left, and this takes more: delete files or cancel unfinished uploads first",
        bytes(*left),
        bytes(*max)
    )]
    UserBytes {
        /// Bytes left.
        left: u64,
        /// The limit.
        max: u64,
    },
    /// The user's files would exceed the limit.
    #[error(
        "you have reached the limit of {max} files, which includes unfinished uploads: delete one first"
    )]
    UserFiles {
        /// The limit.
        max: u64,
    },
    /// The bytes of all users would exceed the limit.
    #[error("the server's storage is full")]
    Storage,
}

impl Usage {
    /// Returns the usage after removing this many bytes of the user.
    #[must_use]
    pub fn without(self, bytes: u64) -> Self {
        Self {
            user_bytes: self.user_bytes.saturating_sub(bytes),
            total_bytes: self.total_bytes.saturating_sub(bytes),
            ..self
        }
    }
}

impl Quota {
    /// No limits.
    pub const NONE: Self = Self { user_bytes: None, user_files: None, total_bytes: None };

    /// Whether there are no limits at all.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Returns an error if this many more bytes and files would exceed a limit.
    pub fn check(&self, usage: Usage, bytes: u64, files: u64) -> Result<(), OverQuota> {
        if let Some(max) = self.user_files
            && files > max.saturating_sub(usage.user_files)
        {
            return Err(OverQuota::UserFiles { max });
        }
        if let Some(max) = self.user_bytes {
            let left = max.saturating_sub(usage.user_bytes);
            if bytes > left {
                return Err(OverQuota::UserBytes { left, max });
            }
        }
        match self.total_bytes {
            Some(max) if bytes > max.saturating_sub(usage.total_bytes) => Err(OverQuota::Storage),
            _ => Ok(()),
        }
    }

    /// Returns the maximum number of further bytes that [`Quota::check`] accepts.
    pub fn left(&self, usage: Usage) -> u64 {
        let user = self.user_bytes.map(|max| max.saturating_sub(usage.user_bytes));
        let total = self.total_bytes.map(|max| max.saturating_sub(usage.total_bytes));
        user.into_iter().chain(total).min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota =
        Quota { user_bytes: Some(100), user_files: Some(3), total_bytes: Some(1000) };

    fn usage(user_bytes: u64, user_files: u64, total_bytes: u64) -> Usage {
        Usage { user_bytes, user_files, total_bytes }
    }

    #[test]
    fn a_limit_can_be_reached_exactly() {
        assert_eq!(QUOTA.check(usage(60, 2, 960), 40, 1), Ok(()));
    }

    #[test]
    fn limits_are_independent() {
        let check = |usage| QUOTA.check(usage, 40, 1);
        assert_eq!(check(usage(61, 0, 0)), Err(OverQuota::UserBytes { left: 39, max: 100 }));
        assert_eq!(check(usage(0, 3, 0)), Err(OverQuota::UserFiles { max: 3 }));
        assert_eq!(check(usage(0, 0, 961)), Err(OverQuota::Storage));
    }

    #[test]
    fn usage_above_a_lowered_limit_is_not_an_error_of_its_own() {
        assert_eq!(QUOTA.check(usage(500, 9, 5000), 0, 0), Ok(()));
        assert!(QUOTA.check(usage(500, 0, 0), 1, 0).is_err());
    }

    #[test]
    fn check_accepts_exactly_what_is_left() {
        for usage in [usage(60, 0, 0), usage(0, 0, 970), usage(200, 0, 2000)] {
            let left = QUOTA.left(usage);
            assert!(QUOTA.check(usage, left, 0).is_ok());
            assert!(QUOTA.check(usage, left + 1, 0).is_err());
        }
        assert_eq!(Quota::NONE.left(usage(1, 1, 1)), u64::MAX);
    }
}
