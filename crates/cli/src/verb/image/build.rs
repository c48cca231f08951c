//! `firedog image build`.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use clap::ValueEnum;
use image::{
    BuildError, Credentials, DebianPackages, KernelOrigin, OciOrigin, OciReference, Recipe, ReferenceError,
    RootOrigin, Store,
};
use serde_json::json;

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::render::text::{bytes, duration};
use crate::verb::image::look::manifest_json;
use crate::verb::image::progress::Display;
use crate::verb::image::{failure, full_disk};

/// Arguments of `image build`.
#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// The image's name; another image of this name loses it
    #[arg(value_name = "NAME")]
    name: String,
    /// What the root file system is made from: debian[:SUITE], oci:REFERENCE, oci:PATH, containerfile:FILE, dir:DIR or tar:FILE
    #[arg(long, value_name = "ORIGIN", default_value = "debian")]
    from: Origin,
    /// Which packages are installed from Debian
    #[arg(long, value_name = "SET", default_value = "ci")]
    packages: Packages,
    /// A Debian package besides those
    #[arg(long = "package", value_name = "NAME")]
    more: Vec<String>,
    /// A value for an `ARG` of the containerfile
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = build_argument)]
    build_arguments: Vec<(String, String)>,
    /// A kernel (vmlinux or bzImage) instead of Debian's for clouds
    #[arg(long, value_name = "FILE", requires = "modules")]
    kernel: Option<PathBuf>,
    /// That kernel's modules, such as /lib/modules/RELEASE
    #[arg(long, value_name = "FOLDER", requires = "kernel")]
    modules: Option<PathBuf>,
    /// The largest root file system that is made, in MiB
    #[arg(long, value_name = "MIB", default_value_t = Recipe::DEFAULT_MAX_ROOT >> 20)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=16 << 20))]
    max_size: u64,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Packages {
    /// What jobs on GitHub's machines expect
    Ci,
    /// Shell, coreutils, git, curl, sudo
    Minimal,
    /// Shell and coreutils
    Base,
}

/// The value of `--from`.
#[derive(Clone, Debug)]
enum Origin {
    Debian {
        suite: String,
    },
    Folder(PathBuf),
    Tar(PathBuf),
    Containerfile(PathBuf),
    /// A folder or archive with a container image.
    Container(PathBuf),
    /// A container image in a registry.
    Registry(OciReference),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        match (kind, value) {
            ("debian", "") if !text.contains(':') => Ok(Self::Debian { suite: "bookworm".to_owned() }),
            (_, "") => Err(format!(
                "`{text}` names nothing: write debian[:SUITE], oci:REFERENCE, oci:PATH, containerfile:FILE, dir:DIR or tar:FILE"
            )),
            ("debian", suite) => Ok(Self::Debian { suite: suite.to_owned() }),
            ("dir", folder) => Ok(Self::Folder(folder.into())),
            ("tar", file) => Ok(Self::Tar(file.into())),
            ("containerfile", file) => Ok(Self::Containerfile(file.into())),
            // As for other programs, a path says by its begin that it is one.
            ("oci", path) if path.starts_with(['/', '.']) => Ok(Self::Container(path.into())),
            ("oci", reference) => {
                let reference = reference.parse().map_err(|error: ReferenceError| error.to_string());
                reference.map(Self::Registry)
            }
            _ => Err(format!(
                "an image is not made from `{kind}`: write debian[:SUITE], oci:REFERENCE, oci:PATH, containerfile:FILE, dir:DIR or tar:FILE"
            )),
        }
    }
}

pub(crate) fn run(args: &BuildArgs, store: &Store, config: &Config) -> Result<Exit, Failure> {
    let started = Instant::now();
    let recipe = recipe(args, config)?;
    let display = Display::new(config);
    let built = store.build(&args.name, &recipe, &|news| display.show(news));
    display.finish();
    let image = built.map_err(build_failure)?;
    let manifest = image.manifest();
    match args.format {
        AnswerFormat::Json => {
            let names = [args.name.clone()];
            output::json_to_stdout(&json!({"image": manifest_json(image.digest(), &names, manifest)}))?;
        }
        AnswerFormat::Text if config.quiet => {}
        AnswerFormat::Text => {
            let (digest, size) = (image.digest().short(), bytes(manifest.size()));
            let took = duration(started.elapsed());
            output::to_stderr(&format!("built `{}` ({digest}, {size}) in {took}", args.name));
        }
    }
    Ok(Exit::Success)
}

fn recipe(args: &BuildArgs, config: &Config) -> Result<Recipe, Failure> {
    let is_debian = matches!(args.from, Origin::Debian { .. });
    if !is_debian && !args.more.is_empty() {
        return Err(Failure::usage(
            "`--package` installs into Debian only, and the image is made from something else",
        ));
    }
    if !args.build_arguments.is_empty() && !matches!(args.from, Origin::Containerfile(_)) {
        return Err(Failure::usage("`--build-arg` goes with `--from containerfile:FILE` only"));
    }
    let root = match args.from.clone() {
        Origin::Debian { suite } => {
            let packages = match args.packages {
                Packages::Ci => DebianPackages::Ci,
                Packages::Minimal => DebianPackages::Minimal,
                Packages::Base => DebianPackages::Base,
            };
            RootOrigin::Debian { suite, packages, more: args.more.clone() }
        }
        Origin::Folder(folder) => RootOrigin::Folder(folder),
        Origin::Tar(file) => RootOrigin::Tar(file),
        Origin::Containerfile(path) => {
            RootOrigin::Containerfile { path, arguments: args.build_arguments.iter().cloned().collect() }
        }
        Origin::Container(path) => RootOrigin::Oci(OciOrigin::Path(path)),
        Origin::Registry(reference) => {
            let credentials = credentials(reference.registry(), config)?;
            RootOrigin::Oci(OciOrigin::Registry { reference, credentials })
        }
    };
    let mut recipe = Recipe::new(root);
    if let (Some(kernel), Some(modules)) = (&args.kernel, &args.modules) {
        recipe.kernel = KernelOrigin::Files { kernel: kernel.clone(), modules: modules.clone() };
    }
    if let Some(epoch) = &config.epoch {
        let seconds = epoch.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds >= 0);
        recipe.epoch = seconds.ok_or_else(|| {
            Failure::usage(format!(
                "SOURCE_DATE_EPOCH is `{}`, which is no number of seconds",
                epoch.display()
            ))
        })?;
    }
    recipe.max_root = args.max_size << 20;
    Ok(recipe)
}

fn build_argument(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "write NAME=VALUE".to_owned())
}

/// What `docker login` and `podman login` have kept for a registry.
fn credentials(registry: &str, config: &Config) -> Result<Option<Credentials>, Failure> {
    let Some(path) = &config.registry_logins else { return Ok(None) };
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Usage, error).while_doing(format!("cannot read `{}`", path.display()))
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    Credentials::find(&text, registry).map_err(|error| failed(std::io::Error::other(error)))
}

fn build_failure(error: BuildError) -> Failure {
    if let BuildError::Store(error) = error {
        return failure(error);
    }
    let help = full_disk(&error);
    let exit = if is_missing_program(&error) { Exit::Missing } else { Exit::Usage };
    let failure = Failure::new(exit, error).while_doing("cannot build the image");
    match help {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// Whether this host lacks a program.
fn is_missing_program(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_missing = error
        .downcast_ref::<image::ProgramError>()
        .is_some_and(|error| matches!(error, image::ProgramError::Missing { .. }));
    is_missing || error.source().is_some_and(is_missing_program)
}
