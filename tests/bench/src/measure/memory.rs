//! How much of the machine's memory processes have.

use std::fs;

use anyhow::{Context, Result};

use super::Role;

/// What all processes of these roles have in memory, in bytes.
pub(crate) fn resident(roles: &[Role], name: &str) -> Result<f64> {
    let of_role = roles.iter().filter(|role| role.name == name);
    of_role.flat_map(|role| &role.pids).map(|pid| resident_of(*pid)).sum()
}

fn resident_of(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    pss_bytes(&text)
}

/// Its own pages, and its share of those it has together with others.
fn pss_bytes(smaps_rollup: &str) -> Result<f64> {
    let line = smaps_rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no Pss")?;
    Ok(kilobytes.parse::<f64>()? * 1_024.0)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn what_a_process_has_is_read() {
        assert_eq!(pss_bytes("7ff-7ff rollup\nRss: 9 kB\nPss:       3 kB\n").unwrap(), 3_072.0);
        assert!(pss_bytes("Rss: 9 kB").is_err());
        let roles = [Role::new("this", [process::id()])];
        let before = resident(&roles, "this").unwrap();
        let more = vec![1_u8; 64 << 20];
        let grown = resident(&roles, "this").unwrap() - before;
        assert!(grown > 32e6, "{grown} with {} bytes more", more.len());
        assert_eq!(resident(&roles, "others").unwrap(), 0.0);
    }
}
