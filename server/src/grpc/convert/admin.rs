//! The requests of operators that list and change: ListLocksRequest and ForceReleaseRequest, parsed.

use super::fields;
use super::page::Position;
use super::rules::Rules;
use super::violations::Violations;
use crate::grpc::masters::MasterNames;
use holdfast_engine::{Ballot, Now, Resource};
use holdfast_proto::v1::{ForceReleaseRequest, ListLocksRequest};
use std::sync::Arc;

/// Locks of a page whose request does not say how many.
const PAGE_SIZE: u32 = 100;
/// Whoever asks for more gets so many.
const MAX_PAGE_SIZE: u32 = 1_000;
/// A sentence, not a report: it becomes one line of the audit log.
const MAX_REASON_BYTES: usize = 256;

const PAGE_TOKEN: &str = "must be empty, or the next_page_token that a replica with the same masters \
                          gave with the same prefix";

/// What a ListLocks asks for.
#[derive(Debug, Clone)]
pub struct ListArgs {
    /// Only resources that begin with this.
    pub prefix: Arc<str>,
    /// About so many locks.
    pub page_size: usize,
    /// Where the page begins.
    pub from: Position,
}

impl ListArgs {
    /// Parses a request.
    pub fn parse(
        request: &ListLocksRequest,
        rules: &Rules,
        masters: &MasterNames,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let ListLocksRequest { prefix, page_size, page_token } = request;
        text("prefix", prefix, rules.max_resource_bytes, &mut violations);
        let page_size = match *page_size {
            0 => PAGE_SIZE,
            size => size.min(MAX_PAGE_SIZE),
        };
        let from = if page_token.is_empty() {
            Position::start()
        } else {
            Position::parse(page_token, prefix, masters).unwrap_or_else(|| {
                violations.add("page_token", PAGE_TOKEN);
                Position::start()
            })
        };
        violations.none_or(|| Self {
            prefix: prefix.as_str().into(),
            page_size: page_size as usize,
            from,
        })
    }
}

/// What a ForceRelease asks for. Why is for the audit log alone.
#[derive(Debug, Clone)]
pub struct ForceArgs {
    /// What is locked.
    pub resource: Resource,
    /// The token that is meant.
    pub token: Ballot,
    /// Delete it now, whatever its holder believes.
    pub immediate: bool,
}

impl ForceArgs {
    /// Parses a request.
    pub fn parse(
        request: &ForceReleaseRequest,
        rules: &Rules,
        now: Now,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let resource = fields::resource(&request.resource, rules, &mut violations);
        let token = fields::required_token(request.fencing_token, rules, now, &mut violations);
        text("reason", &request.reason, MAX_REASON_BYTES, &mut violations);
        violations.none_or(|| Self { resource, token, immediate: request.immediate })
    }
}

/// A text that may be empty.
fn text(field: &'static str, text: &str, most: usize, violations: &mut Violations) {
    if text.len() > most || text.contains(char::is_control) {
        let rule = format!("must be at most {most} bytes without control characters");
        violations.add(field, rule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::fields::assert_violations;
    use holdfast_engine::Instant;

    const NOW: Now = Now { boot: Instant::from_nanos(0), wall_micros: 1_000_000 };

    fn masters() -> MasterNames {
        MasterNames::new(["a", "b", "c"].map(|name| (name.to_owned(), Vec::new())))
    }

    fn list(request: &ListLocksRequest) -> Result<ListArgs, Violations> {
        ListArgs::parse(request, &Rules::default(), &masters())
    }

    fn force(request: &ForceReleaseRequest) -> Result<ForceArgs, Violations> {
        ForceArgs::parse(request, &Rules::default(), NOW)
    }

    #[test]
    fn a_list_of_everything_needs_no_field() {
        let args = list(&ListLocksRequest::default()).unwrap();
        assert_eq!((&*args.prefix, args.page_size, args.from), ("", 100, Position::start()));
    }

    #[test]
    fn a_page_is_no_larger_than_the_largest() {
        for (asked, expected) in
            [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000), (u32::MAX, 1_000)]
        {
            let request = ListLocksRequest { page_size: asked, ..ListLocksRequest::default() };
            assert_eq!(list(&request).unwrap().page_size, expected, "{asked}");
        }
    }

    #[test]
    fn every_violation_of_a_list_is_named() {
        let sound = ListLocksRequest { prefix: "x".repeat(512), ..ListLocksRequest::default() };
        assert!(list(&sound).is_ok());
        let token = || Position::start().token("orders/", &masters());
        let page = |prefix: &str, page_token| ListLocksRequest {
            prefix: prefix.to_owned(),
            page_token,
            page_size: 0,
        };
        assert!(list(&page("orders/", token())).is_ok());
        for (request, fields) in [
            (page(&"x".repeat(513), String::new()), &["prefix"][..]),
            (page("a\nb", String::new()), &["prefix"]),
            (page("orders/", "2".to_owned()), &["page_token"]),
            (page("orders", token()), &["page_token"]),
            (page("\0", token()), &["prefix", "page_token"]),
        ] {
            assert_violations(list(&request), fields, &request);
        }
    }

    #[test]
    fn every_violation_of_a_force_release_is_named() {
        let sound = ForceReleaseRequest {
            resource: "orders/42".to_owned(),
            fencing_token: 11_000_000,
            reason: "x".repeat(256),
            immediate: true,
        };
        let args = force(&sound).unwrap();
        assert_eq!((args.token, args.immediate), (Ballot(11_000_000), true));
        let (empty, long, lines) = (String::new(), "x".repeat(257), "a\nb".to_owned());
        for (request, fields) in [
            (ForceReleaseRequest { resource: empty, ..sound.clone() }, &["resource"][..]),
            (ForceReleaseRequest { fencing_token: 0, ..sound.clone() }, &["fencing_token"]),
            (
                ForceReleaseRequest { fencing_token: 11_000_001, ..sound.clone() },
                &["fencing_token"],
            ),
            (ForceReleaseRequest { reason: long, ..sound.clone() }, &["reason"]),
            (ForceReleaseRequest { reason: lines, ..sound }, &["reason"]),
            (
                ForceReleaseRequest { reason: "\t".to_owned(), ..ForceReleaseRequest::default() },
                &["resource", "fencing_token", "reason"],
            ),
        ] {
            assert_violations(force(&request), fields, &request);
        }
    }
}
