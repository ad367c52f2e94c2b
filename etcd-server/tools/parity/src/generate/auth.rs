//! Requests of the Auth service. `root` keeps its password and is never without one, so that
//! authentication can be turned off.

use serde_json::{Value, json};

use super::{Generator, request, words::base64};

const ROOT_PASSWORD: &str = "rootpw";

impl Generator {
    pub(super) fn auth(&mut self) {
        match (self.with_auth, self.auth_on, self.rng.u8(..100)) {
            (true, false, 0..15) => self.auth_begin(),
            (true, true, 0..3) => self.auth_end(),
            (true, true, 3..20) => self.authenticate(),
            _ => self.auth_manage(),
        }
    }

    fn auth_begin(&mut self) {
        self.call("Auth/UserAdd", json!({ "name": "root", "password": ROOT_PASSWORD }));
        self.call("Auth/RoleAdd", json!({ "name": "root" }));
        self.call("Auth/UserGrantRole", json!({ "user": "root", "role": "root" }));
        for user in ["ann", "bob", "eve"] {
            self.call("Auth/UserAdd", json!({ "name": user, "password": user }));
            self.call("Auth/RoleAdd", json!({ "name": format!("of-{user}") }));
            self.call("Auth/UserGrantRole", json!({ "user": user, "role": format!("of-{user}") }));
            let permission = self.permission();
            self.call("Auth/RoleGrantPermission", json!({ "name": format!("of-{user}"), "perm": permission }));
        }
        self.call("Auth/AuthEnable", json!({}));
        self.auth_on = true;
        for user in ["root", "ann", "bob", "eve"] {
            let password = if user == "root" { ROOT_PASSWORD } else { user };
            self.call_as("", "Auth/Authenticate", json!({ "name": user, "password": password }));
        }
    }

    /// As root, with a token that is surely good.
    fn auth_end(&mut self) {
        self.call_as("", "Auth/Authenticate", json!({ "name": "root", "password": ROOT_PASSWORD }));
        self.call_as("root", "Auth/AuthDisable", json!({}));
        self.auth_on = false;
    }

    fn authenticate(&mut self) {
        let user = self.pick(&["root", "ann", "bob", "eve", "nobody", ""]);
        let password = match user {
            "root" if self.chance(90) => ROOT_PASSWORD,
            _ if self.chance(90) => user,
            _ => self.pick(&["", "wrong"]),
        };
        self.call("Auth/Authenticate", json!({ "name": user, "password": password }));
    }

    fn auth_manage(&mut self) {
        let identity = if self.auth_on && self.chance(60) { "root" } else { self.identity() };
        let (method, request) = match self.rng.u8(..100) {
            0..8 => ("UserAdd", self.user_add()),
            8..14 => ("UserGet", json!({ "name": self.user() })),
            14..17 => ("UserList", json!({})),
            17..20 => ("UserDelete", json!({ "name": self.user() })),
            20..25 => ("UserChangePassword", self.password_change()),
            25..35 => ("UserGrantRole", json!({ "user": self.user(), "role": self.role() })),
            35..40 => ("UserRevokeRole", json!({ "name": self.user(), "role": self.role() })),
            40..47 => ("RoleAdd", json!({ "name": self.role() })),
            47..55 => ("RoleGet", json!({ "role": self.role() })),
            55..58 => ("RoleList", json!({})),
            58..61 => ("RoleDelete", json!({ "role": self.role() })),
            61..80 => ("RoleGrantPermission", request([("name", self.role().into()), ("perm", self.permission())])),
            80..90 => ("RoleRevokePermission", self.permission_revocation()),
            90..96 => ("AuthStatus", json!({})),
            96 => ("AuthEnable", json!({})),
            _ => ("AuthDisable", json!({})),
        };
        let identity = if method == "AuthDisable" && identity == "root" { "ann" } else { identity };
        self.call_as(identity, &format!("Auth/{method}"), request);
    }

    fn user(&mut self) -> &'static str {
        self.pick(&["root", "ann", "bob", "eve", "ann", "bob", "nobody", ""])
    }

    fn role(&mut self) -> &'static str {
        self.pick(&["root", "of-ann", "of-bob", "of-eve", "r1", "r2", "nothing", ""])
    }

    fn user_add(&mut self) -> Value {
        let user = self.user();
        let password = if user == "root" { ROOT_PASSWORD } else { user };
        let no_password = user != "root" && self.chance(10);
        request([
            ("name", user.into()),
            ("password", password.into()),
            ("options", if no_password { json!({ "no_password": true }) } else { Value::Null }),
        ])
    }

    fn password_change(&mut self) -> Value {
        let user = self.user();
        let password = match user {
            "root" => ROOT_PASSWORD,
            _ if self.chance(80) => user,
            _ => self.pick(&["", "other"]),
        };
        json!({ "name": user, "password": password })
    }

    fn permission(&mut self) -> Value {
        if self.chance(2) {
            return Value::Null;
        }
        let (key, range_end) = self.key_range();
        let range_end = if self.chance(50) { base64(b"\0") } else { range_end };
        let kind =
            if self.chance(3) { 9.into() } else { self.pick(&["READ", "WRITE", "READWRITE", "READWRITE"]).into() };
        request([("permType", kind), ("key", key), ("range_end", range_end)])
    }

    fn permission_revocation(&mut self) -> Value {
        let (key, range_end) = self.key_range();
        request([("role", self.role().into()), ("key", key), ("range_end", range_end)])
    }
}
