//! Reads what a kernel module says of itself: the `.modinfo` section of its ELF file,
//! `key=value` strings that end in NUL. The package has no `modules.dep` and no
//! `modules.alias` (depmod makes those at install time), so this is the only source.

use crate::error::{Error, Result};
use object::{Object, ObjectSection};

/// The parts of `.modinfo` that loading needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Device patterns (`pci:v00008086d…`) and symbolic names it answers to.
    pub aliases: Vec<String>,
    /// Modules whose symbols it uses, in normal form (see [`normal`]).
    pub depends: Vec<String>,
    /// Modules or aliases to be loaded before it if they exist.
    pub pre: Vec<String>,
    /// Firmware files it may ask for, relative to /lib/firmware.
    pub firmware: Vec<String>,
}

/// Module names are written with `-` in file names and `_` in the kernel: one form.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// Reads a decompressed module.
///
/// # Errors
/// When `elf` is no 64-bit ELF file or lacks the section.
pub fn read(elf: &[u8]) -> Result<ModInfo> {
    let refuse = |why: &dyn std::fmt::Display| Error::new("not a kernel module").because(why);
    let file = object::read::elf::ElfFile64::<object::LittleEndian>::parse(elf)
        .map_err(|error| refuse(&error))?;
    let section = file
        .section_by_name(".modinfo")
        .ok_or_else(|| refuse(&"no .modinfo section"))?;
    let data = section.data().map_err(|error| refuse(&error))?;
    let mut info = ModInfo::default();
    for (key, value) in pairs(data) {
        match key {
            "alias" => info.aliases.push(value.to_owned()),
            "depends" => info
                .depends
                .extend(value.split(',').filter(|name| !name.is_empty()).map(normal)),
            "softdep" => info.pre.extend(pre_of(value)),
            "firmware" => info.firmware.push(value.to_owned()),
            _ => {}
        }
    }
    Ok(info)
}

/// The `key=value` strings of a `.modinfo` section. Also the form of the kernel's
/// `modules.builtin.modinfo`, whose keys carry a `module.` prefix.
pub fn pairs(section: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    section
        .split(|byte| *byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok()?.split_once('='))
}

/// The names after `pre:` of a softdep line such as `pre: crc32c post: foo`.
fn pre_of(softdep: &str) -> impl Iterator<Item = String> + '_ {
    let mut before = false;
    softdep.split_whitespace().filter_map(move |word| {
        match word {
            "pre:" => before = true,
            "post:" => before = false,
            name if before => return Some(normal(name)),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A minimal ELF file with one `.modinfo` section, as small as the reader accepts.
    pub(crate) fn module(modinfo: &[u8]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let (info_at, names_at) = (64, 64 + modinfo.len());
        let table_at = names_at + names.len();
        let mut elf = vec![0u8; table_at + 3 * 64];
        elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
        put(16, &1u16.to_le_bytes()); // ET_REL
        put(18, &62u16.to_le_bytes()); // EM_X86_64
        put(20, &1u32.to_le_bytes());
        put(40, &(table_at as u64).to_le_bytes());
        put(52, &64u16.to_le_bytes());
        put(58, &64u16.to_le_bytes());
        put(60, &3u16.to_le_bytes());
        put(62, &2u16.to_le_bytes());
        put(info_at, modinfo);
        put(names_at, names);
        for (index, name, kind, at, len) in [
            (1, 1u32, 1u32, info_at, modinfo.len()),
            (2, 10, 3, names_at, names.len()),
        ] {
            let header = table_at + index * 64;
            put(header, &name.to_le_bytes());
            put(header + 4, &kind.to_le_bytes());
            put(header + 24, &(at as u64).to_le_bytes());
            put(header + 32, &(len as u64).to_le_bytes());
        }
        elf
    }

    #[test]
    fn reads_every_key_it_knows() {
        let elf = module(
            b"license=GPL\0alias=pci:v1d2*\0alias=net-x\0depends=mdio,libphy,snd-x\0\
              firmware=tigon/tg3.bin\0softdep=pre: realtek i2c-i801 post: late\0",
        );
        let info = read(&elf).expect("reads");
        assert_eq!(info.aliases, ["pci:v1d2*", "net-x"]);
        assert_eq!(info.depends, ["mdio", "libphy", "snd_x"]);
        assert_eq!(info.pre, ["realtek", "i2c_i801"]);
        assert_eq!(info.firmware, ["tigon/tg3.bin"]);
    }

    #[test]
    fn no_dependency_is_an_empty_value() {
        let info = read(&module(b"depends=\0")).expect("reads");
        assert!(info.depends.is_empty());
    }

    #[test]
    fn refuses_what_is_no_module() {
        assert!(read(b"\x7fELF").is_err());
        let mut elf = module(b"depends=\0");
        let at = elf.windows(8).position(|w| w == b".modinfo").expect("name");
        elf[at] = b'x';
        assert!(read(&elf).unwrap_err().to_string().contains("no .modinfo"));
    }

    #[test]
    fn every_truncation_is_an_error_or_a_module() {
        let elf = module(b"alias=a\0depends=b\0");
        for cut in 0..elf.len() {
            let _ = read(&elf[..cut]);
        }
    }
}
