//! The commands of the stories. Keys are written bare, with `\0` and `\xff` for those bytes and
//! `""` for the empty key.

use auth::{Access, AuthError, AuthStore, DropTokens, Identity, RequestClass};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proto::authpb::{Permission, UserAddOptions};
use proto::etcdserverpb::*;
use schema::{MemoryStore, Table, View};
use types::KeyRange;

pub(crate) struct Script {
    tables: MemoryStore,
    store: AuthStore,
}

impl Script {
    pub(crate) fn new() -> Self {
        let mut tables = MemoryStore::new();
        let store = AuthStore::load(&MemoryStore::new(), &mut tables).unwrap();
        Self { tables, store }
    }

    /// Runs one command and returns its output, with the auth revision when it has moved.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let before = self.store.auth_revision();
        let words: Vec<&str> = line.split_whitespace().collect();
        let response = self.response(&words).unwrap_or_else(|refusal| format!("refused: {refusal}"));
        self.must_read_back_alike();
        match self.store.auth_revision() {
            after if after == before => response,
            after => format!("{response}, auth revision {after}"),
        }
    }

    fn response(&mut self, words: &[&str]) -> Result<String, AuthError> {
        match words {
            ["auth", rest @ ..] => self.switch(rest),
            ["user", rest @ ..] => self.user(rest),
            ["role", rest @ ..] => self.role(rest),
            ["as", who, rest @ ..] => self.ask(&self.identity(who), rest),
            ["login", name] => self.store.authenticate(name).map(ok),
            ["check-password", name, password] => {
                self.store.login(name)?.verify(password, 4).map(|revision| format!("right at auth revision {revision}"))
            }
            ["stored", table, key] => Ok(self.stored(table, key)),
            _ => panic!("unknown command {words:?}"),
        }
    }

    fn switch(&mut self, words: &[&str]) -> Result<String, AuthError> {
        match words {
            ["enable"] => self.store.auth_enable(&mut self.tables).map(ok),
            ["disable"] => Ok(dropped(&self.store.auth_disable(&mut self.tables))),
            ["status"] => Ok(format!("enabled {}, auth revision {}", self.store.enabled(), self.store.auth_revision())),
            _ => panic!("unknown command auth {words:?}"),
        }
    }

    fn user(&mut self, words: &[&str]) -> Result<String, AuthError> {
        let batch = &mut self.tables;
        match *words {
            ["add", name] => self.store.user_add(&user_add(name, "", ""), batch).map(ok),
            ["add", name, "no-password"] => {
                let options = Some(UserAddOptions { no_password: true });
                self.store.user_add(&AuthUserAddRequest { options, ..user_add(name, "", "") }, batch).map(ok)
            }
            ["add", name, hash] => self.store.user_add(&user_add(name, "", &STANDARD.encode(hash)), batch).map(ok),
            ["add-unhashed", name, password] => self.store.user_add(&user_add(name, password, ""), batch).map(ok),
            ["add-damaged-hash", name] => self.store.user_add(&user_add(name, "", "!"), batch).map(ok),
            ["delete", name] => {
                self.store.user_delete(&AuthUserDeleteRequest { name: text(name) }, batch).map(|drop| dropped(&drop))
            }
            ["passwd", name, hash] => {
                let request = AuthUserChangePasswordRequest {
                    name: text(name),
                    password: String::new(),
                    hashed_password: STANDARD.encode(text(hash)),
                };
                self.store.user_change_password(&request, batch).map(|drop| dropped(&drop))
            }
            ["grant", user, role] => self
                .store
                .user_grant_role(&AuthUserGrantRoleRequest { user: text(user), role: text(role) }, batch)
                .map(ok),
            ["revoke", name, role] => self
                .store
                .user_revoke_role(&AuthUserRevokeRoleRequest { name: text(name), role: text(role) }, batch)
                .map(ok),
            ["get", name] => {
                self.store.user_get(&AuthUserGetRequest { name: text(name) }).map(|roles| format!("{roles:?}"))
            }
            ["list"] => Ok(format!("{:?}", self.store.user_list())),
            _ => panic!("unknown command user {words:?}"),
        }
    }

    fn role(&mut self, words: &[&str]) -> Result<String, AuthError> {
        let batch = &mut self.tables;
        match *words {
            ["add", name] => self.store.role_add(&AuthRoleAddRequest { name: text(name) }, batch).map(ok),
            ["delete", role] => self.store.role_delete(&AuthRoleDeleteRequest { role: text(role) }, batch).map(ok),
            ["grant", name, "nothing"] => self
                .store
                .role_grant_permission(&AuthRoleGrantPermissionRequest { name: text(name), perm: None }, batch)
                .map(ok),
            ["grant", name, perm_type, ref keys @ ..] => {
                let (key, range_end) = key_pair(keys);
                let perm = Some(Permission { perm_type: permission_type(perm_type), key, range_end });
                self.store
                    .role_grant_permission(&AuthRoleGrantPermissionRequest { name: text(name), perm }, batch)
                    .map(ok)
            }
            ["revoke", role, ref keys @ ..] => {
                let (key, range_end) = key_pair(keys);
                let request = AuthRoleRevokePermissionRequest { role: text(role), key, range_end };
                self.store.role_revoke_permission(&request, batch).map(ok)
            }
            ["get", role] => {
                let permissions = self.store.role_get(&AuthRoleGetRequest { role: text(role) })?;
                Ok(permissions.iter().map(shown).collect::<Vec<_>>().join(" "))
            }
            ["list"] => Ok(format!("{:?}", self.store.role_list())),
            _ => panic!("unknown command role {words:?}"),
        }
    }

    fn ask(&self, identity: &Identity, words: &[&str]) -> Result<String, AuthError> {
        let (range, name);
        let class = match words {
            ["nothing"] => RequestClass::Open,
            ["anything"] => RequestClass::Authenticated,
            ["administer"] => RequestClass::Root,
            ["user-get", user] => {
                name = text(user);
                RequestClass::User(&name)
            }
            ["role-get", role] => RequestClass::Role(role),
            [access @ ("read" | "write"), keys @ ..] => {
                let (key, range_end) = key_pair(keys);
                range = KeyRange::from_wire(key, range_end);
                RequestClass::Keys(if *access == "read" { Access::Read } else { Access::Write }, &range)
            }
            _ => panic!("unknown question {words:?}"),
        };
        self.store.permit(identity, class)?;
        match class {
            RequestClass::User(name) => {
                self.store.user_get(&AuthUserGetRequest { name: name.to_owned() }).map(|_| ())?
            }
            RequestClass::Role(role) => {
                self.store.role_get(&AuthRoleGetRequest { role: role.to_owned() }).map(|_| ())?
            }
            RequestClass::Open | RequestClass::Authenticated | RequestClass::Keys(..) | RequestClass::Root => {}
        }
        Ok("allowed".into())
    }

    /// `nobody`, `ann` (as of now) or `ann@3` (as of auth revision 3).
    fn identity(&self, who: &str) -> Identity {
        match who.split_once('@') {
            Some((user, revision)) => Identity::new(user, revision.parse().unwrap()),
            None if who == "nobody" => Identity::default(),
            None => Identity::new(who, self.store.auth_revision()),
        }
    }

    fn stored(&self, table: &str, key: &str) -> String {
        let table = match table {
            "user" => Table::Users,
            "role" => Table::Roles,
            "meta" => Table::Meta,
            _ => panic!("unknown table {table}"),
        };
        let value = self.tables.get(table, key.as_bytes()).unwrap();
        value.map_or_else(|| "nothing".into(), |value| value.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn must_read_back_alike(&self) {
        let mut unwritten = MemoryStore::new();
        let again = AuthStore::load(&self.tables, &mut unwritten).unwrap();
        assert_eq!(unwritten.dump().count(), 0);
        assert_eq!((again.enabled(), again.auth_revision()), (self.store.enabled(), self.store.auth_revision()));
        assert!(again.users().eq(self.store.users()) && again.roles().eq(self.store.roles()));
    }
}

fn ok((): ()) -> String {
    "ok".into()
}

fn dropped(drop: &DropTokens) -> String {
    match drop {
        DropTokens::Nobody => "ok".into(),
        DropTokens::OfUser(user) => format!("ok, tokens of {user} dropped"),
        DropTokens::Everybody => "ok, all tokens dropped".into(),
    }
}

fn user_add(name: &str, password: &str, hashed_password: &str) -> AuthUserAddRequest {
    AuthUserAddRequest {
        name: text(name),
        password: text(password),
        hashed_password: text(hashed_password),
        options: None,
    }
}

fn text(word: &str) -> String {
    if word == "\"\"" { String::new() } else { word.to_owned() }
}

fn key_pair(words: &[&str]) -> (Bytes, Bytes) {
    (key(words[0]), words.get(1).map_or_else(Bytes::new, |word| key(word)))
}

fn key(word: &str) -> Bytes {
    let (mut bytes, mut rest) = (Vec::new(), if word == "\"\"" { "" } else { word });
    while let Some(first) = rest.bytes().next() {
        let (byte, length) = if rest.starts_with("\\0") {
            (0, 2)
        } else if rest.starts_with("\\xff") {
            (0xff, 4)
        } else {
            (first, 1)
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes.into()
}

fn permission_type(word: &str) -> i32 {
    match word {
        "read" => 0,
        "write" => 1,
        "readwrite" => 2,
        number => number.parse().unwrap(),
    }
}

fn shown(permission: &Permission) -> String {
    format!("{}:[{},{})", permission.perm_type, permission.key.escape_ascii(), permission.range_end.escape_ascii())
}
