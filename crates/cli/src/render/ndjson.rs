//! One JSON object a line for programs: `job_started`, `step_started`, `log`, `annotation`, `step_finished`,
//! `job_finished` and, as the last line, `run_finished`; further kinds of events may appear between them.
//!
//! Jobs are named by their key (`caller/callee`), legs of a matrix share it. Each batch is one write, flushed. Output
//! of steps is the bulk, so that its lines are escaped by hand into one buffer that is used again.

use std::collections::HashMap;
use std::io::{self, Write};

use run::event::{Event, EventKind, JobEvent};
use run::id::JobId;
use run::status::Conclusion;
use serde_json::{Value, json};

use super::Render;

/// Bytes above which the buffer is written in the middle of a batch, to bound its size.
const WRITE_AT: usize = 1024 * 1024;

/// Writes events as NDJSON.
#[derive(Debug)]
pub(crate) struct Ndjson<W> {
    out: W,
    buffer: Vec<u8>,
    names: HashMap<(usize, JobId), String>,
}

impl<W: Write> Ndjson<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, buffer: Vec::new(), names: HashMap::new() }
    }

    fn write(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        self.buffer.clear();
        written
    }

    fn object(&mut self, object: &Value) {
        serde_json::to_writer(&mut self.buffer, object).expect("a JSON value can be written to memory");
        self.buffer.push(b'\n');
    }

    fn event(&mut self, run: usize, kind: &EventKind) -> io::Result<()> {
        match kind {
            EventKind::RunQueued { workflow, file, event } => {
                self.object(&json!({"event": "run_queued", "workflow": workflow, "file": file, "on": event}));
            }
            EventKind::RunResumed { resume, from } => {
                self.object(&json!({
                    "event": "run_resumed", "from": from, "job": resume.job.key(), "job_id": resume.job,
                    "step": resume.step, "checkpoint": resume.checkpoint, "extent": resume.extent,
                }));
            }
            EventKind::JobQueued { spec } => {
                self.names.insert((run, spec.job.clone()), spec.name.clone());
                self.object(&json!({"event": "job_queued", "job": spec.job.key(), "name": spec.name}));
            }
            EventKind::JobPending { job, group } => {
                self.object(&json!({"event": "job_pending", "job": job.key(), "group": group}));
            }
            EventKind::LeaseExpired { job, reason, .. } => {
                self.object(&json!({"event": "lease_expired", "job": job.key(), "reason": reason}));
            }
            EventKind::CancelRequested { job, cancel, reason } => {
                let job = job.as_ref().map(JobId::key);
                self.object(
                    &json!({"event": "cancel_requested", "job": job, "cancel": cancel, "reason": reason}),
                );
            }
            EventKind::JobFinished { job, name, conclusion, tolerated, outputs, reason } => {
                self.object(&json!({
                    "event": "job_finished", "job": job.key(), "name": name, "conclusion": conclusion,
                    "tolerated": tolerated, "outputs": outputs, "reason": reason,
                }));
            }
            EventKind::RunFinished { conclusion, reason } => {
                self.object(
                    &json!({"event": "workflow_finished", "conclusion": conclusion, "reason": reason}),
                );
            }
            EventKind::Reported { job, event, .. } => self.report(run, job, event)?,
            EventKind::JobExpanded { .. } | EventKind::CallOpened { .. } | EventKind::JobLeased { .. } => {}
        }
        Ok(())
    }

    fn report(&mut self, run: usize, id: &JobId, event: &JobEvent) -> io::Result<()> {
        let job = id.key();
        match event {
            JobEvent::Log { step, text } => return self.log(&job, *step, text),
            JobEvent::Started { machine } => {
                let name = self.names.get(&(run, id.clone())).unwrap_or(&id.0);
                let object = json!({"event": "job_started", "job": job, "name": name, "machine": machine});
                self.object(&object);
            }
            JobEvent::StepStarted { step, id, name, phase } => self.object(
                &json!({"event": "step_started", "job": job, "step": step, "id": id, "name": name, "phase": phase}),
            ),
            JobEvent::GroupStarted { step, title } => {
                self.object(&json!({"event": "group_started", "job": job, "step": step, "title": title}));
            }
            JobEvent::GroupEnded { step } => {
                self.object(&json!({"event": "group_ended", "job": job, "step": step}));
            }
            JobEvent::Annotation { step, annotation } => self.object(&json!({
                "event": "annotation", "job": job, "step": step, "level": annotation.level,
                "message": annotation.message, "title": annotation.title, "file": annotation.file,
                "line": annotation.line, "end_line": annotation.end_line,
                "col": annotation.col, "end_col": annotation.end_col,
            })),
            JobEvent::NetworkRefused { step, refusal } => self.object(&json!({
                "event": "network_refused", "job": job, "step": step, "name": refusal.name,
                "address": refusal.address, "port": refusal.port, "transport": refusal.transport,
                "reason": refusal.reason, "count": refusal.count,
            })),
            JobEvent::Summary { step, markdown } => {
                self.object(&json!({"event": "summary", "job": job, "step": step, "markdown": markdown}));
            }
            JobEvent::StepFinished {
                step, id, name, phase, outcome, conclusion, outputs, exit_code, error, ..
            } => {
                self.object(&json!({
                    "event": "step_finished", "job": job, "step": step, "id": id, "name": name, "phase": phase,
                    "outcome": outcome, "conclusion": conclusion, "outputs": outputs,
                    "exit_code": exit_code, "error": error,
                }));
            }
            JobEvent::Resumed { step, checkpoint, kind } => self.object(
                &json!({"event": "job_resumed", "job": job, "step": step, "checkpoint": checkpoint, "kind": kind}),
            ),
            JobEvent::CheckpointKept { step, checkpoint, kind, bytes } => self.object(&json!({
                "event": "checkpoint_kept", "job": job, "step": step, "checkpoint": checkpoint, "kind": kind,
                "bytes": bytes,
            })),
            JobEvent::CheckpointDropped { step, checkpoint } => self.object(
                &json!({"event": "checkpoint_dropped", "job": job, "step": step, "checkpoint": checkpoint}),
            ),
            JobEvent::RolledBack { step, attempt, attempts, kind } => self.object(&json!({
                "event": "step_rolled_back", "job": job, "step": step, "attempt": attempt, "attempts": attempts,
                "kind": kind,
            })),
            // The job's end is an event of the run; what the runner alone knows of it is said there.
            JobEvent::Finished { .. } => {}
        }
        Ok(())
    }

    fn log(&mut self, job: &str, step: Option<u32>, text: &str) -> io::Result<()> {
        let mut prefix = b"{\"event\":\"log\",\"job\":\"".to_vec();
        escape_into(&mut prefix, job);
        prefix.extend_from_slice(b"\",\"step\":");
        match step {
            Some(step) => prefix.extend_from_slice(step.to_string().as_bytes()),
            None => prefix.extend_from_slice(b"null"),
        }
        prefix.extend_from_slice(b",\"line\":\"");
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            self.buffer.extend_from_slice(&prefix);
            escape_into(&mut self.buffer, line);
            self.buffer.extend_from_slice(b"\"}\n");
            if self.buffer.len() >= WRITE_AT {
                self.write()?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Render for Ndjson<W> {
    fn events(&mut self, run: usize, events: &[Event]) -> io::Result<()> {
        for event in events {
            self.event(run, &event.kind)?;
        }
        self.write()
    }

    fn finish(&mut self, conclusion: Conclusion) -> io::Result<()> {
        self.object(&json!({"event": "run_finished", "conclusion": conclusion}));
        self.write()
    }
}

/// Appends `text` as the inside of a JSON string.
fn escape_into(buffer: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (place, byte) in bytes.iter().enumerate() {
        if *byte >= b' ' && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        buffer.extend_from_slice(&bytes[copied..place]);
        copied = place + 1;
        match byte {
            b'"' => buffer.extend_from_slice(b"\\\""),
            b'\\' => buffer.extend_from_slice(b"\\\\"),
            b'\n' => buffer.extend_from_slice(b"\\n"),
            b'\r' => buffer.extend_from_slice(b"\\r"),
            b'\t' => buffer.extend_from_slice(b"\\t"),
            control => buffer.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
    }
    buffer.extend_from_slice(&bytes[copied..]);
}

#[cfg(test)]
mod tests {
    use super::{Ndjson, escape_into};
    use crate::render::Render;
    use crate::render::tests::Script;
    use run::status::Conclusion;
    use serde_json::Value;

    fn lines(script: Script) -> Vec<Value> {
        let mut out = Vec::new();
        let mut ndjson = Ndjson::new(&mut out);
        ndjson.events(0, &script.events()).expect("memory can be written");
        ndjson.finish(Conclusion::Success).expect("memory can be written");
        let text = String::from_utf8(out).expect("JSON is UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    fn kinds(lines: &[Value]) -> Vec<&str> {
        lines.iter().filter_map(|line| line["event"].as_str()).collect()
    }

    #[test]
    fn a_job_is_told_from_start_to_end() {
        let script = Script::new()
            .job("a")
            .step(0, "first")
            .log(0, "one\ntwo\n")
            .step_ends(0, Conclusion::Success)
            .job_ends("a", Conclusion::Success);
        let lines = lines(script);
        assert_eq!(
            kinds(&lines),
            [
                "job_queued",
                "job_started",
                "step_started",
                "log",
                "log",
                "step_finished",
                "job_finished",
                "run_finished"
            ]
        );
        assert_eq!(lines[1]["name"], "Job a");
        assert_eq!((&lines[4]["line"], &lines[4]["step"]), (&Value::from("two"), &Value::from(0)));
    }

    #[test]
    fn legs_are_named_by_their_job() {
        let lines = lines(Script::new().job("call[1]/test[2]"));
        assert_eq!(lines[0]["job"], "call/test");
    }

    #[test]
    fn empty_lines_are_lines() {
        let lines = lines(Script::new().job("a").step(0, "s").log(0, "\n\nx\n"));
        let logged: Vec<_> =
            lines.iter().filter(|line| line["event"] == "log").map(|line| &line["line"]).collect();
        assert_eq!(logged, ["", "", "x"]);
    }

    #[test]
    fn only_the_end_of_all_runs_is_called_run_finished() {
        let lines = lines(Script::new().run_ends(Conclusion::Success));
        assert_eq!(kinds(&lines), ["workflow_finished", "run_finished"]);
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_reads_back(text in "\\PC*|[\u{0}-\u{ff}]*") {
            let mut escaped = vec![b'"'];
            escape_into(&mut escaped, &text);
            escaped.push(b'"');
            let read: String = serde_json::from_slice(&escaped).expect("it is a JSON string");
            proptest::prop_assert_eq!(read, text);
        }
    }
}
