//! What goes over the wire: requests with their limits, and answers.

use jiff::Timestamp;
use machine::Size;
use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// Most bytes of code: an argument of a program holds no more on Linux.
pub(crate) const MAX_CODE: usize = 120 * 1024;

/// Longest name of a machine, kind, snapshot or agent, in characters.
const MAX_NAME: usize = 200;

/// Longest description of a snapshot, in bytes.
const MAX_DESCRIPTION: usize = 4096;

/// Longest path of a folder, in bytes.
const MAX_PATH: usize = 4096;

/// Most virtual processors of a machine.
const MAX_VCPUS: u32 = 64;

/// Memory of a machine, in MiB.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 64..=1024 * 1024;

/// How long code may run where the caller does not say, in seconds.
pub(crate) const DEFAULT_TIMEOUT: u64 = 60;

/// The longest that code may run, in seconds.
pub(crate) const MAX_TIMEOUT: u64 = 3600;

/// `POST /api/vms`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewMachine {
    pub(crate) name: Option<String>,
    pub(crate) vm_name: Option<String>,
    pub(crate) vm_type: Option<String>,
    pub(crate) vcpus: Option<u32>,
    pub(crate) memory_mb: Option<u32>,
}

impl NewMachine {
    /// Its name, kind and size, once they are known to be allowed.
    pub(crate) fn check(self, usual: Size) -> Result<Wanted, ApiError> {
        let vcpus = self.vcpus.unwrap_or(usual.vcpus);
        let memory_mib = self.memory_mb.unwrap_or(usual.memory_mib);
        if !(1..=MAX_VCPUS).contains(&vcpus) {
            return Err(ApiError::invalid(format!("`vcpus` must be between 1 and {MAX_VCPUS}")));
        }
        if !MEMORY_MIB.contains(&memory_mib) {
            let (least, most) = (MEMORY_MIB.start(), MEMORY_MIB.end());
            return Err(ApiError::invalid(format!("`memory_mb` must be between {least} and {most}")));
        }
        let name = self.name.or(self.vm_name).map(|name| checked_name("name", name)).transpose()?;
        let kind = self.vm_type.map(|kind| checked_name("vm_type", kind)).transpose()?;
        Ok(Wanted { name, kind, size: Size { vcpus, memory_mib } })
    }
}

/// A machine that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What to call it; its id where there is none.
    pub name: Option<String>,
    /// A label; the backend's name where there is none.
    pub kind: Option<String>,
    /// How large it is to be.
    pub size: Size,
}

/// A text for people, on one line.
fn checked_name(field: &str, name: String) -> Result<String, ApiError> {
    match name {
        name if name.trim().is_empty() => Err(ApiError::invalid(format!("`{field}` is empty"))),
        name if name.chars().count() > MAX_NAME => {
            Err(ApiError::invalid(format!("`{field}` is longer than {MAX_NAME} characters")))
        }
        name if name.chars().any(char::is_control) => {
            Err(ApiError::invalid(format!("`{field}` has control characters")))
        }
        name => Ok(name),
    }
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `starting`, `running`, `paused`, `stopped` or `failed`.
    pub status: &'static str,
    /// Its state in more detail.
    pub state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its kind.
    pub vm_type: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Since when.
    pub created_at: String,
}

/// The languages of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Bash,
    Sh,
    Python,
    Node,
}

impl Language {
    /// The command that runs `code`.
    pub(crate) fn command(self, code: String) -> Vec<String> {
        let (program, option) = match self {
            Self::Bash => ("bash", "-c"),
            Self::Sh => ("sh", "-c"),
            Self::Python => ("python3", "-c"),
            Self::Node => ("node", "-e"),
        };
        vec![program.to_owned(), option.to_owned(), code]
    }

    fn named(name: &str) -> Result<Self, ApiError> {
        match name {
            "bash" => Ok(Self::Bash),
            "sh" => Ok(Self::Sh),
            "python" => Ok(Self::Python),
            "node" => Ok(Self::Node),
            _ => Err(ApiError::invalid("`language` must be bash, sh, python or node")),
        }
    }
}

/// `POST /api/llm/execute`.
#[derive(Debug, Deserialize)]
pub(crate) struct NewExecution {
    agent_id: String,
    language: String,
    code: String,
    vm_id: Option<String>,
    timeout_seconds: Option<u64>,
    working_dir: Option<String>,
}

/// Code to run.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) language: Language,
    pub(crate) text: String,
    pub(crate) machine: Option<String>,
    pub(crate) timeout_seconds: u64,
    pub(crate) working_dir: Option<String>,
}

impl NewExecution {
    pub(crate) fn check(self) -> Result<Code, ApiError> {
        checked_name("agent_id", self.agent_id)?;
        let language = Language::named(&self.language)?;
        if self.code.len() > MAX_CODE {
            return Err(ApiError::TooLong { what: "`code`", limit: MAX_CODE });
        }
        if self.code.contains('\0') {
            return Err(ApiError::invalid("`code` has a null character"));
        }
        let timeout_seconds = self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT);
        if !(1..=MAX_TIMEOUT).contains(&timeout_seconds) {
            return Err(ApiError::invalid(format!("`timeout_seconds` must be between 1 and {MAX_TIMEOUT}")));
        }
        if let Some(folder) = &self.working_dir
            && (!folder.starts_with('/') || folder.len() > MAX_PATH || folder.contains('\0'))
        {
            return Err(ApiError::invalid("`working_dir` must be an absolute path"));
        }
        let Self { code: text, vm_id: machine, working_dir, .. } = self;
        Ok(Code { language, text, machine, timeout_seconds, working_dir })
    }
}

/// How an execution went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ExecutionAnswer {
    pub(crate) execution_id: String,
    pub(crate) vm_id: String,
    pub(crate) exit_code: i32,
    /// Not in the last event of a stream, which has had it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stdout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stderr: Option<String>,
    pub(crate) duration_ms: u64,
    pub(crate) started_at: String,
    pub(crate) completed_at: String,
    pub(crate) error: Option<String>,
}

/// `POST /api/vms/{id}/snapshots`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewSnapshot {
    name: Option<String>,
    description: Option<String>,
}

impl NewSnapshot {
    pub(crate) fn check(self) -> Result<(Option<String>, String), ApiError> {
        let description = self.description.unwrap_or_default();
        if description.len() > MAX_DESCRIPTION {
            return Err(ApiError::invalid(format!("`description` is longer than {MAX_DESCRIPTION} bytes")));
        }
        Ok((self.name.map(|name| checked_name("name", name)).transpose()?, description))
    }
}

/// A snapshot of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SnapshotAnswer {
    pub(crate) snapshot_id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created_at: String,
    pub(crate) bytes: u64,
}

/// A moment, in milliseconds since 1970, as RFC 3339 says.
pub(crate) fn time(milliseconds: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(milliseconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use machine::Size;
    use serde_json::{Value, json};

    use super::{NewExecution, NewMachine};

    const USUAL: Size = Size { vcpus: 1, memory_mib: 512 };

    fn check_machine(body: Value, expected: Result<(Option<&str>, u32, u32), &str>) {
        let new: NewMachine = serde_json::from_value(body.clone()).unwrap();
        let found = new.check(USUAL);
        let found = match &found {
            Ok(wanted) => Ok((wanted.name.as_deref(), wanted.size.vcpus, wanted.size.memory_mib)),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected, "{body}");
    }

    #[test]
    fn machines_have_a_name_and_a_size_within_limits() {
        check_machine(json!({}), Ok((None, 1, 512)));
        check_machine(
            json!({"name": "a", "vm_name": "b", "vm_type": "focal", "other": 1}),
            Ok((Some("a"), 1, 512)),
        );
        check_machine(json!({"vm_name": "b", "vcpus": 2, "memory_mb": 256}), Ok((Some("b"), 2, 256)));
        check_machine(json!({"vcpus": 0}), Err("`vcpus` must be between 1 and 64"));
        check_machine(json!({"memory_mb": 1}), Err("`memory_mb` must be between 64 and 1048576"));
        check_machine(json!({"name": " "}), Err("`name` is empty"));
        check_machine(json!({"name": "a\nb"}), Err("`name` has control characters"));
        check_machine(json!({"vm_type": "x".repeat(201)}), Err("`vm_type` is longer than 200 characters"));
    }

    fn check_execution(change: Value, expected: Result<u64, &str>) {
        let mut body = json!({"agent_id": "a", "language": "bash", "code": "true"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let new: NewExecution = serde_json::from_value(body).unwrap();
        let found = new.check().map(|code| code.timeout_seconds).map_err(|error| error.to_string());
        assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected, "{change}");
    }

    #[test]
    fn code_is_of_a_known_language_and_within_limits() {
        check_execution(json!({}), Ok(60));
        check_execution(json!({"language": "python", "timeout_seconds": 5, "working_dir": "/tmp"}), Ok(5));
        check_execution(json!({"language": "ruby"}), Err("`language` must be bash, sh, python or node"));
        check_execution(json!({"language": "BASH"}), Err("`language` must be bash, sh, python or node"));
        check_execution(json!({"timeout_seconds": 0}), Err("`timeout_seconds` must be between 1 and 3600"));
        check_execution(
            json!({"timeout_seconds": 3601}),
            Err("`timeout_seconds` must be between 1 and 3600"),
        );
        check_execution(json!({"working_dir": "tmp"}), Err("`working_dir` must be an absolute path"));
        check_execution(json!({"code": "a\u{0}b"}), Err("`code` has a null character"));
        check_execution(json!({"agent_id": ""}), Err("`agent_id` is empty"));
        check_execution(json!({"code": "x".repeat(122_881)}), Err("`code` is longer than 122880 bytes"));
    }
}
