//! A machine's disk: a file with a GPT and one partition.
//!
//! Owns how it is made. It keeps what is written to it through every loss of the machine's
//! power, as the host's own memory does; it ends with the lab.

use std::fs::File;
use std::path::Path;

use gptman::{GPT, GPTPartitionEntry};

use crate::error::{Context, Error, Result};

const SECTOR: u64 = 512;
const SECTORS: u64 = 4 * 1024 * 1024 / SECTOR;
/// The first and last sector of the partition: a mebibyte, as `sgdisk` would place it.
const PARTITION: [u64; 2] = [2048, 4095];
/// "Linux filesystem data", as the kernel does not care and `sgdisk` says by default.
const KIND: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

/// Makes a disk with a partition of this name.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn make(path: &Path, name: &str) -> Result<()> {
    let what = || format!("cannot make the disk {}", path.display());
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(true);
    let mut file = options.open(path).context(what)?;
    file.set_len(SECTORS * SECTOR).context(what)?;
    let fail = |error: gptman::Error| Error::Command(format!("{}: {error}", what()));
    let mut table = GPT::new_from(&mut file, SECTOR, [1; 16]).map_err(fail)?;
    table[1] = GPTPartitionEntry {
        partition_type_guid: KIND,
        unique_partition_guid: [2; 16],
        starting_lba: PARTITION[0],
        ending_lba: PARTITION[1],
        attribute_bits: 0,
        partition_name: name.into(),
    };
    table.write_into(&mut file).map_err(fail)?;
    // Without it a kernel does not look for a GPT.
    GPT::write_protective_mbr_into(&mut file, SECTOR).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_has_its_name() {
        let path = std::env::temp_dir().join(format!("kodo-disk-{}.raw", std::process::id()));
        make(&path, "kodo-state").expect("made");
        let found = GPT::find_from(&mut File::open(&path).expect("there"));
        std::fs::remove_file(&path).expect("there");
        let found = found.expect("a GPT");
        let named: Vec<String> = found
            .iter()
            .filter(|(_, entry)| entry.is_used())
            .map(|(_, entry)| entry.partition_name.to_string())
            .collect();
        assert_eq!(named, ["kodo-state"]);
    }
}
