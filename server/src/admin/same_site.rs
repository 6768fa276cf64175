//! Is a request of the page's own making? A browser runs what other sites want of it, with the reach of whoever
//! sits before it, so the JSON answers to the page alone.
//!
//! Another site's script is told by `Origin` and `Sec-Fetch-Site`, and a form of its by the content type and the
//! header that none can set. A site that has its own name resolve to this port (DNS rebinding) is told by
//! that name, which stands in `Host`: where nobody is asked for a token, only an address or `localhost` will do.
//! Deliberately absent: CORS headers. No other site is to read anything.

use super::api::Failure;
use super::dashboard::Dashboard;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv6Addr};

/// What the page sets, and no form can.
const OWN_HEADER: HeaderName = HeaderName::from_static("x-holdfast-dashboard");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Of every answer.
const MARKS: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Lets through what is, and marks every answer as nobody else's.
pub(super) async fn guard(
    State(dashboard): State<Dashboard>,
    request: Request,
    next: Next,
) -> Response {
    let by_token = dashboard.0.access.asks();
    let mut response = match judge(request.method(), request.headers(), by_token) {
        Ok(()) => next.run(request).await,
        Err(why) => Failure::new(StatusCode::FORBIDDEN, "NOT_SAME_ORIGIN", why).into_response(),
    };
    for (name, value) in MARKS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn judge(method: &Method, headers: &HeaderMap, by_token: bool) -> Result<(), &'static str> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(&HOST).filter(|_| headers.get_all(HOST).iter().count() == 1);
    let host = host.ok_or("there must be one Host header")?;
    if !by_token && !is_address(host) {
        return Err(
            "without authentication the dashboard answers to an IP address or localhost only: call it by \
             one of these, or configure [auth]",
        );
    }
    let origin = headers.contains_key(ORIGIN).then(|| text(&ORIGIN).and_then(authority));
    if origin.is_some_and(|origin| origin != Some(host)) {
        return Err("Origin is not the Host that was called");
    }
    if text(&FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none") {
        return Err("the request comes from another site");
    }
    let is_json = || {
        let essence = text(&CONTENT_TYPE)?.split(';').next()?;
        Some(essence.trim().eq_ignore_ascii_case("application/json"))
    };
    let is_own = headers.contains_key(OWN_HEADER) && is_json() == Some(true);
    if method != Method::GET && method != Method::HEAD && !is_own {
        return Err(
            "what changes something needs content-type: application/json and the header x-holdfast-dashboard",
        );
    }
    Ok(())
}

/// `host:port` of an origin such as `http://host:port`.
pub(crate) fn authority(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

/// Does this Host name an address, which no site can have for a name of its own?
pub(crate) fn is_address(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((address, port)) = bracketed {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:7421");
    const OWN: (&str, &str) = ("x-holdfast-dashboard", "1");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    fn judged(method: Method, headers: &[(&str, &str)], by_token: bool) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        judge(&method, &map, by_token).is_ok()
    }

    #[test]
    fn a_name_that_a_site_may_have_is_not_answered_to_unless_a_token_is_asked_for() {
        for host in
            ["127.0.0.1:7421", "127.0.0.1", "[::1]:7421", "[::1]", "localhost:7421", "LocalHost"]
        {
            assert!(judged(Method::GET, &[("host", host)], false), "{host}");
        }
        for host in [
            "evil.example:7421",
            "localhost.evil.example",
            "127.0.0.1.evil.example:7421",
            "[evil.example]:80",
            "[::1]x",
            "127.0.0.1@evil.example",
            "",
        ] {
            assert!(!judged(Method::GET, &[("host", host)], false), "{host}");
        }
        assert!(judged(Method::GET, &[("host", "dashboard.example")], true));
        assert!(!judged(Method::GET, &[], true));
        assert!(!judged(Method::GET, &[LOCAL, ("host", "evil.example")], true));
    }

    #[test]
    fn other_sites_get_nothing() {
        for (header, fits) in [
            (("origin", "http://127.0.0.1:7421"), true),
            (("origin", "http://127.0.0.1:7422"), false),
            (("origin", "http://evil.example"), false),
            (("origin", "null"), false),
            (("origin", "\u{e9}"), false),
            (("sec-fetch-site", "same-origin"), true),
            (("sec-fetch-site", "none"), true),
            (("sec-fetch-site", "same-site"), false),
            (("sec-fetch-site", "cross-site"), false),
        ] {
            for by_token in [false, true] {
                assert_eq!(judged(Method::GET, &[LOCAL, header], by_token), fits, "{header:?}");
                let post = [LOCAL, header, OWN, JSON];
                assert_eq!(judged(Method::POST, &post, by_token), fits, "{header:?}");
            }
        }
    }

    #[test]
    fn what_changes_something_is_no_form() {
        for (headers, fits) in [
            (&[LOCAL, OWN, JSON][..], true),
            (&[LOCAL, JSON], false),
            (&[LOCAL, OWN], false),
            (&[LOCAL, OWN, ("content-type", "text/plain")], false),
            (&[LOCAL, OWN, ("content-type", "text/plain; application/json")], false),
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                assert_eq!(judged(method, headers, false), fits, "{headers:?}");
            }
        }
    }
}
