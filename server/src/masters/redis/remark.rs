//! What an operator should know of a process that may vote all the same.
//!
//! Deliberately absent: how it persists, as long as it does. A master that restarts is in quarantine
//! whatever it kept; only `restart_policy = "trust"` relies on it.

use super::connector::Place;
use super::info::Info;
use holdfast_engine::RestartPolicy;
use std::sync::Arc;

/// All remarks, each with what to do; `None`: there is none.
pub(super) fn of(info: &Info, place: &Place, policy: RestartPolicy) -> Option<Arc<str>> {
    let mut remarks = about_persistence(info, policy);
    if matches!(place, Place::Single(_)) {
        remarks.extend(about_replicas(info));
    }
    (!remarks.is_empty()).then(|| remarks.join("; ").into())
}

fn about_replicas(info: &Info) -> Option<String> {
    let who = match info.replicas() {
        0 => return None,
        1 => "a replica follows it: if that".to_owned(),
        many => format!("{many} replicas follow it: if one of them"),
    };
    Some(format!(
        "{who} may take its place, list all under endpoints in place of url; a failover nobody was \
         told of may forget locks"
    ))
}

fn about_persistence(info: &Info, policy: RestartPolicy) -> Vec<String> {
    let mut remarks = Vec::new();
    if !info.saves_well() {
        remarks.push(
            "it cannot save to its disk, and may refuse all writes until it can: look into its log \
             and at the space that is left"
                .to_owned(),
        );
    }
    if policy == RestartPolicy::Trust && !info.has_append_only_file() {
        remarks.push(
            "it has no append-only file, and restart_policy is trust: a restart forgets locks, which \
             are then held twice; set appendonly yes, or restart_policy = \"quarantine\""
                .to_owned(),
        );
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;
    use crate::masters::redis::{Endpoint, Primary, Unit};
    use std::time::Duration;

    const WELL: &str = "connected_slaves:0\r\naof_enabled:0\r\nrdb_last_bgsave_status:ok\r\n\
                        aof_last_write_status:ok\r\n";

    fn endpoint() -> Endpoint {
        let address = Address::Tcp { host: "r1".to_owned(), port: 6_379 };
        Endpoint::new(address, (None, None), 0, None, Duration::ZERO).expect("no TLS")
    }

    fn said(text: &str, policy: RestartPolicy) -> String {
        let place = Place::Single(endpoint());
        of(&Info::parse(text), &place, policy).as_deref().unwrap_or_default().to_owned()
    }

    #[test]
    fn nothing_is_said_of_a_plain_redis() {
        assert_eq!(said(WELL, RestartPolicy::Quarantine), "");
        // What a service does not show is not held against it.
        assert_eq!(said("", RestartPolicy::Quarantine), "");
    }

    #[test]
    fn what_may_surprise_is_said() {
        let quarantine = RestartPolicy::Quarantine;
        for (from, to, policy, word) in [
            ("slaves:0", "slaves:1", quarantine, "a replica follows it"),
            ("slaves:0", "slaves:2", quarantine, "2 replicas follow it"),
            ("bgsave_status:ok", "bgsave_status:err", quarantine, "cannot save"),
            ("write_status:ok", "write_status:err", quarantine, "cannot save"),
            ("aof_enabled:0", "aof_enabled:0", RestartPolicy::Trust, "no append-only file"),
        ] {
            let said = said(&WELL.replace(from, to), policy);
            assert!(said.contains(word), "{to}: {said:?}");
        }
        assert_eq!(said(&WELL.replace("enabled:0", "enabled:1"), RestartPolicy::Trust), "");
    }

    #[test]
    fn the_replicas_of_a_unit_are_meant() {
        let primary = Primary::OneOf(vec![endpoint()]);
        let unit = Unit { primary, max_lag: Duration::ZERO, fenced: true };
        let info = Info::parse(&WELL.replace("slaves:0", "slaves:1"));
        assert_eq!(of(&info, &Place::Unit(unit), RestartPolicy::Quarantine), None);
    }
}
