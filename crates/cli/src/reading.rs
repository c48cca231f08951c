//! How workflow files are read: the options that `check`, `parse` and `plan` share, and where called workflows are found.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use workflow::permissions::PermissionsPolicy;
use workflow::read::{ReadOptions, Strictness};

use crate::files::CalledWorkflows;

/// The options that say how files are read.
#[derive(clap::Args, Debug)]
pub(crate) struct ReadingArgs {
    /// The repository: `./` references are found in it [default: the working directory]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Option<PathBuf>,
    /// A limit other than GitHub's: max-depth, max-file-size, max-job-limit or max-nested-reusable-workflows-depth
    #[arg(long, value_name = "NAME=N", value_parser = limit)]
    pub(crate) limit: Vec<(Limit, usize)>,
    /// What the token may do at most where a workflow does not say
    #[arg(long, value_name = "POLICY")]
    pub(crate) permissions_policy: Option<Policy>,
    /// The text of a called workflow: OWNER/REPO/.github/workflows/X.yml@REF=FILE
    #[arg(long, value_name = "REF=FILE", value_parser = called)]
    pub(crate) called: Vec<(String, PathBuf)>,
    /// A feature to turn on
    #[arg(long, value_name = "NAME")]
    pub(crate) feature: Vec<Feature>,
}

/// A limit of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Limit {
    #[value(name = "max-depth")]
    Depth,
    #[value(name = "max-file-size")]
    FileSize,
    #[value(name = "max-job-limit")]
    Jobs,
    #[value(name = "max-nested-reusable-workflows-depth")]
    CallDepth,
}

/// The permissions of a repository's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    #[value(name = "LimitedRead")]
    LimitedRead,
    #[value(name = "Write")]
    Write,
}

/// A feature that is off unless it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Feature {
    #[value(name = "allowBackgroundSteps")]
    BackgroundSteps,
}

fn limit(text: &str) -> Result<(Limit, usize), String> {
    let (name, number) = text.split_once('=').ok_or("expected NAME=N")?;
    let limit = Limit::from_str(name, false)?;
    Ok((limit, number.parse().map_err(|_| format!("`{number}` is no number"))?))
}

fn called(text: &str) -> Result<(String, PathBuf), String> {
    let at = text.find('@').ok_or("expected OWNER/REPO/.github/workflows/X.yml@REF=FILE")?;
    let equals = text[at..].find('=').ok_or("expected =FILE behind the reference")? + at;
    Ok((text[..equals].to_owned(), PathBuf::from(&text[equals + 1..])))
}

impl ReadingArgs {
    /// The folder that `./` references are found in.
    pub(crate) fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("."))
    }

    /// Where the workflows that files call are found.
    pub(crate) fn called_workflows(&self) -> CalledWorkflows<'_> {
        CalledWorkflows { root: self.root(), files: &self.called, repositories: &[] }
    }

    /// How files are read.
    pub(crate) fn options<'a>(
        &self,
        resolver: &'a CalledWorkflows<'a>,
        strictness: Strictness,
    ) -> ReadOptions<'a> {
        let mut options = ReadOptions { resolver, strictness, ..ReadOptions::default() };
        for (limit, number) in &self.limit {
            match limit {
                Limit::Depth => options.yaml.max_depth = *number,
                Limit::FileSize => options.yaml.max_file_size = *number,
                Limit::Jobs => options.max_jobs = Some(*number),
                Limit::CallDepth => options.max_call_depth = *number,
            }
        }
        options.background_steps = self.feature.contains(&Feature::BackgroundSteps);
        options.permissions_policy = self.permissions_policy.map(|policy| match policy {
            Policy::LimitedRead => PermissionsPolicy::LimitedRead,
            Policy::Write => PermissionsPolicy::Write,
        });
        options
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, called, limit};

    #[test]
    fn limits() {
        assert_eq!(limit("max-depth=7"), Ok((Limit::Depth, 7)));
        assert!(limit("max-depth").is_err());
        assert!(limit("max-depth=x").is_err());
        assert!(limit("depth=1").is_err());
    }

    #[test]
    fn called_workflows() {
        let (reference, path) = called("a/b/.github/workflows/x.yml@v1=/tmp/a=b.yml").expect("a reference");
        assert_eq!(
            (reference.as_str(), path.to_str()),
            ("a/b/.github/workflows/x.yml@v1", Some("/tmp/a=b.yml"))
        );
        assert!(called("a/b=c").is_err());
        assert!(called("a/b@v1").is_err());
    }
}
