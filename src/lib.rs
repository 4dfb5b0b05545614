//! jheem

pub mod audit;
pub mod content;
pub mod digest;
pub mod error;
pub mod execute;
pub mod job;
pub mod log_lines;
pub mod manifest;
pub mod publish;
pub mod template;
