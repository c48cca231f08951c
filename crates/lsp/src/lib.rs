//! The language of workflows in an editor: documents in, answers of the Language Server Protocol out.
//!
//! [`serve`] speaks the protocol on a pair of streams until the editor ends it. Inside, the layers are:
//!
//! 1. `frame`: bytes to messages; `server`: the loop, which takes all that has come before it analyses anything.
//! 2. `session`: what has been agreed on and which documents are open, each kept by `document` as the editor changes it.
//! 3. `repository`: where a document is, and the files that it refers to, open documents before those on disk.
//! 4. `outline`: keys and items of files that are being typed; `cursor` and `expression`: what stands at a place;
//!    `typing`: the types of expressions there.
//! 5. The answers, functions of a document and a place: `diagnostics`, `fixes`, `completion`, `hover`, `definition`,
//!    `occurrences`, `symbols`. `references` finds what a document uses, `words` describes contexts and functions.
//!
//! What is wrong with a file, what its schema admits and what types its expressions have comes from `workflow`.
//!
//! Invariants: no text of a document and no message of an editor panics; messages, documents and queues are bounded;
//! diagnostics belong to a version of a document, and a version that is outdated is not analysed.

mod answers;
mod completion;
mod cursor;
mod definition;
mod diagnostics;
mod document;
mod expression;
mod fixes;
mod frame;
mod hover;
mod occurrences;
mod outline;
mod position;
mod references;
mod repository;
mod server;
mod session;
mod symbols;
mod typing;
mod uri;
mod words;

pub use frame::FrameError;
pub use repository::{ReadSettings, RepositorySettings};
pub use server::{Ending, ServeError, serve};
