//! What one committed entry does, as a value.
