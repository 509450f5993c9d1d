//! Distance, where the kernel has no netem: a TCP proxy that hands on every piece a fixed time after it came.
//!
//! It delays and does not throttle: pieces under way at the same time stay so. Connections themselves are accepted at
//! once, so a connect costs no round trip here; both sides of a comparison gain by that alike.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Room for one read.
const PIECE: usize = 64 * 1024;

/// Pieces under way in one direction before the sender has to wait: 64 MB, far above what a connection of the speeds
/// seen here (600 MB/s) has under way in 25 ms.
const UNDER_WAY: usize = 1024;

/// Accepts for ever, and connects each client to `target`.
pub fn serve(listener: &TcpListener, target: SocketAddr, each_way: Duration) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept()?;
        // A client whose host is down finds its connection closed; the next may fare better.
        let _ = connect(client, target, each_way);
    }
}

fn connect(client: TcpStream, target: SocketAddr, each_way: Duration) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        to.set_nodelay(true)?;
        let (sender, receiver) = sync_channel(UNDER_WAY);
        thread::spawn(move || take(from, &sender, each_way));
        thread::spawn(move || hand_on(to, &receiver));
    }
    Ok(())
}

/// Ends by dropping the sender: an end is under way behind the pieces, like them.
fn take(mut from: TcpStream, sender: &SyncSender<(Instant, Vec<u8>)>, each_way: Duration) {
    let mut piece = vec![0; PIECE];
    loop {
        // An error is an end, too: whoever is on the other side gets no more of it.
        let length = from.read(&mut piece).unwrap_or(0);
        let due = Instant::now() + each_way;
        if sender.send((due, piece.iter().take(length).copied().collect())).is_err() || length == 0 {
            return;
        }
    }
}

fn hand_on(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>) {
    for (due, piece) in receiver {
        #[expect(clippy::disallowed_methods, reason = "a thread of its own, which has nothing else to do")]
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if piece.is_empty() || to.write_all(&piece).is_err() {
            break;
        }
    }
    // Half of it: the other direction may have more to say.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH_WAY: Duration = Duration::from_millis(50);

    /// A client of a server that sends everything back, with the proxy between them.
    fn echo() -> TcpStream {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let (target, near) = (server.local_addr().unwrap(), proxy.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
        });
        thread::spawn(move || serve(&proxy, target, EACH_WAY));
        TcpStream::connect(near).unwrap()
    }

    #[test]
    fn piece_takes_a_round_trip() {
        let mut stream = echo();
        let start = Instant::now();
        stream.write_all(b"piece").unwrap();
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"piece");
        assert!(start.elapsed() >= EACH_WAY * 2, "{:?}", start.elapsed());
    }

    #[test]
    fn pieces_are_under_way_together() {
        let mut stream = echo();
        stream.set_nodelay(true).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let start = Instant::now();
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        let sent: Vec<u8> = (0..100u8).flat_map(|piece| vec![piece; PIECE]).collect();
        for piece in sent.chunks(PIECE) {
            stream.write_all(piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(reading.join().unwrap() == sent, "what came back is not what was sent");
        // One after another they would take 10 s.
        assert!(start.elapsed() < EACH_WAY * 40, "{:?}", start.elapsed());
    }
}
