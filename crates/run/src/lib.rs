//! A run as a state machine: events, state and what must happen next; pure
