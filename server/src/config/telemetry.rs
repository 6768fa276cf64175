//! Whether calls leave spans, and where those go: section `[telemetry]`.
//!
//! Deliberately absent: reading `OTEL_EXPORTER_OTLP_ENDPOINT`, which `environment` does; it is a layer
//! below the file.

use super::problem::Problems;
use super::raw::RawTelemetry;
use http::Uri;
use std::fmt;

/// A lock service is called very often, and by services that decide themselves which of their calls
/// are traced: their decision is followed, whatever this says. It is about calls that come without one.
/// Of those a few are enough to know how they fare, and all of them would be five spans an Acquire.
const DEFAULT_SAMPLE_RATIO: f64 = 0.01;

const EXAMPLE: &str = "such as http://collector:4317";

/// Whether calls leave spans, and where those go.
#[derive(Clone, PartialEq, Debug)]
pub struct Telemetry {
    /// The collector; without one there are no spans.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// How many of the calls that come without a trace begin one.
    pub sample_ratio: f64,
}

/// Where a collector takes spans, by OTLP over gRPC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtlpEndpoint(Uri);

impl OtlpEndpoint {
    /// Is the way there encrypted?
    pub fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The error does not repeat the text: it may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_http = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        if !is_http {
            return Err(format!("must start with http:// or https://, {EXAMPLE}"));
        }
        let uri: Option<Uri> = text.parse().ok();
        let Some((uri, authority)) = uri.as_ref().and_then(|uri| Some((uri, uri.authority()?)))
        else {
            return Err(format!("is no URL; it must be {EXAMPLE}"));
        };
        let (host, port) = (authority.host(), authority.port_u16());
        if authority.as_str().contains('@') {
            return Err("must have no user or password; headers are given in \
                        OTEL_EXPORTER_OTLP_HEADERS"
                .to_owned());
        }
        if host.is_empty()
            || port == Some(0)
            || authority.as_str().len() > host.len() && port.is_none()
        {
            return Err(format!("must have a host, and a port from 1 to 65535, {EXAMPLE}"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(format!("must end after the port, {EXAMPLE}"));
        }
        Ok(Self(uri.clone()))
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}", self.0.authority().map_or("", |authority| authority.as_str()))
    }
}

impl Telemetry {
    pub(super) fn parse(raw: &RawTelemetry, problems: &mut Problems) -> Self {
        // An empty one is off, so that the standard variable can be overruled.
        let given = raw.otlp_endpoint.as_deref().filter(|text| !text.is_empty());
        let otlp_endpoint = given.and_then(|text| match OtlpEndpoint::parse(text) {
            Ok(endpoint) => Some(endpoint),
            Err(wrong) => {
                problems.add("telemetry.otlp_endpoint", wrong);
                None
            }
        });
        let sample_ratio = raw.sample_ratio.map_or(DEFAULT_SAMPLE_RATIO, |ratio| ratio.0);
        if !(0.0..=1.0).contains(&sample_ratio) {
            problems.add(
                "telemetry.sample_ratio",
                format!("is {sample_ratio}; it must be from 0 to 1"),
            );
        }
        Self { otlp_endpoint, sample_ratio }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::testing::{all, read};

    fn parse(toml: &str) -> Result<Telemetry, String> {
        let mut problems = Problems::default();
        let telemetry = Telemetry::parse(&read(toml)?, &mut problems);
        problems.or(telemetry).map_err(|errors| errors.to_string())
    }

    fn endpoint(telemetry: &Telemetry) -> Option<String> {
        telemetry.otlp_endpoint.as_ref().map(OtlpEndpoint::to_string)
    }

    #[test]
    fn without_an_endpoint_it_is_off() {
        let off = parse("").unwrap();
        assert_eq!((endpoint(&off), off.sample_ratio), (None, 0.01));
        assert_eq!(endpoint(&parse("otlp_endpoint = ''").unwrap()), None);
    }

    #[test]
    fn endpoints_are_urls_without_a_path() {
        for (given, tls) in [
            ("http://collector:4317", false),
            ("https://collector.example", true),
            ("http://[::1]:4317", false),
            ("http://collector:4317/", false),
        ] {
            let parsed = OtlpEndpoint::parse(given).unwrap();
            assert_eq!(parsed.to_string(), given.trim_end_matches('/'));
            assert_eq!(parsed.is_tls(), tls, "{given}");
        }
        for (given, expected) in [
            (
                "collector:4317",
                "must start with http:// or https://, such as http://collector:4317",
            ),
            ("collector", "must start with http://"),
            ("http:///", "is no URL; it must be such as http://collector:4317"),
            ("http://a b", "is no URL; it must be such as http://collector:4317"),
            ("grpc://collector:4317", "must start with http:// or https://"),
            ("http://u:secret@collector:4317", "must have no user or password; headers are given"),
            ("http://collector:0", "must have a host, and a port from 1 to 65535, such as"),
            ("http://collector:65536", "must have a host, and a port from"),
            ("http://collector:4318/v1/traces", "must end after the port, such as"),
            ("http://collector:4317?a=b", "must end after the port, such as"),
        ] {
            let error = parse(&format!("otlp_endpoint = '{given}'")).unwrap_err();
            let expected = format!("telemetry.otlp_endpoint: {expected}");
            assert!(error.starts_with(&expected) && !error.contains("secret"), "{given}: {error}");
        }
    }

    #[test]
    fn a_ratio_is_a_part_of_all() {
        assert_eq!(parse("sample_ratio = 0").unwrap().sample_ratio, 0.0);
        assert_eq!(parse("sample_ratio = 1").unwrap().sample_ratio, 1.0);
        for (given, is) in [("1.5", "1.5"), ("-1", "-1"), ("nan", "NaN")] {
            let expected = format!("telemetry.sample_ratio: is {is}; it must be from 0 to 1");
            assert_eq!(parse(&format!("sample_ratio = {given}")).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_standard_variable_is_honoured_where_ours_are_absent() {
        let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4317");
        let ours = ("HOLDFAST_TELEMETRY__OTLP_ENDPOINT", "http://ours:4317");
        let file = "[telemetry]\notlp_endpoint = 'http://file:4317'";
        let goes_to = |file: &str, variables: &[(&str, &str)]| {
            all(file, "--dev", variables).map(|config: Config| endpoint(&config.telemetry))
        };
        let at = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(goes_to("", &[standard]), at("http://standard:4317"));
        assert_eq!(goes_to(file, &[standard]), at("http://file:4317"));
        assert_eq!(goes_to(file, &[standard, ours]), at("http://ours:4317"));
        assert_eq!(goes_to("", &[standard, (ours.0, "")]), Ok(None), "overruled");
        assert_eq!(goes_to("", &[(standard.0, "")]), Ok(None), "empty is unset");
        let http = (standard.0, "http://standard:4318/v1/traces");
        assert_eq!(goes_to("", &[http]), Ok(None), "meant for others");
        let warnings = all("", "--dev", &[http]).unwrap().warnings;
        let ignored = "OTEL_EXPORTER_OTLP_ENDPOINT is ignored: it must end after the port";
        assert!(warnings.iter().any(|warning| warning.starts_with(ignored)), "{warnings:?}");
    }
}
