//! The processes of one system while they run.

use std::any::Any;
use std::fmt;

use crate::measure::Role;

/// Servers that live as long as this.
pub(crate) struct Servers {
    /// Where clients connect.
    pub(crate) addresses: Vec<String>,
    /// Whose CPU time counts as whose.
    pub(crate) roles: Vec<Role>,
    /// What a load says who it is by, if they ask.
    pub(crate) token: Option<String>,
    _processes: Box<dyn Any>,
}

impl Servers {
    pub(crate) fn new(
        addresses: impl IntoIterator<Item = String>,
        roles: impl IntoIterator<Item = Role>,
        processes: impl Any,
    ) -> Servers {
        Servers {
            addresses: addresses.into_iter().collect(),
            roles: roles.into_iter().collect(),
            token: None,
            _processes: Box::new(processes),
        }
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addresses, roles, .. } = self;
        f.debug_struct("Servers").field("addresses", addresses).field("roles", roles).finish()
    }
}
