//! The agent's protocol: what is on the stream, and what the agent does with a stream that is wrong.

mod agent;
mod frames;
mod template;
