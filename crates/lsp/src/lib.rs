//! The language of workflows in an editor: documents in, answers of the Language Server Protocol out.
//!
//! [`serve`] speaks the protocol on a pair of streams until the editor ends it. Inside, the layers are:
//!
//! 1. `frame`: bytes to messages; `server`: the loop, which takes all that has come before it analyses anything.
//! 2. `session`: what has been agreed on and which documents are open, each kept by `document` as the editor changes it.
//! 3. `repository`: where a document is, and the files that it refers to, open documents before those on disk.
//! 4. The answers, pure functions of a document: `diagnostics`.
//!
//! Nothing here knows the language: what is wrong with a file comes from `workflow`.
//!
//! Invariants: no text of a document and no message of an editor panics; messages, documents and queues are bounded;
//! diagnostics belong to a version of a document, and a version that is outdated is not analysed.

mod answers;
mod completion;
mod cursor;
mod diagnostics;
mod document;
mod expression;
mod frame;
mod outline;
mod position;
mod references;
mod repository;
mod server;
mod session;
mod uri;
mod words;

pub use frame::FrameError;
pub use server::{Ending, ServeError, serve};
