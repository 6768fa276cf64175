//! WatchLeader on real processes.
