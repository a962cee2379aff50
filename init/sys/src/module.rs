//! Loading kernel modules.

use std::fs::File;
use std::path::Path;

use crate::Result;

/// `MODULE_INIT_COMPRESSED_FILE`: the kernel unpacks the file itself.
const COMPRESSED: i32 = 4;

/// Loads the module in `path`; a compressed one (`.xz`, `.zst`, `.gz`) is unpacked by
/// the kernel. One that is loaded already is success. Waits for the driver's probe:
/// never call it from PID 1's loop.
///
/// # Errors
/// What `open` or `finit_module` says.
pub fn load(path: &Path, parameters: &str) -> Result<()> {
    let file = File::open(path)?;
    let flags = if path.extension().is_some_and(|e| e != "ko") {
        COMPRESSED
    } else {
        0
    };
    let parameters = std::ffi::CString::new(parameters)?;
    match rustix::system::finit_module(&file, &parameters, flags) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
