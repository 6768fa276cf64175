//! The signals that are passed on to CMD.

use rustix::process::Signal;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PASSED_ON: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// The signals of this process, as they come. Those that it was started to ignore (nohup, `&` in a
/// script) stay ignored, by CMD as well.
pub(crate) fn passed_on() -> io::Result<UnboundedReceiver<Signal>> {
    let (sender, receiver) = unbounded_channel();
    let ignored = ignored();
    for passed in PASSED_ON {
        if ignored & (1 << (passed.as_raw() - 1)) != 0 {
            continue;
        }
        let mut came = signal(SignalKind::from_raw(passed.as_raw()))?;
        let sender = sender.clone();
        tokio::spawn(
            async move { while came.recv().await.is_some() && sender.send(passed).is_ok() {} },
        );
    }
    // Even if all are ignored the channel stays open.
    tokio::spawn(async move { sender.closed().await });
    Ok(receiver)
}

/// As a mask, the lowest bit for signal 1. No safe call tells; on Linux a file does.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
