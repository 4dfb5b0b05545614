//! The packed bytes of one publish, for as long as it goes on: in a folder of the cache that is emptied before and after.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::places::Places;
use crate::publish::{WantedObject, packing};

/// Where they are. The caller holds the project lock, so nobody else is there.
pub(super) struct Packed(PathBuf);

impl Packed {
    /// Removes what a killed publish left.
    pub(super) fn begin(places: &Places) -> Result<Packed> {
        let packed = Packed(places.packed());
        match fs::remove_dir_all(&packed.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &packed.0, &error))
            }
            _ => Ok(packed),
        }
    }

    /// The file of an object's packed bytes, which must be those that were planned with.
    pub(super) fn of(&self, object: &WantedObject, built: &Path) -> Result<PathBuf> {
        let whole = object.bytes.hex();
        let folder = self.0.join(&whole[..2]);
        fs::create_dir_all(&folder).map_err(|error| Error::io("make", &folder, &error))?;
        let path = folder.join(&whole[2..]);
        match packing::pack(built, Some(&path))? {
            packed if Some(packed) == object.packed => Ok(path),
            _ => Err(Error::bug(format!("{} was packed twice, and differs", object.target))),
        }
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        // What stays is removed by the next publish.
        fs::remove_dir_all(&self.0).ok();
    }
}
