//! A network with a guest that is a TCP/IP stack of its own at the other end of the link.

mod bad_input;
mod dns;
mod guest;
mod servers;
mod tcp;
mod udp;
