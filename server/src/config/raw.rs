//! The shape of the configuration as it is written: names and types, without meaning.
//!
//! Every key of the contract is a field here, all optional: defaults are given where meaning is.
//! The same shape is read from the layers and written by `show`.

use super::log::LogFormat;
use super::secret::Secret;
use super::span::Span;
use holdfast_engine::RestartPolicy;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct RawConfig {
    pub(super) restart_policy: Option<RawPolicy>,
    pub(super) key_format: Option<String>,
    pub(super) namespace: Option<String>,
    #[serde(deserialize_with = "table")]
    pub(super) grpc: RawGrpc,
    #[serde(deserialize_with = "table")]
    pub(super) admin: RawAdmin,
    #[serde(deserialize_with = "table")]
    pub(super) lease: RawLease,
    #[serde(deserialize_with = "table")]
    pub(super) quorum: RawQuorum,
    #[serde(deserialize_with = "table")]
    pub(super) limits: RawLimits,
    #[serde(deserialize_with = "table")]
    pub(super) auth: RawAuth,
    #[serde(deserialize_with = "table")]
    pub(super) audit: RawAudit,
    #[serde(deserialize_with = "table")]
    pub(super) watch: RawWatch,
    #[serde(deserialize_with = "table")]
    pub(super) log: RawLog,
    #[serde(deserialize_with = "table")]
    pub(super) telemetry: RawTelemetry,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "tables")]
    pub(super) masters: Vec<RawMaster>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawPolicy {
    Quarantine,
    Trust,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGrpc {
    pub(super) listen: Option<String>,
    pub(super) drain_timeout: Option<Span>,
    pub(super) web_origins: Option<Texts>,
    #[serde(deserialize_with = "some_table")]
    pub(super) tls: Option<RawGrpcTls>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGrpcTls {
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_ca: Option<PathBuf>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub(super) listen: Option<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLease {
    pub(super) default_ttl: Option<Span>,
    pub(super) min_ttl: Option<Span>,
    pub(super) max_ttl: Option<Span>,
    pub(super) drift: Option<Decimal>,
    pub(super) max_wait: Option<Span>,
    pub(super) max_hold: Option<Span>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawQuorum {
    pub(super) clock_skew: Option<Span>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) max_resource_bytes: Option<Count>,
    pub(super) max_holder_bytes: Option<Count>,
    pub(super) max_metadata_bytes: Option<Count>,
    pub(super) max_message_bytes: Option<Count>,
    pub(super) max_waiters: Option<Count>,
    pub(super) max_concurrent_streams: Option<Count>,
    pub(super) max_streams: Option<Count>,
    pub(super) max_total_waiters: Option<Count>,
    pub(super) max_leases: Option<Count>,
    pub(super) requests_per_second: Option<Count>,
    pub(super) max_connections: Option<Count>,
    pub(super) max_connections_per_address: Option<Count>,
    pub(super) max_connection_age: Option<Span>,
    pub(super) handshake_timeout: Option<Span>,
    #[serde(deserialize_with = "table")]
    pub(super) per_identity: RawPerIdentity,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPerIdentity {
    pub(super) requests_per_second: Option<Count>,
    pub(super) max_leases: Option<Count>,
    pub(super) max_waiters: Option<Count>,
    pub(super) max_streams: Option<Count>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) tokens_file: Option<PathBuf>,
    pub(super) policy_file: Option<PathBuf>,
    #[serde(deserialize_with = "some_table")]
    pub(super) jwt: Option<RawJwt>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJwt {
    pub(super) jwks_file: Option<PathBuf>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) leeway: Option<Span>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAudit {
    pub(super) file: Option<PathBuf>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWatch {
    pub(super) poll_interval: Option<Span>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<LogFormat>,
    pub(super) filter: Option<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTelemetry {
    pub(super) otlp_endpoint: Option<String>,
    pub(super) sample_ratio: Option<Decimal>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMaster {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) connect_timeout: Option<Span>,
    pub(super) command_timeout: Option<Span>,
    #[serde(deserialize_with = "some_table")]
    pub(super) tls: Option<RawMasterTls>,
    pub(super) endpoints: Option<Vec<String>>,
    #[serde(deserialize_with = "some_table")]
    pub(super) sentinel: Option<RawSentinel>,
    pub(super) max_lag: Option<Span>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSentinel {
    pub(super) urls: Option<Vec<String>>,
    pub(super) name: Option<String>,
    pub(super) database: Option<Count>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMasterTls {
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) server_name: Option<String>,
}

/// A table, by its keys. Serde's own way would take a list as well, by the order of the fields.
struct Table<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = Table<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Table)
    }
}

fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Table::deserialize(deserializer).map(|Table(table)| table)
}

fn some_table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    table(deserializer).map(Some)
}

fn tables<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let tables = Vec::<Table<T>>::deserialize(deserializer)?;
    Ok(tables.into_iter().map(|Table(table)| table).collect())
}

impl From<RawPolicy> for RestartPolicy {
    fn from(policy: RawPolicy) -> Self {
        match policy {
            RawPolicy::Quarantine => Self::Quarantine,
            RawPolicy::Trust => Self::Trust,
        }
    }
}

impl From<RestartPolicy> for RawPolicy {
    fn from(policy: RestartPolicy) -> Self {
        match policy {
            RestartPolicy::Quarantine => Self::Quarantine,
            RestartPolicy::Trust => Self::Trust,
        }
    }
}

/// A whole number; also as text, because environment variables know nothing else.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) u64);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
        Ok(Count(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
        u64::try_from(number)
            .map(Count)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        text.trim().parse().map(Count).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A number that may have a fraction; also as text, as [`Count`].
#[derive(Clone, Copy)]
pub(super) struct Decimal(pub(super) f64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor)
    }
}

struct DecimalVisitor;

impl Visitor<'_> for DecimalVisitor {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Decimal, E> {
        Ok(Decimal(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Decimal, E> {
        Ok(Decimal(number as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
        text.trim().parse().map(Decimal).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A list of texts; also as one text with commas, as [`Count`].
pub(super) struct Texts(pub(super) Vec<String>);

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Texts, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Texts)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        Ok(Texts(texts.map(str::to_owned).collect()))
    }
}
