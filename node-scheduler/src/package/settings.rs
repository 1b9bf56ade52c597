//! What an operator says of packages.

use clap::Args;
use hatchway_package::store::Store;
use hatchway_proto::units;

/// Where packages come from, and how many of them stay.
#[derive(Args, Clone, Debug)]
pub struct PackageArgs {
    /// Where packages are fetched from: file:///FOLDER, s3://BUCKET/PREFIX (with AWS_ENDPOINT_URL and the other variables of its
    /// tools), http://HOST or https://HOST.
    #[arg(long, value_name = "URL", env = "HATCHWAY_STORE")]
    pub store: Option<Store>,
    /// Disk for unpacked packages. Beyond it, those go that no sandbox runs and no rule names, the one that was used longest
    /// ago first; what is needed stays, and is fetched, all the same.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = units::parse_bytes)]
    pub package_disk: u64,
    /// Fetch a package when the first request needs it, and not as soon as a release names it.
    #[arg(long)]
    pub no_fetch_ahead: bool,
}
