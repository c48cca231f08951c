//! The machine behind the API: what is configured, and how far it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::VERSION;
use crate::guest::Guest;
use crate::http::{Answer, Request};
use crate::table::{Definition, ENDPOINTS, Endpoint, Kind, Phase};

/// What the snapshot's state begins with.
const MAGIC: &str = "state of the fake Firecracker";

const TOO_EARLY: &str = "The requested operation is not supported before starting the microVM.";
const TOO_LATE: &str = "The requested operation is not supported after starting the microVM.";
const NOT_FRESH: &str =
    "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.";

type Body = Map<String, Value>;

pub(crate) struct Machine {
    id: String,
    phase: Phase,
    /// The bodies that were accepted, by path.
    configured: BTreeMap<String, Body>,
    guest: Option<Guest>,
    /// Whether the guest was told at a snapshot to give up its connections, which it does once it runs again.
    is_reset: bool,
}

/// What becomes of the process after its answer.
pub(crate) enum After {
    GoOn,
    End(u8),
}

impl Machine {
    pub(crate) fn new(id: String) -> Self {
        Self { id, phase: Phase::BeforeBoot, configured: BTreeMap::new(), guest: None, is_reset: false }
    }

    pub(crate) fn carry_out(&mut self, request: &Request) -> (Answer, After) {
        match self.checked(request).and_then(|(endpoint, body)| self.act(endpoint, &request.path, body)) {
            Ok(answer) => (answer, After::GoOn),
            Err(fault) => {
                // As the real one, which takes a process whose load failed for too dirty.
                let is_dirty =
                    request.path == "/snapshot/load" && fault.starts_with("Load") && fault != NOT_FRESH;
                let after = if is_dirty { After::End(1) } else { After::GoOn };
                (Answer::fault(400, fault), after)
            }
        }
    }

    fn checked(&self, request: &Request) -> Result<(&'static Endpoint, Body), String> {
        let (endpoint, name) = find(&request.method, &request.path).ok_or_else(|| {
            format!("Invalid request method and/or path: {} {}.", request.method, request.path)
        })?;
        let body = match endpoint.body {
            None if request.body.is_empty() => Map::new(),
            None => return Err("this request has no body".to_owned()),
            Some(definition) => {
                let body: Value = serde_json::from_slice(&request.body).map_err(|error| {
                    format!("An error occurred when deserializing the json body of a request: {error}.")
                })?;
                check(definition, &body)?;
                body.as_object().expect("it has been checked").clone()
            }
        };
        if let Some((field, name)) = name
            && body[field] != name
        {
            return Err("The id from the path does not match the id from the body!".to_owned());
        }
        if !endpoint.phases.contains(&self.phase) {
            return Err(match self.phase {
                Phase::BeforeBoot => TOO_EARLY.to_owned(),
                Phase::Running if endpoint.path == "/snapshot/create" => {
                    "Create snapshot error: Cannot save the microVM state: Operation not allowed: save/restore unavailable while running".to_owned()
                }
                Phase::Running | Phase::Paused => TOO_LATE.to_owned(),
            });
        }
        Ok((endpoint, body))
    }

    fn act(&mut self, endpoint: &Endpoint, path: &str, body: Body) -> Result<Answer, String> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match (endpoint.method, endpoint.path) {
            ("GET", "/") => Ok(Answer::with(json!({
                "id": self.id, "state": self.state(), "vmm_version": VERSION, "app_name": "Firecracker",
            }))),
            ("GET", "/version") => Ok(Answer::with(json!({ "firecracker_version": VERSION }))),
            ("PUT", "/actions") => self.action(&text("action_type")),
            ("PATCH", "/vm") => self.set_state(&text("state")),
            ("PUT", "/snapshot/create") => self.save(&body),
            ("PUT", "/snapshot/load") => self.load(&body),
            ("PATCH" | "GET", "/balloon" | "/balloon/statistics") => self.balloon(endpoint, &body),
            ("PUT", _) => self.configure(endpoint, path, body),
            _ => Err(format!("the fake does not know {} {path}", endpoint.method)),
        }
    }

    fn state(&self) -> &'static str {
        match self.phase {
            Phase::BeforeBoot => "Not started",
            Phase::Running => "Running",
            Phase::Paused => "Paused",
        }
    }

    fn configure(&mut self, endpoint: &Endpoint, path: &str, body: Body) -> Result<Answer, String> {
        let must_be_there: &[&str] = match endpoint.path {
            "/boot-source" => &["kernel_image_path", "initrd_path"],
            "/drives/{drive_id}" => &["path_on_host"],
            "/metrics" => &["metrics_path"],
            _ => &[],
        };
        for file in must_be_there.iter().filter_map(|field| body.get(*field)?.as_str()) {
            let is_read_only = body.get("is_read_only").is_none_or(|value| *value == true);
            let opened = File::options().read(true).write(!is_read_only).open(file);
            opened.map_err(|error| format!("config error: {error} {file}"))?;
        }
        match endpoint.path {
            "/machine-config" if !(1..=32).contains(&body["vcpu_count"].as_u64().unwrap_or(0)) => {
                return Err("The vCPU number is invalid!".to_owned());
            }
            "/metrics" if self.configured.contains_key(path) => {
                return Err("Reinitialization of metrics not allowed.".to_owned());
            }
            "/vsock" => {
                let socket = body["uds_path"].as_str().unwrap_or_default();
                self.guest = Some(Guest::listen(Path::new(socket)).map_err(|error| error.to_string())?);
            }
            _ => {}
        }
        self.configured.insert(path.to_owned(), body);
        Ok(Answer::done())
    }

    fn action(&mut self, action: &str) -> Result<Answer, String> {
        match (action, self.phase) {
            ("InstanceStart", Phase::BeforeBoot) => self.start(),
            ("InstanceStart", _) => Err(TOO_LATE.to_owned()),
            (_, Phase::BeforeBoot) => Err(TOO_EARLY.to_owned()),
            ("FlushMetrics", _) => {
                if let Some(metrics) = self.configured.get("/metrics") {
                    let path = metrics["metrics_path"].as_str().unwrap_or_default();
                    let written =
                        File::options().append(true).open(path).and_then(|mut file| file.write_all(b"{}\n"));
                    written.map_err(|error| error.to_string())?;
                }
                Ok(Answer::done())
            }
            _ => Ok(Answer::done()),
        }
    }

    fn start(&mut self) -> Result<Answer, String> {
        let boot = self
            .configured
            .get("/boot-source")
            .ok_or("Start microvm error: Cannot start microvm without kernel configuration.")?;
        let kernel = fs::read(boot["kernel_image_path"].as_str().unwrap_or_default()).unwrap_or_default();
        if !kernel.starts_with(b"\x7fELF") {
            return Err("Start microvm error: Cannot load kernel due to invalid memory configuration or invalid kernel image: Elf(InvalidElfMagicNumber)".to_owned());
        }
        self.boot().unwrap_or_else(|reason| panic_kernel(&reason));
        self.phase = Phase::Running;
        Ok(Answer::done())
    }

    /// What the kernel and the first process would find, and the first process.
    fn boot(&mut self) -> Result<(), String> {
        let boot = &self.configured["/boot-source"];
        let words = boot.get("boot_args").and_then(Value::as_str).unwrap_or_default();
        let has = |word: &str| words.split(' ').any(|found| found == word);
        if !has("rdinit=/init") || !boot.contains_key("initrd_path") {
            return Err("No working init found.".to_owned());
        }
        if !has("firedog.vsock=1024") {
            return Err("the agent has no channel".to_owned());
        }
        let (image, own) = (self.drive("vda")?, self.drive("vdb")?);
        let flag = |drive: &Body, name: &str| drive.get(name) == Some(&Value::Bool(true));
        if !flag(image, "is_read_only") || flag(own, "is_read_only") || flag(image, "is_root_device") {
            return Err("the disks are not as the agent wants them".to_owned());
        }
        for drive in [image, own] {
            let path = drive["path_on_host"].as_str().unwrap_or_default();
            let mut magic = [0; 2];
            let read = File::open(path).and_then(|file| file.read_exact_at(&mut magic, 1080));
            if read.is_err() || magic != [0x53, 0xef] {
                return Err(format!("VFS: Can't find ext4 filesystem on {path}"));
            }
        }
        let guest = self.guest.as_mut().ok_or("the agent has no vsock device")?;
        guest.start().map_err(|error| error.to_string())
    }

    fn drive(&self, name: &str) -> Result<&Body, String> {
        self.configured.get(&format!("/drives/{name}")).ok_or(format!("there is no {name}"))
    }

    fn set_state(&mut self, state: &str) -> Result<Answer, String> {
        if let (Phase::Paused, "Resumed") = (self.phase, state) {
            self.resume();
        }
        self.phase = if state == "Paused" { Phase::Paused } else { Phase::Running };
        Ok(Answer::done())
    }

    fn resume(&mut self) {
        if let Some(guest) = self.guest.as_mut().filter(|_| std::mem::take(&mut self.is_reset)) {
            guest.drop_connections();
        }
    }

    fn balloon(&mut self, endpoint: &Endpoint, body: &Body) -> Result<Answer, String> {
        let balloon = self.configured.get_mut("/balloon").ok_or("Balloon error: No balloon device found.")?;
        let reports = balloon.get("stats_polling_interval_s").and_then(Value::as_u64).unwrap_or(0) > 0;
        if endpoint.path == "/balloon/statistics" && !reports {
            return Err("Balloon error: Statistics for the balloon device are not enabled".to_owned());
        }
        match endpoint.method {
            "GET" => {
                let mib = balloon["amount_mib"].as_u64().unwrap_or(0);
                let pages = mib * 256;
                Ok(Answer::with(json!({
                    "target_pages": pages, "actual_pages": pages, "target_mib": mib, "actual_mib": mib,
                    "free_memory": 4096, "total_memory": 1 << 27,
                })))
            }
            _ => {
                balloon.extend(body.clone());
                Ok(Answer::done())
            }
        }
    }

    fn save(&mut self, body: &Body) -> Result<Answer, String> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let machine = &self.configured["/machine-config"];
        if text("snapshot_type") == "Diff" && machine.get("track_dirty_pages") != Some(&Value::Bool(true)) {
            return Err("Create snapshot error: Diff snapshots are not allowed on uVMs with dirty page tracking disabled.".to_owned());
        }
        let failed = |error: io::Error| format!("Create snapshot error: {error}");
        let guest = self.guest.as_ref().ok_or("Create snapshot error: there is no guest")?;
        guest.save(Path::new(text("mem_file_path"))).map_err(failed)?;
        let size = machine["mem_size_mib"].as_u64().unwrap_or(0) << 20;
        let memory = File::options().write(true).open(text("mem_file_path")).map_err(failed)?;
        memory.set_len(size.max(memory.metadata().map_err(failed)?.len())).map_err(failed)?;
        // The own disk has to be the one of this moment when the snapshot is loaded.
        let mark = mark_disk(self.drive("vdb")?).map_err(failed)?;
        let state =
            json!({ "magic": MAGIC, "version": VERSION, "mark": mark, "configured": self.configured });
        fs::write(text("snapshot_path"), state.to_string()).map_err(failed)?;
        self.is_reset = true;
        Ok(Answer::done())
    }

    fn load(&mut self, body: &Body) -> Result<Answer, String> {
        let is_fresh = self.configured.keys().all(|path| matches!(path.as_str(), "/logger" | "/metrics"));
        if !is_fresh {
            return Err(NOT_FRESH.to_owned());
        }
        let failed = |error: &dyn std::fmt::Display| {
            format!("Load snapshot error: Failed to restore from snapshot: {error}")
        };
        let memory = match (body.get("mem_backend"), body.get("mem_file_path")) {
            (Some(backend), None) if backend["backend_type"] == "File" => {
                backend["backend_path"].as_str().unwrap_or_default()
            }
            (Some(_), None) => return Err(failed(&"the fake has only files")),
            (None, Some(path)) => path.as_str().unwrap_or_default(),
            _ => return Err("missing field: either `mem_backend` or `mem_file_path` is required".to_owned()),
        };
        let state =
            fs::read(body["snapshot_path"].as_str().unwrap_or_default()).map_err(|error| failed(&error))?;
        let state: Value = serde_json::from_slice(&state).map_err(|error| failed(&error))?;
        if state["magic"] != MAGIC || state["version"] != VERSION {
            return Err(failed(&"the snapshot is of another version"));
        }
        let configured: BTreeMap<String, Body> =
            serde_json::from_value(state["configured"].clone()).map_err(|error| failed(&error))?;
        self.configured.extend(configured);
        let mark = self.drive("vdb").and_then(|drive| read_mark(drive).map_err(|error| error.to_string()))?;
        if state["mark"] != mark {
            return Err(failed(&"the machine's own disk is not the one of the snapshot"));
        }
        File::open(self.drive("vda")?["path_on_host"].as_str().unwrap_or_default())
            .map_err(|error| failed(&error))?;
        let socket = self.configured["/vsock"]["uds_path"].as_str().unwrap_or_default();
        let mut guest = Guest::listen(Path::new(socket)).map_err(|error| failed(&error))?;
        guest.load(Path::new(memory)).and_then(|()| guest.start()).map_err(|error| failed(&error))?;
        self.guest = Some(guest);
        self.phase = Phase::Paused;
        if body.get("resume_vm") == Some(&Value::Bool(true)) {
            self.phase = Phase::Running;
        }
        Ok(Answer::done())
    }
}

/// Where no file system has anything: in the first KiB.
const MARK_AT: u64 = 512;

fn mark_disk(drive: &Body) -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut disk = File::options().write(true).open(drive["path_on_host"].as_str().unwrap_or_default())?;
    disk.seek(SeekFrom::Start(MARK_AT))?;
    disk.write_all(&bytes)?;
    Ok(hexadecimal(&bytes))
}

fn read_mark(drive: &Body) -> io::Result<String> {
    let mut bytes = [0; 16];
    let disk =
        File::options().read(true).write(true).open(drive["path_on_host"].as_str().unwrap_or_default())?;
    disk.read_exact_at(&mut bytes, MARK_AT)?;
    Ok(hexadecimal(&bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As a guest whose kernel panics and restarts, at which the real one ends.
fn panic_kernel(reason: &str) -> ! {
    println!("[    0.300000] Kernel panic - not syncing: {reason}");
    std::process::exit(0)
}

/// The endpoint of a request, and the name in its path with the field that repeats it.
fn find<'a>(method: &str, path: &'a str) -> Option<(&'static Endpoint, Option<(&'static str, &'a str)>)> {
    ENDPOINTS.iter().filter(|endpoint| endpoint.method == method).find_map(|endpoint| {
        match endpoint.path.split_once('{') {
            None => (endpoint.path == path).then_some((endpoint, None)),
            Some((before, field)) => {
                let name = path.strip_prefix(before)?;
                let is_legal = |character: char| character.is_ascii_alphanumeric() || character == '_';
                let is_name = !name.is_empty() && name.chars().all(is_legal);
                is_name.then_some((endpoint, Some((field.trim_end_matches('}'), name))))
            }
        }
    })
}

/// Whether a body has all that it must, and nothing that it must not.
fn check(definition: &Definition, body: &Value) -> Result<(), String> {
    let wrong = |what: String| {
        format!(
            "An error occurred when deserializing the json body of a request: {}: {what}.",
            definition.name
        )
    };
    let object = body.as_object().ok_or_else(|| wrong("it is no object".to_owned()))?;
    for name in object.keys() {
        if !definition.fields.iter().any(|field| field.name == name) {
            return Err(wrong(format!("unknown field `{name}`")));
        }
    }
    for field in definition.fields {
        let Some(value) = object.get(field.name) else {
            if field.is_required {
                return Err(wrong(format!("missing field `{}`", field.name)));
            }
            continue;
        };
        let fits = match field.kind {
            Kind::Text => value.is_string(),
            Kind::Number => value.is_u64(),
            Kind::Flag => value.is_boolean(),
            Kind::OneOf(values) => value.as_str().is_some_and(|value| values.contains(&value)),
            Kind::Texts => value.as_object().is_some_and(|texts| texts.values().all(Value::is_string)),
            Kind::Object(inner) => {
                check(inner, value)?;
                true
            }
            Kind::List(inner) => {
                let list = value.as_array().ok_or_else(|| wrong(format!("`{}` is no list", field.name)))?;
                list.iter().try_for_each(|value| check(inner, value))?;
                true
            }
        };
        if !fits {
            return Err(wrong(format!("invalid value of `{}`", field.name)));
        }
    }
    Ok(())
}
