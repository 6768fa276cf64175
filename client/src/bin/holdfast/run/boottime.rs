//! Moments that mean the same to two processes of one machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_client::Moment;
use serde::{Deserialize, Serialize};

/// A [`Moment`] that can be sent: the time since the machine was booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Boot(Duration);

impl From<Moment> for Boot {
    fn from(moment: Moment) -> Self {
        Self(moment.since_boot())
    }
}

impl Boot {
    pub(crate) fn now() -> Self {
        Moment::now().into()
    }

    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    pub(crate) fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }

    pub(crate) fn remaining(self) -> Duration {
        Moment::at_since_boot(self.0).remaining()
    }

    /// Waits until then, and looks at the clock every `look`.
    pub(crate) async fn reached(self, look: Duration) {
        Moment::at_since_boot(self.0).reached(look).await;
    }

    /// By the wall clock, as far as that can be known: milliseconds since 1970.
    pub(crate) fn unix_millis(self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_add(self.remaining()).as_millis().try_into().unwrap_or(u64::MAX)
    }
}
