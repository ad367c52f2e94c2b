//! user.

use crate::args::UserCommand;
use crate::context::{Ctl, none, one};
use crate::error::CtlError;
use crate::print::{RoleShown, TextResponse, UserShown, say};
use admin_client::Repeat;
use proto::authpb::UserAddOptions;
use proto::etcdserverpb::{
    AuthRoleGetRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};

pub(super) async fn run(ctl: &Ctl, command: UserCommand) -> Result<(), CtlError> {
    match command {
        UserCommand::Add { args, interactive, new_user_password, no_password } => {
            let name = one(&args, "user add command requires user name as its argument")?;
            add(ctl, name, interactive, &new_user_password, no_password).await
        }
        UserCommand::Delete(args) => {
            let name = one(&args.args, "user delete command requires user name as its argument")?;
            let request = AuthUserDeleteRequest { name: name.to_owned() };
            let response = ctl
                .client
                .call(Repeat::Unsafe, async |session| session.auth().user_delete(request.clone()).await)
                .await?;
            let text = format!("User {name} deleted\n");
            ctl.printer.show(&TextResponse { text, header: response.header.as_ref(), names: None, message: &response })
        }
        UserCommand::Get { args, detail } => {
            get(ctl, one(&args, "user get command requires user name as its argument")?, detail).await
        }
        UserCommand::List(args) => {
            none(&args.args, "user list command requires no arguments")?;
            let response = ctl
                .client
                .call(Repeat::Safe, async |session| session.auth().user_list(AuthUserListRequest {}).await)
                .await?;
            let text = response.users.iter().map(|user| format!("{user}\n")).collect();
            ctl.printer.show(&TextResponse {
                text,
                header: response.header.as_ref(),
                names: Some(("users", &response.users)),
                message: &response,
            })
        }
        UserCommand::Passwd { args, interactive } => {
            let name = one(&args, "user passwd command requires user name as its argument")?;
            change_password(ctl, name, interactive).await
        }
        UserCommand::GrantRole(args) => {
            let [user, role] = two(&args.args, "user grant command requires user name and role name as its argument")?;
            let request = AuthUserGrantRoleRequest { user: user.clone(), role: role.clone() };
            let response = ctl
                .client
                .call(Repeat::Unsafe, async |session| session.auth().user_grant_role(request.clone()).await)
                .await?;
            let text = format!("Role {role} is granted to user {user}\n");
            ctl.printer.show(&TextResponse { text, header: response.header.as_ref(), names: None, message: &response })
        }
        UserCommand::RevokeRole(args) => {
            let [name, role] = two(&args.args, "user revoke-role requires user name and role name as its argument")?;
            let request = AuthUserRevokeRoleRequest { name: name.clone(), role: role.clone() };
            let response = ctl
                .client
                .call(Repeat::Unsafe, async |session| session.auth().user_revoke_role(request.clone()).await)
                .await?;
            let text = format!("Role {role} is revoked from user {name}\n");
            ctl.printer.show(&TextResponse { text, header: response.header.as_ref(), names: None, message: &response })
        }
    }
}

async fn change_password(ctl: &Ctl, name: &str, interactive: bool) -> Result<(), CtlError> {
    let password = if interactive { ask(name)? } else { read()? };
    let request = AuthUserChangePasswordRequest { name: name.to_owned(), password, hashed_password: String::new() };
    let response = ctl
        .client
        .call(Repeat::Unsafe, async |session| session.auth().user_change_password(request.clone()).await)
        .await?;
    ctl.printer.show(&TextResponse {
        text: "Password updated\n".to_owned(),
        header: response.header.as_ref(),
        names: None,
        message: &response,
    })
}

fn two<'a>(args: &'a [String], text: &str) -> Result<&'a [String; 2], CtlError> {
    args.try_into().map_err(|_| CtlError::arguments(text))
}

async fn add(ctl: &Ctl, arg: &str, interactive: bool, given: &str, no_password: bool) -> Result<(), CtlError> {
    let (name, password) = match arg.split_once(':') {
        _ if no_password => (arg.to_owned(), String::new()),
        _ if !given.is_empty() => (arg.to_owned(), given.to_owned()),
        Some(("", _)) => return Err(CtlError::arguments("empty user name is not allowed")),
        Some((name, password)) => (name.to_owned(), password.to_owned()),
        None if interactive => (arg.to_owned(), ask(arg)?),
        None => (arg.to_owned(), read()?),
    };
    let options = Some(UserAddOptions { no_password });
    let request = AuthUserAddRequest { name: name.clone(), password, options, hashed_password: String::new() };
    let response =
        ctl.client.call(Repeat::Unsafe, async |session| session.auth().user_add(request.clone()).await).await?;
    ctl.printer.show(&TextResponse {
        text: format!("User {name} created\n"),
        header: response.header.as_ref(),
        names: None,
        message: &response,
    })
}

async fn get(ctl: &Ctl, name: &str, detail: bool) -> Result<(), CtlError> {
    let request = AuthUserGetRequest { name: name.to_owned() };
    let response =
        ctl.client.call(Repeat::Safe, async |session| session.auth().user_get(request.clone()).await).await?;
    if !detail {
        return ctl.printer.show(&UserShown { name, response: &response });
    }
    say(format!("User: {name}\n").as_bytes())?;
    for role in &response.roles {
        say(b"\n")?;
        let request = AuthRoleGetRequest { role: role.clone() };
        let response =
            ctl.client.call(Repeat::Safe, async |session| session.auth().role_get(request.clone()).await).await?;
        ctl.printer.show(&RoleShown { name: role, response: &response })?;
    }
    Ok(())
}

/// The first word of the input.
fn read() -> Result<String, CtlError> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Asks twice at the terminal.
fn ask(name: &str) -> Result<String, CtlError> {
    let failed = |error: std::io::Error| CtlError::arguments(format!("failed to ask password: {error}"));
    let first = rpassword::prompt_password(format!("Password of {name}: ")).map_err(failed)?;
    if first.is_empty() {
        return Err(CtlError::arguments("empty password"));
    }
    let again =
        rpassword::prompt_password(format!("Type password of {name} again for confirmation: ")).map_err(failed)?;
    if first == again { Ok(first) } else { Err(CtlError::arguments("given passwords are different")) }
}
