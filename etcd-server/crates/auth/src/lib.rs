//! Users, roles, permissions and tokens.
//!
//! [`AuthStore`] is the replicated part: every member holds the same users, roles, switch and auth
//! revision, and changes them only while applying an entry. [`SimpleTokens`] and [`Jwt`] are local
//! to a member: they turn a token into an [`Identity`]. Nothing here knows a clock or chance:
//! moments, salts and token letters are arguments. Secrets never reach a `Debug` output.
#![forbid(unsafe_code)]

mod access;
mod coverage;
mod error;
mod es512;
mod identity;
mod jwt;
mod jwt_keys;
mod password;
mod permissions;
mod record;
mod requests;
mod roles;
mod simple_tokens;
mod store;
mod token;
mod token_options;
mod users;
mod wrong_passwords;

pub use access::RequestClass;
pub use error::AuthError;
pub use identity::Identity;
pub use jwt::Jwt;
pub use password::{
    BCRYPT_COST_DEFAULT, Login, PasswordError, bcrypt_cost, hash_for_raft, hash_password, verify_password,
};
pub use permissions::Access;
pub use requests::LeaseKeys;
pub use simple_tokens::{
    SimpleTokens, TOKEN_LETTERS, TOKENS_MAX, TOKENS_PER_USER_MAX, simple_token, simple_token_index,
};
pub use store::{AuthStore, DropTokens, ROOT};
pub use token::{Fingerprint, strip_bearer};
pub use token_options::{JwtOptions, SignMethod, TokenOptionError};
pub use wrong_passwords::WrongPasswords;
