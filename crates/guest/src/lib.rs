//! The agent inside every machine and the protocol it speaks
