//! The address of Redis: one server, or some nodes of a cluster.

use deadpool_redis::redis::{ConnectionInfo, IntoConnectionInfo};

use crate::RedisError;

/// The scheme of a cluster of which only one node is named.
const CLUSTER: &str = "redis+cluster://";

/// An address.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// The URLs of the nodes. A cluster tells its other nodes.
    pub(crate) nodes: Vec<String>,
    /// Whether they are nodes of a cluster.
    pub(crate) cluster: bool,
}

impl Address {
    /// Parses `redis://host:6379/0`, `redis://one:6379,two:6379` or `redis+cluster://one:6379`. The user and the
    /// password of the first node count for all that have none.
    ///
    /// # Errors
    /// [`RedisError::Address`] for the first node that cannot be parsed, or has the number of a database in a cluster.
    pub(crate) fn parse(text: &str) -> Result<Self, RedisError> {
        let (cluster, text) = match text.strip_prefix(CLUSTER) {
            Some(rest) => (true, format!("redis://{rest}")),
            None => (text.contains(','), text.to_owned()),
        };
        if !cluster {
            info(&text)?;
            return Ok(Self { nodes: vec![text], cluster });
        }
        let mut nodes: Vec<String> = Vec::new();
        let mut login = String::new();
        for part in text.split(',').map(str::trim) {
            let host = part.strip_prefix("redis://").unwrap_or(part);
            if host.is_empty() || host.contains("://") {
                return Err(RedisError::Address(format!("{:?} is not a node", without_login(part))));
            }
            let url = match host.rsplit_once('@') {
                Some((own, _)) => {
                    if nodes.is_empty() {
                        own.clone_into(&mut login);
                    }
                    format!("redis://{host}")
                }
                None if login.is_empty() => format!("redis://{host}"),
                None => format!("redis://{login}@{host}"),
            };
            if info(&url)?.redis_settings().db() != 0 {
                return Err(RedisError::Address("a cluster has one database, so its nodes have no number".to_owned()));
            }
            nodes.push(url);
        }
        Ok(Self { nodes, cluster })
    }
}

/// The connection that a URL describes.
pub(crate) fn info(url: &str) -> Result<ConnectionInfo, RedisError> {
    url.into_connection_info().map_err(|error| RedisError::Address(error.to_string()))
}

/// A node as it may be shown: the password stays secret.
fn without_login(node: &str) -> &str {
    node.rsplit_once('@').map_or(node, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_or_some_nodes_of_a_cluster_are_named() {
        let read = |text: &str| Address::parse(text).map(|address| (address.cluster, address.nodes)).ok();
        let nodes = |nodes: &[&str]| nodes.iter().map(|node| (*node).to_owned()).collect::<Vec<_>>();
        assert_eq!(read("redis://one:6379/3"), Some((false, nodes(&["redis://one:6379/3"]))));
        assert_eq!(read("redis+cluster://one:1"), Some((true, nodes(&["redis://one:1"]))));
        let two = Some((true, nodes(&["redis://one:1", "redis://two:2"])));
        assert_eq!(read("redis://one:1,two:2"), two);
        assert_eq!(read("redis://one:1, redis://two:2"), two);
        let login = Some((true, nodes(&["redis://u:p@one:1", "redis://u:p@two:2", "redis://other@three"])));
        assert_eq!(read("redis+cluster://u:p@one:1,two:2,other@three"), login);
        for bad in
            ["", "one", "http://one", "redis://one,", "redis://one,http://two", "redis+cluster://", "redis://a:x,b"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read("redis://one:1/2,two:2"), None, "a cluster has one database");
        let error = Address::parse("redis://one,http://user:secret@two").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
