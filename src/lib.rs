//! jheem

pub mod digest;
pub mod error;
pub mod execute;
pub mod job;
pub mod log_lines;
