//! Machines for jobs: namespace and host, booted with one agent inside
