//! A proxy between a store and the database.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to this port, and returns its own port. For each connection, `watch` returns a function that is
/// called with everything the database sends, and returns whether to pass it on. If not, the connection is closed.
pub(super) async fn forward<F>(port: u16, watch: impl Fn() -> F + Send + 'static) -> u16
where
    F: FnMut(&[u8]) -> bool + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.expect("the database");
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("set");
            }
            tokio::spawn(connect(client, server, watch()));
        }
    });
    own
}

async fn connect(client: TcpStream, server: TcpStream, mut watch: impl FnMut(&[u8]) -> bool) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(size @ 1..) = from_server.read(&mut buffer).await {
        let reply = &buffer[..size];
        if !watch(reply) || to_client.write_all(reply).await.is_err() {
            break;
        }
    }
    requests.abort();
}
