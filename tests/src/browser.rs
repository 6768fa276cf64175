//! A browser, and a person before it: Chromium without a screen, driven by `tests/dashboard`.
//!
//! Deliberately absent: any knowledge of the page.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::dialogue::Dialogue;
use crate::tools;

/// How long a step may take: more than the browser waits for something to be seen.
const STEP_TIMEOUT: Duration = Duration::from_secs(200);

/// One.
#[derive(Debug)]
pub struct Browser(Dialogue);

impl Browser {
    /// Starts it; `None` where Chromium or Node is missing, see [`tools::find`].
    pub fn start() -> Result<Option<Browser>> {
        let (driver, chromium) = (tools::find("dashboard-browser"), tools::find("chromium"));
        let (Some(driver), Some(chromium)) = (driver, chromium) else { return Ok(None) };
        Ok(Some(Browser(Dialogue::start(driver, [chromium])?)))
    }

    /// Opens the page at this address, with a screen so wide and a preference for `light` or `dark`.
    pub async fn open(&mut self, address: SocketAddr, width: u32, scheme: &str) -> Result<()> {
        let url = format!("http://{address}/");
        let step = json!({ "do": "open", "url": url, "width": width, "scheme": scheme });
        self.step(step).await.map(drop)
    }

    /// Waits until this text is to be seen in what a selector selects.
    pub async fn see(&mut self, at: &str, text: &str) -> Result<()> {
        self.step(json!({ "do": "see", "at": at, "text": text })).await.map(drop)
    }

    /// Waits until it is not any more.
    pub async fn see_no(&mut self, at: &str, text: &str) -> Result<()> {
        self.step(json!({ "do": "see", "at": at, "text": text, "not": true })).await.map(drop)
    }

    /// Presses a key, such as `Enter`.
    pub async fn press(&mut self, key: &str) -> Result<()> {
        self.step(json!({ "do": "press", "key": key })).await.map(drop)
    }

    /// Presses Tab until the focus is there.
    pub async fn tab_to(&mut self, at: &str) -> Result<()> {
        self.step(json!({ "do": "tabTo", "at": at })).await.map(drop)
    }

    /// Types where the focus is.
    pub async fn type_text(&mut self, text: &str) -> Result<()> {
        self.step(json!({ "do": "type", "text": text })).await.map(drop)
    }

    /// What a script says of the document.
    pub async fn ask(&mut self, script: &str) -> Result<Value> {
        self.step(json!({ "do": "ask", "script": script })).await
    }

    /// Does a step of `tests/dashboard/browser.js`.
    pub async fn step(&mut self, step: Value) -> Result<Value> {
        let answer = self.0.ask(&step.to_string(), STEP_TIMEOUT).await?;
        let mut answer: Value = serde_json::from_str(&answer)?;
        match answer["problem"].as_str() {
            Some(problem) => bail!("{step}: {problem}"),
            None => Ok(answer["ok"].take()),
        }
    }
}
