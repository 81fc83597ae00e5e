//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use poem::{Request, http::HeaderMap};

use crate::{app::App, audit::Origin};

/// The id of a request, which the outermost layer puts into it.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Where a request comes from, for the record.
pub fn origin(request: &Request, app: &App) -> Origin {
    let request_id = request.data::<RequestId>().map(|id| id.0.clone());
    Origin { address: Some(of(request, &app.config.trusted_proxies)), request_id }
}

/// The address of the client: the peer's, unless the peer is a proxy that we trust.
///
/// Each proxy appends the address it was called from to `X-Forwarded-For`, so it is read from its end, and only as far
/// as the proxies are ours: what stands before was written by a stranger.
pub fn of(request: &Request, trusted: &[IpNet]) -> IpAddr {
    behind(peer(request), request.headers(), trusted)
}

/// The address that a request came from.
pub fn peer(request: &Request) -> IpAddr {
    match request.remote_addr().as_socket_addr() {
        Some(address) => address.ip().to_canonical(),
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// The address of the client whose request came from `peer` with these headers.
pub fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let headers = headers.get_all("x-forwarded-for");
    resolve(peer, headers.iter().filter_map(|value| value.to_str().ok()), trusted)
}

fn resolve<'a>(peer: IpAddr, forwarded: impl Iterator<Item = &'a str>, trusted: &[IpNet]) -> IpAddr {
    let named: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    let mut client = peer;
    for name in named.iter().rev() {
        if !trusted.iter().any(|network| network.contains(&client)) {
            break;
        }
        let Ok(address) = name.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        resolve(peer.parse().unwrap(), forwarded.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
