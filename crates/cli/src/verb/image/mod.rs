//! `firedog image`: builds the images that virtual machines boot from, lists, shows and removes them.

mod build;
mod look;
mod progress;

use std::error::Error;

use image::{Store, StoreError};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::render::text::bytes;

/// Arguments of `image`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    verb: ImageVerb,
}

#[derive(Debug, clap::Subcommand)]
enum ImageVerb {
    /// Build an image
    Build(Box<build::BuildArgs>),
    /// List the images
    Ls(look::ListArgs),
    /// Show what an image is and has
    Inspect(look::InspectArgs),
    /// Remove images
    Rm(RemoveArgs),
    /// Remove images without a name, and what interrupted builds have left
    Prune,
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// Names or digests; a digest removes the image with all its names
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(crate) fn run(args: &ImageArgs, config: &Config) -> Result<Exit, Failure> {
    let store = open(config)?;
    match &args.verb {
        ImageVerb::Build(args) => build::run(args, &store, config),
        ImageVerb::Ls(args) => look::list(args, &store, config),
        ImageVerb::Inspect(args) => look::inspect(args, &store, config),
        ImageVerb::Rm(args) => {
            for image in &args.images {
                store.remove(image).map_err(failure)?;
            }
            Ok(Exit::Success)
        }
        ImageVerb::Prune => {
            let pruned = store.prune().map_err(failure)?;
            if !config.quiet {
                output::to_stderr(&format!("freed {}", bytes(pruned.bytes)));
            }
            Ok(Exit::Success)
        }
    }
}

/// The store of images of this user.
pub(crate) fn open(config: &Config) -> Result<Store, Failure> {
    let data = config.data.as_ref().ok_or_else(|| {
        Failure::usage("there is no folder for images, HOME is not set")
            .with_help("set XDG_DATA_HOME to a folder")
    })?;
    Store::open(&data.join("images")).map_err(failure)
}

/// What the store says, with the way out where one is known.
pub(crate) fn failure(error: StoreError) -> Failure {
    let help = match &error {
        StoreError::Unknown(_) | StoreError::Ambiguous(_) => Some("`firedog image ls` lists the images"),
        StoreError::Image { .. } => Some("build it again with `firedog image build`"),
        StoreError::InUse(_) => Some("stop the machines that use it first"),
        StoreError::Files { .. } | StoreError::Name(_) => full_disk(&error),
    };
    let failure = Failure::new(Exit::Usage, error);
    match help {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// The way out of a full disk, where that is what is wrong.
fn full_disk(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)) {
            return Some(
                "`firedog image prune` frees space; XDG_DATA_HOME can name a folder on another disk",
            );
        }
        cause = error.source();
    }
    None
}
