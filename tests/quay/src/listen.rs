//! Where it listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::Failure;

/// An address with a port, and whether IPv4 comes in by an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    pub mapped: Mapped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    Taken,
    Refused,
}

impl Listen {
    pub fn ipv4(port: u16) -> Self {
        Self { address: (Ipv4Addr::UNSPECIFIED, port).into(), mapped: Mapped::Refused }
    }

    pub fn ipv6(port: u16) -> Self {
        Self { address: (Ipv6Addr::UNSPECIFIED, port).into(), mapped: Mapped::Refused }
    }

    pub fn both(port: u16) -> Self {
        Self { address: (Ipv6Addr::UNSPECIFIED, port).into(), mapped: Mapped::Taken }
    }

    /// `--addr` of the 3.x line: `:8443` is both families, `127.0.0.1:8443` and `[::1]:8443` are one.
    pub fn of_option(text: &str) -> Result<Self, Failure> {
        let wrong = || format!("--addr {text}: HOST:PORT or :PORT is meant");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() {
            return Ok(Self::both(port));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address: IpAddr = host.parse().map_err(|_| wrong())?;
        Ok(Self { address: (address, port).into(), mapped: Mapped::Refused })
    }

    pub fn bind(self) -> Result<TcpListener, Failure> {
        let bound = |address: SocketAddr| -> std::io::Result<TcpListener> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            if address.is_ipv6() {
                socket.set_only_v6(self.mapped == Mapped::Refused)?;
            }
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(128)?;
            TcpListener::from_std(socket.into())
        };
        bound(self.address)
            // A kernel without IPv6 still serves the other family.
            .or_else(|error| match self.mapped {
                Mapped::Taken => bound((Ipv4Addr::UNSPECIFIED, self.address.port()).into()).map_err(|_| error),
                Mapped::Refused => Err(error),
            })
            .map_err(|error| format!("cannot listen on {}: {error}", self.address).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_host_is_both_families() {
        for (text, expected) in [
            (":8443", Some(Listen::both(8443))),
            ("0.0.0.0:1", Some(Listen::ipv4(1))),
            ("[::]:1", Some(Listen::ipv6(1))),
            ("8443", None),
            ("name:1", None),
            (":x", None),
        ] {
            assert_eq!(Listen::of_option(text).ok(), expected, "{text}");
        }
    }
}
