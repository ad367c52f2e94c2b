//! HTTP/JSON beside gRPC: the gateway, health, version and metrics endpoints.
