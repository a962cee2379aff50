//! How a state partition is named: by its name in the disk's GPT, which moves with it
//! whatever the kernel calls the disk.

use crate::leaf::{Flaw, Parse};

/// UTF-16 units of a name in a GPT (UEFI specification, 5.3.3).
const LONGEST: usize = 36;

/// A partition's name.
#[derive(Clone, Debug)]
pub(crate) struct PartitionName(pub(crate) String);

impl Parse for PartitionName {
    const WHAT: &'static str = "a partition's name in quotes";

    fn parse(text: &str) -> Result<Self, Flaw> {
        let flaw = |message: String| Flaw {
            message,
            help: Some(format!(
                "use 1 to {LONGEST} of a-z, A-Z, 0-9, '-', '_' and '.': the name that `sgdisk -c` gave it"
            )),
            fix: None,
        };
        if text.starts_with('/') {
            return Err(flaw(format!("{text:?} is a path, not a partition's name")));
        }
        if !(1..=LONGEST).contains(&text.len()) {
            return Err(flaw(format!(
                "the partition's name is {} bytes long",
                text.len()
            )));
        }
        let odd = |c: &char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
        if let Some(odd) = text.chars().find(odd) {
            return Err(flaw(format!("the partition's name contains {odd:?}")));
        }
        Ok(Self(text.into()))
    }
}
