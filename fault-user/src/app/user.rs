//! Whom an app runs as: the invoking user (the one behind sudo) unless the scenario says so.

use std::ffi::CString;

use nix::unistd::{Gid, Uid, User, getgrouplist};

use super::AppError;

/// A user to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: Uid,
    /// Primary group id.
    pub gid: Gid,
    /// All of its groups.
    pub groups: Vec<Gid>,
    /// Login name; the uid for a user without one.
    pub name: String,
    /// Home directory, for HOME.
    pub home: String,
}

/// Resolves `user` of app `app`. `None`: stay who we are.
///
/// # Errors
/// No such user, the user database cannot be read, or sudo's variables are unusable: never is a
/// program started as root instead.
pub fn resolve(app: &str, user: Option<&str>) -> Result<Option<Identity>, AppError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    match user {
        Some(user) => {
            let found = match user.parse() {
                Ok(uid) => User::from_uid(Uid::from_raw(uid)),
                Err(_) => User::from_name(user),
            };
            let missing = || AppError::NoUser { app: app.into(), user: user.into() };
            let found = found.map_err(unreadable(user))?.ok_or_else(missing)?;
            identity(found).map(Some)
        }
        None => behind_sudo(|name| std::env::var(name).ok()),
    }
}

/// The user who called sudo, if that is how we became root. It need not be in the user database:
/// in a container often only its numbers are known.
fn behind_sudo(
    value: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<Identity>, AppError> {
    let number = |name: &'static str| -> Result<Option<u32>, AppError> {
        let Some(value) = value(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| AppError::Sudo { name, found: format!("{value:?}") })
    };
    let Some(uid) = number("SUDO_UID")?.filter(|uid| *uid != 0) else { return Ok(None) };
    let found = User::from_uid(Uid::from_raw(uid)).map_err(unreadable(&uid.to_string()))?;
    if let Some(user) = found {
        return identity(user).map(Some);
    }
    let missing = || AppError::Sudo { name: "SUDO_GID", found: "not set".into() };
    let gid = Gid::from_raw(number("SUDO_GID")?.ok_or_else(missing)?);
    let uid = Uid::from_raw(uid);
    Ok(Some(Identity { uid, gid, groups: vec![gid], name: uid.to_string(), home: "/".into() }))
}

fn unreadable(user: &str) -> impl FnOnce(nix::Error) -> AppError {
    AppError::io_of(format!("look up user {user}"))
}

fn identity(user: User) -> Result<Identity, AppError> {
    let look_up = || AppError::io_of(format!("look up the groups of user {}", user.name));
    let name = CString::new(user.name.as_str()).map_err(|_| look_up()(nix::Error::EINVAL))?;
    let groups = getgrouplist(&name, user.gid).map_err(look_up())?;
    Ok(Identity {
        uid: user.uid,
        gid: user.gid,
        groups,
        home: user.dir.to_string_lossy().into_owned(),
        name: user.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A uid that nobody has.
    const NOBODYS: &str = "3999999999";

    fn behind(uid: &str, gid: Option<&str>) -> Result<Option<Identity>, AppError> {
        let (uid, gid) = (uid.to_owned(), gid.map(str::to_owned));
        behind_sudo(|name| if name == "SUDO_UID" { Some(uid.clone()) } else { gid.clone() })
    }

    #[test]
    fn a_user_without_an_entry_has_its_numbers() {
        let found = behind(NOBODYS, Some("4711")).unwrap().expect("not root");
        assert_eq!((found.uid.as_raw(), found.gid.as_raw()), (3_999_999_999, 4711));
        assert_eq!(found.groups, [Gid::from_raw(4711)]);
    }

    #[test]
    fn a_user_that_cannot_be_become_is_refused_and_not_root() {
        for (uid, gid, named) in [(NOBODYS, None, "SUDO_GID"), ("me", Some("0"), "SUDO_UID")] {
            let refused = behind(uid, gid).unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
        assert_eq!(behind("0", None).unwrap(), None, "root behind sudo is root");
    }
}
