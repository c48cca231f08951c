//! Frames and messages as bytes.

use std::io::{self, Read};

use guest::frame::{
    FrameError, MAX_OUTPUT_HEAD, Preamble, decode_reply, decode_request, encode_reply, encode_request,
    output_head, read_frame, read_preamble,
};
use guest::protocol::{
    Exec, ExitStatus, MAX_FRAME, OutputMode, Reply, Request, RunAs, Stdin, Stream, TerminalSize,
};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_body_is_a_message_or_an_error(body: Vec<u8>) {
        let _ = decode_request(&body);
        let _ = decode_reply(&body);
    }

    #[test]
    fn any_stream_is_frames_or_an_error_within_the_limit(bytes: Vec<u8>) {
        let (mut stream, mut body) = (&bytes[..], Vec::new());
        while let Ok(true) = read_frame(&mut stream, &mut body) {
            prop_assert!(body.capacity() <= 2 * MAX_FRAME);
        }
        prop_assert!(body.capacity() <= 2 * MAX_FRAME);
        let _ = read_preamble(&mut &bytes[..]);
    }

    #[test]
    fn a_request_comes_back_as_it_went(
        id: u32, argv: Vec<String>, env: Vec<(String, String)>, cwd: String, stdin: Option<Vec<u8>>, is_streamed: bool,
        merged: bool, size: Option<(u16, u16)>, is_agent: bool,
    ) {
        let stdin = match stdin {
            Some(_) if is_streamed => Stdin::Stream,
            Some(bytes) => Stdin::Bytes(bytes.into()),
            None => Stdin::Null,
        };
        let output = match size {
            Some((rows, columns)) => OutputMode::Terminal(TerminalSize { rows, columns }),
            None if merged => OutputMode::Merged,
            None => OutputMode::Separate,
        };
        let user = if is_agent { RunAs::Agent } else { RunAs::User };
        let request = Request::Exec { id, exec: Exec { argv, env, cwd, stdin, output, user } };
        let frame = encode_request(&request).unwrap();
        let mut body = Vec::new();
        prop_assert!(read_frame(&mut &frame[..], &mut body).unwrap());
        prop_assert_eq!(decode_request(&body).unwrap(), request);
    }

    #[test]
    fn output_that_is_written_in_two_parts_is_the_same_as_a_whole_reply(id: u32, is_error: bool, data: Vec<u8>) {
        let stream = if is_error { Stream::Stderr } else { Stream::Stdout };
        let mut head = [0; MAX_OUTPUT_HEAD];
        let length = output_head(id, stream, data.len(), &mut head);
        let mut parts = head[..length].to_vec();
        parts.extend_from_slice(&data);
        prop_assert_eq!(parts, encode_reply(&Reply::Output { id, stream, data: &data }).unwrap());
    }

    #[test]
    fn what_is_stale_before_a_greeting_is_dropped(stale: Vec<u8>, nonce: [u8; 16], cut in 0..=20_usize) {
        let mut bytes = stale;
        // Also a greeting that was cut short.
        bytes.extend_from_slice(&Preamble::new([7; 16]).encode()[..cut]);
        bytes.extend_from_slice(&Preamble::new(nonce).encode());
        prop_assert_eq!(read_preamble(&mut &bytes[..]).unwrap(), Preamble::new(nonce));
    }

    #[test]
    fn a_frame_that_is_cut_is_an_error(length in 1..200_usize, seed in any::<u8>()) {
        let data = vec![seed; length];
        let frame = encode_reply(&Reply::Data { id: 1, index: 0, data: &data }).unwrap();
        for cut in 1..frame.len() {
            let error = read_frame(&mut &frame[..cut], &mut Vec::new()).unwrap_err();
            let is_truncated = matches!(error, FrameError::Truncated { .. });
            prop_assert!(is_truncated);
        }
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_before_it_is_read() {
    let bytes = u32::try_from(MAX_FRAME + 1).unwrap().to_le_bytes();
    let mut body = Vec::new();
    let error = read_frame(&mut &bytes[..], &mut body).unwrap_err();
    assert_eq!(error.to_string(), "a frame of 1048577 bytes is over the limit of 1048576");
    assert_eq!(body.capacity(), 0);
    let data = vec![0; MAX_FRAME];
    let error = encode_reply(&Reply::Data { id: 1, index: 0, data: &data }).unwrap_err();
    assert!(matches!(error, FrameError::Oversized { .. }), "{error}");
}

#[test]
fn bytes_after_a_message_are_an_error() {
    let frame = encode_reply(&Reply::Exited { id: 3, status: ExitStatus::Code(0) }).unwrap();
    let mut body = frame[4..].to_vec();
    body.push(0);
    assert!(decode_reply(&body).unwrap_err().to_string().ends_with("1 bytes are left over"));
}

#[test]
fn endless_noise_is_given_up() {
    let error = read_preamble(&mut std::io::repeat(b'x')).unwrap_err();
    assert_eq!(error.to_string(), "no greeting among the first 16777216 bytes of the stream");
}

/// A stream whose other side goes away before it has read everything: its bytes, then a reset.
struct Reset<'a>(&'a [u8]);

impl Read for Reset<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.0.read(buffer)
    }
}

#[test]
fn a_reset_is_the_end_between_frames_and_a_mistake_inside_of_one() {
    let frame = encode_request(&Request::Shutdown { id: 1 }).unwrap();
    let mut body = Vec::new();
    let mut whole = Reset(&frame);
    assert!(read_frame(&mut whole, &mut body).unwrap());
    assert!(!read_frame(&mut whole, &mut body).unwrap());
    let cut = read_frame(&mut Reset(&frame[..frame.len() - 1]), &mut body);
    assert!(matches!(cut, Err(FrameError::Truncated { .. })), "{cut:?}");
}
