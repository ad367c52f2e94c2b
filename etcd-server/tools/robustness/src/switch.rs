//! A switch between members, in user space: every connection to a member's peer port goes through
//! it, and every link can be disturbed alone.
//!
//! The kernel identifies the connecting process by its socket, so the traffic need not be
//! understood, encrypted or not. Bytes held back by a cut are delivered when it ends, as in TCP; a
//! connection that is made meanwhile is made when it ends. Loss has the effects of TCP: bytes that
//! come late, and connections that break.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Chunks on their way through one direction of a connection; when it is full, the sender's window
/// closes.
const CHUNKS_MAX: usize = 64;
const CHUNK_BYTES: usize = 16 << 10;
/// Breaks of connections that have not been seen by them yet. A connection that misses some is
/// broken by the next.
const BREAKS_MAX: usize = 64;
/// A connection that could not be made for so long is given up, as the kernel's are.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// The faults of a link in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// `true` if no byte passes.
    pub(crate) cut: bool,
    pub(crate) delay: Duration,
    /// Up to so much more delay.
    pub(crate) jitter: Duration,
    /// No limit when 0.
    pub(crate) bytes_per_second: u32,
    /// Number of chunks lost at first, of a thousand.
    pub(crate) loss_per_mille: u16,
    /// Number of chunks that arrive with a changed byte, of a thousand.
    pub(crate) damage_per_mille: u16,
}

#[derive(Debug)]
struct Links {
    links: watch::Sender<BTreeMap<(usize, usize), Link>>,
    /// Connections from or to this member break.
    breaks: broadcast::Sender<usize>,
    processes: Mutex<BTreeMap<usize, u32>>,
    random: Mutex<fastrand::Rng>,
}

/// The switch. Lives as long as the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Switch(Arc<Links>);

/// Nothing panics while holding these locks; if something did, the data is still consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Switch {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Links {
            links: watch::Sender::new(BTreeMap::new()),
            breaks: broadcast::Sender::new(BREAKS_MAX),
            processes: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
        }))
    }

    /// A port that leads to a member's peer port.
    pub(crate) async fn open(&self, member: usize, peer_port: u16) -> io::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let switch = self.clone();
        tokio::spawn(async move {
            while let Ok((client, from)) = listener.accept().await {
                let switch = switch.clone();
                tokio::spawn(async move {
                    // The ends of a broken connection deal with it.
                    drop(switch.carry(client, from, member, peer_port).await);
                });
            }
        });
        Ok(port)
    }

    /// The process that a member is from now on.
    pub(crate) fn set_process(&self, member: usize, pid: u32) {
        lock(&self.0.processes).insert(member, pid);
    }

    /// Changes the link from one member to another.
    pub(crate) fn set(&self, from: usize, to: usize, link: Link) {
        self.0.links.send_modify(|links| {
            links.insert((from, to), link);
        });
    }

    /// All links are well again.
    pub(crate) fn clear(&self) {
        self.0.links.send_modify(BTreeMap::clear);
    }

    /// Breaks every connection from and to a member.
    pub(crate) fn break_connections(&self, member: usize) {
        // An error means that there is no connection.
        drop(self.0.breaks.send(member));
    }

    async fn carry(&self, client: TcpStream, from: SocketAddr, to: usize, peer_port: u16) -> io::Result<()> {
        let mut breaks = self.0.breaks.subscribe();
        let processes = lock(&self.0.processes).clone();
        let switch_port = client.local_addr()?.port();
        let dialler =
            tokio::task::spawn_blocking(move || owner(&processes, from.port(), switch_port)).await.ok().flatten();
        let way = (dialler, to);
        // Both directions are needed to make a connection.
        let open = async {
            self.passable(dialler, to).await;
            self.passable(Some(to), dialler.unwrap_or(to)).await;
        };
        timeout(CONNECT_PATIENCE, open).await?;
        let server = TcpStream::connect(("127.0.0.1", peer_port)).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let broken = async {
            loop {
                match breaks.recv().await {
                    Ok(member) if Some(member) != way.0 && member != way.1 => {}
                    Ok(_) | Err(_) => break,
                }
            }
        };
        let there = self.pump(dialler, Some(to), client_reader, server_writer);
        let back = self.pump(Some(to), dialler, server_reader, client_writer);
        tokio::select! {
            carried = async { tokio::try_join!(there, back) } => carried.map(|_| ()),
            () = broken => Ok(()),
        }
    }

    fn link(&self, from: Option<usize>, to: Option<usize>) -> Link {
        let (Some(from), Some(to)) = (from, to) else { return Link::default() };
        self.0.links.borrow().get(&(from, to)).copied().unwrap_or_default()
    }

    async fn passable(&self, from: Option<usize>, to: usize) {
        let mut links = self.0.links.subscribe();
        let open = |links: &BTreeMap<(usize, usize), Link>| {
            from.and_then(|from| links.get(&(from, to))).is_none_or(|link| !link.cut)
        };
        // The sender lives in the switch, which is borrowed here.
        drop(links.wait_for(open).await);
    }

    /// Carries one direction of a connection until its end.
    async fn pump(
        &self,
        from: Option<usize>,
        to: Option<usize>,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
        let take = async move {
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                let length = reader.read(&mut buffer).await?;
                let link = self.link(from, to);
                let due = Instant::now() + self.latency(link)?;
                let mut chunk = buffer[..length].to_vec();
                self.damage(link, &mut chunk);
                if length == 0 || sender.send((due, chunk)).await.is_err() {
                    return io::Result::Ok(());
                }
            }
        };
        let give = async {
            while let Some((due, chunk)) = receiver.recv().await {
                sleep_until(due).await;
                if let Some(to) = to {
                    self.passable(from, to).await;
                }
                writer.write_all(&chunk).await?;
                let rate = self.link(from, to).bytes_per_second;
                if rate > 0 {
                    let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                    sleep(Duration::from_secs(1) * length / rate).await;
                }
            }
            writer.shutdown().await
        };
        tokio::try_join!(take, give).map(|_| ())
    }

    /// Returns the latency of a chunk. Lost ones are sent again by TCP, later and later; now and
    /// then the connection does not survive it.
    fn latency(&self, link: Link) -> io::Result<Duration> {
        let mut random = lock(&self.0.random);
        let mut latency = link.delay + link.jitter.mul_f64(random.f64());
        while random.u16(..1000) < link.loss_per_mille {
            latency += Duration::from_millis(200);
            if random.u8(..20) == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        Ok(latency)
    }

    fn damage(&self, link: Link, chunk: &mut [u8]) {
        let mut random = lock(&self.0.random);
        if !chunk.is_empty() && random.u16(..1000) < link.damage_per_mille {
            let place = random.usize(..chunk.len());
            chunk[place] ^= random.u8(1..);
        }
    }
}

/// The member whose process holds the other end of a connection to the switch.
fn owner(processes: &BTreeMap<usize, u32>, its_port: u16, switch_port: u16) -> Option<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let socket = format!("socket:[{}]", inode(&table, its_port, switch_port)?);
    let holds = |pid: u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|target| target.as_os_str() == socket.as_str())
    };
    processes.iter().find(|(_, pid)| holds(**pid)).map(|(member, _)| *member)
}

/// `proc_net_tcp(5)`: local and remote address in the second and third column, the inode in the
/// tenth.
fn inode(table: &str, local_port: u16, remote_port: u16) -> Option<&str> {
    let (local, remote) = (format!(":{local_port:04X}"), format!(":{remote_port:04X}"));
    table.lines().find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        (columns.get(1)?.ends_with(&local) && columns.get(2)?.ends_with(&remote)).then(|| columns.get(9).copied())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a member that echoes its input, and a connection of this process, which is member 1,
    /// to it.
    async fn echo(switch: &Switch) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await.ok();
                });
            }
        });
        switch.set_process(1, std::process::id());
        TcpStream::connect(("127.0.0.1", switch.open(2, port).await.unwrap())).await.unwrap()
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        stream.write_all(b"word").await.unwrap();
        timeout(Duration::from_millis(300), stream.read_exact(&mut [0; 4])).await.is_ok_and(|read| read.is_ok())
    }

    #[tokio::test]
    async fn a_link_that_is_cut_one_way_holds_back_what_goes_that_way() {
        for (from, to) in [(1, 2), (2, 1)] {
            let switch = Switch::new(1);
            let mut stream = echo(&switch).await;
            // The first word may take its time; the echo counts.
            stream.write_all(b"word").await.unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
            switch.set(from, to, Link { cut: true, ..Link::default() });
            assert!(!answers(&mut stream).await, "cut from {from} to {to}");
            switch.set(3, to, Link { cut: true, ..Link::default() });
            switch.clear();
            stream.read_exact(&mut [0; 4]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn connections_of_a_member_break() {
        let switch = Switch::new(1);
        let mut stream = echo(&switch).await;
        stream.write_all(b"word").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        switch.break_connections(3);
        stream.write_all(b"word").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        switch.break_connections(1);
        assert!(matches!(stream.read(&mut [0; 4]).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn damaged_bytes_arrive_as_others() {
        let switch = Switch::new(1);
        let mut stream = echo(&switch).await;
        switch.set(2, 1, Link { damage_per_mille: 1000, ..Link::default() });
        let mut back = [0; 4];
        stream.write_all(b"word").await.unwrap();
        stream.read_exact(&mut back).await.unwrap();
        let different = back.iter().zip(b"word").filter(|(one, other)| one != other).count();
        assert_eq!(different, 1, "{back:?}");
    }

    #[tokio::test]
    async fn delay_and_rate_are_kept() {
        let switch = Switch::new(1);
        let mut stream = echo(&switch).await;
        stream.write_all(b"word").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        switch.set(1, 2, Link { delay: Duration::from_millis(200), bytes_per_second: 100, ..Link::default() });
        let begun = Instant::now();
        for _ in 0..2 {
            stream.write_all(&[0; 20]).await.unwrap();
            stream.read_exact(&mut [0; 20]).await.unwrap();
        }
        // Two delays, and the second chunk waits until the first has passed.
        assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_socket_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  0        0 41 1 0 20 4 30 10 -1\n   \
                     1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  0        0 42 1 0 20 4 30 10 -1\n";
        assert_eq!(inode(table, 50000, 8080), Some("42"));
        assert_eq!(inode(table, 50001, 8080), None);
    }
}
