//! Names of runs, jobs, leases and runners.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// One run of one workflow: a UUID of version 7, so that ids sort by time.
    RunId
}
text_id! {
    /// One job of a run, unique in the run: the ids on the way from the top, with the leg's number where a job has a
    /// matrix, such as `build`, `test[3]` or `deploy[0]/upload`.
    JobId
}
text_id! {
    /// One hold of one runner on one job.
    LeaseId
}
text_id! {
    /// What is there before a step of a job begins, as it is kept; up to its first `.` it is the run's id.
    CheckpointId
}
text_id! {
    /// One process that leases jobs.
    RunnerId
}

impl JobId {
    /// The job's key as GitHub's interfaces name it: without legs, `caller/callee` for a job of a called workflow.
    #[must_use]
    pub fn key(&self) -> String {
        let part = |text: &str| text.split('[').next().unwrap_or_default().to_owned();
        self.0.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// The job's key in its own workflow: the last part, without its leg.
    #[must_use]
    pub fn own_key(&self) -> &str {
        let own = self.0.rsplit('/').next().unwrap_or_default();
        own.split('[').next().unwrap_or_default()
    }

    /// The leg that calls the workflow that this is a job of; none for a job of the run's own workflow.
    #[must_use]
    pub fn caller(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(caller, _)| Self(caller.to_owned()))
    }

    /// Whether this is a call on the way to `other`.
    #[must_use]
    pub fn calls(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::JobId;

    #[test]
    fn keys_have_no_legs() {
        assert_eq!(JobId::from("build").key(), "build");
        assert_eq!(JobId::from("deploy[2]/upload[0]").key(), "deploy/upload");
        assert_eq!(JobId::from("deploy[2]/upload[0]").own_key(), "upload");
    }

    #[test]
    fn callers_are_one_level_up() {
        assert_eq!(JobId::from("deploy[2]/upload[0]").caller(), Some(JobId::from("deploy[2]")));
        assert_eq!(JobId::from("build[0]").caller(), None);
    }

    #[test]
    fn calls_are_on_the_way() {
        assert!(JobId::from("deploy[2]").calls(&JobId::from("deploy[2]/upload")));
        assert!(!JobId::from("deploy").calls(&JobId::from("deploy2/upload")));
        assert!(!JobId::from("deploy").calls(&JobId::from("deploy")));
    }
}
