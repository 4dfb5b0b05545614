//! jheem

pub mod audit;
pub mod axis_values;
pub mod content;
pub mod digest;
pub mod error;
pub mod grammar;
pub mod job;
pub mod log_lines;
pub mod machine;
pub mod manifest;
pub mod read;
pub mod schema;
pub mod template;
pub mod why;
pub mod work;
