//! Jobs from workflow text, a control plane that keeps and checks what is reported, and what tests ask of it.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use machine::qemu::{Accelerator, Program, Qemu};
use machine::vm::{Image, User};
use machine::{AgentCommand, Backend, Caller, Network};
use run::event::{Annotation, JobEvent, MAX_LOG_TEXT, Phase, Reported};
use run::id::{JobId, LeaseId, RunId, RunnerId};
use run::job::{JobContexts, JobSpec, Resume};
use run::lease::{Cancel, Lease};
use run::status::Conclusion;
use runner::checkpoint::Checkpoints;
use runner::dispatch::{Dispatch, DispatchError, LeaseRequest};
use runner::listener;
use runner::options::{ActionSources, Options};
use runner::workspace::WorkingTree;
use tokio::sync::watch;
use workflow::expr::Value;
use workflow::model::JobKind;
use workflow::read::{ReadOptions, parse};
use workflow::source::SourceFile;

/// A control plane with some jobs to lease. It refuses what breaks the protocol.
struct Plane {
    jobs: Mutex<VecDeque<Lease>>,
    kept: Mutex<Vec<Reported>>,
    cancel: watch::Sender<Option<Cancel>>,
    /// A line of output, and what is asked for when it comes.
    cancel_at: Vec<(String, Cancel)>,
    /// Reports fail from this many events on.
    fails_after: Option<usize>,
    /// Reports fail because nobody answers, and there may always be another job.
    is_unreachable: bool,
    /// Log texts are counted and not kept.
    discards_logs: bool,
    logged_bytes: AtomicUsize,
}

#[async_trait]
impl Dispatch for Plane {
    async fn lease(&self, _: &LeaseRequest) -> Result<Option<Lease>, DispatchError> {
        let job = self.jobs.lock().unwrap().pop_front();
        if job.is_none() && self.is_unreachable {
            return std::future::pending().await;
        }
        Ok(job)
    }

    async fn report(&self, lease: &LeaseId, first: u64, events: Vec<Reported>) -> Result<(), DispatchError> {
        let mut kept = self.kept.lock().unwrap();
        if self.fails_after.is_some_and(|most| kept.len() >= most) {
            return Err(if self.is_unreachable {
                DispatchError::Unreachable { operation: "report", source: "the disk is full".into() }
            } else {
                DispatchError::LeaseOver(lease.clone())
            });
        }
        assert_eq!(first, kept.len() as u64, "events are numbered without gaps");
        for mut event in events {
            let is_over = kept.last().is_some_and(|last| matches!(last.event, JobEvent::Finished { .. }));
            assert!(!is_over, "nothing follows the end: {event:?}");
            if let JobEvent::Log { text, .. } = &mut event.event {
                assert!(text.ends_with('\n') && text.len() <= MAX_LOG_TEXT);
                self.logged_bytes.fetch_add(text.len(), Ordering::Relaxed);
                for (line, cancel) in &self.cancel_at {
                    if text.lines().any(|printed| printed == line) {
                        self.cancel.send_replace(Some(*cancel));
                    }
                }
                if self.discards_logs {
                    *text = String::new();
                }
            }
            kept.push(event);
        }
        Ok(())
    }

    async fn cancelled(&self, _: &LeaseId, beyond: Option<Cancel>) -> Cancel {
        let mut cancel = self.cancel.subscribe();
        let asked = cancel.wait_for(|cancel| cancel.is_some() && *cancel > beyond).await;
        asked.expect("the plane lives").expect("something was asked for")
    }
}

/// A job to run.
pub(crate) struct Job {
    text: String,
    secrets: Vec<(String, String)>,
    files: Vec<(String, String)>,
    actions: Vec<(String, Vec<(String, String)>)>,
    cancel_at: Vec<(String, Cancel)>,
    fails_after: Option<usize>,
    is_unreachable: bool,
    labels: Vec<String>,
    is_repository: bool,
    discards_logs: bool,
    checkpoints: Option<Checkpoints>,
    resume: Option<Resume>,
}

/// A job with these steps.
pub(crate) fn steps(steps: &str) -> Job {
    job(&format!("steps:\n{}", indented(steps, 2)))
}

/// A job with these keys.
pub(crate) fn job(text: &str) -> Job {
    Job {
        text: format!("on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n{}", indented(text, 4)),
        secrets: Vec::new(),
        files: Vec::new(),
        actions: Vec::new(),
        cancel_at: Vec::new(),
        fails_after: None,
        is_unreachable: false,
        labels: vec!["ubuntu-latest".to_owned()],
        is_repository: false,
        discards_logs: false,
        checkpoints: None,
        resume: None,
    }
}

fn indented(text: &str, by: usize) -> String {
    let text = text.trim_matches('\n');
    let least = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min();
    let least = least.unwrap_or_default();
    text.lines()
        .map(|line| format!("{}{}\n", " ".repeat(by), line.get(least..).unwrap_or_default()))
        .collect()
}

impl Job {
    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// An action of another repository.
    pub(crate) fn action(mut self, reference: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        self.actions.push((reference.to_owned(), files));
        self
    }

    /// Asks for an end when a line is printed.
    pub(crate) fn cancel_at(mut self, line: &str, cancel: Cancel) -> Self {
        self.cancel_at.push((line.to_owned(), cancel));
        self
    }

    pub(crate) fn reports_fail_after(mut self, events: usize) -> Self {
        self.fails_after = Some(events);
        self
    }

    /// After so many events the control plane does not answer any more.
    pub(crate) fn unreachable_after(mut self, events: usize) -> Self {
        self.is_unreachable = true;
        self.reports_fail_after(events)
    }

    pub(crate) fn label(mut self, label: &str) -> Self {
        self.labels = vec![label.to_owned()];
        self
    }

    /// The working tree is a git repository with one commit.
    pub(crate) fn in_repository(mut self) -> Self {
        self.is_repository = true;
        self
    }

    /// Log texts are counted and not kept.
    pub(crate) fn discards_logs(mut self) -> Self {
        self.discards_logs = true;
        self
    }

    /// What is kept before its steps.
    pub(crate) fn keeping(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Goes on from what was kept.
    pub(crate) fn resuming(mut self, resume: Resume) -> Self {
        self.resume = Some(resume);
        self
    }

    /// Runs the job on every backend that this host has, each time in the same way.
    pub(crate) fn check(&self, check: impl Fn(&Ended)) {
        for backend in backends() {
            let name = backend.name();
            let ended = self.run(backend);
            let shown = ShownOnPanic(format!("--- on {name}\n{}", ended.describe()));
            check(&ended);
            drop(shown);
        }
    }

    pub(crate) fn run(&self, backend: Arc<dyn Backend>) -> Ended {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let plane = Arc::new(Plane {
            jobs: Mutex::new(VecDeque::from([self.lease()])),
            kept: Mutex::default(),
            cancel: watch::channel(None).0,
            cancel_at: self.cancel_at.clone(),
            fails_after: self.fails_after,
            is_unreachable: self.is_unreachable,
            discards_logs: self.discards_logs,
            logged_bytes: AtomicUsize::new(0),
        });
        let options = Arc::new(self.options(folder.path(), backend));
        let served = runtime.block_on(listener::serve(plane.clone(), options));
        assert_eq!(served.is_err(), self.is_unreachable, "{served:?}");
        machine::scratch::wait_for_removals();
        let left = std::fs::read_dir(folder.path().join("scratch")).into_iter().flatten().flatten();
        let names = left.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let left: Vec<String> = names.filter(|name| !name.starts_with("spare-")).collect();
        assert!(left.is_empty(), "the machine left {left:?}");
        let kept = std::mem::take(&mut *plane.kept.lock().unwrap());
        let events: Vec<JobEvent> = kept.into_iter().map(|reported| reported.event).collect();
        let ends = events.iter().filter(|event| matches!(event, JobEvent::Finished { .. })).count();
        assert!(ends == 1 || self.fails_after.is_some(), "{ends} ends");
        Ended { events, logged_bytes: plane.logged_bytes.load(Ordering::Relaxed) }
    }

    fn options(&self, folder: &Path, backend: Arc<dyn Backend>) -> Options {
        let root = folder.join("root");
        std::fs::create_dir(&root).unwrap();
        write_all(&root, &self.files);
        if self.is_repository {
            make_repository(&root);
        }
        let mut actions = ActionSources::default();
        for (index, (reference, files)) in self.actions.iter().enumerate() {
            let place = folder.join(format!("action-{index}"));
            write_all(&place, files);
            actions.add(reference, place);
        }
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Options {
            runner: RunnerId::from("test-runner"),
            labels: vec!["*".to_owned()],
            capacity: 1,
            backend,
            platforms: Vec::new(),
            tree: WorkingTree::read(root),
            actions,
            caller: Caller {
                home: variable("HOME").into(),
                path: std::env::split_paths(&variable("PATH")).collect(),
                environment: std::env::vars().filter(|(name, _)| !name.starts_with("GITHUB_")).collect(),
            },
            network: Network::None,
            scratch: folder.join("scratch"),
            agent: AgentCommand {
                program: std::env::current_exe().unwrap(),
                arguments: vec!["agent".to_owned()],
            },
            checkpoints: self.checkpoints.clone(),
            services: Vec::new(),
        }
    }

    fn lease(&self) -> Lease {
        let file = SourceFile::new("test.yml", self.text.as_str());
        let parsed = parse(&file, &ReadOptions { background_steps: true, ..ReadOptions::default() });
        assert!(
            parsed.diagnostics.iter().all(|found| found.severity != workflow::diagnostic::Severity::Error),
            "{:?}",
            parsed.diagnostics
        );
        let workflow = parsed.value.expect("the workflow can be read");
        let JobKind::Steps(definition) = workflow.jobs[0].kind.clone() else { panic!("a job with steps") };
        let github = r#"{"repository": "octo/demo", "ref": "refs/heads/main", "ref_name": "main", "sha": "0123456789",
            "server_url": "https://github.com", "event_name": "push", "event": {"number": 7}}"#;
        let github = Value::from_json(&serde_json::from_str(github).unwrap());
        let spec = JobSpec {
            run: RunId::from("run-1"),
            job: JobId::from("test"),
            name: "test".to_owned(),
            labels: self.labels.clone(),
            definition: *definition,
            workflow_env: workflow.env.into_iter().collect(),
            workflow_defaults: workflow.defaults,
            continue_on_error: false,
            contexts: JobContexts { github, ..JobContexts::default() },
            resume: self.resume.clone(),
        };
        Lease { id: LeaseId::from("lease-1"), spec, secrets: self.secrets.clone() }
    }
}

fn write_all(root: &Path, files: &[(String, String)]) {
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn make_repository(root: &Path) {
    let git = |arguments: &[&str]| {
        let author = ["-c", "user.name=n", "-c", "user.email=e@e"];
        let ended = std::process::Command::new("git")
            .arg("-C")
            .arg(root)
            .args(author)
            .args(arguments)
            .status()
            .unwrap();
        assert!(ended.success(), "git {arguments:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "first"]);
    git(&["tag", "v1"]);
    std::fs::write(root.join("second"), "2").unwrap();
    git(&["add", "."]);
    git(&["commit", "-qm", "second"]);
}

/// The backends to test.
pub(crate) fn backends() -> Vec<Arc<dyn Backend>> {
    let mut backends: Vec<Arc<dyn Backend>> = vec![Arc::new(machine::host::Host)];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path).collect();
    match machine::probe::try_namespace(&path) {
        Ok(namespace) => backends.push(Arc::new(namespace)),
        Err(error) => {
            // A test that is skipped must be seen to be.
            let _ = writeln!(std::io::stderr().lock(), "skipped: no namespace machines: {error}");
        }
    }
    backends
}

/// QEMU with the image for tests, by translation: so it is the same on every host.
pub(crate) fn qemu() -> Option<Arc<dyn Backend>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = Program::find(&std::env::split_paths(&path).collect::<Vec<_>>());
    let folder = std::env::var_os("FIREDOG_TEST_IMAGE").map(std::path::PathBuf::from);
    let (Ok(program), Some(folder)) = (program, folder) else {
        let _ = writeln!(std::io::stderr().lock(), "skipped: no QEMU, or no image in FIREDOG_TEST_IMAGE");
        return None;
    };
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let image = Image {
        digest: "test".to_owned(),
        kernel: folder.join("vmlinux"),
        initramfs: folder.join("initramfs.cpio"),
        root: folder.join("root.ext4"),
        user: User { name: "runner".to_owned(), uid: 1001, gid: 1001, home: "/home/runner".to_owned() },
        environment: vec![("PATH".to_owned(), path.to_owned())],
    };
    Some(Arc::new(Qemu::new(program, Accelerator::Tcg, image)))
}

/// What is printed where a check fails.
struct ShownOnPanic(String);

impl Drop for ShownOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut shown = std::io::stderr().lock();
            // There is no other place to say it.
            let _ = writeln!(shown, "{}", self.0);
        }
    }
}

/// A job that has ended.
pub(crate) struct Ended {
    pub(crate) events: Vec<JobEvent>,
    /// How much was logged.
    pub(crate) logged_bytes: usize,
}

impl Ended {
    /// All lines of output.
    pub(crate) fn log(&self) -> String {
        let text = |event: &JobEvent| match event {
            JobEvent::Log { text, .. } => text.clone(),
            _ => String::new(),
        };
        self.events.iter().map(text).collect()
    }

    pub(crate) fn annotations(&self) -> Vec<&Annotation> {
        fn annotation(event: &JobEvent) -> Option<&Annotation> {
            if let JobEvent::Annotation { annotation, .. } = event { Some(annotation) } else { None }
        }
        self.events.iter().filter_map(annotation).collect()
    }

    /// How the job ended.
    pub(crate) fn conclusion(&self) -> Conclusion {
        match self.events.last() {
            Some(JobEvent::Finished { conclusion, .. }) => *conclusion,
            other => panic!("the last event is {other:?}"),
        }
    }

    /// One output of the job.
    pub(crate) fn output(&self, name: &str) -> Option<&str> {
        match self.events.last() {
            Some(JobEvent::Finished { outputs, .. }) => outputs.get(name).map(String::as_str),
            _ => None,
        }
    }

    /// The runner's words on the job.
    pub(crate) fn error(&self) -> &str {
        match self.events.last() {
            Some(JobEvent::Finished { error, .. }) => error.as_deref().unwrap_or_default(),
            _ => "",
        }
    }

    pub(crate) fn missing_capability(&self) -> Option<&str> {
        match self.events.last() {
            Some(JobEvent::Finished { missing_capability, .. }) => missing_capability.as_deref(),
            _ => None,
        }
    }

    /// The phases of steps as they ended: `PHASE NAME OUTCOME/CONCLUSION`.
    pub(crate) fn steps(&self) -> Vec<String> {
        let phase = |event: &JobEvent| match event {
            JobEvent::StepFinished { name, phase, outcome, conclusion, .. } => {
                let phase = match phase {
                    Phase::Pre => "pre ",
                    Phase::Main => "",
                    Phase::Post => "post ",
                };
                Some(format!("{phase}{name}: {outcome}/{conclusion}"))
            }
            _ => None,
        };
        self.events.iter().filter_map(phase).collect()
    }

    /// The runner's words on steps that failed.
    pub(crate) fn errors(&self) -> String {
        let error = |event: &JobEvent| match event {
            JobEvent::StepFinished { error: Some(error), .. } => format!("{error}\n"),
            _ => String::new(),
        };
        self.events.iter().map(error).collect()
    }

    fn describe(&self) -> String {
        let mut log = self.log();
        log.truncate(log.floor_char_boundary(4000));
        format!("{log}{:?}\n{}{}", self.steps(), self.errors(), self.error())
    }
}
