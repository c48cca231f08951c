//! Which system calls a machine may not make.
//!
//! Everything is allowed but what changes the kernel, mounts, makes further namespaces, or opens parts of the kernel that
//! no build needs and that are a common way out (as in the profiles of Docker and Flatpak). Refused calls fail with
//! `EPERM`. Two groups fail with `ENOSYS`, because programs then fall back to something older: `clone3`, whose flags lie
//! in memory that a filter cannot read, and io_uring, which would go around the filter.

use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

const UNKNOWN: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// `clone` and `unshare` with any of these make a namespace.
const NAMESPACE_FLAGS: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

/// Types into the terminal of whoever started us, respectively pastes into it.
const REFUSED_REQUESTS: [u64; 2] = [TIOCSTI, TIOCLINUX];

/// The same numbers on x86-64 and aarch64; the C library's type for them differs from one to another.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

/// `socket` of this family reaches a hypervisor.
const REFUSED_FAMILY: u64 = libc::AF_VSOCK as u64;

/// The instruction classes of classic BPF that joining two programs needs: unconditional jump, and return of a constant.
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;

/// The same kernel has the same calls a second time, under numbers with this bit, for programs with short pointers (x32). A
/// filter that knows each call by one number would allow them all, so none is there.
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBERING: &[sock_filter] = &[
    sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
    sock_filter { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 },
    sock_filter { code: RETURN, jt: 0, jf: 0, k: 0x0005_0000 | libc::ENOSYS as u32 },
];
#[cfg(not(target_arch = "x86_64"))]
const OTHER_NUMBERING: &[sock_filter] = &[];

/// The filter's program: instructions as the kernel takes them.
pub(super) fn program() -> io::Result<&'static [u8]> {
    static PROGRAM: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let program =
        PROGRAM.get_or_init(|| compiled().map(|program| bytes(&program)).map_err(|error| error.to_string()));
    program.as_deref().map_err(|error| io::Error::other(error.clone()))
}

fn compiled() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|&call| (call, Vec::new())).collect();
    refused.insert(libc::SYS_clone, any_bit(NAMESPACE_FLAGS, 0)?);
    refused.insert(libc::SYS_unshare, any_bit(NAMESPACE_FLAGS, 0)?);
    let requests = REFUSED_REQUESTS.map(|request| equal(1, request));
    refused.insert(libc::SYS_ioctl, requests.into_iter().collect::<Result<_, _>>()?);
    refused.insert(libc::SYS_socket, vec![equal(0, REFUSED_FAMILY)?]);
    let unknown = UNKNOWN.iter().map(|&call| (call, Vec::new())).collect();
    let known = join(compile(refused, libc::EPERM)?, compile(unknown, libc::ENOSYS)?);
    Ok(OTHER_NUMBERING.iter().cloned().chain(known).collect())
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    error: i32,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(error.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?.try_into()
}

/// One rule a bit: the compiler has no condition for "any of these bits".
fn any_bit(bits: u64, argument: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let set = (0..u64::BITS).map(|shift| 1 << shift).filter(|bit| bits & bit != 0);
    set.map(|bit| {
        let is_set = SeccompCmpOp::MaskedEq(bit);
        SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, is_set, bit)?])
    })
    .collect()
}

fn equal(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?])
}

/// What the first program allows, the second decides: a filter has one action for refused calls, and we need two.
fn join(mut first: BpfProgram, second: BpfProgram) -> BpfProgram {
    let length = first.len();
    for (index, instruction) in first.iter_mut().enumerate() {
        if instruction.code == RETURN && instruction.k == ALLOW {
            let distance = u32::try_from(length - index - 1).expect("a filter has at most 4096 instructions");
            *instruction = sock_filter { code: JUMP, jt: 0, jf: 0, k: distance };
        }
    }
    first.extend(second);
    first
}

fn bytes(program: &[sock_filter]) -> Vec<u8> {
    program
        .iter()
        .flat_map(|instruction| {
            let mut bytes = [0; 8];
            bytes[..2].copy_from_slice(&instruction.code.to_ne_bytes());
            bytes[2] = instruction.jt;
            bytes[3] = instruction.jf;
            bytes[4..].copy_from_slice(&instruction.k.to_ne_bytes());
            bytes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use seccompiler::sock_filter;

    use super::{ALLOW, JUMP, RETURN, compiled};

    /// What the kernel would make of a call: the action and its value.
    fn decide(program: &[sock_filter], call: i64) -> u32 {
        let architecture: u32 = if cfg!(target_arch = "x86_64") { 0xC000_003E } else { 0xC000_00B7 };
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let mut jump = |is_true| at += usize::from(if is_true { jt } else { jf });
            match code {
                // The record of a call: its number, the architecture, then addresses and arguments.
                0x20 => {
                    accumulator = match k {
                        0 => u32::try_from(call).unwrap(),
                        4 => architecture,
                        _ => 0,
                    }
                }
                0x54 => accumulator &= k,
                0x15 => jump(accumulator == k),
                0x25 => jump(accumulator > k),
                0x35 => jump(accumulator >= k),
                JUMP => at += k as usize,
                RETURN => return k,
                other => panic!("an instruction {other:#x} that no filter here has"),
            }
        }
    }

    #[test]
    fn calls_are_decided_by_each_of_their_numbers() {
        let program = compiled().unwrap();
        let errno = |error: i32| 0x0005_0000 | error.unsigned_abs();
        assert_eq!(decide(&program, libc::SYS_read), ALLOW);
        assert_eq!(decide(&program, libc::SYS_clone), ALLOW);
        assert_eq!(decide(&program, libc::SYS_mount), errno(libc::EPERM));
        assert_eq!(decide(&program, libc::SYS_clone3), errno(libc::ENOSYS));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(decide(&program, libc::SYS_mount | 0x4000_0000), errno(libc::ENOSYS));
            assert_eq!(decide(&program, libc::SYS_read | 0x4000_0000), errno(libc::ENOSYS));
        }
    }

    #[test]
    fn the_program_fits_the_kernel_and_allows_in_its_second_half_only() {
        let program = compiled().unwrap();
        assert!(program.len() < 4096, "{}", program.len());
        let allows = |(index, instruction): (usize, &seccompiler::sock_filter)| {
            (instruction.code == RETURN && instruction.k == ALLOW).then_some(index)
        };
        let first = program.iter().enumerate().find_map(allows).unwrap();
        assert!(first > program.len() / 2, "{first} of {}", program.len());
    }
}
