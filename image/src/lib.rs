//! See the package description; filled by its first commit.
