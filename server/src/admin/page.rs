//! The files of the page, in the binary, and the headers under which a browser runs them: nothing but these
//! files, nothing inline, no other host, in no frame.
//!
//! Deliberately absent: a build step. What is in `page/` is what the browser gets.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::response::IntoResponse;
use axum::routing::get;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $type:expr) => {
        (concat!("/page/", $name), $type, include_str!(concat!("page/", $name)))
    };
}

/// Where each is, its type and its text.
const FILES: [(&str, &str, &str); 16] = [
    ("/", HTML, include_str!("page/index.html")),
    file!("style.css", CSS),
    file!("parts.css", CSS),
    file!("icon.svg", SVG),
    file!("main.js", SCRIPT),
    file!("announce.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("force.js", SCRIPT),
    file!("inspect.js", SCRIPT),
    file!("link.js", SCRIPT),
    file!("locks.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("session.js", SCRIPT),
    file!("theme.js", SCRIPT),
    file!("words.js", SCRIPT),
];

/// One route a file.
pub(super) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(async || served(kind, text)))
    })
}

fn served(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // A page and a replica of two versions do not fit together.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
        let scripts = FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT);
        scripts.map(|(path, _, text)| (*path, *text))
    }

    #[tokio::test]
    async fn every_file_is_served_under_the_policy() {
        for (path, kind, text) in FILES {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let header = |name| response.headers()[&name].to_str().unwrap().to_owned();
            assert_eq!(header(CONTENT_TYPE), kind);
            assert_eq!(header(X_CONTENT_TYPE_OPTIONS), "nosniff");
            let policy = header(CONTENT_SECURITY_POLICY);
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert_eq!(body, text);
        }
    }

    #[test]
    fn every_file_that_is_named_is_served_and_none_is_elsewhere() {
        let served = |name: &str| FILES.iter().any(|(path, ..)| *path == format!("/page/{name}"));
        for (path, text) in scripts() {
            for line in text.lines().filter(|line| line.contains(" from \"")) {
                let name = line.rsplit('"').nth(1).unwrap();
                assert!(served(name.strip_prefix("./").unwrap()), "{path}: {line}");
            }
        }
        let html = FILES[0].2;
        let named = html.split('"').filter(|text| text.starts_with("page/"));
        assert_eq!(named.filter(|name| served(&name["page/".len()..])).count(), 4);
        for (path, _, text) in FILES {
            let elsewhere =
                text.split("://").skip(1).any(|rest| !rest.starts_with("www.w3.org/2000/svg"));
            assert!(!elsewhere, "{path} names another host");
        }
    }

    #[test]
    fn no_text_becomes_markup_and_nothing_is_inline() {
        for (path, text) in scripts() {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!text.contains(word), "{path}: {word}");
            }
        }
        let tags = FILES[0].2.split('<').map(|tag| tag.split('>').next().unwrap_or_default());
        for attribute in tags.flat_map(str::split_whitespace) {
            let is_inline = attribute.starts_with("on") || attribute.starts_with("style=");
            assert!(!is_inline && !attribute.contains("javascript:"), "{attribute}");
        }
        let scripts = FILES[0].2.matches("<script").count();
        assert_eq!((scripts, FILES[0].2.matches("<style").count()), (1, 0));
    }
}
