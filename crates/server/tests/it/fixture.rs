//! A server with machines of its own, and a caller.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use machine::{AgentCommand, Backend, Caller, MachineSpec, Network, Size, probe};
use serde_json::Value;
use server::http::{Listener, serve};
use server::jwt::Key;
use server::machines::routes::{Access, router};
use server::machines::{Machines, Settings};
use store::Store;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SECRET: &[u8] = b"a secret of thirty-two bytes or more";

/// A running server. Its machines and folder go with it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) machines: Machines,
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    token: String,
    end: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The status and the text of the error.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"].as_str().unwrap().to_owned())
    }
}

/// The backend that this host has: namespaces, or the host itself.
pub(crate) fn backend() -> Arc<dyn Backend> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match probe::try_namespace(&std::env::split_paths(&path).collect::<Vec<_>>()) {
        Ok(namespace) => Arc::new(namespace),
        Err(_) => Arc::new(machine::host::Host),
    }
}

pub(crate) fn spec(scratch: PathBuf) -> MachineSpec {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    MachineSpec {
        name: String::new(),
        repository: "workspace".to_owned(),
        folders: Vec::new(),
        in_memory: Vec::new(),
        read_only: Vec::new(),
        caller: Caller {
            home: PathBuf::from(variable("HOME")),
            path: std::env::split_paths(&variable("PATH")).collect(),
            environment: std::env::vars().collect(),
        },
        network: Network::None,
        size: None,
        scratch,
        agent: AgentCommand {
            program: PathBuf::from(env!("CARGO_BIN_EXE_server-agent")),
            arguments: Vec::new(),
        },
    }
}

pub(crate) async fn settings(folder: &Path) -> Settings {
    Settings {
        backend: backend(),
        spec: spec(folder.join("scratch")),
        size: Size { vcpus: 1, memory_mib: 128 },
        image: None,
        store: Store::open(&folder.join("store.sqlite")).await.unwrap(),
        endpoint: folder.join("sockets/own.sock"),
        snapshots: folder.join("snapshots"),
        keeps_snapshots: false,
        body_deadline: Duration::from_secs(30),
        warm: 0,
        report: |_| {},
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}, Duration::from_secs(30), None).await
    }

    pub(crate) async fn start_with(
        change: impl FnOnce(&mut Settings),
        header_deadline: Duration,
        audience: Option<&str>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path()).await;
        change(&mut settings);
        let store = settings.store.clone();
        let machines = Machines::new(settings).unwrap();
        let key = Key::new(SECRET, audience.map(str::to_owned)).unwrap();
        let token = key.sign(now() + 1000);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let router = router(machines.clone(), Access::Token(Arc::new(key)));
        let serving = tokio::spawn(serve(Listener::Tcp(listener), router, header_deadline, async {
            let _ = ended.await;
        }));
        Self { address, machines, store, folder, token, end: Some(end), serving }
    }

    /// A call with a valid token.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.request(method, path, &[("authorization", &bearer)], body.to_owned()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &body.to_string()).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Makes a machine; its id.
    pub(crate) async fn machine(&self) -> String {
        let answer = self.post("/api/vms", &serde_json::json!({})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Ends the server gracefully; nothing of its machines may be left.
    pub(crate) async fn stop(mut self) {
        self.machines.end().await;
        self.end.take().unwrap().send(()).unwrap();
        self.serving.await.unwrap();
        assert_eq!(self.store.machines().await.unwrap(), []);
        machine::scratch::wait_for_removals();
        let left = std::fs::read_dir(self.folder.path().join("scratch")).into_iter().flatten().flatten();
        let left: Vec<_> = left
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with("spare-"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// How many processes of this host have `mark` in their command line.
pub(crate) fn processes_with(mark: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(mark)
            && entry.file_name().to_string_lossy() != std::process::id().to_string()
    })
    .count()
}

/// Waits until something is so; for what another process does.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
