//! Code whose output arrives while it runs, as server-sent events.
//!
//! The events are `stdout` and `stderr` with `{"text"}`, then `exit` with the answer without output, or `error` with
//! `{"error"}` where the machine was lost. A task drives the code, so that its deadline holds also when the caller does not
//! read; it ends the code when the caller is gone.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use machine::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::error::ApiError;
use super::execute::{Execution, Step};
use super::text::Pieces;

/// Events that wait for the caller; what does not fit waits in the machine.
const WAITING: usize = 4;

/// The pause after which a comment shows that there is still somebody.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The answer that carries the events.
pub(crate) fn respond(execution: Execution) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(drive(execution, sender));
    let events = stream::unfold(receiver, |mut receiver| async {
        let event: Event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event), receiver))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

async fn drive(mut execution: Execution, sender: mpsc::Sender<Event>) {
    let (mut stdout, mut stderr) = (Pieces::default(), Pieces::default());
    loop {
        let step = tokio::select! {
            step = execution.next() => step,
            () = sender.closed() => return,
        };
        let (name, text) = match step {
            Ok(Step::Output(Stream::Stdout, bytes)) => ("stdout", stdout.push(&bytes)),
            Ok(Step::Output(Stream::Stderr, bytes)) => ("stderr", stderr.push(&bytes)),
            last => {
                let rest = [("stdout", stdout.end()), ("stderr", stderr.end())];
                return finish(&execution, last, rest, &sender).await;
            }
        };
        if text.is_empty() {
            continue;
        }
        let sent = tokio::select! {
            sent = sender.send(event(name, &json!({ "text": text }))) => sent.is_ok(),
            ended = execution.at_deadline() => {
                return finish(&execution, ended, [("stdout", String::new()), ("stderr", String::new())], &sender).await;
            }
        };
        if !sent {
            return;
        }
    }
}

async fn finish(
    execution: &Execution,
    last: Result<Step, ApiError>,
    rest: [(&str, String); 2],
    sender: &mpsc::Sender<Event>,
) {
    let mut events: Vec<Event> = rest
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| event(name, &json!({ "text": text })))
        .collect();
    match last {
        Ok(Step::Ended(ended)) => {
            let answer = execution.answer(ended);
            let answer = serde_json::to_value(answer).expect("an answer is plain data");
            events.push(event("exit", &answer));
        }
        Ok(Step::Output(..)) => {}
        Err(error) => events.push(event("error", &json!({ "error": error.text() }))),
    }
    for event in events {
        // A caller that is gone needs no news.
        let _ = sender.send(event).await;
    }
}

fn event(name: &str, data: &Value) -> Event {
    Event::default().event(name).data(data.to_string())
}
