//! A project whose packages are in a store: the same functions, other versions.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use hatchway_package::Digest;
use hatchway_proto::catalog::{Package, Release, Version};
use hatchway_proto::manifest::version_id;

use super::Project;

impl Project {
    /// With each package in the place of the folder that it was packed from.
    ///
    /// # Panics
    /// When a folder of a function is not among `digests`.
    pub(crate) fn stored(mut self, digests: &BTreeMap<PathBuf, Digest>) -> Self {
        let mut ids = HashMap::new();
        let mut versions = std::mem::take(&mut self.objects.versions);
        for function in &mut self.functions {
            let digest = digests.get(&function.folder).expect("every folder was packed");
            let package = Package { root: None, digest: digest.to_string() };
            let old = versions.remove(&function.version).expect("a function has its version");
            let version = Version { package, ..Version::clone(&old) };
            let id = version_id(&version);
            self.objects.versions.insert(id, Arc::new(version));
            ids.insert(function.version, id);
            function.version = id;
        }
        let releases = std::mem::take(&mut self.objects.releases);
        for (name, release) in releases {
            // Of a manifest, a release is of one version.
            let release = Release { stable: ids[&release.stable], ..Release::clone(&release) };
            self.objects.releases.insert(name, Arc::new(release));
        }
        self
    }
}
