//! Where a web page comes from, as its browser says it: scheme, host, and the port unless it is the scheme's own.

use super::problem::Problems;
use std::fmt;
use url::Url;

/// An origin whose pages may call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// All of `grpc.web_origins`.
    pub(super) fn parse_all(raw: Vec<String>, problems: &mut Problems) -> Vec<Self> {
        let mut origins = Vec::with_capacity(raw.len());
        for (index, text) in raw.into_iter().enumerate() {
            match Self::parse(&text) {
                Ok(origin) => origins.push(origin),
                Err(wrong) => problems.add(format!("grpc.web_origins[{index}]"), wrong),
            }
        }
        origins
    }

    /// Compared with what a browser sends byte by byte, so nothing but that will do.
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("is \"*\", which would be every page that anybody makes; it must be one \
                        origin, such as https://app.example.com"
                .to_owned());
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        match url.map(|url| url.origin().ascii_serialization()) {
            Some(origin) if origin == text => Ok(Self(origin)),
            Some(origin) => {
                Err(format!("is {text:?}; it must be as a browser says it: {origin:?}"))
            }
            None => Err(format!(
                "is {text:?}; it must be the origin of a page, such as https://app.example.com"
            )),
        }
    }

    /// One that is listed.
    #[cfg(test)]
    pub(crate) fn listed(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text that a browser sends.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{all, flags_and_variables};

    fn origins(list: &str) -> Result<Vec<String>, String> {
        let config = all(&format!("[grpc]\nweb_origins = {list}"), "--dev", &[])?;
        Ok(config.grpc.web_origins.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn origins_are_what_browsers_send() {
        for fits in [
            "https://app.example.com",
            "http://localhost:8080",
            "http://[::1]:1",
            "http://10.0.0.1",
        ] {
            assert_eq!(origins(&format!("['{fits}']")).unwrap(), [fits]);
        }
        assert_eq!(origins("[]").unwrap(), [""; 0]);
        let by_variable = flags_and_variables(
            "--dev",
            &[("HOLDFAST_GRPC__WEB_ORIGINS", "https://a.example, https://b.example")],
        );
        let by_variable = by_variable.unwrap().grpc.web_origins;
        assert_eq!(
            by_variable.iter().map(super::WebOrigin::as_str).collect::<Vec<_>>(),
            ["https://a.example", "https://b.example"]
        );
    }

    #[test]
    fn what_no_browser_sends_is_told_with_what_would_be_right() {
        for (given, expected) in [
            (
                "https://app.example.com/",
                "it must be as a browser says it: \"https://app.example.com\"",
            ),
            (
                "https://App.example.com",
                "it must be as a browser says it: \"https://app.example.com\"",
            ),
            ("https://a.example:443", "it must be as a browser says it: \"https://a.example\""),
            (
                "https://a.example/page?q#f",
                "it must be as a browser says it: \"https://a.example\"",
            ),
            (
                "http://bücher.example",
                "it must be as a browser says it: \"http://xn--bcher-kva.example\"",
            ),
            ("app.example.com", "it must be the origin of a page, such as https://app.example.com"),
            ("null", "it must be the origin of a page, such as https://app.example.com"),
            ("", "it must be the origin of a page, such as https://app.example.com"),
            ("file:///x", "it must be the origin of a page, such as https://app.example.com"),
        ] {
            let expected = format!("grpc.web_origins[1]: is {given:?}; {expected} (file FILE)");
            assert_eq!(origins(&format!("['http://fits', '{given}']")).unwrap_err(), expected);
        }
        let every = origins("['*']").unwrap_err();
        assert!(
            every.starts_with("grpc.web_origins[0]: is \"*\", which would be every page"),
            "{every}"
        );
        let number = origins("5").unwrap_err();
        assert_eq!(number, "grpc.web_origins: is 5; it must be a list of texts (file FILE)");
    }
}
