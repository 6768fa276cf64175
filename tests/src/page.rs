//! A page of the documentation, done as its reader does it: its files are written, its commands run in order,
//! and what they print is held to what it shows.
//!
//! A block of code is told by the line that opens it. A language and the name of a file: the file's
//! content. `sh`: commands, all of them in one shell, in a folder that was empty. `text` right after
//! that: what they print; `…` stands for any text in a line. Others are only for the eye.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::time::timeout;

use crate::{binaries, docs, tools};

/// How long all commands of a page may take: most of it goes into what they install.
const BOUND: Duration = Duration::from_secs(1_800);
/// What separates the output of one block from that of the next.
const MARK: &str = "=== the end of a block";

/// The blocks of a page.
#[derive(Debug)]
pub struct Page {
    path: PathBuf,
    blocks: Vec<Block>,
}

/// One block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What opens it, such as `sh` or `go main.go`.
    pub info: String,
    /// Its lines.
    pub text: String,
    /// Where its first line stands in the page.
    pub line: usize,
    /// Nothing but empty lines stands between it and the block before.
    follows: bool,
}

/// Where a page is done.
#[derive(Debug, Default)]
pub struct Place {
    /// Replaces texts of the page, such as an address.
    pub replaced: Vec<(String, String)>,
    /// Additions to the environment.
    pub env: Vec<(String, String)>,
    /// Files that are there already, by name.
    pub files: Vec<(String, PathBuf)>,
}

impl Page {
    /// Reads one below the root of the repository.
    pub fn read(path: &str) -> Result<Page> {
        let text = fs::read_to_string(docs::path(path))?;
        let blocks = blocks(&text);
        ensure!(!blocks.is_empty(), "there is nothing to do in {path}");
        Ok(Page { path: path.into(), blocks })
    }

    /// Its blocks of this kind.
    pub fn blocks(&self, info: &str) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.info == info)
    }

    /// Does what it says, and fails where it does not hold.
    pub async fn run(&self, place: &Place) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let fit = |text: &str| {
            place.replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        for (name, from) in &place.files {
            fs::copy(from, folder.path().join(name))?;
        }
        for (name, block) in self.files() {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(path, fit(&block.text))?;
        }
        let mut script =
            "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
        for block in self.blocks("sh") {
            write!(script, "{}\necho '{MARK}'\n", fit(&block.text))?;
        }
        let output = self.shell(&script, folder.path(), place).await?;
        let printed: Vec<&str> = output.split(&format!("{MARK}\n")).collect();
        let (last, printed) = printed.split_last().context("it has printed something")?;
        ensure!(last.is_empty(), "after the end of {}: {last}", self.path.display());
        for (block, printed) in self.blocks("sh").zip(printed) {
            if let Some(shown) = self.shown_after(block) {
                self.hold(shown, printed)?;
            }
        }
        Ok(())
    }

    /// Its files, by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Block)> {
        self.blocks.iter().filter_map(|block| Some((block.info.split_once(' ')?.1, block)))
    }

    fn shown_after(&self, block: &Block) -> Option<&Block> {
        let next = self.blocks.iter().find(|next| next.line > block.line)?;
        Some(next).filter(|next| next.info == "text" && next.follows)
    }

    async fn shell(&self, script: &str, folder: &Path, place: &Place) -> Result<String> {
        let path = std::env::var("PATH")?;
        let (built, tools) = (binaries::profile()?, tools::folder());
        let mut shell = Command::new("bash")
            .args(["-c", script])
            .current_dir(folder)
            .env("PATH", format!("{}:{}:{path}", built.display(), tools.display()))
            .env("HOLDFAST", fs::canonicalize(docs::path(""))?)
            // Of cargo, which runs the tests: not the reader's.
            .env_remove("CARGO_TARGET_DIR")
            .envs(place.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = shell.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        // Its programs in the background have its output too.
        let stdout = shell.stdout.take().context("stdout is piped")?;
        let stderr = shell.stderr.take().context("stderr is piped")?;
        let ended =
            timeout(BOUND, async { tokio::join!(text(stdout), text(stderr), shell.wait()) });
        let Ok((stdout, stderr, status)) = ended.await else {
            if let Some(group) = group {
                kill_process_group(group, Signal::KILL)?;
            }
            bail!("{} takes longer than {BOUND:?}", self.path.display());
        };
        let (stdout, stderr, status) = (stdout?, stderr?, status?);
        ensure!(status.success(), "{}: {status}\n{stdout}\n{stderr}", self.path.display());
        Ok(stdout)
    }

    fn hold(&self, shown: &Block, printed: &str) -> Result<()> {
        let wanted: Vec<&str> = shown.text.lines().collect();
        let found: Vec<&str> = printed.lines().collect();
        let fits = wanted.len() == found.len()
            && wanted.iter().zip(&found).all(|(wanted, found)| fits(wanted, found));
        let place = format!("{}:{}", self.path.display(), shown.line);
        ensure!(fits, "{place} shows\n{}but this was printed:\n{printed}", shown.text);
        Ok(())
    }
}

async fn text(mut stream: impl tokio::io::AsyncRead + Unpin) -> Result<String> {
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await?;
    Ok(text)
}

/// Does a line that was printed fit one that is shown?
pub fn fits(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return shown == printed };
    let Some(printed) = printed.strip_prefix(start) else { return false };
    (0..=printed.len())
        .filter(|end| printed.is_char_boundary(*end))
        .any(|end| fits(rest, &printed[end..]))
}

/// The blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut follows = false;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let info = info.trim().to_owned();
                open = Some(Block { info, text: String::new(), line: index + 2, follows });
            }
            (None, None) => follows &= line.is_empty(),
            (Some(_), Some("")) => {
                blocks.extend(open.take());
                follows = true;
            }
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    blocks
}
