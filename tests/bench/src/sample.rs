//! What one slice gave: numbers by name. Everything a report says is made of these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Numbers by name; the unit is the end of the name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// One slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) point: String,
    pub(crate) system: String,
    /// What the point varies: workers, watchers, masters, held leases.
    pub(crate) size: u64,
    pub(crate) repetition: u32,
    pub(crate) figures: Figures,
}
