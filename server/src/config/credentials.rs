//! Who we are to a master: a username and a password, from the file, a file of its own, the URL, or
//! the environment.

use super::environment::MasterVariables;
use super::problem::Problems;
use super::raw::{RawMaster, RawSentinel};
use super::secret::{MASK, Secret};
use std::path::Path;

/// Who we are to a Redis server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The ACL user; `None`: the default user.
    pub username: Option<String>,
    /// Its password.
    pub password: Secret,
}

/// What a table of the file says of them.
pub(super) struct Written<'a> {
    username: Option<&'a String>,
    password: Option<&'a Secret>,
    password_file: Option<&'a Path>,
}

impl<'a> From<&'a RawMaster> for Written<'a> {
    fn from(raw: &'a RawMaster) -> Self {
        let RawMaster { username, password, password_file, .. } = raw;
        let (username, password) = (username.as_ref(), password.as_ref());
        Self { username, password, password_file: password_file.as_deref() }
    }
}

impl<'a> From<&'a RawSentinel> for Written<'a> {
    fn from(raw: &'a RawSentinel) -> Self {
        let RawSentinel { username, password, password_file, .. } = raw;
        let (username, password) = (username.as_ref(), password.as_ref());
        Self { username, password, password_file: password_file.as_deref() }
    }
}

impl Credentials {
    /// One username and one password, each from one place; the environment's go first.
    pub(super) fn parse<'a>(
        key: &str,
        raw: impl Into<Written<'a>>,
        (url_username, url_password): (Option<String>, Option<Secret>),
        variables: MasterVariables,
        problems: &mut Problems,
    ) -> Option<Self> {
        let raw = raw.into();
        let passwords = [
            ("password", raw.password.is_some()),
            ("password_file", raw.password_file.is_some()),
            ("the url", url_password.is_some()),
        ];
        let given: Vec<&str> =
            passwords.into_iter().filter_map(|(place, given)| given.then_some(place)).collect();
        if let [first, .., last] = given[..] {
            let message = format!("is given by {first} and by {last}; keep one of them");
            problems.add(format!("{key}.password"), message);
        }
        if raw.username.is_some() && url_username.is_some() {
            problems
                .add(format!("{key}.username"), "is given here and by the url; keep one of them");
        }
        if raw.password.is_some_and(|password| password.expose() == MASK) {
            let message =
                "is the mask that `holdfastd config` prints; put the password in its place";
            problems.add(format!("{key}.password"), message);
        }
        if raw.password.is_some_and(|password| password.expose().is_empty()) {
            problems.add(format!("{key}.password"), "is empty; leave it out if there is none");
        }
        let password = variables
            .password
            .or_else(|| raw.password.cloned())
            .or_else(|| password_of(key, raw.password_file?, problems))
            .or(url_password);
        let username = variables.username.or_else(|| raw.username.cloned()).or(url_username);
        let password_key = format!("{key}.password");
        if username.is_some() && password.is_none() && !problems.concern_any_of(&password_key) {
            problems.add(password_key, "is missing; the username needs it");
        }
        Some(Self { username, password: password? })
    }
}

fn password_of(key: &str, path: &Path, problems: &mut Problems) -> Option<Secret> {
    let key = format!("{key}.password_file");
    match std::fs::read_to_string(path) {
        Ok(text) => match text.trim_end_matches(['\n', '\r']) {
            "" => problems.add(key, format!("{} is empty", path.display())),
            password => return Some(Secret::new(password)),
        },
        Err(error) => problems.add(key, format!("{} cannot be read: {error}", path.display())),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::master::Backend;
    use crate::config::testing::{Scratch, all, file};

    fn of(toml: &str, variables: &[(&str, &str)]) -> Result<Option<Credentials>, String> {
        let config = all(&format!("[[masters]]\nname = 'r-1'\n{toml}"), "", variables)?;
        match &config.masters[0].backend {
            Backend::Redis(endpoint) => Ok(endpoint.credentials.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    fn credentials(username: Option<&str>, password: &str) -> Option<Credentials> {
        Some(Credentials { username: username.map(str::to_owned), password: Secret::new(password) })
    }

    #[test]
    fn credentials_come_from_one_place() {
        let secret = Scratch::file("from file\r\n\n");
        for (toml, expected) in [
            ("url = 'redis://u:p@r1'", credentials(Some("u"), "p")),
            ("url = 'redis://r1'\nusername = 'u'\npassword = 'p'", credentials(Some("u"), "p")),
            ("url = 'redis://r1'\npassword_file = 'SECRET'", credentials(None, "from file")),
            ("url = 'redis://u@r1'\npassword = 'p'", credentials(Some("u"), "p")),
        ] {
            let toml = toml.replace("SECRET", secret.path());
            assert_eq!(of(&toml, &[]).unwrap(), expected, "{toml}");
        }
    }

    #[test]
    fn the_environment_overrides_credentials() {
        let variables =
            [("HOLDFAST_MASTERS__R_1__PASSWORD", "q"), ("HOLDFAST_MASTERS__R_1__USERNAME", "v")];
        for toml in [
            "url = 'redis://u:p@r1'",
            "url = 'redis://r1'\npassword = 'p'",
            "url = 'redis://r1'\npassword_file = '/nowhere'",
            "url = 'redis://r1'",
        ] {
            assert_eq!(of(toml, &variables).unwrap(), credentials(Some("v"), "q"), "{toml}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let empty = Scratch::file("\n");
        for (toml, expected) in [
            (
                "url = 'redis://r1'\npassword = 'a'\npassword_file = '/nowhere'",
                "masters[0].password: is given by password and by password_file; \
                 keep one of them",
            ),
            (
                "url = 'redis://:p@r1'\npassword = 'a'",
                "masters[0].password: is given by password and by the url; keep one of them",
            ),
            (
                "url = 'redis://u:p@r1'\nusername = 'u'",
                "masters[0].username: is given here and by the url; keep one of them",
            ),
            (
                "url = 'redis://r1'\npassword = ''",
                "masters[0].password: is empty; leave it out if there is none",
            ),
            ("url = 'redis://u@r1'", "masters[0].password: is missing; the username needs it"),
            (
                "url = 'redis://r1'\npassword_file = 'EMPTY'",
                "masters[0].password_file: EMPTY is empty",
            ),
        ] {
            let error = of(&toml.replace("EMPTY", empty.path()), &[]).unwrap_err();
            let error = error.replace(empty.path(), "EMPTY");
            assert_eq!(error, format!("{expected} (file FILE)"));
        }
        let error = of("url = 'redis://r1'\npassword_file = '/nowhere/p'", &[]).unwrap_err();
        let start = "masters[0].password_file: /nowhere/p cannot be read: ";
        assert!(error.starts_with(start), "{error}");
    }

    #[test]
    fn no_secret_is_shown() {
        let config = file("[[masters]]\nurl = 'redis://u:hunter2@r1'").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let error = file("[[masters]]\nurl = 'redis://u:hunter2/x@r1'").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
