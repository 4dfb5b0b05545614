//! jheem

pub mod audit;
pub mod content;
pub mod digest;
pub mod error;
pub mod job;
pub mod manifest;
pub mod template;
