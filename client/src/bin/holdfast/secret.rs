//! The token from the environment, for as long as it is in this process: shown to nobody.

use std::env;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Where it is. There is no option for it: everybody on a machine can read the arguments of a process.
pub(crate) const TOKEN: &str = "HOLDFAST_TOKEN";

/// A text that is not shown. To the keeper of `run` it goes through a pipe.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// An empty variable, as scripts set it, is as good as none.
    pub(crate) fn of_environment() -> Option<Self> {
        // What is no text is refused where it is used, like any other that is no token.
        let value = env::var_os(TOKEN)?.to_string_lossy().into_owned();
        Some(Self(value)).filter(|Self(value)| !value.trim().is_empty())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
