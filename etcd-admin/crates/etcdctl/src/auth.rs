//! auth and role.

use crate::args::{AuthCommand, PermissionArgs, RoleCommand};
use crate::context::{Ctl, none, one};
use crate::error::CtlError;
use crate::keys::prefix_end;
use crate::print::{AuthStatus, PermissionRevoked, RoleShown, TextResponse, say};
use admin_client::{CallError, Repeat};
use bytes::Bytes;
use proto::authpb::{Permission, permission::Type};
use proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest, AuthStatusRequest,
    AuthUserGrantRoleRequest,
};

const ROOT: &str = "root";
const NO_ROOT_ROLE: &str = "etcdserver: root user does not have root role";

pub(super) async fn run(ctl: &Ctl, command: &AuthCommand) -> Result<(), CtlError> {
    match command {
        AuthCommand::Enable(args) => {
            none(&args.args, "auth enable command does not accept any arguments")?;
            enable(ctl).await?;
            say(b"Authentication Enabled\n")
        }
        AuthCommand::Disable(args) => {
            none(&args.args, "auth disable command does not accept any arguments")?;
            ctl.client
                .call(Repeat::Unsafe, async |session| session.auth().auth_disable(AuthDisableRequest {}).await)
                .await?;
            say(b"Authentication Disabled\n")
        }
        AuthCommand::Status(args) => {
            none(&args.args, "auth status command does not accept any arguments")?;
            let asked = ctl
                .client
                .call(Repeat::Safe, async |session| session.auth().auth_status(AuthStatusRequest {}).await)
                .await?;
            ctl.printer.show(&AuthStatus(asked))
        }
    }
}

/// Gives the user root its role first, if that is all that is missing.
async fn enable(ctl: &Ctl) -> Result<(), CallError> {
    let enable = async || {
        ctl.client.call(Repeat::Unsafe, async |session| session.auth().auth_enable(AuthEnableRequest {}).await).await
    };
    match enable().await {
        Err(CallError::Status { status, .. }) if status.message() == NO_ROOT_ROLE => {
            let role = AuthRoleAddRequest { name: ROOT.to_owned() };
            ctl.client.call(Repeat::Unsafe, async |session| session.auth().role_add(role.clone()).await).await?;
            let grant = AuthUserGrantRoleRequest { user: ROOT.to_owned(), role: ROOT.to_owned() };
            ctl.client
                .call(Repeat::Unsafe, async |session| session.auth().user_grant_role(grant.clone()).await)
                .await?;
            enable().await.map(drop)
        }
        other => other.map(drop),
    }
}

pub(super) async fn role(ctl: &Ctl, command: &RoleCommand) -> Result<(), CtlError> {
    match command {
        RoleCommand::Add(args) => {
            let name = one(&args.args, "role add command requires role name as its argument")?;
            let request = AuthRoleAddRequest { name: name.to_owned() };
            let response =
                ctl.client.call(Repeat::Unsafe, async |session| session.auth().role_add(request.clone()).await).await?;
            let text = format!("Role {name} created\n");
            ctl.printer.show(&TextResponse { text, header: response.header.as_ref(), names: None, message: &response })
        }
        RoleCommand::Delete(args) => {
            let name = one(&args.args, "role delete command requires role name as its argument")?;
            let request = AuthRoleDeleteRequest { role: name.to_owned() };
            let response = ctl
                .client
                .call(Repeat::Unsafe, async |session| session.auth().role_delete(request.clone()).await)
                .await?;
            let text = format!("Role {name} deleted\n");
            ctl.printer.show(&TextResponse { text, header: response.header.as_ref(), names: None, message: &response })
        }
        RoleCommand::Get(args) => {
            let name = one(&args.args, "role get command requires role name as its argument")?;
            let request = AuthRoleGetRequest { role: name.to_owned() };
            let response =
                ctl.client.call(Repeat::Safe, async |session| session.auth().role_get(request.clone()).await).await?;
            ctl.printer.show(&RoleShown { name, response: &response })
        }
        RoleCommand::List(args) => {
            none(&args.args, "role list command requires no arguments")?;
            let response = ctl
                .client
                .call(Repeat::Safe, async |session| session.auth().role_list(AuthRoleListRequest {}).await)
                .await?;
            let text = response.roles.iter().map(|role| format!("{role}\n")).collect();
            ctl.printer.show(&TextResponse {
                text,
                header: response.header.as_ref(),
                names: Some(("roles", &response.roles)),
                message: &response,
            })
        }
        RoleCommand::GrantPermission(args) => grant(ctl, args).await,
        RoleCommand::RevokePermission(args) => revoke(ctl, args).await,
    }
}

/// The range of a permission: a key, a range, a prefix, or everything from a key on.
fn range(values: &[String], args: &PermissionArgs) -> Result<(Bytes, Bytes), CtlError> {
    const BOTH: &str = "--from-key and --prefix flags are mutually exclusive";
    const OPEN: &[u8] = b"\0";
    let key = values.first().map(String::as_str).unwrap_or_default();
    if key.is_empty() {
        if args.prefix && args.from_key {
            return Err(CtlError::arguments(BOTH));
        }
        // The empty key stands for the first one; with a flag, for all.
        let end = if args.prefix || args.from_key { OPEN } else { b"" };
        return Ok((Bytes::from_static(OPEN), Bytes::copy_from_slice(end)));
    }
    let end = match (values.get(1), args.prefix, args.from_key) {
        (None, true, true) => return Err(CtlError::arguments(BOTH)),
        (None, true, false) => prefix_end(key.as_bytes()),
        (None, false, true) => OPEN.to_vec(),
        (None, false, false) => Vec::new(),
        (Some(_), true, _) => return Err(CtlError::arguments("unexpected endkey argument with --prefix flag")),
        (Some(_), false, true) => return Err(CtlError::arguments("unexpected endkey argument with --from-key flag")),
        (Some(end), false, false) => end.clone().into_bytes(),
    };
    Ok((Bytes::copy_from_slice(key.as_bytes()), end.into()))
}

async fn grant(ctl: &Ctl, args: &PermissionArgs) -> Result<(), CtlError> {
    let [name, kind, keys @ ..] = args.args.as_slice() else {
        return Err(CtlError::arguments(
            "role grant command requires role name, permission type, and key [endkey] as its argument",
        ));
    };
    if keys.is_empty() {
        return Err(CtlError::arguments(
            "role grant command requires role name, permission type, and key [endkey] as its argument",
        ));
    }
    let perm_type = match kind.to_uppercase().as_str() {
        "READ" => Type::Read,
        "WRITE" => Type::Write,
        "READWRITE" => Type::Readwrite,
        _ => return Err(CtlError::arguments(format!("invalid permission type: {kind}"))),
    };
    let (key, range_end) = range(keys, args)?;
    let perm = Some(Permission { perm_type: perm_type.into(), key, range_end });
    let request = AuthRoleGrantPermissionRequest { name: name.clone(), perm };
    let response = ctl
        .client
        .call(Repeat::Unsafe, async |session| session.auth().role_grant_permission(request.clone()).await)
        .await?;
    ctl.printer.show(&TextResponse {
        text: format!("Role {name} updated\n"),
        header: response.header.as_ref(),
        names: None,
        message: &response,
    })
}

async fn revoke(ctl: &Ctl, args: &PermissionArgs) -> Result<(), CtlError> {
    let (role, keys) = match args.args.as_slice() {
        [role, keys @ ..] if !keys.is_empty() => (role, keys),
        _ => {
            return Err(CtlError::arguments(
                "role revoke-permission command requires role name and key [endkey] as its argument",
            ));
        }
    };
    let (key, range_end) = range(keys, args)?;
    let request =
        AuthRoleRevokePermissionRequest { role: role.clone(), key: key.clone(), range_end: range_end.clone() };
    let response = ctl
        .client
        .call(Repeat::Unsafe, async |session| session.auth().role_revoke_permission(request.clone()).await)
        .await?;
    ctl.printer.show(&PermissionRevoked {
        role,
        key: &key,
        end: &range_end,
        header: response.header.as_ref(),
        message: &response,
    })
}
