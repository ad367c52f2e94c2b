//! The lessor as the key space sees it.

use lease::Lessor;
use schema::Batch;
use types::LeaseId;

/// Lends the lessor to the key space for one request.
#[derive(Debug)]
pub struct Attachments<'a>(pub &'a mut Lessor);

impl mvcc::Leases for Attachments<'_> {
    fn exists(&self, lease: LeaseId) -> bool {
        self.0.exists(lease)
    }

    fn attach(&mut self, lease: LeaseId, key: &[u8], batch: &mut dyn Batch) {
        self.0.attach(lease, key, batch);
    }

    fn detach(&mut self, lease: LeaseId, key: &[u8], batch: &mut dyn Batch) {
        self.0.detach(lease, key, batch);
    }
}
