//! Takes the kernel proper out of a bzImage. A bzImage is a small decompressor around a
//! packed ELF file; under emulation most of the boot is spent in that decompressor, so
//! the lab boots the ELF file directly through its PVH entry. Reading order: the kernel's
//! Documentation/arch/x86/boot.rst, fields `setup_sects`, `payload_offset`.

use crate::error::{Error, Result};
use object::LittleEndian;
use object::elf::{FileHeader64, NoteType, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};
use std::io::Read;

/// Where the boot protocol keeps its magic, and the first version with a payload field.
const MAGIC_AT: usize = 0x202;
const FIRST_WITH_PAYLOAD: u16 = 0x208;
/// Note type of the 32-bit PVH entry point (owner `Xen`).
const PVH_ENTRY: NoteType = NoteType(18);

/// The ELF file inside, checked to have a PVH entry.
///
/// # Errors
/// When `image` is no bzImage, its packing is unknown here, or the kernel has no PVH entry.
pub fn unpack(image: &[u8]) -> Result<Vec<u8>> {
    let payload = payload(image).ok_or_else(|| {
        Error::new("cannot unpack the kernel").because("not a bzImage with a payload")
    })?;
    let damaged = |error: std::io::Error| Error::new("cannot unpack the kernel").because(error);
    let mut elf = Vec::new();
    // The payload ends in the unpacked size, which is not part of the packed stream.
    match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::Decoder::new(payload).map_err(damaged)?;
            decoder
                .single_frame()
                .read_to_end(&mut elf)
                .map_err(damaged)?;
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let mut decoder = lzma_rust2::XzReader::new(payload, false);
            decoder.read_to_end(&mut elf).map_err(damaged)?;
        }
        _ => {
            return Err(Error::new("cannot unpack the kernel")
                .because("its payload is packed with neither zstd nor xz"));
        }
    }
    if has_pvh_entry(&elf) {
        Ok(elf)
    } else {
        Err(Error::new("cannot use the unpacked kernel").because("it has no PVH entry"))
    }
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| {
        let value = u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?);
        usize::try_from(value).ok()
    };
    if image.get(MAGIC_AT..MAGIC_AT + 4)? != b"HdrS" || word(MAGIC_AT + 4)? < FIRST_WITH_PAYLOAD {
        return None;
    }
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        count => usize::from(count),
    };
    let start = (sectors + 1) * 512 + long(0x248)?;
    image.get(start..start.checked_add(long(0x24c)?)?)
}

fn has_pvh_entry(elf: &[u8]) -> bool {
    let find = || -> object::Result<bool> {
        let header = FileHeader64::<LittleEndian>::parse(elf)?;
        let endian = header.endian()?;
        for segment in header.program_headers(endian, elf)? {
            if segment.p_type(endian) != PT_NOTE {
                continue;
            }
            let Some(mut notes) = segment.notes(endian, elf)? else {
                continue;
            };
            while let Some(note) = notes.next()? {
                if note.name() == b"Xen" && note.n_type(endian) == PVH_ENTRY {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    find().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0u8; 3 * 512];
        image[0x1f1] = 1;
        image[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(b"HdrS");
        image[MAGIC_AT + 4..MAGIC_AT + 6].copy_from_slice(&0x20fu16.to_le_bytes());
        image[0x248..0x24c].copy_from_slice(&512u32.to_le_bytes());
        let length = u32::try_from(payload.len()).expect("small");
        image[0x24c..0x250].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    /// An ELF file with one note segment.
    fn kernel(kind: NoteType) -> Vec<u8> {
        let mut elf = vec![0u8; 64 + 56 + 20];
        elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
        put(20, &1u32.to_le_bytes());
        put(32, &64u64.to_le_bytes());
        put(52, &64u16.to_le_bytes());
        put(54, &56u16.to_le_bytes());
        put(56, &1u16.to_le_bytes());
        put(64, &PT_NOTE.0.to_le_bytes());
        put(64 + 8, &120u64.to_le_bytes());
        put(64 + 32, &20u64.to_le_bytes());
        put(64 + 48, &4u64.to_le_bytes());
        put(120, &4u32.to_le_bytes());
        put(124, &4u32.to_le_bytes());
        put(128, &kind.0.to_le_bytes());
        put(132, b"Xen\0");
        elf
    }

    #[test]
    fn finds_the_elf_behind_zstd_and_its_size_word() {
        let elf = kernel(PVH_ENTRY);
        let mut payload = zstd::encode_all(elf.as_slice(), 3).expect("zstd");
        payload.extend_from_slice(&u32::try_from(elf.len()).expect("small").to_le_bytes());
        assert_eq!(unpack(&bzimage(&payload)).expect("unpacks"), elf);
    }

    #[test]
    fn refuses_kernels_it_cannot_boot() {
        let packed = zstd::encode_all(kernel(NoteType(1)).as_slice(), 3).expect("zstd");
        assert!(
            unpack(&bzimage(&packed))
                .unwrap_err()
                .to_string()
                .contains("no PVH entry")
        );
        assert!(
            unpack(&bzimage(b"\x1f\x8bgzip"))
                .unwrap_err()
                .to_string()
                .contains("neither")
        );
        assert!(
            unpack(b"MZ")
                .unwrap_err()
                .to_string()
                .contains("not a bzImage")
        );
        let mut short = bzimage(b"1234");
        short.truncate(short.len() - 1);
        assert!(unpack(&short).is_err());
    }
}
