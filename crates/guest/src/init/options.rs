//! What the kernel's command line says to the agent.

use super::InitError;

/// Longest list of modules.
const MAX_MODULES: usize = 64;

/// What the host asks of the first process. The words are [`Options::words`]; all others are the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Names of modules to load, in their order.
    pub modules: Vec<String>,
    /// How the host is reached.
    pub channel: Channel,
}

/// A byte stream to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// The virtio-serial port of this name.
    SerialPort(String),
    /// Connections that the host makes to this vsock port.
    Vsock(u32),
}

const MODULES: &str = "firedog.modules=";
const SERIAL_PORT: &str = "firedog.port=";
const VSOCK: &str = "firedog.vsock=";

impl Options {
    /// The words for the kernel's command line that say this. Names must have no spaces and commas.
    pub fn words(&self) -> String {
        let modules = self.modules.join(",");
        match &self.channel {
            Channel::SerialPort(name) => format!("{MODULES}{modules} {SERIAL_PORT}{name}"),
            Channel::Vsock(port) => format!("{MODULES}{modules} {VSOCK}{port}"),
        }
    }

    /// Reads the kernel's command line.
    pub fn parse(line: &str) -> Result<Self, InitError> {
        let (mut modules, mut channel) = (Vec::new(), None);
        for word in line.split_ascii_whitespace() {
            let wrong = |problem| InitError::Options { word: word.to_owned(), problem };
            if let Some(names) = word.strip_prefix(MODULES) {
                modules = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                if modules.len() > MAX_MODULES || modules.iter().any(|name| name.contains(['/', '.'])) {
                    return Err(wrong("it is no list of modules"));
                }
            } else if let Some(name) = word.strip_prefix(SERIAL_PORT) {
                channel = Some(Channel::SerialPort(name.to_owned()));
            } else if let Some(port) = word.strip_prefix(VSOCK) {
                channel = Some(Channel::Vsock(port.parse().map_err(|_| wrong("it is no number of a port"))?));
            }
        }
        let no_channel =
            || InitError::Options { word: line.trim().to_owned(), problem: "it names no channel" };
        Ok(Self { modules, channel: channel.ok_or_else(no_channel)? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Channel, Options};

    fn check(line: &str, expected: Result<(&[&str], Channel), &str>) {
        let parsed = Options::parse(line).map_err(|error| error.to_string());
        let expected = expected
            .map(|(modules, channel)| Options {
                modules: modules.iter().map(|&name| name.to_owned()).collect(),
                channel,
            })
            .map_err(|problem| format!("the kernel's command line says {problem}"));
        assert_eq!(parsed, expected, "{line}");
        if let Ok(options) = parsed {
            assert_eq!(Options::parse(&options.words()).unwrap(), options);
        }
    }

    #[test]
    fn the_command_line_names_modules_and_one_channel() {
        let port = || Channel::SerialPort("firedog.agent".to_owned());
        check("quiet firedog.port=firedog.agent\n", Ok((&[], port())));
        let modules = "firedog.modules=virtio_ring,virtio, firedog.port=firedog.agent panic=-1";
        check(modules, Ok((&["virtio_ring", "virtio"], port())));
        check("firedog.vsock=1024 firedog.modules=vsock", Ok((&["vsock"], Channel::Vsock(1024))));
        check("quiet panic=-1\n", Err("`quiet panic=-1`: it names no channel"));
        check("firedog.vsock=many", Err("`firedog.vsock=many`: it is no number of a port"));
        let escaped = "firedog.modules=../../bad firedog.vsock=1";
        check(escaped, Err("`firedog.modules=../../bad`: it is no list of modules"));
    }
}
