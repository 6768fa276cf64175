//! How a deployment is seen by those who run it: metrics as a real Prometheus scrapes them, the alerts and the
//! dashboard of `ops/`, the pages about them, and the log.
//!
//! Deliberately absent: spans (`spans`), and the cases of the alerts, which promtool plays in `make lint`.

mod alerts;
mod dashboard;
mod logs;
mod measures;
mod pages;
mod prometheus;
mod scene;
