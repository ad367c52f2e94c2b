//! Requests of the Lease service. Leases that stay live far longer than a program, so that none
//! expires by the clock.

use serde_json::{Value, json};

use super::{Generator, request};

impl Generator {
    pub(super) fn lease(&mut self) {
        match self.rng.u8(..100) {
            0..40 => self.lease_grant(),
            40..60 => {
                let id = self.lease_id();
                self.call("Lease/LeaseRevoke", json!({ "ID": id }));
            }
            60..72 => {
                let id = self.lease_id();
                self.call("Lease/LeaseKeepAlive", json!({ "ID": id }));
            }
            72..92 => {
                let query = request([("ID", self.lease_id()), ("keys", self.flag(60))]);
                self.call("Lease/LeaseTimeToLive", query);
            }
            _ => self.call("Lease/LeaseLeases", json!({})),
        }
    }

    fn lease_grant(&mut self) {
        let ttl = self.pick(&["600", "601", "999", "86400", "9000000000"]);
        match self.rng.u8(..100) {
            0..70 => {
                let id = self.lease_id();
                self.call("Lease/LeaseGrant", json!({ "ID": id, "TTL": ttl }));
            }
            70..85 => self.call("Lease/LeaseGrant", json!({ "TTL": ttl })),
            85..92 => {
                let id = self.lease_id();
                let ttl = self.pick(&["9000000001", "9223372036854775807"]);
                self.call("Lease/LeaseGrant", json!({ "ID": id, "TTL": ttl }));
            }
            _ => self.lease_that_is_short(),
        }
    }

    /// A time to live below the minimum is raised to it; the lease goes before it can expire.
    fn lease_that_is_short(&mut self) {
        let identity = self.identity();
        let ttl: Value = self.pick(&["0", "-1", "1", "2", "-9223372036854775808"]).into();
        self.call_as(identity, "Lease/LeaseGrant", json!({ "ID": "99", "TTL": ttl }));
        self.call_as(identity, "Lease/LeaseRevoke", json!({ "ID": "99" }));
    }
}
