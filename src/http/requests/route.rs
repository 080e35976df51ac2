//! Routes: what answers requests, and the pattern by which a request is known in logs and metrics. A path is neither
//! logged nor counted, because a client can write anything there.

use axum::Router;

use crate::ids::UploadId;

/// The pattern of requests for which there is no route.
const UNMATCHED: &str = "unmatched";

/// Every route.
pub struct Routes {
    /// What answers.
    pub router: Router,
    patterns: matchit::Router<(&'static str, Traffic)>,
}

/// What goes over a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Files that come in, where the method is POST or PATCH.
    Upload,
    /// Files that go out, where the method is GET.
    Download,
    /// Questions and answers.
    Other,
}

/// The route of a request.
#[derive(Clone, Copy)]
pub struct Route {
    /// Its pattern, or `unmatched`.
    pub pattern: &'static str,
    /// What goes over it.
    pub traffic: Traffic,
    /// The upload or file that the path names.
    pub upload: Option<UploadId>,
}

impl Routes {
    /// These routes, and the paths that they match: each with its pattern, and what goes over it.
    pub fn new(
        router: Router,
        paths: impl IntoIterator<Item = (String, &'static str, Traffic)>,
    ) -> Self {
        let mut patterns = matchit::Router::new();
        for (path, pattern, traffic) in paths {
            // The router would have refused two of the same form.
            let _ = patterns.insert(path, (pattern, traffic));
        }
        Self { router, patterns }
    }

    /// The route of a path.
    pub fn route(&self, path: &str) -> Route {
        let Ok(matched) = self.patterns.at(path) else {
            return Route { pattern: UNMATCHED, traffic: Traffic::Other, upload: None };
        };
        let upload = matched.params.get("uuid").and_then(UploadId::parse);
        let (pattern, traffic) = *matched.value;
        Route { pattern, traffic, upload }
    }
}
