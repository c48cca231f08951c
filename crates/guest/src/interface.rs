//! Network interfaces of the machine, set up by the kernel's old and short way.

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::protocol::NetworkConfiguration;

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
    if let Some(address) = network.hardware_address {
        interface.set_hardware_address(address)?;
    }
    interface.set_flags(libc::IFF_UP | libc::IFF_RUNNING)?;
    interface.set_address(libc::SIOCSIFADDR, network.address)?;
    let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix.min(32))).unwrap_or(0);
    interface.set_address(libc::SIOCSIFNETMASK, Ipv4Addr::from(mask))?;
    network.gateway.map_or(Ok(()), |gateway| interface.route_all(gateway))
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
    fn named(name: &str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        Ok(Self { socket, name: CString::new(name)? })
    }

    fn set_flags(&self, flags: libc::c_int) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        self.call(libc::SIOCSIFFLAGS, &request)
    }

    fn set_hardware_address(&self, address: [u8; 6]) -> io::Result<()> {
        let mut request = self.request();
        let mut data = [0; 14];
        for (to, from) in data.iter_mut().zip(address) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
        self.call(libc::SIOCSIFHWADDR, &request)
    }

    fn set_address(&self, code: libc::Ioctl, address: Ipv4Addr) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_addr = socket_address(address);
        self.call(code, &request)
    }

    /// Sends everything that has no other way through `gateway`.
    fn route_all(&self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut route = zeroed_route();
        route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_gateway = socket_address(gateway);
        route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
        route.rt_dev = self.name.as_ptr().cast_mut();
        match self.call(libc::SIOCADDRT, &route) {
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

    #[expect(unsafe_code, reason = "no safe binding offers interface requests")]
    fn call<T>(&self, code: libc::Ioctl, argument: &T) -> io::Result<()> {
        // SAFETY: the pointer is to a whole `ifreq` or `rtentry`, as the code asks for, which the call only reads.
        let set = unsafe { libc::ioctl(self.socket.as_raw_fd(), code, std::ptr::from_ref(argument)) };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
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
