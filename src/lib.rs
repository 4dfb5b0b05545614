//! jheem

pub mod digest;
pub mod error;
pub mod job;

pub mod publish;
