//! `hashFiles`: asked of the machine, whose files they are.

use machine::Machine;

/// The hash of the files of the workspace that match.
pub(crate) async fn hash_files(
    machine: &Machine,
    workspace: &str,
    patterns: &[String],
) -> Result<String, String> {
    machine.hash(workspace.to_owned(), patterns.to_vec()).await.map_err(|error| error.to_string())
}
