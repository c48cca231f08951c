//! The client of QEMU's machine protocol (QMP): JSON objects, one a line, over a Unix socket.
//!
//! ```text
//! greeting ──> qmp_capabilities ──> commands, each answered under its id; events in between
//! ```
//!
//! One task owns the socket. A command that is given up leaves no half of a line behind. What QEMU says is bounded; what
//! matters of its events is kept as [`Observed`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot, watch};

/// Longest line that QEMU may send, in bytes.
const MAX_LINE: usize = 1 << 20;

/// Commands that may wait to be sent.
const QUEUE: usize = 16;

/// How long QEMU may take to answer a command.
const DEADLINE: Duration = Duration::from_secs(60);

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QmpError {
    /// QEMU answered with an error.
    #[error("QEMU refuses `{command}`: {message}")]
    Refused { command: &'static str, message: String },
    /// QEMU is gone, or cannot be understood.
    #[error("QEMU does not answer `{command}`: {reason}")]
    Lost { command: &'static str, reason: String },
}

/// What QEMU told by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// A disk of the host was full when the machine wrote to its own.
    pub(crate) disk_full: bool,
    /// What else was wrong with a disk of the host.
    pub(crate) disk_failed: Option<String>,
    /// The state of the migration that was started last.
    pub(crate) migration: Option<Migration>,
}

/// How a migration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Migration {
    Completed,
    Failed,
}

struct Order {
    command: &'static str,
    arguments: Value,
    answer: oneshot::Sender<Result<Value, QmpError>>,
}

/// A command that has been sent.
struct Waiting {
    command: &'static str,
    answer: oneshot::Sender<Result<Value, QmpError>>,
}

/// A line of QEMU's. Fields that are not asked for are none of ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    #[serde(rename = "QMP")]
    greeting: Option<Value>,
    #[serde(rename = "return")]
    returned: Option<Value>,
    error: Option<ErrorMessage>,
    id: Option<u64>,
    event: Option<String>,
    data: Value,
}

#[derive(Debug, Deserialize)]
struct ErrorMessage {
    desc: String,
}

/// The connection to one QEMU.
#[derive(Debug, Clone)]
pub(crate) struct Qmp {
    orders: mpsc::Sender<Order>,
    observed: watch::Receiver<Observed>,
    forget: Arc<watch::Sender<Observed>>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.command)
    }
}

impl Qmp {
    /// Starts to speak. Commands wait until QEMU has greeted.
    pub(crate) fn open(stream: UnixStream) -> Self {
        let (orders, received) = mpsc::channel(QUEUE);
        let (sender, observed) = watch::channel(Observed::default());
        let sender = Arc::new(sender);
        let session = Session { observed: Arc::clone(&sender), waiting: HashMap::new(), next: 0 };
        tokio::spawn(session.run(stream, received));
        Self { orders, observed, forget: sender }
    }

    /// What QEMU told so far.
    pub(crate) fn observed(&self) -> watch::Receiver<Observed> {
        self.observed.clone()
    }

    /// Has a command carried out.
    pub(crate) async fn execute(&self, command: &'static str, arguments: Value) -> Result<Value, QmpError> {
        let lost = |reason: &str| QmpError::Lost { command, reason: reason.to_owned() };
        let (answer, answered) = oneshot::channel();
        let order = Order { command, arguments, answer };
        let asked = async {
            self.orders.send(order).await.map_err(|_| lost("it has ended"))?;
            answered.await.map_err(|_| lost("it has ended"))?
        };
        let late = lost(&format!("nothing came within {} seconds", DEADLINE.as_secs()));
        tokio::time::timeout(DEADLINE, asked).await.map_err(|_| late)?
    }

    /// Reads the machine's state from what `uri` names. With `is_memory_apart` the state has no memory.
    pub(crate) async fn migrate_incoming(&self, uri: &str, is_memory_apart: bool) -> Result<(), QmpError> {
        self.run_migration("migrate-incoming", uri, is_memory_apart).await
    }

    async fn set_capabilities(&self, is_memory_apart: bool) -> Result<(), QmpError> {
        let capability = |name: &str, state: bool| json!({"capability": name, "state": state});
        let capabilities = [capability("events", true), capability("x-ignore-shared", is_memory_apart)];
        self.execute("migrate-set-capabilities", json!({"capabilities": capabilities})).await.map(drop)
    }

    /// Writes the machine's state to what `uri` names. With `is_memory_apart` the memory that is shared with a file is left out.
    pub(crate) async fn migrate(&self, uri: &str, is_memory_apart: bool) -> Result<(), QmpError> {
        self.run_migration("migrate", uri, is_memory_apart).await
    }

    async fn run_migration(&self, command: &'static str, uri: &str, is_apart: bool) -> Result<(), QmpError> {
        self.set_capabilities(is_apart).await?;
        self.forget.send_modify(|observed| observed.migration = None);
        self.execute(command, json!({"uri": uri})).await?;
        let lost = |reason: &str| QmpError::Lost { command, reason: reason.to_owned() };
        let mut observed = self.observed();
        let ended = observed.wait_for(|observed| observed.migration.is_some());
        let ended = tokio::time::timeout(DEADLINE, async {
            tokio::select! {
                ended = ended => ended.ok().and_then(|observed| observed.migration),
                () = self.orders.closed() => None,
            }
        });
        match ended.await.map_err(|_| lost("it does not come to an end"))? {
            Some(Migration::Completed) => Ok(()),
            Some(Migration::Failed) => {
                let answer = self.execute("query-migrate", json!({})).await?;
                let message = answer["error-desc"].as_str().unwrap_or("it failed").to_owned();
                Err(QmpError::Refused { command, message })
            }
            None => Err(lost("it has ended")),
        }
    }
}

struct Session {
    observed: Arc<watch::Sender<Observed>>,
    waiting: HashMap<u64, Waiting>,
    next: u64,
}

impl Session {
    async fn run(mut self, stream: UnixStream, mut orders: mpsc::Receiver<Order>) {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read);
        let mut is_greeted = false;
        let mut line = Vec::new();
        let reason = loop {
            tokio::select! {
                read = read_line(&mut lines, &mut line) => match read {
                    Ok(()) => {}
                    Err(reason) => break reason,
                },
                order = orders.recv(), if is_greeted => {
                    let Some(order) = order else { break "nobody asks any more" };
                    let text = self.begin(order);
                    if write.write_all(text.as_bytes()).await.is_err() {
                        break "it has ended";
                    }
                    continue;
                }
            }
            let Ok(message) = serde_json::from_slice::<Message>(&line) else {
                break "what it says is no message";
            };
            line.clear();
            if message.greeting.is_some() && !is_greeted {
                is_greeted = true;
                let text = format!("{}\n", json!({"execute": "qmp_capabilities"}));
                if write.write_all(text.as_bytes()).await.is_err() {
                    break "it has ended";
                }
            } else {
                self.take(message);
            }
        };
        orders.close();
        for (_, Waiting { command, answer }) in self.waiting.drain() {
            // Whoever gave up waiting needs no news.
            let _ = answer.send(Err(QmpError::Lost { command, reason: reason.to_owned() }));
        }
    }

    fn begin(&mut self, order: Order) -> String {
        self.next += 1;
        self.waiting.retain(|_, waiting| !waiting.answer.is_closed());
        self.waiting.insert(self.next, Waiting { command: order.command, answer: order.answer });
        let message = json!({"execute": order.command, "arguments": order.arguments, "id": self.next});
        format!("{message}\n")
    }

    fn take(&mut self, message: Message) {
        if let Some(event) = message.event {
            self.observed.send_modify(|observed| observe(observed, &event, &message.data));
            return;
        }
        let Some(Waiting { command, answer }) = message.id.and_then(|id| self.waiting.remove(&id)) else {
            return;
        };
        let result = match (message.returned, message.error) {
            (Some(value), None) => Ok(value),
            (_, Some(error)) => Err(QmpError::Refused { command, message: error.desc }),
            (None, None) => Err(QmpError::Lost { command, reason: "its answer says nothing".to_owned() }),
        };
        // As above.
        let _ = answer.send(result);
    }
}

/// Keeps what an event tells.
fn observe(observed: &mut Observed, event: &str, data: &Value) {
    match event {
        "BLOCK_IO_ERROR" if data["action"] == "stop" => match data["nospace"] == true {
            true => observed.disk_full = true,
            false => observed.disk_failed = Some(data["reason"].as_str().unwrap_or("unknown").to_owned()),
        },
        "MIGRATION" => match data["status"].as_str() {
            Some("completed") => observed.migration = Some(Migration::Completed),
            Some("failed" | "cancelled") => observed.migration = Some(Migration::Failed),
            _ => {}
        },
        _ => {}
    }
}

/// Reads on to the end of the line. Nothing is lost where this is given up: what was read stays in `line`.
async fn read_line(lines: &mut BufReader<OwnedReadHalf>, line: &mut Vec<u8>) -> Result<(), &'static str> {
    let room = MAX_LINE.saturating_sub(line.len()) as u64;
    let count = lines.take(room).read_until(b'\n', line).await.map_err(|_| "its socket failed")?;
    match line.last() {
        Some(b'\n') => Ok(()),
        _ if line.len() >= MAX_LINE => Err("it sends a line without end"),
        _ if count == 0 => Err("it has ended"),
        _ => Err("it ended within a line"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixStream;

    use super::{Qmp, QmpError};

    /// A QEMU that greets, then answers each command with what `answer` says, which is given its name and id.
    fn qemu(answer: impl Fn(&str, &Value) -> String + Send + 'static) -> Qmp {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let (read, mut write) = theirs.into_split();
            let mut lines = BufReader::new(read).lines();
            let greeting = json!({"QMP": {"version": {}, "capabilities": []}});
            write.write_all(format!("{greeting}\n").as_bytes()).await.unwrap();
            let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            assert_eq!(first["execute"], "qmp_capabilities");
            write.write_all(b"{\"return\": {}}\n").await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let command: Value = serde_json::from_str(&line).unwrap();
                let text = answer(command["execute"].as_str().unwrap(), &command["id"]);
                if text.is_empty() || write.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        Qmp::open(ours)
    }

    async fn check(answer: &'static str, expected: Result<Value, &str>) {
        let qmp = qemu(move |_, id| answer.replace("ID", &id.to_string()));
        let result = qmp.execute("stop", json!({})).await;
        assert_eq!(result.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{answer}");
    }

    #[tokio::test]
    async fn answers_come_under_their_ids_with_events_in_between() {
        check("{\"return\": 7, \"id\": ID}\n", Ok(json!(7))).await;
        check("{\"event\": \"STOP\", \"timestamp\": {}}\n{\"return\": 1, \"id\": 99}\n{\"return\": {}, \"id\": ID}\n", Ok(json!({}))).await;
        let refused = "QEMU refuses `stop`: no";
        check("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": ID}\n", Err(refused))
            .await;
    }

    #[tokio::test]
    async fn a_qemu_that_talks_nonsense_or_ends_is_lost() {
        let lost = "QEMU does not answer `stop`: ";
        check("", Err(&format!("{lost}it has ended"))).await;
        check("nonsense\n", Err(&format!("{lost}what it says is no message"))).await;
        let qmp = qemu(|_, _| "x".repeat(2 << 20));
        let error = qmp.execute("stop", json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{lost}it sends a line without end"));
        // It stays so.
        let error = qmp.execute("cont", json!({})).await.unwrap_err();
        assert!(matches!(error, QmpError::Lost { command: "cont", .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_migration_ends_when_qemu_says_so() {
        let says = |status: &str| format!("{}\n", json!({"event": "MIGRATION", "data": {"status": status}}));
        for (status, expected) in
            [("completed", Ok(())), ("failed", Err("QEMU refuses `migrate`: no room".to_owned()))]
        {
            let ended = says(status);
            let active = says("active");
            let qmp = qemu(move |command, id| match command {
                "migrate" => format!("{}\n{active}{ended}", json!({"return": {}, "id": id})),
                "query-migrate" => format!("{}\n", json!({"return": {"error-desc": "no room"}, "id": id})),
                _ => format!("{}\n", json!({"return": {}, "id": id})),
            });
            let migrated = qmp.migrate("file:/x", true).await.map_err(|error| error.to_string());
            assert_eq!(migrated, expected);
        }
    }

    #[tokio::test]
    async fn errors_of_the_hosts_disk_are_observed() {
        let event = |nospace: bool| {
            let data = json!({"action": "stop", "nospace": nospace, "reason": "Input/output error"});
            format!("{}\n", json!({"event": "BLOCK_IO_ERROR", "data": data}))
        };
        for is_full in [true, false] {
            let text = event(is_full);
            let qmp = qemu(move |_, id| format!("{text}{}\n", json!({"return": {}, "id": id})));
            qmp.execute("query-status", json!({})).await.unwrap();
            let observed = qmp.observed().borrow().clone();
            assert_eq!(observed.disk_full, is_full);
            assert_eq!(observed.disk_failed.is_some(), !is_full);
        }
    }
}
