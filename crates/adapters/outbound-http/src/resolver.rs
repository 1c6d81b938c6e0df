//! Resolving names, once, where the connection is made.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_public;

/// The name or address may not be called. It does not say what the name resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is private; whoever runs this server can allow it with --allow-host HOST:PORT")]
pub(crate) struct Refusal;

/// Gives addresses out only where all of them are public.
#[derive(Debug)]
pub(crate) struct Checked;

/// Gives out whatever there is, for hosts that the operator has named.
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
    // The port is set by whoever connects.
    Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect())
}
