//! The gRPC services on their port.
