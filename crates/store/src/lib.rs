//! Runs, queue, leases, events and logs on SQLite
