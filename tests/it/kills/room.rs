//! Disks that are full or may not be written.
