//! Where the audit log goes: section `[audit]`.

use super::problem::Problems;
use super::raw::RawAudit;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Where the audit log goes, besides the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Audit {
    /// A file that lines are only added to; opened again for each line, so that it can be rotated.
    pub file: Option<PathBuf>,
}

impl Audit {
    pub(super) fn parse(raw: RawAudit, problems: &mut Problems) -> Self {
        let file = raw.file.filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = &file {
            let mut options = std::fs::OpenOptions::new();
            // What makes the file is whoever is the first to open it.
            let opened = options.append(true).create(true).mode(0o600).open(path);
            if let Err(error) = opened {
                let text = format!("{} cannot be written: {error}", path.display());
                problems.add("audit.file", text);
            }
        }
        Self { file }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nobody_else_reads_the_file() {
        let path = std::env::temp_dir().join(format!("holdfast-audit-{}", std::process::id()));
        let mut problems = Problems::default();
        Audit::parse(RawAudit { file: Some(path.clone()) }, &mut problems);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
        std::fs::remove_file(path).unwrap();
    }
}
