//! The machines' disks.

use serde_json::json;

use super::Lab;
use crate::error::Result;
use crate::machine::argv::DISK;

/// What a hanging disk may read and write in a second: the first transfer uses up many
/// hours of it.
const BYTES: u64 = 1;
/// That transfer, of the disk's first sectors.
const USED_UP: &str = "read 0 64k";

impl Lab {
    /// A machine's disk stops answering: what it is asked waits, and is done once it
    /// recovers.
    ///
    /// # Errors
    /// When there is no such node, it is off, or it has no disk.
    pub fn disk_hangs(&self, node: &str) -> Result<()> {
        self.act(format!("the disk of {node} hangs"));
        self.throttle(node, BYTES)?;
        let line = format!("qemu-io {DISK} \"{USED_UP}\"");
        let arguments = json!({ "command-line": line });
        self.qmp(node, "human-monitor-command", arguments).map(drop)
    }

    /// A machine's disk answers again.
    ///
    /// # Errors
    /// When there is no such node, it is off, or it has no disk.
    pub fn disk_recovers(&self, node: &str) -> Result<()> {
        self.act(format!("the disk of {node} recovers"));
        self.throttle(node, 0)
    }

    fn throttle(&self, node: &str, bytes: u64) -> Result<()> {
        let limits = json!({
            "device": DISK, "bps": bytes, "bps_rd": 0, "bps_wr": 0,
            "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        self.qmp(node, "block_set_io_throttle", limits).map(drop)
    }
}
