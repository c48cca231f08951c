//! Packets from and to a descriptor: a device that gives one at each read, or a stream with lengths before them.
//!
//! Where the packets are Ethernet frames, their heads end here: questions for the gateway's hardware address are answered,
//! and everything else that is no IP packet for it is dropped. What cannot be written at once waits, up to
//! [`MAX_WAITING`] bytes; a stack that sees no room sends nothing more.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;

use crate::network::{GATEWAY, GATEWAY_HARDWARE, GUEST};

/// The longest frame, in bytes: the longest IP packet behind an Ethernet head.
const MAX_FRAME: usize = 65_535 + ETHERNET_HEAD;

/// Room for what is read at once from a stream.
const INPUT: usize = 4 * (MAX_FRAME + LENGTH);

/// Most bytes of packets that wait to be written.
const MAX_WAITING: usize = 1024 * 1024;

/// The length before a packet in a stream, in bytes.
const LENGTH: usize = 4;

const ETHERNET_HEAD: usize = 14;
const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
const TYPE_ARP: [u8; 2] = [0x08, 0x06];
const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const BROADCAST: [u8; 6] = [0xff; 6];

/// How packets come from a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each read gives an IP packet: a tun device without packet information.
    Packets,
    /// Each read gives an Ethernet frame: a tap device without packet information, or a socket of datagrams.
    Frames,
    /// A stream of Ethernet frames, each behind its length in four bytes: a `stream` network of QEMU.
    Stream,
}

/// The machine's end of its network.
#[derive(Debug)]
pub struct Link {
    descriptor: OwnedFd,
    framing: Framing,
}

impl Link {
    /// A descriptor that gives packets.
    pub fn new(descriptor: OwnedFd, framing: Framing) -> Self {
        Self { descriptor, framing }
    }

    /// Opens it in this thread's runtime.
    #[expect(
        deprecated,
        reason = "its successor is unsafe; an `OwnedFd` is the same open descriptor for all its life"
    )]
    pub(crate) fn open(self) -> io::Result<Open> {
        rustix::io::ioctl_fionbio(&self.descriptor, true)?;
        Ok(Open {
            descriptor: AsyncFd::new(self.descriptor)?,
            framing: self.framing,
            input: vec![0; INPUT],
            filled: 0..0,
            output: Output::new(self.framing),
        })
    }
}

/// A link in use.
#[derive(Debug)]
pub(crate) struct Open {
    descriptor: AsyncFd<OwnedFd>,
    framing: Framing,
    input: Vec<u8>,
    /// What of the input is not yet given out.
    filled: Range<usize>,
    pub(crate) output: Output,
}

/// Packets on their way to the machine.
#[derive(Debug)]
pub(crate) struct Output {
    framing: Framing,
    /// The machine's hardware address, as its last frame says.
    guest: [u8; 6],
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// What a frame is.
enum Frame {
    /// An IP packet, in this part of the input.
    Packet(Range<usize>),
    /// A question for the gateway's hardware address.
    Question,
    /// Nothing for this stack.
    Other,
}

impl Open {
    /// The next IP packet, as a part of [`Open::bytes`].
    pub(crate) fn poll_packet(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Range<usize>>> {
        loop {
            let frame = match self.framing {
                Framing::Packets => return self.poll_read_one(context),
                Framing::Frames => ready!(self.poll_read_one(context))?,
                Framing::Stream => ready!(self.poll_from_stream(context))?,
            };
            match self.take_head(frame) {
                Frame::Packet(packet) => return Poll::Ready(Ok(packet)),
                Frame::Question => self.output.answer_question(),
                Frame::Other => {}
            }
        }
    }

    /// The input, and where the answers go.
    pub(crate) fn parts(&mut self) -> (&[u8], &mut Output) {
        (&self.input, &mut self.output)
    }

    fn poll_read_one(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Range<usize>>> {
        let length = ready!(poll_read(&self.descriptor, context, &mut self.input[..MAX_FRAME]))?;
        Poll::Ready(if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(0..length) })
    }

    fn poll_from_stream(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Range<usize>>> {
        loop {
            if let Some(&length) = self.input[self.filled.clone()].first_chunk::<LENGTH>() {
                let length = u32::from_be_bytes(length) as usize;
                if length > MAX_FRAME {
                    let message = format!("a frame of {length} bytes is over the limit of {MAX_FRAME}");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
                }
                let start = self.filled.start + LENGTH;
                if start + length <= self.filled.end {
                    self.filled.start = start + length;
                    return Poll::Ready(Ok(start..start + length));
                }
            }
            self.input.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
            let room = &mut self.input[self.filled.end..];
            match ready!(poll_read(&self.descriptor, context, room))? {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                count => self.filled.end += count,
            }
        }
    }

    fn take_head(&mut self, frame: Range<usize>) -> Frame {
        let bytes = &self.input[frame.clone()];
        let Some((head, content)) = bytes.split_at_checked(ETHERNET_HEAD) else { return Frame::Other };
        let (to, from, kind) = (&head[..6], &head[6..12], [head[12], head[13]]);
        let is_group = from[0] & 1 == 1;
        if is_group || (to != GATEWAY_HARDWARE && to != BROADCAST) {
            return Frame::Other;
        }
        self.output.guest.copy_from_slice(from);
        match kind {
            TYPE_IPV4 | TYPE_IPV6 => Frame::Packet(frame.start + ETHERNET_HEAD..frame.end),
            TYPE_ARP if is_question(content) => Frame::Question,
            _ => Frame::Other,
        }
    }

    /// Writes what waits; ready when nothing does any more.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(frame) = self.output.waiting.front_mut() {
            let mut guard = ready!(self.descriptor.poll_write_ready(context))?;
            let written =
                guard.try_io(|descriptor| rustix::io::write(descriptor, frame).map_err(io::Error::from));
            match written {
                Err(_) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // A device that is down, or a reader that has no room: a network may lose packets.
                Ok(Err(_)) if self.framing != Framing::Stream => self.output.written(usize::MAX),
                Ok(written) => self.output.written(written?),
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_read(
    descriptor: &AsyncFd<OwnedFd>,
    context: &mut Context<'_>,
    room: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        let mut guard = ready!(descriptor.poll_read_ready(context))?;
        let read =
            guard.try_io(|descriptor| rustix::io::read(descriptor, &mut *room).map_err(io::Error::from));
        match read {
            Err(_) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(read) => return Poll::Ready(read),
        }
    }
}

/// Whether this is a question by whoever for the gateway's hardware address.
fn is_question(content: &[u8]) -> bool {
    const ETHERNET_IPV4_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
    content.starts_with(&ETHERNET_IPV4_REQUEST) && content.get(24..28) == Some(&GATEWAY.octets()[..])
}

impl Output {
    /// Nothing on its way, and the machine's hardware address not yet known.
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, guest: BROADCAST, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Whether another packet may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < MAX_WAITING
    }

    /// Sends an IP packet of this length, which `fill` writes.
    pub(crate) fn send<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let length_bytes = if self.framing == Framing::Stream { LENGTH } else { 0 };
        let ethernet = if self.framing == Framing::Packets { 0 } else { ETHERNET_HEAD };
        let mut frame = vec![0; length_bytes + ethernet + length];
        let (before, rest) = frame.split_at_mut(length_bytes);
        if let Ok(number) = u32::try_from(ethernet + length)
            && !before.is_empty()
        {
            before.copy_from_slice(&number.to_be_bytes());
        }
        let (head, packet) = rest.split_at_mut(ethernet);
        if !head.is_empty() {
            head[..6].copy_from_slice(&self.guest);
            head[6..12].copy_from_slice(&GATEWAY_HARDWARE);
            head[12..].copy_from_slice(&TYPE_IPV4);
        }
        let filled = fill(packet);
        self.bytes += frame.len();
        self.waiting.push_back(frame);
        filled
    }

    fn answer_question(&mut self) {
        const ETHERNET_IPV4_REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];
        if !self.has_room() {
            return;
        }
        let guest = self.guest;
        let parts: [&[u8]; 5] =
            [&ETHERNET_IPV4_REPLY, &GATEWAY_HARDWARE, &GATEWAY.octets(), &guest, &GUEST.octets()];
        let reply = parts.concat();
        self.send(reply.len(), |packet| packet.copy_from_slice(&reply));
        let length_bytes = if self.framing == Framing::Stream { LENGTH } else { 0 };
        if let Some(frame) = self.waiting.back_mut() {
            frame[length_bytes + 12..length_bytes + ETHERNET_HEAD].copy_from_slice(&TYPE_ARP);
        }
    }

    /// So many bytes of the first frame that waits are written.
    fn written(&mut self, count: usize) {
        let Some(frame) = self.waiting.front_mut() else { return };
        let count = count.min(frame.len());
        self.bytes -= count;
        if count == frame.len() {
            self.waiting.pop_front();
        } else {
            frame.drain(..count);
        }
    }
}
