//! The function over TCP, with nobody in front.

use std::net::TcpStream;
use std::process::Command;

use super::{Running, Site, free_address};
use crate::child::Child;
use crate::error::Result;
use crate::process::Tree;

pub(super) fn start(site: &Site) -> Result<Running> {
    let address = free_address()?;
    let mut command = Command::new(&site.function);
    command.env("PORT", address.port().to_string());
    // On the gateway's core: the load must not share its own with the thing that is charged.
    let mut function = Child::start("direct", site.cores.gateway, command, &site.dir)?;
    function.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok(Running { address, charged: Tree::of(function.pid()), _children: vec![function] })
}
