//! Finds the kernel proper, an ELF file, in what distributions ship: a `bzImage` that unpacks itself at boot.
//!
//! The ELF file boots in QEMU by PVH, without the detour through real mode, and Firecracker takes nothing else.

use std::io::Read;

/// The largest kernel that is unpacked, in bytes; Debian's has 53 MB.
pub(crate) const MAX_KERNEL: usize = 512 << 20;

/// The payload is a series of blocks that unpack to 8 MiB each, the last to less.
const LZ4_BLOCK: usize = 8 << 20;
const LZ4_LEGACY: &[u8] = &[0x02, 0x21, 0x4c, 0x18];
const GZIP: &[u8] = &[0x1f, 0x8b];
const ELF: &[u8] = b"\x7fELF";
const ELF_MACHINE_X86_64: u16 = 62;
const ELF_MACHINE_AARCH64: u16 = 183;

/// Why a file is no kernel for a machine.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// It is neither an ELF file nor a Linux boot image.
    #[error("it is neither an ELF file nor a Linux kernel (bzImage)")]
    Unknown,
    /// The payload is compressed in a way that is not read here.
    #[error(
        "the kernel in it is compressed in a way that is not supported (it begins with {magic}); give its `vmlinux`, an ELF file"
    )]
    Compression {
        /// The first four bytes, hexadecimal.
        magic: String,
    },
    /// The headers lead outside of the file, or the payload does not unpack.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// The kernel is larger than [`MAX_KERNEL`].
    #[error("the kernel in it is larger than {} MiB", MAX_KERNEL >> 20)]
    TooLarge,
    /// It is for another processor.
    #[error("it is a kernel for {found}, and this machine has {wanted}")]
    Architecture {
        /// What the file is for.
        found: String,
        /// What it should be for.
        wanted: &'static str,
    },
}

/// The ELF file of the kernel in `file`, which is one itself or a bzImage.
pub(crate) fn vmlinux(file: Vec<u8>) -> Result<Vec<u8>, KernelError> {
    let elf = if file.starts_with(ELF) { file } else { unpack(payload(&file)?)? };
    check(&elf)?;
    Ok(elf)
}

fn check(elf: &[u8]) -> Result<(), KernelError> {
    let wanted = std::env::consts::ARCH;
    let found = processor(elf).ok_or(KernelError::Damaged("what it unpacks to is no ELF file"))?;
    if found == wanted { Ok(()) } else { Err(KernelError::Architecture { found, wanted }) }
}

/// The processor that an ELF file is for, by its first bytes; `None` where it is none.
pub(crate) fn processor(elf: &[u8]) -> Option<String> {
    let machine = elf.get(18..20).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))?;
    if !elf.starts_with(ELF) {
        return None;
    }
    let is_64_bit_little_endian = elf.get(4..6) == Some(&[2, 1]);
    Some(match machine {
        ELF_MACHINE_X86_64 if is_64_bit_little_endian => "x86_64".to_owned(),
        ELF_MACHINE_AARCH64 if is_64_bit_little_endian => "aarch64".to_owned(),
        other => format!("another processor (ELF machine {other})"),
    })
}

/// The compressed kernel in a bzImage, by the fields of the boot protocol (version 2.08 and later).
fn payload(file: &[u8]) -> Result<&[u8], KernelError> {
    const MAGIC: usize = 0x202;
    const SETUP_SECTORS: usize = 0x1f1;
    const PAYLOAD_OFFSET: usize = 0x248;
    const PAYLOAD_LENGTH: usize = 0x24c;
    if file.get(MAGIC..MAGIC + 4) != Some(b"HdrS".as_slice()) {
        return Err(KernelError::Unknown);
    }
    let word = |at: usize| {
        let bytes = file.get(at..at + 4).ok_or(KernelError::Damaged("it ends in its header"))?;
        let value = u32::from_le_bytes(bytes.try_into().expect("it has four bytes"));
        Ok::<_, KernelError>(usize::try_from(value).expect("an address has at least 32 bits"))
    };
    let sectors = match file[SETUP_SECTORS] {
        0 => 4,
        count => usize::from(count),
    };
    let start = (sectors + 1) * 512 + word(PAYLOAD_OFFSET)?;
    file.get(start..start.saturating_add(word(PAYLOAD_LENGTH)?))
        .ok_or(KernelError::Damaged("its payload ends after the file"))
}

fn unpack(payload: &[u8]) -> Result<Vec<u8>, KernelError> {
    if payload.starts_with(LZ4_LEGACY) {
        unpack_lz4(&payload[LZ4_LEGACY.len()..])
    } else if payload.starts_with(GZIP) {
        unpack_gzip(payload)
    } else if payload.starts_with(ELF) {
        Ok(payload.to_vec())
    } else {
        let magic = payload.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Err(KernelError::Compression { magic })
    }
}

/// After the last block comes the unpacked size, which is no block.
fn unpack_lz4(mut blocks: &[u8]) -> Result<Vec<u8>, KernelError> {
    let mut kernel = Vec::new();
    let mut block = vec![0; LZ4_BLOCK];
    while let Some((size, rest)) = blocks.split_first_chunk() {
        let size = usize::try_from(u32::from_le_bytes(*size)).expect("an address has at least 32 bits");
        if rest.is_empty() && size == kernel.len() {
            break;
        }
        let (packed, rest) =
            rest.split_at_checked(size).ok_or(KernelError::Damaged("a block ends after the payload"))?;
        let count = lz4_flex::block::decompress_into(packed, &mut block)
            .map_err(|_| KernelError::Damaged("a block does not unpack"))?;
        if kernel.len() + count > MAX_KERNEL {
            return Err(KernelError::TooLarge);
        }
        kernel.extend_from_slice(&block[..count]);
        blocks = rest;
    }
    Ok(kernel)
}

fn unpack_gzip(payload: &[u8]) -> Result<Vec<u8>, KernelError> {
    let mut kernel = Vec::new();
    flate2::read::GzDecoder::new(payload)
        .take(MAX_KERNEL as u64 + 1)
        .read_to_end(&mut kernel)
        .map_err(|_| KernelError::Damaged("its payload does not unpack"))?;
    if kernel.len() > MAX_KERNEL { Err(KernelError::TooLarge) } else { Ok(kernel) }
}

#[cfg(test)]
mod tests {
    use super::{KernelError, vmlinux};

    /// An ELF header of the machine that the tests run on, and something after it.
    fn elf(machine: u16) -> Vec<u8> {
        let mut file = vec![0; 5000];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file
    }

    fn here() -> Vec<u8> {
        elf(if cfg!(target_arch = "x86_64") { 62 } else { 183 })
    }

    fn boot_image(payload: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 3 * 512 + 16];
        file[0x1f1] = 2;
        file[0x202..0x206].copy_from_slice(b"HdrS");
        file[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        file[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        file.extend_from_slice(payload);
        file
    }

    fn lz4(kernel: &[u8]) -> Vec<u8> {
        let mut payload = vec![0x02, 0x21, 0x4c, 0x18];
        for chunk in kernel.chunks(super::LZ4_BLOCK) {
            let block = lz4_flex::block::compress(chunk);
            payload.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
            payload.extend(block);
        }
        payload.extend_from_slice(&u32::try_from(kernel.len()).unwrap().to_le_bytes());
        payload
    }

    fn check(file: Vec<u8>, expected: Result<&[u8], &str>) {
        let found = vmlinux(file).map_err(|error| error.to_string());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert!(found == expected, "another kernel"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{:?} is not {:?}", found.map(|kernel| kernel.len()), expected.map(<[u8]>::len)),
        }
    }

    #[test]
    fn the_kernel_is_found_in_what_packs_it() {
        check(here(), Ok(&here()));
        check(boot_image(&lz4(&here())), Ok(&here()));
        check(boot_image(&here()), Ok(&here()));
        let mut long = here();
        long.resize(super::LZ4_BLOCK + 9, 7);
        check(boot_image(&lz4(&long)), Ok(&long));
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        check(b"MZ no kernel".to_vec(), Err("neither an ELF file nor a Linux kernel"));
        check(elf(40), Err("another processor"));
        check(boot_image(b"\xfd7zXZ\0"), Err("begins with fd377a58"));
        check(boot_image(&lz4(b"text")), Err("no ELF file"));
        let mut cut = boot_image(&lz4(&here()));
        cut.truncate(cut.len() - 20);
        check(cut, Err("ends after the file"));
        let mut damaged = lz4(&here());
        damaged[4] = 0xff;
        check(boot_image(&damaged), Err("damaged"));
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_it_panic(payload: Vec<u8>, flip: usize) {
            let _: Result<_, KernelError> = vmlinux(boot_image(&payload));
            let mut file = boot_image(&lz4(&here()));
            let at = flip % file.len();
            file[at] ^= 0x55;
            let _: Result<_, KernelError> = vmlinux(file);
        }
    }
}
