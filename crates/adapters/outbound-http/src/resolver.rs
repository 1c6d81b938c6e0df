//! DNS resolution with a check of the addresses, at the time of the connection.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_public;

/// The name or address may not be called. The text does not reveal what the name resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is private; whoever runs this server can allow it with --allow-host HOST:PORT")]
pub(crate) struct Refusal;

/// Resolves a name only if all of its addresses are public.
#[derive(Debug)]
pub(crate) struct Checked;

/// Resolves any name, for hosts that the operator has allowed.
#[derive(Debug)]
pub(crate) struct Unchecked;

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = lookup(&name).await?;
            if addresses.iter().all(|address| is_public(address.ip())) {
                Ok(Box::new(addresses.into_iter()) as Addrs)
            } else {
                Err(Refusal.into())
            }
        })
    }
}

impl Resolve for Unchecked {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(Box::new(lookup(&name).await?.into_iter()) as Addrs) })
    }
}

async fn lookup(name: &Name) -> std::io::Result<Vec<SocketAddr>> {
    // The connector sets the port.
    Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect())
}
