//! QEMU's command line.
//!
//! The machine that goes on from a snapshot must have the same devices at the same places as the one that was kept, so that
//! both come from here. A change that snapshots do not survive needs another [`VERSION`](crate::vm::snapshot::VERSION).

use std::os::fd::RawFd;

use guest::init::{Channel, Options};

use super::Accelerator;
use crate::spec::Size;
use crate::vm::network::HARDWARE_ADDRESS;

/// The port's name inside.
const PORT: &str = "firedog.agent";

/// Modules for this machine's devices, in the order of their dependence; one that a kernel has built in is left out by the image.
const MODULES: [&str; 10] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "overlay",
    "virtio-rng",
    "virtio_net",
];

/// What a network device needs before its own module.
const NETWORK_MODULES: [&str; 2] = ["failover", "net_failover"];

/// What the machine is connected to: numbers of descriptors that QEMU has, and names by which it can open files.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) agent: RawFd,
    pub(super) qmp: RawFd,
    pub(super) console: RawFd,
    pub(super) image: String,
    pub(super) disk: String,
    pub(super) memory: Memory,
    /// A socket of datagrams that are frames.
    pub(super) network: Option<RawFd>,
    pub(super) start: Start,
}

/// Where the memory is.
#[derive(Debug)]
pub(super) enum Memory {
    /// In a file that changes with it.
    Shared(String),
    /// In a file that stays as it is; what changes is the machine's own.
    Private(String),
}

/// How the machine begins.
#[derive(Debug)]
pub(super) enum Start {
    Boot { kernel: String, initramfs: String },
    Restore,
}

/// All arguments.
pub(super) fn build(accelerator: Accelerator, size: Size, connections: &Connections) -> Vec<String> {
    let mut arguments = Arguments::default();
    arguments.machine(accelerator, size, &connections.memory);
    arguments.pair("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    arguments.channel("qmp", connections.qmp);
    arguments.pair("-mon", "chardev=qmp,mode=control");
    arguments.channel("console", connections.console);
    arguments.pair("-device", "isa-serial,chardev=console");
    arguments.channel("agent", connections.agent);
    arguments.pair("-device", "virtio-serial-pci,id=ports,addr=0x2,max_ports=2");
    arguments.pair("-device", &format!("virtserialport,bus=ports.0,chardev=agent,name={PORT}"));
    arguments.disk("image", "0x3", &connections.image, "read-only=on", "");
    let own = "cache=unsafe,discard=unmap";
    arguments.disk("own", "0x4", &connections.disk, own, ",werror=stop,rerror=stop");
    arguments.pair("-object", "rng-builtin,id=random");
    arguments.pair("-device", "virtio-rng-pci,rng=random,addr=0x5");
    if let Some(frames) = connections.network {
        arguments.network(frames);
    }
    match &connections.start {
        Start::Boot { kernel, initramfs } => {
            arguments.pair("-kernel", kernel);
            arguments.pair("-initrd", initramfs);
            arguments.pair("-append", &command_line(connections.network.is_some()));
        }
        // What comes in is said by the other channel, because one of its settings can only be made there.
        Start::Restore => arguments.pair("-incoming", "defer"),
    }
    arguments.list
}

/// The kernel's command line.
fn command_line(has_network: bool) -> String {
    let mut modules: Vec<String> = MODULES.map(str::to_owned).to_vec();
    if has_network {
        let position = modules.len() - 1;
        modules.splice(position..position, NETWORK_MODULES.map(str::to_owned));
    } else {
        modules.pop();
    }
    let words = Options { modules, channel: Channel::SerialPort(PORT.to_owned()) }.words();
    // A kernel that panics resets at once, which ends QEMU.
    format!(
        "rdinit=/init panic=-1 reboot=t quiet console=ttyS0 8250.nr_uarts=1 mitigations=off nokaslr {words}"
    )
}

#[derive(Default)]
struct Arguments {
    list: Vec<String>,
}

impl Arguments {
    fn pair(&mut self, option: &str, value: &str) {
        self.list.extend([option.to_owned(), value.to_owned()]);
    }

    fn machine(&mut self, accelerator: Accelerator, size: Size, memory: &Memory) {
        self.pair("-machine", "q35,memory-backend=ram,vmport=off,smbus=off,sata=off,usb=off");
        match accelerator {
            Accelerator::Kvm => {
                self.pair("-accel", "kvm");
                self.pair("-cpu", "host");
            }
            Accelerator::Tcg => {
                self.pair("-accel", "tcg,thread=multi");
                self.pair("-cpu", "max");
            }
        }
        let (file, sharing) = match memory {
            Memory::Shared(file) => (file, "share=on"),
            Memory::Private(file) => (file, "share=off,readonly=on,rom=off"),
        };
        let memory = size.memory_mib;
        self.pair("-object", &format!("memory-backend-file,id=ram,size={memory}M,mem-path={file},{sharing}"));
        self.pair("-m", &memory.to_string());
        self.pair("-smp", &size.vcpus.to_string());
        self.pair("-display", "none");
        self.list.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned));
    }

    fn channel(&mut self, name: &str, descriptor: RawFd) {
        self.pair("-chardev", &format!("socket,id={name},fd={descriptor}"));
    }

    fn disk(&mut self, name: &str, address: &str, file: &str, options: &str, device_options: &str) {
        let options = format!("if=none,id={name},file={file},format=raw,file.locking=off,{options}");
        self.pair("-drive", &options);
        self.pair("-device", &format!("virtio-blk-pci,drive={name},addr={address}{device_options}"));
    }

    fn network(&mut self, frames: RawFd) {
        self.pair("-netdev", &format!("dgram,id=net,local.type=fd,local.str={frames}"));
        let address = HARDWARE_ADDRESS.map(|byte| format!("{byte:02x}")).join(":");
        self.pair("-device", &format!("virtio-net-pci,netdev=net,mac={address},addr=0x6,romfile="));
    }
}

#[cfg(test)]
mod tests {
    use super::{Connections, Memory, Start, build};
    use crate::qemu::Accelerator;
    use crate::spec::Size;

    fn arguments(memory: Memory, start: Start) -> Vec<String> {
        let connections = Connections {
            agent: 3,
            qmp: 4,
            console: 5,
            image: "/i".to_owned(),
            disk: "/d".to_owned(),
            memory,
            network: Some(9),
            start,
        };
        build(Accelerator::Tcg, Size { vcpus: 1, memory_mib: 512 }, &connections)
    }

    #[test]
    fn a_restored_machine_has_the_same_devices_at_the_same_places() {
        let boot = Start::Boot { kernel: "/k".to_owned(), initramfs: "/n".to_owned() };
        let booted = arguments(Memory::Shared("/m".to_owned()), boot);
        let restored = arguments(Memory::Private("/m".to_owned()), Start::Restore);
        let devices = |arguments: &[String]| -> Vec<String> {
            let pairs = arguments
                .windows(2)
                .filter(|pair| ["-device", "-machine", "-cpu", "-m"].contains(&&*pair[0]));
            pairs.map(|pair| pair[1].clone()).collect()
        };
        assert_eq!(devices(&booted), devices(&restored));
        assert!(devices(&booted).iter().any(|device| device.contains("mac=02:")));
        assert!(booted.contains(&"-kernel".to_owned()) && !restored.contains(&"-kernel".to_owned()));
    }
}
