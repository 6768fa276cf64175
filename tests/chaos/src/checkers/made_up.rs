//! Histories made by hand, for the tests of the checkers.

use crate::history::{Entry, Event, History, Nanos, Seen, Way};

/// A history in the making. Times are small numbers.
#[derive(Debug)]
pub(crate) struct Story {
    entries: Vec<Entry>,
    resource: String,
    outlives_connection: bool,
    replica: Option<usize>,
}

impl Default for Story {
    fn default() -> Story {
        let (entries, resource) = (Vec::new(), "r".to_owned());
        Story { entries, resource, outlives_connection: true, replica: None }
    }
}

impl Story {
    pub(crate) fn history(&self) -> History {
        History::fold(self.entries.clone())
    }

    pub(crate) fn event(&mut self, at: Nanos, event: Event) -> &mut Story {
        self.entries.push(Entry { at, event });
        self
    }

    /// What follows is about this resource.
    pub(crate) fn of(&mut self, resource: &str) -> &mut Story {
        resource.clone_into(&mut self.resource);
        self
    }

    pub(crate) fn outliving(&mut self, outlives_connection: bool) -> &mut Story {
        self.outlives_connection = outlives_connection;
        self
    }

    pub(crate) fn asks(&mut self, session: &str, at: Nanos) -> &mut Story {
        let asked = Event::Asked {
            session: session.to_owned(),
            way: Way::Acquire,
            resource: self.resource.clone(),
            outlives_connection: self.outlives_connection,
            replica: self.replica,
        };
        self.event(at, asked)
    }

    pub(crate) fn queued(&mut self, session: &str, at: Nanos) -> &mut Story {
        self.event(at, Event::Queued { session: session.to_owned(), position: 1 })
    }

    pub(crate) fn granted(
        &mut self,
        session: &str,
        at: Nanos,
        token: u64,
        deadline: Nanos,
    ) -> &mut Story {
        self.event(at, Event::Granted { session: session.to_owned(), token, deadline })
    }

    /// Asks and has it at once.
    pub(crate) fn holds(
        &mut self,
        session: &str,
        at: Nanos,
        token: u64,
        deadline: Nanos,
    ) -> &mut Story {
        self.asks(session, at).granted(session, at, token, deadline)
    }

    pub(crate) fn renewed(&mut self, session: &str, at: Nanos, deadline: Nanos) -> &mut Story {
        self.event(at, Event::Renewed { session: session.to_owned(), deadline })
    }

    pub(crate) fn releases(&mut self, session: &str, at: Nanos) -> &mut Story {
        self.event(at, Event::Releasing { session: session.to_owned() })
    }

    pub(crate) fn lost(&mut self, session: &str, at: Nanos) -> &mut Story {
        let reason = "taken".to_owned();
        self.event(at, Event::Lost { session: session.to_owned(), reason })
    }

    pub(crate) fn killed(&mut self, process: &str, at: Nanos) -> &mut Story {
        self.event(at, Event::Killing { process: process.to_owned() })
    }

    pub(crate) fn severed(&mut self, at: Nanos) -> &mut Story {
        self.event(at, Event::Severing { replica: 0 })
    }

    pub(crate) fn writes(
        &mut self,
        session: &str,
        at: Nanos,
        token: u64,
        accepted: bool,
    ) -> &mut Story {
        let (session, resource) = (session.to_owned(), self.resource.clone());
        self.event(at, Event::Write { session, resource, token, accepted, highest: token })
    }

    pub(crate) fn watches(&mut self, watch: &str, at: Nanos) -> &mut Story {
        let (watch, resource) = (watch.to_owned(), self.resource.clone());
        self.event(at, Event::Watching { watch, resource })
    }

    pub(crate) fn sees(&mut self, watch: &str, at: Nanos, seen: Seen) -> &mut Story {
        self.event(at, Event::Observed { watch: watch.to_owned(), seen })
    }

    pub(crate) fn sees_leader(
        &mut self,
        watch: &str,
        at: Nanos,
        holder: &str,
        term: u64,
    ) -> &mut Story {
        self.sees(watch, at, Seen::Led { holder: holder.to_owned(), term })
    }

    pub(crate) fn calm(&mut self, at: Nanos) -> &mut Story {
        self.event(at, Event::Calm)
    }
}
