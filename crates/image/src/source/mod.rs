//! Where root file systems and kernels come from, one module for each kind of origin.

pub(crate) mod archive;
pub(crate) mod containerfile;
pub(crate) mod debian;
pub(crate) mod folder;
pub(crate) mod kernel;
pub(crate) mod node;
pub(crate) mod oci;

use std::collections::BTreeMap;

use crate::manifest::Tool;
use crate::tree::Tree;

/// A root file system with what its origin says about running things in it.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) tree: Tree,
    /// What it was made from, for the manifest.
    pub(crate) origin: String,
    pub(crate) environment: BTreeMap<String, String>,
    /// Whom processes run as: a name or number in the image. `None` is the user `runner`, who is made.
    pub(crate) user: Option<String>,
    pub(crate) working_directory: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Programs that no list of packages in the tree names.
    pub(crate) tools: Vec<Tool>,
}

impl Root {
    /// A tree about which nothing is known.
    pub(crate) fn new(tree: Tree, origin: String) -> Self {
        Self {
            tree,
            origin,
            environment: BTreeMap::new(),
            user: None,
            working_directory: None,
            labels: BTreeMap::new(),
            tools: Vec::new(),
        }
    }
}
