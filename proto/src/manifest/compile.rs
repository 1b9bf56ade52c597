//! From a checked function and its package to the objects of the catalog.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Function;
use crate::catalog::{Objects, Package, Release, Version};
use crate::name::VersionId;

impl Function {
    /// The version that this function and `package` make.
    pub fn version(&self, package: Package) -> Version {
        Version {
            function: self.name.clone(),
            package,
            runtime: self.runtime.clone(),
            resources: self.resources,
            concurrency: self.scale.concurrency,
            min: self.scale.min,
            max: self.scale.max,
            idle_timeout: self.idle_timeout,
            clocks: self.clocks,
            env: self.env.clone().into(),
            network: self.network,
            egress: self.egress.clone().into(),
            protocol: self.protocol,
            assets: self.assets.clone(),
            warmup: self.warmup.clone().into(),
        }
    }
}

/// The identity of a version: SHA-256 over its spec and its package's digest. Where the package happens to
/// lie on a disk is no part of it.
pub fn version_id(version: &Version) -> VersionId {
    let mut spec = version.clone();
    spec.package.root = None;
    let canonical = serde_json::to_vec(&spec)
        .expect("a version is strings, numbers and sorted maps, which JSON can write");
    VersionId::from_digest(&Sha256::digest(canonical).into())
}

/// What a catalog holds for functions whose packages are known. Routes are named after their function:
/// `local.shop.0`.
pub fn objects<'a>(functions: impl IntoIterator<Item = (&'a Function, Package)>) -> Objects {
    let mut objects = Objects::default();
    for (function, package) in functions {
        let version = function.version(package);
        let stable = version_id(&version);
        for (index, route) in function.routes.iter().enumerate() {
            let (tenant, name) = (function.name.tenant(), function.name.name());
            objects
                .routes
                .insert(format!("{tenant}.{name}.{index}").into(), Arc::new(route.clone()));
        }
        objects.functions.insert(function.name.clone(), Arc::new(function.settings.clone()));
        objects.versions.insert(stable, Arc::new(version));
        let release = Release { mirror: function.mirror.clone().into(), ..Release::of(stable) };
        objects.releases.insert(function.name.clone(), Arc::new(release));
    }
    objects
}
