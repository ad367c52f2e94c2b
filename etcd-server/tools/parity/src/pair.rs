//! The two servers that a program is given to.

use std::{path::PathBuf, time::Duration};

use testbed::{Server, Settings, StartError};
use tonic::transport::{Channel, Endpoint};

/// The settings of each side.
#[derive(Debug, Clone)]
pub struct PairSettings {
    /// Command of side A, the server under test.
    pub a: String,
    /// Command of side B, the server that is right.
    pub b: String,
    /// The parent of data directories. A memory filesystem makes a sync free, which changes no
    /// response.
    pub parent: Option<PathBuf>,
    /// `true` if a watch of everything runs along, which every change is compared through.
    pub record: bool,
}

/// Small limits, so that programs reach them, and cheap password hashes.
const FLAGS: [&str; 6] = ["--max-txn-ops", "12", "--bcrypt-cost", "4", "--log-level", "error"];

/// Two fresh servers with connections to them.
#[derive(Debug)]
pub struct Pair {
    pub(crate) a: (Server, Channel),
    pub(crate) b: (Server, Channel),
    pub(crate) record: bool,
}

impl Pair {
    /// Starts both servers, each with an empty data directory.
    ///
    /// # Errors
    /// When one of them does not become healthy.
    pub async fn start(settings: &PairSettings) -> Result<Self, StartError> {
        let start = |command: &str| {
            let mut server = Settings::new(command);
            server.flags = FLAGS.map(str::to_owned).to_vec();
            server.parent.clone_from(&settings.parent);
            Server::start(server)
        };
        let (a, b) = tokio::try_join!(start(&settings.a), start(&settings.b))?;
        let (a_channel, b_channel) = (connect(&a), connect(&b));
        Ok(Self { a: (a, a_channel), b: (b, b_channel), record: settings.record })
    }
}

/// Longest wait for an answer. Nothing in a program waits for another client, so only a server that
/// hangs reaches it.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Returns a connection of its own. Each watch stream has one: unread responses of a stream must
/// not hold up those of calls.
pub(crate) fn connect(server: &Server) -> Channel {
    Endpoint::from_shared(server.endpoint())
        .expect("a loopback address is a valid endpoint")
        .initial_stream_window_size(64 << 20)
        .initial_connection_window_size(64 << 20)
        .connect_lazy()
}
