//! What is measured: one module a kind of measurement. Each measures one repetition at a time.

mod contended;
mod own_keys;
mod point;

pub(crate) use point::Point;
