//! Runs the executable specification: each section of `spec/**/*.md` is a workflow with what must come of it.
//!
//! `spec/README.md` describes the format. A section becomes tests like `FILE/SECTION/plan`, `.../check` and
//! `.../run`; the last runs the real binary on the namespace backend, or on the host where bubblewrap does not work,
//! which is said aloud. Every section has a repository and a state folder of its own.

mod document;
mod execute;
mod expect;
mod judge;
mod own;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::document::Section;
use crate::execute::Setting;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec");
    let setting = Arc::new(Setting::find());
    let mut trials = own::trials();
    for file in markdown_files(&folder) {
        trials.extend(trials_of(&folder, &file, &setting));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The specification's files in the order of their names, without the description of the format.
fn markdown_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("reading {}: {e}", folder.display()));
        for entry in entries {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") && !path.ends_with("README.md") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no specification in {}", folder.display());
    found.sort();
    found
}

/// The tests of one file; a file that is not well formed is one failing test.
fn trials_of(folder: &Path, file: &Path, setting: &Arc<Setting>) -> Vec<Trial> {
    let name =
        file.strip_prefix(folder).expect("found below the folder").with_extension("").display().to_string();
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("reading {}: {e}", file.display()));
    match document::parse(&text) {
        Ok(sections) => {
            sections.into_iter().flat_map(|section| trials_of_section(&name, section, setting)).collect()
        }
        Err(error) => {
            let message = format!("{}:{error}", file.display());
            vec![Trial::test(format!("{name}/format"), move || Err(Failed::from(message)))]
        }
    }
}

fn trials_of_section(file: &str, section: Section, setting: &Arc<Setting>) -> Vec<Trial> {
    let section = Arc::new(section);
    let mut trials = Vec::new();
    let mut add = |kind: &str, wanted: bool, test: fn(&Section, &Setting) -> Result<(), String>| {
        if wanted {
            let (section, setting) = (Arc::clone(&section), Arc::clone(setting));
            let place = format!("spec/{file}.md:{}", section.line);
            let name = format!("{file}/{}/{kind}", section.name);
            trials.push(Trial::test(name, move || {
                test(&section, &setting).map_err(|e| Failed::from(format!("{place}: {}\n{e}", section.title)))
            }));
        }
    };
    add("plan", section.plan.is_some(), execute::plan);
    add("check", section.diagnostics.is_some(), execute::check);
    add("run", section.run.is_some(), execute::run);
    for (index, printed) in section.printed.iter().enumerate() {
        let section = Arc::clone(&section);
        let name = format!("{file}/{}/{}", section.name, printed.what.name());
        let place = format!("spec/{file}.md:{}", section.line);
        trials.push(Trial::test(name, move || {
            execute::print(&section, &section.printed[index])
                .map_err(|e| Failed::from(format!("{place}: {}\n{e}", section.title)))
        }));
    }
    trials
}
