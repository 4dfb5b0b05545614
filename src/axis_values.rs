//! stub until merged
use crate::error::Error;
use crate::manifest::Pick;
pub fn values(_: &str, _: &str, _: &Pick) -> Result<Vec<String>, Error> {
    Ok(vec![])
}
