//! Whom an app runs as: the invoking user (the one behind sudo) unless the scenario says so.

use nix::unistd::{Gid, Uid, User};

use super::AppError;

/// A user to become.
#[derive(Debug, Clone)]
pub struct Identity {
    /// User id.
    pub uid: Uid,
    /// Primary group id.
    pub gid: Gid,
    /// Login name, for its other groups.
    pub name: String,
    /// Home directory, for HOME.
    pub home: String,
}

/// Resolves `user` of app `app`. `None`: stay who we are.
///
/// # Errors
/// No such user.
pub fn resolve(app: &str, user: Option<&str>) -> Result<Option<Identity>, AppError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    match user {
        Some(user) => {
            let missing = || AppError::NoUser { app: app.into(), user: user.into() };
            let found = match user.parse() {
                Ok(uid) => User::from_uid(Uid::from_raw(uid)),
                Err(_) => User::from_name(user),
            };
            let found = found.ok().flatten().ok_or_else(missing)?;
            Ok(Some(identity(found)))
        }
        None => Ok(behind_sudo().map(identity)),
    }
}

/// The user who called sudo, if that is how we became root.
fn behind_sudo() -> Option<User> {
    let uid: u32 = std::env::var("SUDO_UID").ok()?.parse().ok()?;
    if uid == 0 { None } else { User::from_uid(Uid::from_raw(uid)).ok().flatten() }
}

fn identity(user: User) -> Identity {
    Identity {
        uid: user.uid,
        gid: user.gid,
        name: user.name,
        home: user.dir.to_string_lossy().into_owned(),
    }
}
