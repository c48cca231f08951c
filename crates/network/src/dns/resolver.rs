//! Questions to the host's name servers.
//!
//! Each question goes out by a socket of its own, so that an answer has to know its port and its id; what does not answer
//! the question is dropped, and the wait goes on. An answer that is cut off is asked for again over a connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{MessageError, Question};
use crate::policy::Name;

/// How long a name server may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// How often all name servers are asked.
const ATTEMPTS: usize = 2;

/// Most name servers that are asked.
const MAX_SERVERS: usize = 3;

/// The longest message, in bytes.
pub(super) const MAX_MESSAGE: usize = 65_535;

/// Most bytes of the system's files that are read.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// How names are resolved.
#[derive(Debug, Clone)]
pub struct Resolver {
    /// The name servers; those of `/etc/resolv.conf` without.
    pub servers: Option<Vec<SocketAddr>>,
    /// The file with addresses of names that are not asked for, in the form of `/etc/hosts`.
    pub hosts: PathBuf,
}

impl Default for Resolver {
    /// As the host does.
    fn default() -> Self {
        Self { servers: None, hosts: PathBuf::from("/etc/hosts") }
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the answer of the name server cannot be used")]
    Message(#[from] MessageError),
    #[error("no name server answered")]
    Unanswered,
}

impl Resolver {
    /// What the host's own file says of a name.
    pub(super) async fn in_file(&self, name: &Name) -> Vec<Ipv4Addr> {
        let text = read(&self.hosts).await.unwrap_or_default();
        let addresses = text.lines().filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| Name::parse(word).as_ref() == Some(name)).then_some(address)
        });
        addresses.collect()
    }

    /// A name server's answer to this question, whole.
    pub(super) async fn ask(&self, question: &Question) -> Result<Vec<u8>, ResolveError> {
        let servers = match &self.servers {
            Some(servers) => servers.clone(),
            None => servers_of(&read("/etc/resolv.conf".as_ref()).await.unwrap_or_default()),
        };
        for _ in 0..ATTEMPTS {
            for &server in servers.iter().take(MAX_SERVERS) {
                let asked = match timeout(DEADLINE, by_datagram(server, question)).await {
                    Ok(Ok(Err(MessageError::Truncated))) => {
                        timeout(DEADLINE, by_stream(server, question)).await
                    }
                    asked => asked,
                };
                match asked {
                    Ok(Ok(Ok(message))) => return Ok(message),
                    Ok(Ok(Err(error @ MessageError::NoSuchName))) => return Err(error.into()),
                    // Another one may do better.
                    Ok(Ok(Err(_)) | Err(_)) | Err(_) => {}
                }
            }
        }
        Err(ResolveError::Unanswered)
    }
}

type Asked = io::Result<Result<Vec<u8>, MessageError>>;

async fn by_datagram(server: SocketAddr, question: &Question) -> Asked {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let id = random_id()?;
    socket.send(&question.forwarded(id)).await?;
    let mut message = vec![0; MAX_MESSAGE];
    loop {
        let length = socket.recv(&mut message).await?;
        match question.is_answered_by(&message[..length], id) {
            // Somebody guesses, or it is late.
            Err(MessageError::Other | MessageError::Malformed) => {}
            Ok(()) => {
                message.truncate(length);
                return Ok(Ok(message));
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

async fn by_stream(server: SocketAddr, question: &Question) -> Asked {
    let mut stream = TcpStream::connect(server).await?;
    let id = random_id()?;
    write_message(&mut stream, &question.forwarded(id)).await?;
    let Some(message) = read_message(&mut stream).await? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    Ok(question.is_answered_by(&message, id).map(|()| message))
}

/// Reads a message from a connection, which has its length before it; `None` at the end.
pub(super) async fn read_message(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length?,
    };
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Writes a message to a connection.
pub(super) async fn write_message(
    stream: &mut (impl AsyncWriteExt + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}

fn random_id() -> io::Result<u16> {
    let mut bytes = [0; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u16::from_ne_bytes(bytes))
}

async fn read(path: &std::path::Path) -> io::Result<String> {
    let mut text = Vec::new();
    tokio::fs::File::open(path).await?.take(MAX_FILE).read_to_end(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The name servers that a text in the form of `/etc/resolv.conf` names; the host itself where it names none.
fn servers_of(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    });
    let servers: Vec<SocketAddr> = servers.map(|address| (address, 53).into()).collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, 53).into()] } else { servers }
}

#[cfg(test)]
mod tests {
    use super::servers_of;

    #[test]
    fn name_servers_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|server| server.parse().unwrap()).collect();
            assert_eq!(servers_of(text), expected, "{text}");
        };
        check("# x\nnameserver 1.2.3.4\nsearch a\nnameserver ::1\n", &["1.2.3.4:53", "[::1]:53"]);
        check("nameserver\nnameserver nonsense\nnameservers 1.2.3.4", &["127.0.0.1:53"]);
    }
}
