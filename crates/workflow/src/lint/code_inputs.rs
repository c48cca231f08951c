//! Inputs of actions that are run as code.

use super::uses::Remote;

/// Actions and their inputs that are scripts or commands.
const CODE: [(&str, &[&str]); 22] = [
    ("actions/github-script", &["script"]),
    ("addnab/docker-run-action", &["run"]),
    ("amadevus/pwsh-script", &["script"]),
    ("appleboy/ssh-action", &["script"]),
    ("azure/cli", &["inlineScript"]),
    ("azure/powershell", &["inlineScript"]),
    ("cardinalby/js-eval-action", &["expression"]),
    ("coactions/setup-xvfb", &["run"]),
    ("cross-platform-actions/action", &["run"]),
    ("gabrielbb/xvfb-action", &["run"]),
    ("jannekem/run-python-script-action", &["script"]),
    ("mikefarah/yq", &["cmd"]),
    ("nick-fields/retry", &["command", "on_retry_command", "new_command_on_retry"]),
    ("nick-invision/retry", &["command", "on_retry_command", "new_command_on_retry"]),
    ("reactivecircus/android-emulator-runner", &["script", "pre-emulator-launch-script"]),
    ("uraimo/run-on-arch-action", &["run", "setup", "install"]),
    ("vmactions/freebsd-vm", &["run", "prepare"]),
    ("vmactions/netbsd-vm", &["run", "prepare"]),
    ("vmactions/omnios-vm", &["run", "prepare"]),
    ("vmactions/openbsd-vm", &["run", "prepare"]),
    ("vmactions/solaris-vm", &["run", "prepare"]),
    ("wandalen/wretry.action", &["command"]),
];

/// The inputs of an action that are code.
pub(crate) fn of(uses: &str) -> &'static [&'static str] {
    let Some(remote) = Remote::parse(uses) else { return &[] };
    CODE.iter().find(|(action, _)| remote.is(action)).map_or(&[], |(_, inputs)| inputs)
}
