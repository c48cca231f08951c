//! Network interfaces of the machine, set up by the kernel's old and short way.

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::protocol::NetworkConfiguration;

/// Makes an interface for a descriptor of the clone device: `TUNSETIFF`.
const MAKE_INTERFACE: libc::Ioctl = 0x4004_54ca;

/// Brings the loopback interface up.
pub(crate) fn start_loopback() -> io::Result<()> {
    Interface::named("lo")?.set_flags(libc::IFF_UP | libc::IFF_RUNNING)
}

/// Gives the machine's first interface its addresses and brings it up.
pub(crate) fn configure(network: &NetworkConfiguration) -> io::Result<()> {
    let name =
        first().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no network interface"))?;
    let interface = Interface::named(&name)?;
    interface.set_flags(0)?;
    interface.configure(network)
}

/// Makes a network device of packets without any head before them, in this process's network namespace, by the
/// clone device at `path`; sets it up and gives its other end. It is gone with that.
pub(crate) fn make(path: &Path, name: &str, network: &NetworkConfiguration) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let device = rustix::fs::open(path, flags, Mode::empty())?;
    let interface = Interface::named(name)?;
    let mut request = interface.request();
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    call(&device, MAKE_INTERFACE, request)?;
    interface.configure(network)?;
    Ok(device)
}

/// The first interface that is no loopback, by its name.
fn first() -> Option<String> {
    let entries = fs::read_dir("/sys/class/net").ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name != "lo" && fs::exists(format!("/sys/class/net/{name}/device")).unwrap_or(false))
        .min()
}

struct Interface {
    socket: OwnedFd,
    name: CString,
}

impl Interface {
    /// Addresses, routes, and up. What is another hardware address than now needs it to be down.
    fn configure(&self, network: &NetworkConfiguration) -> io::Result<()> {
        if let Some(address) = network.hardware_address {
            self.set_hardware_address(address)?;
        }
        if let Some(mtu) = network.mtu {
            let mut request = self.request();
            request.ifr_ifru.ifru_mtu = mtu.into();
            self.call(libc::SIOCSIFMTU, request)?;
        }
        self.set_flags(libc::IFF_UP | libc::IFF_RUNNING)?;
        self.set_address(libc::SIOCSIFADDR, network.address)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix.min(32))).unwrap_or(0);
        self.set_address(libc::SIOCSIFNETMASK, Ipv4Addr::from(mask))?;
        network.gateway.map_or(Ok(()), |gateway| self.route_all(gateway))
    }

    fn named(name: &str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        Ok(Self { socket, name: CString::new(name)? })
    }

    fn set_flags(&self, flags: libc::c_int) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        self.call(libc::SIOCSIFFLAGS, request)
    }

    fn set_hardware_address(&self, address: [u8; 6]) -> io::Result<()> {
        let mut request = self.request();
        let mut data = [0; 14];
        for (to, from) in data.iter_mut().zip(address) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
        self.call(libc::SIOCSIFHWADDR, request)
    }

    fn set_address(&self, code: libc::Ioctl, address: Ipv4Addr) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_addr = socket_address(address);
        self.call(code, request)
    }

    /// Sends everything that has no other way through `gateway`.
    fn route_all(&self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut route = zeroed_route();
        route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_gateway = socket_address(gateway);
        route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
        route.rt_dev = self.name.as_ptr().cast_mut();
        match self.call(libc::SIOCADDRT, route) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    #[expect(unsafe_code, reason = "no safe binding offers interface requests")]
    fn request(&self) -> libc::ifreq {
        // SAFETY: every bit pattern, so also zero, is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let room = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name.iter_mut().take(room).zip(self.name.as_bytes()) {
            *to = *from as libc::c_char;
        }
        request
    }

    fn call<T>(&self, code: libc::Ioctl, argument: T) -> io::Result<()> {
        call(&self.socket, code, argument)
    }
}

#[expect(unsafe_code, reason = "no safe binding offers interface requests")]
fn call<T>(descriptor: &OwnedFd, code: libc::Ioctl, mut argument: T) -> io::Result<()> {
    // SAFETY: the pointer is to a whole `ifreq` or `rtentry`, as the code asks for, which is this call's own: what the kernel
    // may write to it, an interface's name, is not read.
    let set = unsafe { libc::ioctl(descriptor.as_raw_fd(), code, &raw mut argument) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(unsafe_code, reason = "the structure has private padding")]
fn zeroed_route() -> libc::rtentry {
    // SAFETY: every bit pattern, so also zero, is a valid `rtentry`; its pointer is null, which the kernel knows.
    unsafe { std::mem::zeroed() }
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..].iter_mut().zip(address.octets()) {
        *to = from as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}
