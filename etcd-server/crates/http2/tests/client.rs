//! The h2 crate as the client: whatever it sends, cut anywhere, is echoed.

use crate::script::{settings, written};
use bytes::Bytes;
use fastrand::Rng;
use futures::future::join_all;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use http2::{Connection, End, Event, Intake, Reason, Settings, StreamKey};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const REQUESTS: usize = 60;

/// An application that echoes bodies.
struct Echo {
    connection: Connection,
    random: Rng,
    /// The bodies that have not ended.
    bodies: BTreeMap<u32, (StreamKey, Vec<u8>)>,
}

impl Echo {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Request { stream, head } => {
                if head.path() == b"/refused" {
                    self.connection.reset_after_end(stream, Reason::NO_ERROR);
                    return self.connection.send_head(stream, 415, [(&b"x"[..], &b"y"[..])], End::Stream);
                }
                if self.random.bool() {
                    self.connection.set_intake(stream, Intake::Gathered { bytes_max: self.random.usize(0..100_000) });
                }
                self.bodies.insert(stream.id(), (stream, Vec::new()));
                self.body(stream);
            }
            Event::Body { stream } => self.body(stream),
            Event::Reset { stream, .. } => drop(self.bodies.remove(&stream.id())),
            Event::Sent { .. } | Event::Pong => {}
        }
    }

    fn body(&mut self, key: StreamKey) {
        let ended = self.connection.body(key).1;
        let Some((_, body)) = self.bodies.get_mut(&key.id()) else { return };
        body.extend(self.connection.take_body(key));
        if !ended {
            return;
        }
        let body = Bytes::from(self.bodies.remove(&key.id()).unwrap().1);
        match self.random.u8(0..3) {
            0 => self.connection.respond(key, body),
            trailers => {
                self.connection.send_grpc_head(key);
                for part in body.chunks(self.random.usize(1..50_000)) {
                    self.connection.send_data(key, Bytes::copy_from_slice(part));
                }
                if trailers == 1 {
                    self.connection.send_trailers(key, [(&b"grpc-status"[..], &b"0"[..])]);
                } else {
                    self.connection.send_ok_trailers(key);
                }
            }
        }
    }
}

async fn serve(io: DuplexStream, settings: Settings, random: Rng) -> Connection {
    let (mut reading, mut writing) = tokio::io::split(io);
    let mut echo = Echo { connection: Connection::new(settings), random, bodies: BTreeMap::new() };
    let mut buffer = vec![0; 40_000];
    loop {
        while let Some(event) = echo.connection.next_event() {
            echo.handle(event);
        }
        let output = written(&mut echo.connection);
        for part in output.chunks(echo.random.usize(1..30_000)) {
            if writing.write_all(part).await.is_err() {
                return echo.connection;
            }
        }
        if echo.connection.is_finished() {
            writing.shutdown().await.unwrap();
            return echo.connection;
        }
        let room = echo.random.usize(1..buffer.len());
        match reading.read(&mut buffer[..room]).await {
            Ok(0) | Err(_) => return echo.connection,
            Ok(count) => echo.connection.receive(&buffer[..count], Instant::now()),
        }
    }
}

async fn request(mut sender: SendRequest<Bytes>, mut random: Rng) {
    let refused = random.u8(0..10) == 0;
    let path = if refused { "/refused" } else { "/echo" };
    let mut request = Request::post(format!("http://a{path}")).header("content-type", "application/grpc");
    if random.bool() {
        request = request.header("x-random", random.u64(..).to_string());
    }
    let length = if random.bool() { random.usize(0..100) } else { random.usize(0..300_000) };
    let body: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
    let Ok(ready) = std::future::poll_fn(|cx| sender.poll_ready(cx)).await.map(|()| sender) else { return };
    let mut sender = ready;
    let (response, mut stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    let cancelled = random.u8(0..10) == 0;
    for part in body.chunks(random.usize(1..100_000)) {
        if stream.send_data(Bytes::copy_from_slice(part), false).is_err() {
            break;
        }
    }
    if random.bool() {
        drop(stream.send_data(Bytes::new(), true));
    } else {
        drop(stream.send_trailers(HeaderMap::new()));
    }
    if cancelled {
        return stream.send_reset(h2::Reason::CANCEL);
    }
    let mut response = response.await.unwrap();
    if refused {
        assert_eq!((response.status().as_u16(), &response.headers()["x"]), (415, &"y".parse().unwrap()));
        return;
    }
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    let mut echoed = Vec::new();
    while let Some(data) = response.body_mut().data().await {
        let data = data.unwrap();
        echoed.extend_from_slice(&data);
        response.body_mut().flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(echoed == body, "{} bytes of {}", echoed.len(), body.len());
    assert_eq!(response.body_mut().trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

async fn converse(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let (ours, theirs) = tokio::io::duplex(random.usize(1..50_000));
    let settings = Settings {
        streams_max: random.u32(1..50),
        header_bytes_max: 10_000,
        stream_window_bytes: random.u32(65_535..200_000),
        connection_window_bytes: random.u32(65_535..500_000),
        ..settings()
    };
    let serving = serve(ours, settings, random.fork());
    let mut client = h2::client::Builder::new();
    client
        .initial_window_size(random.u32(1..200_000))
        .initial_connection_window_size(random.u32(65_535..300_000))
        .data_frame_budget(usize::MAX)
        .header_table_size(*random.choice(&[0, 100, 4096, 100_000]).unwrap())
        .max_frame_size(random.u32(16_384..100_000));
    let asking = async {
        let (sender, mut connection) = client.handshake::<_, Bytes>(theirs).await.unwrap();
        let mut ping = connection.ping_pong().unwrap();
        let requests: Vec<_> = (0..REQUESTS).map(|_| request(sender.clone(), random.fork())).collect();
        drop(sender);
        let requests = async {
            ping.ping(h2::Ping::opaque()).await.unwrap();
            join_all(requests).await;
        };
        let (ended, ()) = futures::join!(connection, requests);
        ended.unwrap();
    };
    let (connection, ()) = futures::join!(serving, asking);
    assert_eq!((connection.open_streams(), connection.ended()), (0, None), "seed {seed}");
}

#[test]
fn client_of_another_library_gets_its_echo() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 0..60 {
        runtime.block_on(converse(seed));
    }
}

/// The client sees the first GOAWAY, and its calls under way are served.
#[test]
fn shutdown_completes_calls_of_another_library() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1000);
        let (mut reading, mut writing) = tokio::io::split(ours);
        let serving = async {
            let mut connection = Connection::new(settings());
            let (mut buffer, mut open) = ([0; 1000], None);
            while !connection.is_finished() {
                writing.write_all(&written(&mut connection)).await.unwrap();
                let count = reading.read(&mut buffer).await.unwrap();
                connection.receive(&buffer[..count], Instant::now());
                if let Some(Event::Request { stream, .. }) = connection.next_event() {
                    connection.shut_down();
                    open = Some(stream);
                } else if let Some(stream) = open.filter(|_| buffer[3] == 6) {
                    // The acknowledgement of the ping has come.
                    connection.respond(stream, Bytes::from_static(b"late"));
                }
            }
            writing.write_all(&written(&mut connection)).await.unwrap();
        };
        let asking = async {
            let (mut sender, connection) = h2::client::handshake(theirs).await.unwrap();
            let (response, _) = sender.send_request(Request::post("http://a/b").body(()).unwrap(), true).unwrap();
            let answered = async {
                let mut response = response.await.unwrap();
                response.body_mut().data().await.unwrap().unwrap()
            };
            let (ended, data) = futures::join!(connection, answered);
            ended.unwrap();
            assert_eq!(&data[..], b"late");
            assert!(std::future::poll_fn(|cx| sender.poll_ready(cx)).await.is_err());
        };
        futures::join!(serving, asking);
    });
}

/// Long before a client could notice.
#[test]
fn ten_thousand_small_messages_of_a_stream_are_taken() {
    let mut connection = Connection::new(Settings { client_ping_interval_min: Duration::ZERO, ..settings() });
    connection.receive(crate::frames::PREFACE, Instant::now());
    connection.receive(&crate::frames::frame(4, 0, 0, &[]), Instant::now());
    let head = crate::frames::block(&crate::frames::request_fields());
    connection.receive(&crate::frames::frame(1, 4, 1, &head), Instant::now());
    let Some(Event::Request { stream, .. }) = connection.next_event() else { panic!("no request") };
    let message = crate::frames::frame(0, 0, 1, &[0, 0, 0, 0, 2, 8, 1]);
    connection.receive(&message.repeat(10_000), Instant::now());
    assert_eq!((connection.ended(), connection.take_body(stream).len()), (None, 70_000));
}
