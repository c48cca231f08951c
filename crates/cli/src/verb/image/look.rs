//! `firedog image ls` and `firedog image inspect`.

use image::{Digest, ImageError, Listed, Manifest, Store};
use serde_json::{Value, json};

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::render::style::Style;
use crate::render::text::{bytes, shown};
use crate::verb::image::failure;
use crate::verb::runs::columns;

/// Arguments of `image ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

/// Arguments of `image inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A name, a digest or the first digits of one
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Read all files and compare them with their digests
    #[arg(long)]
    verify: bool,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

pub(crate) fn list(args: &ListArgs, store: &Store, config: &Config) -> Result<Exit, Failure> {
    let images = store.list().map_err(failure)?;
    match args.format {
        AnswerFormat::Json => {
            let images: Vec<Value> = images.iter().map(listed_json).collect();
            output::json_to_stdout(&json!({"images": images}))?;
        }
        AnswerFormat::Text if images.is_empty() => output::to_stderr("there are no images yet"),
        AnswerFormat::Text => output::to_stdout(&table(&images, config.stdout))?,
    }
    Ok(Exit::Success)
}

fn table(images: &[Listed], style: Style) -> String {
    let rows = images.iter().map(|listed| {
        let (size, kernel, origin) = match &listed.image {
            Ok(image) => {
                let manifest = image.manifest();
                (bytes(manifest.size()), manifest.kernel_release.clone(), manifest.origin.clone())
            }
            Err(error) => (String::new(), String::new(), style.yellow(&shown(&error.to_string(), false))),
        };
        let names = if listed.names.is_empty() { "–".to_owned() } else { listed.names.join(", ") };
        [names, listed.digest.short(), size, shown(&kernel, false).into_owned(), origin]
    });
    let head = ["NAME", "DIGEST", "SIZE", "KERNEL", "FROM"].map(|name| style.bold(name));
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn listed_json(listed: &Listed) -> Value {
    match &listed.image {
        Ok(image) => manifest_json(listed.digest, &listed.names, image.manifest()),
        Err(error) => json!({"digest": listed.digest, "names": listed.names, "error": error.to_string()}),
    }
}

/// An image as JSON.
pub(crate) fn manifest_json(digest: Digest, names: &[String], manifest: &Manifest) -> Value {
    json!({"digest": digest, "names": names, "size": manifest.size(), "manifest": manifest})
}

pub(crate) fn inspect(args: &InspectArgs, store: &Store, config: &Config) -> Result<Exit, Failure> {
    let image = store.get(&args.image).map_err(failure)?;
    if args.verify {
        image.verify().map_err(|error| {
            Failure::new(Exit::Negative, error).with_help("build it again with `firedog image build`")
        })?;
    }
    let images = store.list().map_err(failure)?;
    let names = images.into_iter().find(|listed| listed.digest == image.digest()).map(|listed| listed.names);
    let names = names.unwrap_or_default();
    match args.format {
        AnswerFormat::Json => {
            let mut answer = manifest_json(image.digest(), &names, image.manifest());
            answer["folder"] = json!(image.folder());
            answer["kernel"] = json!(image.kernel());
            answer["initramfs"] = json!(image.initramfs().map_err(unwritable)?);
            answer["root"] = json!(image.root());
            output::json_to_stdout(&answer)?;
        }
        AnswerFormat::Text => {
            let mut text = description(image.digest(), &names, image.manifest(), config.stdout);
            text.push_str(&format!("{}  {}\n", config.stdout.bold("folder      "), image.folder().display()));
            output::to_stdout(&text)?;
        }
    }
    Ok(Exit::Success)
}

fn unwritable(error: ImageError) -> Failure {
    Failure::new(Exit::Usage, error)
}

fn description(digest: Digest, names: &[String], manifest: &Manifest, style: Style) -> String {
    let user = &manifest.user;
    let part = |file: &image::FileSummary| format!("{} (sha256 {})", bytes(file.size), file.sha256.short());
    let lines = [
        ("digest", digest.to_string()),
        ("names", names.join(", ")),
        ("from", manifest.origin.clone()),
        ("architecture", manifest.architecture.clone()),
        ("kernel", format!("{}, {}", manifest.kernel_release, part(&manifest.kernel))),
        ("modules", part(&manifest.modules)),
        ("root", part(&manifest.root)),
        ("user", format!("{} ({}:{}), {}", user.name, user.uid, user.gid, user.home)),
        ("works in", manifest.working_directory.clone()),
        ("packages", manifest.tools.len().to_string()),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        text.push_str(&format!("{}  {}\n", style.bold(&format!("{name:12}")), shown(&value, false)));
    }
    for (name, value) in &manifest.environment {
        let line = format!("{name}={value}");
        text.push_str(&format!("{}  {}\n", style.bold("variable    "), shown(&line, false)));
    }
    text
}
