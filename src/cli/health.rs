//! `haversack health`: asks a running server over HTTP whether it accepts uploads, for containers and scripts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use super::output::print;
use super::place::PlaceAndAddress;
use crate::control::{self, Command};

/// How long to wait for each step. Container engines wait 30 s by default.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum size of the reply.
const MAX_REPLY: u64 = 64 * 1024;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: PlaceAndAddress,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (config, given) = arguments.place.load()?;
    let address = match (given, config.listen.first()) {
        (Some(address), _) if address.port() != 0 => address,
        // The server of this data directory knows where it listens, also if that is any free port.
        (given, default) => match control::ask_server(&config.data_dir, &Command::Status) {
            Ok(status) => listens(&status)?,
            Err(_) if given.is_none() => default,
            Err(error) => return Err(error.into()),
        },
    };
    let address = reachable(address);
    let reply = ask(address).map_err(|error| {
        Failure::Failed(match error.kind() {
            // Of a read that waits for too long, the system says "resource temporarily unavailable".
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("http://{address} has not answered within {} s", PATIENCE.as_secs())
            }
            _ => format!("no server answers at http://{address}: {error}"),
        })
    })?;
    let Some((head, body)) = reply.split_once("\r\n\r\n") else {
        return Err(Failure::Failed(format!("http://{address} doesn't speak HTTP")));
    };
    if head.split(' ').nth(1) == Some("200") {
        return Ok(print(|out| writeln!(out, "ready"))?);
    }
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let status = head.lines().next().unwrap_or_default();
    let what = body["error"].as_str().unwrap_or(status);
    Err(Failure::Failed(format!("not ready: {what}")))
}

/// Returns where a server says it listens.
fn listens(status: &Value) -> Result<SocketAddr, Failure> {
    let listen = status["listen"].as_str().and_then(|listen| listen.parse().ok());
    listen.ok_or_else(|| Failure::Failed("the server doesn't say where it listens".into()))
}

/// Returns the address at which this machine reaches a server that listens on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.take(MAX_REPLY).read_to_string(&mut reply)?;
    Ok(reply)
}
