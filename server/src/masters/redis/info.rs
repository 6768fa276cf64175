//! What INFO must say of a process that is to vote.

use std::collections::HashMap;

/// The first whose SET knows KEEPTTL, which scripts need. Azure's are as old.
const LEAST_VERSION: (u32, u32) = (6, 0);

/// The fields of INFO.
#[derive(Debug)]
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn parse(text: &str) -> Self {
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim_end().to_owned()))
        };
        Self(text.lines().filter_map(field).collect())
    }

    fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The identity of the process.
    pub(super) fn run_id(&self) -> Option<&str> {
        self.get("run_id")
    }

    pub(super) fn version(&self) -> &str {
        self.get("redis_version").unwrap_or("unknown")
    }

    /// For people. Valkey also tells the version of Redis that it is compatible with, which nobody knows it by.
    pub(super) fn shown_version(&self) -> String {
        match self.get("valkey_version") {
            Some(version) => format!("{version} (Valkey)"),
            None => self.version().to_owned(),
        }
    }

    pub(super) fn major_version(&self) -> Option<u32> {
        self.version().split('.').next()?.parse().ok()
    }

    /// What changes with every change of its role.
    pub(super) fn replid(&self) -> Option<&str> {
        self.get("master_replid")
    }

    /// How many replicas are attached.
    pub(super) fn replicas(&self) -> u32 {
        self.number("connected_slaves").unwrap_or(0)
    }

    /// How many of them are in step, not about to be.
    pub(super) fn replicas_online(&self) -> u32 {
        let online = |(field, value): &(&String, &String)| {
            let index = field.strip_prefix("slave").is_some_and(|it| it.parse::<u32>().is_ok());
            index && value.contains("state=online")
        };
        u32::try_from(self.0.iter().filter(online).count()).unwrap_or(u32::MAX)
    }

    /// Does it take writes, as far as its role goes?
    pub(super) fn is_primary(&self) -> bool {
        self.get("role") == Some("master")
    }

    /// How many of them acknowledge in time; `None`: it does not care (min-replicas-* is not set).
    pub(super) fn good_replicas(&self) -> Option<u32> {
        self.number("min_slaves_good_slaves")
    }

    fn number(&self, field: &str) -> Option<u32> {
        self.get(field)?.parse().ok()
    }

    pub(super) fn uptime_seconds(&self) -> u64 {
        self.get("uptime_in_seconds").and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    fn minor_version(&self) -> Option<u32> {
        self.version().split('.').nth(1)?.parse().ok()
    }

    /// False if what it last wrote to its disk failed.
    pub(super) fn saves_well(&self) -> bool {
        let failed = |field| self.get(field) == Some("err");
        !failed("rdb_last_bgsave_status") && !failed("aof_last_write_status")
    }

    pub(super) fn has_append_only_file(&self) -> bool {
        self.get("aof_enabled") == Some("1")
    }

    /// Why this process must not vote, and what to do, if there is a reason.
    pub(super) fn unfit(&self) -> Option<String> {
        if self.run_id().is_none() {
            return Some("INFO shows no run_id, so that a restart could not be noticed".into());
        }
        if self.get("cluster_enabled") == Some("1") {
            let why = "cluster mode: a master is one process with all keys; set cluster-enabled no";
            return Some(why.into());
        }
        if let Some(role) = self.get("role").filter(|role| *role != "master") {
            let of = self.get("master_host").unwrap_or("?");
            let port = self.get("master_port").unwrap_or("?");
            return Some(format!(
                "role is {role} (of {of}:{port}), and only a primary votes: name an independent Redis, \
                 or list it and its primary under endpoints"
            ));
        }
        if let Some(why) = self.too_old() {
            return Some(why);
        }
        match self.get("maxmemory_policy") {
            Some("noeviction") => None,
            Some(policy) => Some(format!(
                "maxmemory-policy is {policy}: locks could be evicted; set it to noeviction"
            )),
            None => Some("INFO shows no maxmemory_policy".into()),
        }
    }

    fn too_old(&self) -> Option<String> {
        let (major, minor) = LEAST_VERSION;
        let version = (self.major_version()?, self.minor_version().unwrap_or(0));
        let version = (version < LEAST_VERSION).then(|| self.version())?;
        Some(format!("version {version} is too old: upgrade it to {major}.{minor} or newer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nuptime_in_seconds:7\r\n\
        # Memory\r\nmaxmemory_policy:noeviction\r\nrole:master\r\ncluster_enabled:0\r\n";

    #[test]
    fn a_plain_redis_is_fit() {
        let info = Info::parse(FIT);
        assert_eq!(info.unfit(), None);
        assert_eq!((info.run_id(), info.uptime_seconds()), (Some("abc"), 7));
    }

    #[test]
    fn versions_are_numbers() {
        for version in ["6.0.1", "6.10.1", "7", "10.0.0", "unstable"] {
            assert_eq!(Info::parse(&FIT.replace("7.0.15", version)).unfit(), None, "{version}");
        }
    }

    #[test]
    fn each_reason_is_named() {
        for (from, to, word) in [
            ("run_id:abc", "run_id:", "run_id"),
            ("cluster_enabled:0", "cluster_enabled:1", "cluster mode"),
            ("role:master", "role:slave", "role is slave"),
            ("noeviction", "allkeys-lru", "maxmemory-policy is allkeys-lru"),
            ("7.0.15", "5.0.14", "version 5.0.14 is too old: upgrade it to 6.0 or newer"),
        ] {
            let why = Info::parse(&FIT.replace(from, to)).unfit().unwrap();
            assert!(why.contains(word), "{why}");
        }
    }
}
