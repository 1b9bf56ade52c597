//! From folders to packages in the store.

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread;

use hatchway_package::store::{Store, StoreError};
use hatchway_package::{PackError, Packed, pack};
use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::gateways;
use crate::project::contents;

/// A folder, packed, on this machine.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) packed: Packed,
    file: NamedTempFile,
}

/// Packs each folder, on as many cores as there are.
pub(super) fn pack_all(
    folders: impl Iterator<Item = PathBuf>,
) -> Result<BTreeMap<PathBuf, Parcel>, Failure> {
    let mut folders: Vec<PathBuf> = folders.collect();
    folders.sort();
    folders.dedup();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = folders.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let part = |folders: &[PathBuf]| {
            folders.iter().map(|folder| Ok((folder.clone(), pack_one(folder)?))).collect()
        };
        let threads: Vec<_> =
            folders.chunks(share).map(|folders| scope.spawn(move || part(folders))).collect();
        let parts = threads.into_iter().map(|one| one.join().expect("packing does not panic"));
        let parts: Result<Vec<BTreeMap<_, _>>, Failure> = parts.collect();
        Ok(parts?.into_iter().flatten().collect())
    })
}

fn pack_one(folder: &Path) -> Result<Parcel, Failure> {
    let unwritten =
        |source| Failure::Io { what: "could not write a temporary file".to_owned(), source };
    let file = NamedTempFile::new().map_err(unwritten)?;
    let packed = pack(folder, contents::paths(folder)?, BufWriter::new(file.as_file()));
    let packed = packed.map_err(|error| match error {
        PackError::Read { path, source } => {
            Failure::Io { what: format!("could not read {}", path.display()), source }
        }
        PackError::Write(source) => unwritten(source),
        changed @ PackError::Changed { .. } => Failure::Refused(changed.to_string()),
    })?;
    Ok(Parcel { packed, file })
}

/// Puts what the store does not have yet; how many packages that were.
pub(super) fn upload(store: &Store, parcels: &BTreeMap<PathBuf, Parcel>) -> Result<usize, Failure> {
    let failed = |error| match error {
        StoreError::ReadOnly(_) => Failure::Refused(error.to_string()),
        StoreError::Missing(_) | StoreError::Unavailable(_) | StoreError::File(_) => {
            let what = format!("could not put packages into {store}");
            Failure::Unavailable { what, source: Box::new(error) }
        }
    };
    gateways::runtime()?.block_on(async {
        let mut count = 0;
        for parcel in parcels.values() {
            let digest = &parcel.packed.digest;
            if !store.has(digest).await.map_err(failed)? {
                store.put(digest, parcel.file.path()).await.map_err(failed)?;
                count += 1;
            }
        }
        Ok(count)
    })
}
