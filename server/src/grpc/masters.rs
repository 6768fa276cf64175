//! What clients may know of the masters: their names, never their endpoints.

use holdfast_engine::MasterId;
use std::fmt::Write;

/// Longest text about one master in an error: the texts of all of them must fit into headers that
/// every client accepts.
const MAX_TEXT_BYTES: usize = 160;

/// The names of the masters, in the order of the configuration.
#[derive(Debug, Clone)]
pub struct MasterNames {
    names: Vec<String>,
    /// Each with the name that stands for it.
    endpoints: Vec<(String, String)>,
}

impl MasterNames {
    /// Each master's name and its endpoints as they may occur in error texts (`host:port`).
    pub fn new(masters: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let (mut names, mut endpoints) = (Vec::new(), Vec::new());
        for (name, own) in masters {
            endpoints.extend(own.into_iter().map(|endpoint| (endpoint, name.clone())));
            names.push(name);
        }
        // A longer one may contain a shorter one.
        endpoints.sort_by_key(|(endpoint, _)| std::cmp::Reverse(endpoint.len()));
        Self { names, endpoints }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of one.
    pub fn name(&self, master: MasterId) -> &str {
        self.names.get(master.index()).map_or("?", String::as_str)
    }

    /// All names, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (MasterId, &str)> {
        let id = |index: usize| MasterId(index as u8);
        self.names.iter().enumerate().map(move |(index, name)| (id(index), name.as_str()))
    }

    /// A text about a master for the headers of an error: without endpoints, short, and ASCII.
    pub fn brief(&self, text: &str) -> String {
        ascii(&self.public(text), MAX_TEXT_BYTES)
    }

    /// A text about a master as a client may read it: names in place of endpoints.
    pub fn public(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (endpoint, name) in &self.endpoints {
            if endpoint != name && text.contains(endpoint.as_str()) {
                text = text.replace(endpoint, name);
            }
        }
        text
    }
}

/// What gRPC carries in a status message everywhere: printable ASCII, and not too much of it.
pub(super) fn ascii(text: &str, most: usize) -> String {
    let mut line = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        if line.len() >= most {
            let _ = line.write_str("...");
            break;
        }
        line.push(if c == ' ' || c.is_ascii_graphic() { c } else { '?' });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_become_names_and_texts_stay_short() {
        let masters = MasterNames::new([
            ("a".to_owned(), vec!["10.0.0.1:6379".to_owned()]),
            ("b".to_owned(), vec!["10.0.0.1:63790".to_owned()]),
            ("10.0.0.3:1".to_owned(), vec!["10.0.0.3:1".to_owned()]),
        ]);

        assert_eq!(masters.public("10.0.0.1:6379: connection refused"), "a: connection refused");
        assert_eq!(masters.brief("10.0.0.1:63790: r\u{e9}seau\n"), "b: r?seau?");
        assert_eq!(masters.public("10.0.0.3:1: gone"), "10.0.0.3:1: gone");
        assert_eq!(masters.brief(&"x".repeat(1_000)).len(), MAX_TEXT_BYTES + 3);
        assert_eq!(masters.name(MasterId(1)), "b");
        assert_eq!(masters.len(), 3);
    }
}
