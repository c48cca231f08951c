use std::sync::Arc;

use proptest::prelude::{Strategy, prop, proptest};
use run::event::{JobEvent, MAX_LOG_TEXT};

use super::command::{Allowed, Commands};
use super::lines::MAX_LINE;
use super::mask::Masker;
use super::matcher::Matchers;
use super::{Effects, NeedsFile, Pipeline};

fn pipeline(secrets: &[&str]) -> Pipeline {
    let masker = Arc::new(Masker::new(secrets.iter().copied()).unwrap());
    let commands = Commands::new(Allowed::default(), "/work", false);
    Pipeline::new(0, commands, false, masker, Arc::new(Matchers::default()), "/work")
}

fn run(mut pipeline: Pipeline, chunks: &[&[u8]]) -> (Vec<JobEvent>, Effects) {
    let mut events = Vec::new();
    for chunk in chunks {
        let mut at = 0;
        while let Some(needed) = pipeline.feed(chunk, &mut at) {
            pipeline.file(&needed, Err(format!("no file {}", needed.path())));
        }
        events.extend(pipeline.take_events());
    }
    pipeline.finish();
    let (last, effects) = pipeline.end();
    events.extend(last);
    for event in &events {
        if let JobEvent::Log { text, .. } = event {
            assert!(text.ends_with('\n') && text.len() <= MAX_LOG_TEXT, "{} bytes", text.len());
        }
    }
    (events, effects)
}

fn log(events: &[JobEvent]) -> String {
    let texts = events.iter().map(|event| match event {
        JobEvent::Log { text, .. } => text.clone(),
        JobEvent::GroupStarted { title, .. } => format!("<group {title}>\n"),
        JobEvent::GroupEnded { .. } => "<endgroup>\n".to_owned(),
        JobEvent::Annotation { annotation, .. } => {
            format!("<{:?} {}>\n", annotation.level, annotation.message)
        }
        other => panic!("{other:?}"),
    });
    texts.collect()
}

fn check(secrets: &[&str], output: &str, expected: &str) {
    let (events, _) = run(pipeline(secrets), &[output.as_bytes()]);
    assert_eq!(log(&events), expected, "{output:?}");
}

#[test]
fn lines_commands_and_annotations_keep_their_order() {
    check(
        &[],
        "a\n::notice::b\nc\n::group::d\ne\n::endgroup::\nf",
        "a\n<Notice b>\nc\n<group d>\ne\n<endgroup>\nf\n",
    );
    check(&[], "::group::a\n::group::b\nc\n", "<group a>\n<endgroup>\n<group b>\nc\n<endgroup>\n");
    check(&[], "a\n\n\nb\n::debug::hidden\n::unknown::c\n", "a\n\n\nb\n::unknown::c\n");
}

#[test]
fn everything_is_masked() {
    check(
        &["secret"],
        "a secret\n::error::secret b\n::group::secret\n",
        "a ***\n<Error *** b>\n<group ***>\n<endgroup>\n",
    );
    check(&[], "before: token9\n::add-mask::token9\nafter: token9\n", "before: token9\nafter: ***\n");
    check(&["one line\ntwo line"], "one line\ntwo line\n", "***\n***\n");
}

#[test]
fn effects_are_collected() {
    let output = b"::set-output name=a::1\n::save-state name=b::2\n::set-env name=c::3\n";
    let (events, effects) = run(pipeline(&[]), &[output]);
    assert_eq!(effects.outputs, [("a".to_owned(), "1".to_owned())]);
    assert_eq!(effects.states, [("b".to_owned(), "2".to_owned())]);
    assert!(effects.failure.is_some_and(|failure| failure.contains("`set-env` command is disabled")));
    assert!(log(&events).contains("Error: Unable to process command '::set-env name=c::3' successfully.\n"));
}

#[test]
fn matchers_come_from_files() {
    let mut pipeline = pipeline(&[]);
    let chunk = b"::add-matcher::m.json\nBAD x\ngood\n";
    let mut at = 0;
    let needed = pipeline.feed(chunk, &mut at).unwrap();
    assert_eq!(needed, NeedsFile::AddMatchers("m.json".into()));
    let matcher =
        r#"{"problemMatcher": [{"owner": "o", "pattern": [{"regexp": "^BAD (.*)", "message": 1}]}]}"#;
    pipeline.file(&needed, Ok(matcher.to_owned()));
    assert_eq!(pipeline.feed(chunk, &mut at), None);
    assert_eq!(log(&pipeline.take_events()), "BAD x\n<Error x>\ngood\n");
    let (_, effects) = run(pipeline, &[b"::add-matcher::missing.json\n"]);
    assert_eq!(effects.failure.as_deref(), Some("no file missing.json"));
}

#[test]
fn long_lines_are_shown_in_pieces_and_nothing_is_lost() {
    let line = "x".repeat(10 * MAX_LINE + 7);
    let chunks: Vec<&[u8]> = line.as_bytes().chunks(60_000).collect();
    let (events, _) = run(pipeline(&["secret"]), &chunks);
    let log = log(&events);
    let (said, rest) = log.split_once('\n').unwrap();
    assert!(said.starts_with("Warning: lines of more than"), "{said}");
    assert_eq!(rest.replace('\n', ""), line);
}

#[test]
fn commands_that_are_too_long_fail_and_do_not_show() {
    let line = format!("::add-mask::{}", "x".repeat(2 * super::MAX_COMMAND_LINE));
    let chunks: Vec<&[u8]> = line.as_bytes().chunks(60_000).collect();
    let (events, effects) = run(pipeline(&[]), &chunks);
    assert!(effects.failure.is_some());
    assert!(!log(&events).contains("xxx"));
    let (events, _) = run(pipeline(&[]), &[&[b"::no command ".as_slice(), &vec![b'y'; 700_000]].concat()]);
    assert_eq!(log(&events).matches('y').count(), 700_000);
}

#[test]
fn invalid_text_is_replaced() {
    let (events, _) = run(pipeline(&[]), &[b"a\xFF\xC3", b"\xA4b\n"]);
    assert_eq!(log(&events), "a\u{fffd}äb\n");
}

fn output() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["abc", "ab", "c", "ä", "\n", "\r\n", "xyz", "x"]);
    prop::collection::vec(part, 0..80).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn chunking_changes_nothing(output in output(), size in 1_usize..30) {
        let secrets = ["abc", "xä", "bcx"];
        let whole = log(&run(pipeline(&secrets), &[output.as_bytes()]).0);
        let chunks: Vec<&[u8]> = output.as_bytes().chunks(size).collect();
        assert_eq!(log(&run(pipeline(&secrets), &chunks).0), whole);
    }

    #[test]
    fn no_secret_leaks_at_a_cut(
        fill in MAX_LINE - 30..MAX_LINE + 30,
        tail in prop::collection::vec(prop::sample::select(vec!["secret", "cret-sec", "y"]), 1..20),
        size in 1000_usize..70_000,
    ) {
        let line = format!("{}{}{}", "y".repeat(fill), tail.concat(), "y".repeat(MAX_LINE));
        let chunks: Vec<&[u8]> = line.as_bytes().chunks(size).collect();
        let shown = log(&run(pipeline(&["secret", "cret-sec"]), &chunks).0).replace("pieces", "");
        let secrets = Masker::new(["secret", "cret-sec"]).unwrap();
        let expected = secrets.mask(&line).replace("***", "");
        let rest = shown.split_once('\n').unwrap().1.replace(['\n', '*'], "");
        assert_eq!(rest, expected);
    }
}
