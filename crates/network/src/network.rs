//! A machine's network as its owner sees it: a thread that lives as long as this value.

use std::io;
use std::net::Ipv4Addr;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::dns::{Gate, Resolver};
use crate::link::Link;
use crate::policy::Policy;
use crate::refused::Refusals;
use crate::stack::Stack;

/// The gateway's address, which is also the name server's: from the range for tests between networks, which is nobody's.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The machine's address.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// How many bits the addresses of the machine and the gateway share.
pub const PREFIX_LENGTH: u8 = 30;

/// The longest packet, in bytes. There is no wire, so that long packets are only fewer.
pub const MTU: u16 = 65_520;

/// The machine's hardware address, where it has one.
pub const GUEST_HARDWARE: [u8; 6] = [0x02, 0xf1, 0xd0, 0x60, 0x00, 0x02];

/// The gateway's.
pub(crate) const GATEWAY_HARDWARE: [u8; 6] = [0x02, 0xf1, 0xd0, 0x60, 0x00, 0x01];

/// The name of the gateway for machines that may reach services of the host.
pub const HOST_NAME: &str = "host.firedog.internal";

/// What a machine's network is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the machine may reach.
    pub policy: Policy,
    /// How names are resolved.
    pub resolver: Resolver,
}

/// A machine's network. It ends when this is dropped, or when the machine's end of the link does.
#[derive(Debug)]
pub struct Network {
    /// Dropped to end it.
    _stop: oneshot::Sender<()>,
    thread: Option<JoinHandle<io::Result<()>>>,
    refusals: Refusals,
}

impl Network {
    /// Starts a network in a thread of its own. `link` is called there, and may wait for the machine to hand it over; where
    /// it fails there is no network, and the machine's packets go nowhere.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        settings: Settings,
        link: impl FnOnce() -> io::Result<Link> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let refusals = Refusals::default();
        let gate = Gate::new(settings.policy, settings.resolver, refusals.clone());
        let thread = std::thread::Builder::new().name("machine-network".to_owned()).spawn(move || {
            let link = link()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let ended = runtime.block_on(async {
                let stack = Stack::new(link.open()?, gate);
                tokio::select! {
                    ended = stack.run() => ended,
                    _ = stopped => Ok(()),
                }
            });
            runtime.shutdown_background();
            ended
        })?;
        Ok(Self { _stop: stop, thread: Some(thread), refusals })
    }

    /// Where what is refused is collected, also after the network has ended.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// Ends the network and waits until nothing of it is left.
    ///
    /// # Errors
    /// What ended it before, if that was not the machine.
    pub fn end(mut self) -> io::Result<()> {
        let thread = self.thread.take();
        drop(self);
        let broken = || io::Error::other("the thread of the network broke down");
        thread.map_or(Ok(()), |thread| thread.join().unwrap_or_else(|_| Err(broken())))
    }
}
