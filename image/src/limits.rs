//! How much of what a cluster file names is taken: archives come from strangers, and all of
//! it ends in a node's memory.

/// Bytes of one service's root: a node with a gigabyte of memory is a large one.
pub const ROOT_BYTES: u64 = 512 << 20;
/// Files, directories and links of one root; Debian's whole base system has a tenth.
pub const ROOT_ENTRIES: usize = 200_000;
/// Bytes of a path in a root; the kernel's bound is 4096, and `/srv/NAME` stands before it.
pub const PATH_BYTES: usize = 2048;
/// Layers of a container image; builders stop at 127.
pub const LAYERS: usize = 128;
/// Bytes of a container image's index, manifest or configuration.
pub const JSON_BYTES: u64 = 4 << 20;
/// Entries of a container image's own archive: a few for each layer.
pub const ARCHIVE_ENTRIES: usize = 4096;
/// Indexes that lead to one another before a manifest comes; registries nest one.
pub const INDEX_DEPTH: usize = 4;
/// Objects whose needs are followed for one root.
pub const OBJECTS: usize = 8192;

const _: () = assert!(JSON_BYTES < ROOT_BYTES);
const _: () = assert!(PATH_BYTES + 64 < 4096);
