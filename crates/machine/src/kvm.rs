//! Whether this host's `/dev/kvm` is good for anything, found out by timing it.
//!
//! The device can be there, open and run guests, and yet interpret every instruction of a kernel, where virtualisation is itself
//! emulated. Existence and versions prove nothing, and programs outside of the kernel run at full speed; so a loop is timed that runs
//! with a kernel's rights.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// The device.
const DEVICE: &str = "/dev/kvm";

/// Millions of instructions in a second, below which a guest is better off with translation.
const LEAST_MIPS: f64 = 50.0;

/// Rounds of the loop, of two instructions each.
const ROUNDS: u32 = 5000;

/// How often it is timed; the best counts.
const TRIALS: u32 = 3;

const CREATE_VM: libc::Ioctl = 0xae01;
const VCPU_SIZE: libc::Ioctl = 0xae04;
const CREATE_VCPU: libc::Ioctl = 0xae41;
const SET_MEMORY: libc::Ioctl = 0x4020_ae46;
const RUN: libc::Ioctl = 0xae80;
const SET_REGISTERS: libc::Ioctl = 0x4090_ae82;
const GET_SYSTEM_REGISTERS: libc::Ioctl = 0x8138_ae83;
const SET_SYSTEM_REGISTERS: libc::Ioctl = 0x4138_ae84;

/// The reason of an exit by `hlt`, and where reasons are.
const EXIT_HALT: u32 = 5;
const EXIT_OFFSET: usize = 8;

/// The guest's memory: one page of 2 MiB, which its own tables map to itself.
const MEMORY: usize = 2 << 20;
const CODE: u64 = 0x10000;

/// What `/dev/kvm` is good for.
#[derive(Debug, Clone, PartialEq)]
pub enum Kvm {
    /// Guests run at the processor's speed.
    Fast {
        /// Millions of instructions in a second that a guest's kernel runs.
        mips: f64,
    },
    /// Guests run, but their kernels crawl.
    Slow {
        /// As above.
        mips: f64,
    },
    /// It cannot be used.
    Missing {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Kvm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fast { mips } => {
                write!(formatter, "{mips:.0} million instructions a second in a guest's kernel")
            }
            Self::Slow { mips } => write!(
                formatter,
                "`{DEVICE}` is there, but a guest's kernel runs only {mips:.1} million instructions a second: it is emulated"
            ),
            Self::Missing { reason } => formatter.write_str(reason),
        }
    }
}

/// Times a loop in a guest's kernel. Takes less than a tenth of a second.
pub fn probe() -> Kvm {
    match time() {
        Ok(mips) if mips >= LEAST_MIPS => Kvm::Fast { mips },
        Ok(mips) => Kvm::Slow { mips },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Kvm::Missing { reason: format!("there is no `{DEVICE}`") }
        }
        Err(error) => Kvm::Missing { reason: format!("`{DEVICE}` cannot be used: {error}") },
    }
}

/// The best speed of some trials.
fn time() -> io::Result<f64> {
    let device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
    let vcpu = Vcpu::create(&device)?;
    let mut best = Duration::MAX;
    for _ in 0..TRIALS {
        vcpu.set_to_begin()?;
        let begin = Instant::now();
        vcpu.run_to_halt()?;
        best = best.min(begin.elapsed());
    }
    let instructions = f64::from(2 * ROUNDS);
    Ok(instructions / best.as_secs_f64().max(1e-9) / 1e6)
}

/// Memory that is mapped as long as this exists.
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    #[expect(unsafe_code, reason = "no safe binding maps memory")]
    fn create(length: usize, file: Option<&OwnedFd>) -> io::Result<Self> {
        let (flags, descriptor) = match file {
            Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses an address at which nothing is.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, descriptor, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("a mapping is not at the address zero");
        Ok(Self { start, length })
    }

    #[expect(unsafe_code, reason = "the memory is not Rust's")]
    fn write(&self, position: usize, bytes: &[u8]) {
        assert!(position + bytes.len() <= self.length, "it fits");
        // SAFETY: it lies within the mapping, and nobody else runs that has it: the guest stands still.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(position), bytes.len())
        }
    }

    #[expect(unsafe_code, reason = "the memory is not Rust's")]
    fn read(&self, position: usize) -> u32 {
        assert!(position + size_of::<u32>() <= self.length, "it fits");
        // SAFETY: it lies within the mapping; the kernel writes it only while the guest runs.
        unsafe { self.start.as_ptr().add(position).cast::<u32>().read_unaligned() }
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "no safe binding unmaps memory")]
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nobody has a reference into it.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.length);
        }
    }
}

/// A virtual processor with its machine and memory. The order of the fields is that of their end.
struct Vcpu {
    state: Mapping,
    descriptor: OwnedFd,
    _machine: OwnedFd,
    _memory: Mapping,
}

#[repr(C)]
struct MemoryRegion {
    slot: u32,
    flags: u32,
    guest: u64,
    size: u64,
    host: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Segment {
    base: u64,
    limit: u32,
    selector: u16,
    kind: u8,
    present: u8,
    level: u8,
    db: u8,
    system: u8,
    long: u8,
    granularity: u8,
    available: u8,
    unusable: u8,
    padding: u8,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SystemRegisters {
    code: Segment,
    data: [Segment; 5],
    task: Segment,
    local: Segment,
    tables: [u64; 4],
    cr0: u64,
    cr2: u64,
    cr3: u64,
    cr4: u64,
    cr8: u64,
    efer: u64,
    apic: u64,
    interrupts: [u64; 4],
}

/// The general registers, of which the last two are the instruction pointer and the flags.
const REGISTERS: usize = 18;

impl Vcpu {
    fn create(device: &File) -> io::Result<Self> {
        let machine = descriptor(call(device, CREATE_VM, 0)?);
        let memory = Mapping::create(MEMORY, None)?;
        let entries: [(usize, u64); 3] = [(0x1000, 0x2003), (0x2000, 0x3003), (0x3000, 0x83)];
        for (position, entry) in entries {
            memory.write(position, &entry.to_le_bytes());
        }
        // mov ecx, ROUNDS; 1: dec ecx; jnz 1b; hlt
        let code = [&[0xb9][..], &ROUNDS.to_le_bytes(), &[0xff, 0xc9, 0x75, 0xfc, 0xf4]].concat();
        memory.write(usize::try_from(CODE).expect("the address is small"), &code);
        let host = memory.start.as_ptr() as u64;
        let region = MemoryRegion { slot: 0, flags: 0, guest: 0, size: MEMORY as u64, host };
        call_with(&machine, SET_MEMORY, &region)?;
        let vcpu = descriptor(call(&machine, CREATE_VCPU, 0)?);
        let size = usize::try_from(call(device, VCPU_SIZE, 0)?).expect("a size is not negative");
        let state = Mapping::create(size, Some(&vcpu))?;
        let created = Self { state, descriptor: vcpu, _machine: machine, _memory: memory };
        created.enter_long_mode()?;
        Ok(created)
    }

    /// 64 bits, with a kernel's rights.
    fn enter_long_mode(&self) -> io::Result<()> {
        let mut registers = SystemRegisters::default();
        call_to_fill(&self.descriptor, GET_SYSTEM_REGISTERS, &mut registers)?;
        let code = Segment {
            selector: 0x10,
            kind: 11,
            present: 1,
            system: 1,
            long: 1,
            granularity: 1,
            limit: u32::MAX,
            ..Segment::default()
        };
        registers.code = code;
        registers.data = [Segment { selector: 0x18, kind: 3, long: 0, db: 1, ..code }; 5];
        registers.cr3 = 0x1000;
        registers.cr4 = 0x20;
        registers.cr0 = 0x8005_0033;
        registers.efer = 0x500;
        call_with(&self.descriptor, SET_SYSTEM_REGISTERS, &registers).map(drop)
    }

    fn set_to_begin(&self) -> io::Result<()> {
        let mut registers = [0_u64; REGISTERS];
        registers[REGISTERS - 2] = CODE;
        registers[REGISTERS - 1] = 2;
        call_with(&self.descriptor, SET_REGISTERS, &registers).map(drop)
    }

    fn run_to_halt(&self) -> io::Result<()> {
        call(&self.descriptor, RUN, 0)?;
        match self.state.read(EXIT_OFFSET) {
            EXIT_HALT => Ok(()),
            reason => Err(io::Error::other(format!("a guest ends with the reason {reason}"))),
        }
    }
}

#[expect(unsafe_code, reason = "the calls give numbers")]
fn descriptor(number: libc::c_int) -> OwnedFd {
    // SAFETY: the call has just made it, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[expect(unsafe_code, reason = "no safe binding is among the dependencies")]
fn call(file: &impl AsRawFd, code: libc::Ioctl, argument: libc::c_ulong) -> io::Result<libc::c_int> {
    // SAFETY: these calls take numbers, no pointers.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), code, argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[expect(unsafe_code, reason = "no safe binding is among the dependencies")]
fn call_with<T>(file: &impl AsRawFd, code: libc::Ioctl, argument: &T) -> io::Result<libc::c_int> {
    // SAFETY: the code holds the size of what it takes, which is that of `T`: the structures are the kernel's.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), code, std::ptr::from_ref(argument)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[expect(unsafe_code, reason = "no safe binding is among the dependencies")]
fn call_to_fill<T>(file: &impl AsRawFd, code: libc::Ioctl, argument: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: as above; every bit pattern that the kernel writes is a valid `T`, which has nothing but numbers.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), code, std::ptr::from_mut(argument)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::{Kvm, MemoryRegion, REGISTERS, Segment, SystemRegisters, probe};

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        let sizes =
            [size_of::<Segment>(), size_of::<SystemRegisters>(), size_of::<MemoryRegion>(), 8 * REGISTERS];
        assert_eq!(sizes, [24, 0x138, 0x20, 0x90]);
    }

    #[test]
    fn a_host_has_it_or_says_why_not() {
        match probe() {
            Kvm::Fast { mips } | Kvm::Slow { mips } => assert!(mips > 0.0),
            Kvm::Missing { reason } => assert!(reason.contains("/dev/kvm"), "{reason}"),
        }
    }
}
