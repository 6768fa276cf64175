//! `holdfast`: the command line.
fn main() {}
