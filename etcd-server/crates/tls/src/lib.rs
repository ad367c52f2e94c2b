//! TLS of every listener, and of connections to other members.
//!
//! An [`Endpoint`] holds the certificate and the trust of one side of the server: that towards
//! clients, or that towards members. Listeners accept by an [`Acceptor`], the peer transport
//! connects by a [`Connector`]; both use the files that the endpoint has loaded last. Invariants: a
//! session is never resumed, so that every connection passes the verifier; a file that cannot be
//! used never replaces one that can; a client without a certificate where one is demanded gets no
//! further than the handshake.

mod acceptor;
mod address_check;
mod alert;
mod auto;
mod client_verifier;
mod connections;
mod connector;
mod endpoint;
mod error;
mod files;
mod first_byte;
mod handshake_limiter;
mod quiet;
mod rejection;
mod reload;
mod remedy;
mod server_verifier;
mod settings;
mod shown;
mod status;
mod suites;
mod tls_files;
mod trust;
mod weak;

pub use acceptor::{Accepted, Acceptor, Protocols};
pub use auto::{auto_files, names_of};
pub use connections::{Connection, PeerIdentity};
pub use connector::{Connector, ConnectorStream};
pub use endpoint::Endpoint;
pub use error::{HandshakeError, LoadError};
pub use first_byte::Begun;
pub use rejection::{Refused, Rejection};
pub use reload::Reloader;
pub use remedy::HandshakeFailure;
pub use settings::{EndpointSettings, KeyPair, Role};
pub use status::{CertificateStatus, HandshakeCounts, Status};
pub use tokio_rustls::server::TlsStream;
