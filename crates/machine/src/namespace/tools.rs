//! The caller's tools: which parts of the host a machine sees so that the programs on the caller's `PATH` work.
//!
//! Programs in system folders need nothing. For the common version managers a table says which folders belong to a tool,
//! which of them are secret, and which variable leads to them. Any other entry of `PATH` is shown itself, with its parent
//! when it is a `bin`. Links out of shown folders are followed. All is read-only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::pyenv::{self, Pyenv};
use crate::spec::Caller;

/// Folders whose programs are there anyway.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/opt", "/nix"];

/// Folders that are never shown as a whole, whatever `PATH` says.
const NEVER: [&str; 11] =
    ["/", "/home", "/root", "/etc", "/var", "/run", "/proc", "/sys", "/dev", "/tmp", "/mnt"];

/// Most entries of a folder of `PATH` that are searched for links.
const MAX_LINKS: usize = 4096;

/// A tool that keeps its programs under the caller's home.
struct Tool {
    /// The variable that says where; also set inside.
    variable: &'static str,
    /// Where it is when the variable is unset, below the home.
    default: &'static str,
    /// What of it is shown; empty is all.
    parts: &'static [&'static str],
}

const fn tool(variable: &'static str, default: &'static str, parts: &'static [&'static str]) -> Tool {
    Tool { variable, default, parts }
}

const TOOLS: &[Tool] = &[
    tool("RUSTUP_HOME", ".rustup", &[]),
    tool("PYENV_ROOT", ".pyenv", &[]),
    tool("NVM_DIR", ".nvm", &[]),
    tool("FNM_DIR", ".local/share/fnm", &[]),
    tool("NODENV_ROOT", ".nodenv", &[]),
    tool("VOLTA_HOME", ".volta", &["bin", "tools", "cache"]),
    tool("RBENV_ROOT", ".rbenv", &[]),
    tool("JENV_ROOT", ".jenv", &[]),
    tool("GOENV_ROOT", ".goenv", &[]),
    tool("ASDF_DIR", ".asdf", &[]),
    tool("ASDF_DATA_DIR", ".asdf", &[]),
    tool("MISE_DATA_DIR", ".local/share/mise", &["shims", "installs", "plugins"]),
    tool("SDKMAN_DIR", ".sdkman", &["bin", "candidates", "etc", "src", "var"]),
    tool("DENO_INSTALL", ".deno", &["bin"]),
    tool("BUN_INSTALL", ".bun", &["bin", "install/global"]),
    tool("PNPM_HOME", ".local/share/pnpm", &[]),
    tool("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", &[]),
    tool("UV_TOOL_DIR", ".local/share/uv/tools", &[]),
    tool("PIPX_HOME", ".local/share/pipx", &[]),
    tool("DOTNET_ROOT", ".dotnet", &[]),
    tool("JULIAUP_DEPOT_PATH", ".julia", &["juliaup"]),
    tool("GHCUP_INSTALL_BASE_PREFIX", ".ghcup", &["bin", "ghc", "cabal"]),
];

/// Variables that lead to single installations; passed on when what they name is shown.
const INSTALLATIONS: [&str; 6] =
    ["JAVA_HOME", "GOROOT", "M2_HOME", "MAVEN_HOME", "GRADLE_HOME", "CONDA_PREFIX"];

/// What of cargo's home is shown: programs, settings and sources, never credentials.
const CARGO_PARTS: [&str; 4] = ["config.toml", "config", "registry", "git"];

/// What the caller's tools need of the host.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// Host paths shown at the same place; none lies inside another.
    pub(super) shown: Vec<PathBuf>,
    /// Parts of cargo's home on the host, with their names in the machine's own cargo home.
    pub(super) cargo: Vec<(PathBuf, &'static str)>,
    /// What takes the place of pyenv's shims.
    pub(super) pyenv: Option<Pyenv>,
    /// Go's module downloads on the host.
    pub(super) go_modules: Option<PathBuf>,
    /// Variables that lead to the tools.
    pub(super) environment: Vec<(String, String)>,
}

/// Finds the caller's tools on this host, in the versions that the `project`'s folder asks for.
pub(super) fn find(caller: &Caller, project: Option<&Path>) -> Tools {
    let mut shown = Shown { home: &caller.home, paths: BTreeSet::new() };
    let mut tools = Tools::default();
    for tool in TOOLS {
        let Some(root) = root_of(caller, tool.variable, tool.default) else { continue };
        if tool.parts.is_empty() {
            shown.add(&root);
        }
        for part in tool.parts {
            shown.add(&root.join(part));
        }
        tools.environment.push((tool.variable.to_owned(), root.to_string_lossy().into_owned()));
    }
    if let Some(cargo) = root_of(caller, "CARGO_HOME", ".cargo") {
        shown.add(&cargo.join("bin"));
        let parts = CARGO_PARTS.iter().map(|part| (cargo.join(part), *part));
        tools.cargo = parts.filter(|(path, _)| path.exists()).collect();
    }
    // Commands that a user installed; the links among them lead on to where the rest is.
    shown.add(&caller.home.join(".local/bin"));
    shown.add(&caller.home.join(".local/lib"));
    for entry in &caller.path {
        shown.add_search_folder(entry);
    }
    for entry in &caller.path {
        shown.add_links_of(entry);
    }
    tools.shown = shown.outermost();
    tools.pyenv = root_of(caller, "PYENV_ROOT", ".pyenv")
        .filter(|root| is_visible(root, &tools.shown))
        .and_then(|root| pyenv::find(&root, caller.variable("PYENV_VERSION"), project));
    let go = root_of(caller, "GOPATH", "go").map(|root| root.join("pkg/mod"));
    let go =
        caller.variable("GOMODCACHE").map(PathBuf::from).or(go).map(|modules| modules.join("cache/download"));
    tools.go_modules = go.filter(|modules| modules.is_dir());
    for name in INSTALLATIONS {
        if let Some(value) = caller.variable(name)
            && is_visible(Path::new(value), &tools.shown)
        {
            tools.environment.push((name.to_owned(), value.to_owned()));
        }
    }
    tools
}

/// Whether a host path is there in the machine.
pub(super) fn is_visible(path: &Path, shown: &[PathBuf]) -> bool {
    path.starts_with("/etc") || is_system(path) || shown.iter().any(|root| path.starts_with(root))
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

fn root_of(caller: &Caller, variable: &str, default: &str) -> Option<PathBuf> {
    let root = caller.variable(variable).map_or_else(|| caller.home.join(default), PathBuf::from);
    (root.is_absolute() && root.is_dir()).then_some(root)
}

struct Shown<'a> {
    home: &'a Path,
    paths: BTreeSet<PathBuf>,
}

impl Shown<'_> {
    /// Shows a path, unless it is missing, shown already, or would show the home or the system's own folders whole.
    fn add(&mut self, path: &Path) {
        if self.may_show(path) && path.exists() {
            self.paths.insert(path.to_owned());
        }
    }

    fn may_show(&self, path: &Path) -> bool {
        let is_forbidden = NEVER.iter().any(|never| path == Path::new(never))
            || self.home.starts_with(path)
            || path.starts_with("/proc")
            || path.starts_with("/sys")
            || path.starts_with("/dev");
        path.is_absolute() && !is_forbidden && !is_system(path)
    }

    fn is_covered(&self, path: &Path) -> bool {
        is_system(path) || self.paths.iter().any(|shown| path.starts_with(shown))
    }

    /// Shows an entry of `PATH`, and what lies beside it when it is a `bin` of something other than the home's.
    fn add_search_folder(&mut self, entry: &Path) {
        if self.is_covered(entry) || !self.may_show(entry) {
            return;
        }
        match entry.parent() {
            Some(parent) if self.is_installation(entry, parent) => self.add(parent),
            _ => self.add(entry),
        }
    }

    fn is_installation(&self, entry: &Path, parent: &Path) -> bool {
        let holds_more = [".local", ".cargo", ".config"].iter().any(|name| parent == self.home.join(name));
        entry.file_name().is_some_and(|name| name == "bin") && !holds_more && self.may_show(parent)
    }

    /// Shows what the links in a folder of `PATH` lead to.
    fn add_links_of(&mut self, entry: &Path) {
        let is_packaged = is_system(entry) && !entry.starts_with("/usr/local") && !entry.starts_with("/opt");
        if is_packaged {
            return;
        }
        let targets = fs::read_dir(entry).into_iter().flatten().flatten().take(MAX_LINKS);
        let links = targets.filter(|file| file.file_type().is_ok_and(|kind| kind.is_symlink()));
        for target in links.filter_map(|link| fs::canonicalize(link.path()).ok()) {
            if !target.starts_with("/etc") && !self.is_covered(&target) && self.may_show(&target) {
                self.add_target(&target);
            }
        }
    }

    fn add_target(&mut self, target: &Path) {
        let installation = target.parent().and_then(|folder| Some((folder, folder.parent()?)));
        match installation {
            Some((folder, parent)) if self.is_installation(folder, parent) => self.add(parent),
            _ => self.add(target),
        }
    }

    fn outermost(self) -> Vec<PathBuf> {
        let mut outermost: Vec<PathBuf> = Vec::new();
        // Sorted: a folder comes before what it holds.
        for path in self.paths {
            if !outermost.iter().any(|shown| path.starts_with(shown)) {
                outermost.push(path);
            }
        }
        outermost
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::find;
    use crate::spec::Caller;

    /// What is shown, relative to a home with these files and links, for a `PATH` of these folders of the home.
    fn check(files: &[&str], links: &[(&str, &str)], path: &[&str], expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().canonicalize().unwrap().join("home");
        for file in files {
            fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
            fs::write(home.join(file), "").unwrap();
        }
        for (link, target) in links {
            fs::create_dir_all(home.join(link).parent().unwrap()).unwrap();
            symlink(home.join(target), home.join(link)).unwrap();
        }
        let path = path.iter().map(|entry| home.join(entry)).collect();
        let caller = Caller { home: home.clone(), path, environment: Vec::new() };
        let relative = |path: &Path| path.strip_prefix(&home).unwrap().to_str().unwrap().to_owned();
        let shown: Vec<String> = find(&caller, None).shown.iter().map(|path| relative(path)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn cargo_shows_its_programs_and_nothing_secret() {
        check(&[".cargo/bin/cargo", ".cargo/credentials.toml"], &[], &[".cargo/bin"], &[".cargo/bin"]);
    }

    #[test]
    fn an_unknown_tool_shows_its_installation() {
        check(&["tools/zig/bin/zig", "tools/zig/lib/std.zig"], &[], &["tools/zig/bin"], &["tools/zig"]);
        check(&["scripts/deploy", "notes"], &[], &["scripts"], &["scripts"]);
    }

    #[test]
    fn the_home_itself_is_never_shown() {
        check(&["bin/own", "secret"], &[], &["bin", ""], &["bin"]);
        check(&[".local/bin/own", ".local/share/keyrings/login"], &[], &[".local/bin"], &[".local/bin"]);
    }

    #[test]
    fn links_are_followed_to_the_installation_they_lead_to() {
        let files = ["apps/black/bin/black", "apps/black/lib/x.py", "apps/other/bin/other"];
        let links = [(".local/bin/black", "apps/black/bin/black")];
        check(&files, &links, &[".local/bin"], &[".local/bin", "apps/black"]);
    }

    #[test]
    fn version_managers_are_shown_without_being_on_the_path() {
        check(&[".rustup/settings.toml", ".nvm/nvm.sh"], &[], &[], &[".nvm", ".rustup"]);
    }
}
