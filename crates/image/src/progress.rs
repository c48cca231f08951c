//! What a build tells while it goes on. Who shows it, and how, is not this crate's business.

/// One piece of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A part of the work begins: lower case, such as `installing packages`.
    Stage(&'a str),
    /// A program that does the work says something, one line.
    Line(&'a str),
    /// So many bytes of the part's work are done.
    Bytes {
        /// So far.
        done: u64,
        /// In the end, where that is known; zero otherwise.
        total: u64,
    },
}

/// Takes news. It is called from one thread at a time, often.
pub type Reporter<'a> = &'a (dyn Fn(Progress<'_>) + Sync);
