use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;
use crate::report::sample;

fn fresh(root: &tempfile::TempDir) -> (PathBuf, OutDir) {
    let path = root.path().join("a/b/run");
    let dir = OutDir::create(&path, false, None).unwrap();
    (path, dir)
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_written_loads_again_and_nothing_else_stays() {
    let root = tempfile::tempdir().unwrap();
    let (path, dir) = fresh(&root);
    dir.write(&sample::outage()).unwrap();
    assert_eq!(load(&path).unwrap(), sample::outage());
    assert_eq!(names(&path), ["junit.xml", "report.html", "report.json"]);
}

#[test]
fn a_report_is_not_overwritten_unasked() {
    let root = tempfile::tempdir().unwrap();
    let (path, dir) = fresh(&root);
    OutDir::create(&path, false, None).expect("without a report there is nothing to lose");
    dir.write(&sample::outage()).unwrap();
    let refused = OutDir::create(&path, false, None).unwrap_err();
    assert!(matches!(refused, Error::Occupied(_)), "{refused}");
    assert!(refused.to_string().contains("--overwrite") && refused.to_string().contains("a/b/run"));
    assert_eq!(load(&path).unwrap(), sample::outage());
}

#[test]
fn an_overwritten_report_is_gone_before_the_run_begins() {
    let root = tempfile::tempdir().unwrap();
    let (path, dir) = fresh(&root);
    dir.write(&sample::outage()).unwrap();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    let again = OutDir::create(&path, true, None).unwrap();
    assert_eq!(names(&path), ["notes.txt"]);
    again.write(&sample::quiet()).unwrap();
    assert_eq!(load(&path).unwrap(), sample::quiet());
}

#[test]
fn a_path_that_cannot_be_is_named_with_the_remedy() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = OutDir::create(&file.join("run"), false, None).unwrap_err().to_string();
    assert!(error.contains("file/run") && error.contains("--out"), "{error}");
}

#[test]
fn a_report_that_cannot_be_renamed_leaves_no_temporary_file() {
    let root = tempfile::tempdir().unwrap();
    let (path, dir) = fresh(&root);
    // A directory in its place makes the rename fail, for root too.
    fs::create_dir(path.join(REPORT)).unwrap();
    let error = dir.write(&sample::quiet()).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(names(&path), ["junit.xml", "report.html", "report.json"]);
}

#[test]
fn results_belong_to_the_user_behind_sudo() {
    // Only root can give files away; anyone can give them to themselves.
    let (euid, egid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let owner = if euid.is_root() {
        Owner { uid: 4242, gid: 4243 }
    } else {
        Owner { uid: euid.as_raw(), gid: egid.as_raw() }
    };
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("fault-runs/run");
    let dir = OutDir::create(&path, false, Some(owner)).unwrap();
    dir.write(&sample::quiet()).unwrap();
    let owned = |p: &Path| p.symlink_metadata().map(|m| (m.uid(), m.gid())).unwrap();
    // At once: a run that dies before it hands over must not leave a report of root's.
    assert_eq!(owned(&path.join(REPORT)), (owner.uid, owner.gid));
    fs::create_dir(path.join("apps")).unwrap();
    fs::write(path.join("apps/sender.stdout"), "hello").unwrap();
    let outside = root.path().join("outside");
    fs::write(&outside, "not part of the run").unwrap();
    symlink(&outside, path.join("apps/link")).unwrap();
    dir.hand_over().unwrap();

    for given in [
        "",
        "..",
        "report.json",
        "report.html",
        "junit.xml",
        "apps",
        "apps/sender.stdout",
        "apps/link",
    ] {
        assert_eq!(owned(&path.join(given)), (owner.uid, owner.gid), "{given:?}");
    }
    for kept in [root.path(), &outside] {
        assert_eq!(owned(kept), (euid.as_raw(), egid.as_raw()), "{kept:?} was there before");
    }
}

#[test]
fn the_ids_of_sudo_must_be_numbers() {
    let with = |uid: &'static str, gid: &'static str| {
        Owner::from_values(move |name| Some(if name == "SUDO_UID" { uid } else { gid }.to_owned()))
    };
    assert_eq!(with("1000", "100").unwrap(), Some(Owner { uid: 1000, gid: 100 }));
    assert_eq!(Owner::from_values(|_| None).unwrap(), None);
    let error = with("1000", "users").unwrap_err().to_string();
    assert!(error.contains("SUDO_GID") && error.contains("users"), "{error}");
}

#[track_caller]
fn load_fails(dir: &Path, says: &str) {
    let error = load(dir).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn what_is_no_report_does_not_load() {
    let root = tempfile::tempdir().unwrap();
    load_fails(root.path(), "holds no report.json");
    load_fails(&root.path().join("nowhere"), "holds no report.json");
    let put = |text: &str| fs::write(root.path().join(REPORT), text).unwrap();
    put("{\"schema\": 2, \"other\": []}");
    load_fails(root.path(), "has schema 2, this flowfault reads schema 1");
    put("{\"schema\": 1}");
    load_fails(root.path(), "not a report of flowfault: missing field `name`");
    put("{\"schema\": 1, \"name");
    load_fails(root.path(), "EOF while parsing");
}

#[test]
fn what_an_overwritten_run_logged_is_gone_too() {
    let root = tempfile::tempdir().unwrap();
    let (path, dir) = fresh(&root);
    dir.write(&sample::outage()).unwrap();
    fs::create_dir(path.join("apps")).unwrap();
    for name in ["events.jsonl", "apps/old.stdout", "apps/old.stderr", "apps/s.exec", "apps/mine"] {
        fs::write(path.join(name), "old").unwrap();
    }
    OutDir::create(&path, true, None).unwrap();
    assert_eq!(names(&path), ["apps"]);
    assert_eq!(names(&path.join("apps")), ["mine"]);
}

#[test]
fn two_runs_of_one_second_have_a_directory_each() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("fault-runs/name-20260102-030405");
    let made: Vec<OutDir> = (0..3).map(|_| OutDir::create_new(&path, None).unwrap()).collect();
    let name = |d: &OutDir| d.path().file_name().unwrap().to_str().unwrap().to_owned();
    let first = "name-20260102-030405";
    let expected = [first.to_owned(), format!("{first}-2"), format!("{first}-3")];
    assert_eq!(made.iter().map(name).collect::<Vec<_>>(), expected);
}
