//! The programs that `tests/setup` installs, for tests that a machine may have to do without.
//!
//! Not those that every test needs, such as redis-server, nor those that cargo builds.

use std::env;
use std::path::{Path, PathBuf};

/// Where `tests/setup` installs them.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin")
}

/// The program with this name, on the PATH or in [`folder`]. A test without it ends there; in
/// continuous integration, where `make` has installed it, that is a failure.
///
/// # Panics
/// There, if it is missing.
pub fn find(name: &str) -> Option<PathBuf> {
    let found = look_for(name);
    let excused = env::var("CI").as_deref() != Ok("true");
    assert!(found.is_some() || excused, "there is no {name}, which tests/setup installs");
    found
}

/// The same for what a machine may do without in continuous integration as well.
pub fn look_for(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).chain([folder()]);
    places.find_map(|place| Some(place.join(name)).filter(|it| it.exists()))
}
