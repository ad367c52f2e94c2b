//! Leases: grants, renewals, expiry, checkpoints; time is an argument.
