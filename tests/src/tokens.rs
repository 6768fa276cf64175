//! Bearer tokens as an operator makes them.

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::binaries;

/// A token as `holdfastd token` makes it, and its entry for the file.
pub async fn new_token(name: &str) -> Result<(String, String)> {
    let made = Command::new(binaries::built("holdfastd")?).args(["token", name]).output().await?;
    ensure!(made.status.success(), "{made:?}");
    let entry = String::from_utf8(made.stdout)?;
    // "# for its bearer, shown only now: TOKEN"
    let token = entry.lines().next().and_then(|line| line.rsplit(' ').next());
    Ok((token.context("the token")?.to_owned(), entry))
}
