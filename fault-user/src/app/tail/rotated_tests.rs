use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, Write as _};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn tail(&self) -> Tail {
        Tail::new(self.path())
    }

    /// As an app opens it.
    fn writer(&self) -> File {
        OpenOptions::new().append(true).create(true).open(self.path()).unwrap()
    }

    fn rename(&self, to: &str) {
        fs::rename(self.path(), self.dir.path().join(to)).unwrap();
    }
}

fn look(tail: &mut Tail) -> Vec<String> {
    tail.look().unwrap().iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect()
}

#[test]
fn what_was_there_is_passed_over_and_what_is_no_line_yet_is_waited_for() {
    let scene = Scene::new();
    let mut app = scene.writer();
    app.write_all(b"old\n").unwrap();
    let mut tail = scene.tail();
    assert_eq!(look(&mut tail), [""; 0]);
    app.write_all(b"one\ntw").unwrap();
    assert_eq!(look(&mut tail), ["one"]);
    app.write_all(b"o\n").unwrap();
    assert_eq!(look(&mut tail), ["two"]);
}

#[test]
fn a_file_that_appears_later_is_read_from_its_beginning() {
    let scene = Scene::new();
    let mut tail = scene.tail();
    assert_eq!(look(&mut tail), [""; 0]);
    scene.writer().write_all(b"one\n").unwrap();
    assert_eq!(look(&mut tail), ["one"]);
}

#[test]
fn after_a_rename_the_old_file_is_read_to_its_end_first() {
    let scene = Scene::new();
    let mut tail = scene.tail();
    let mut old = scene.writer();
    old.write_all(b"one\n").unwrap();
    assert_eq!(look(&mut tail), ["one"]);
    scene.rename("log.1");
    assert_eq!(look(&mut tail), [""; 0]);
    old.write_all(b"two\n").unwrap();
    let mut new = scene.writer();
    assert_eq!(look(&mut tail), ["two"], "the new one is empty: nobody writes there yet");
    old.write_all(b"three\nfo").unwrap();
    new.write_all(b"ur\nfive\n").unwrap();
    assert_eq!(look(&mut tail), ["three", "four", "five"], "a line in two files");
    old.write_all(b"late\n").unwrap();
    new.write_all(b"six\n").unwrap();
    assert_eq!(look(&mut tail), ["late", "six"]);
}

#[test]
fn what_is_cut_off_is_read_anew_whether_it_is_shorter_or_longer_by_then() {
    for more in ["short\n", "a line that is longer than all that was there before\nand one more\n"]
    {
        let scene = Scene::new();
        let mut tail = scene.tail();
        let mut app = scene.writer();
        app.write_all(b"first\nsecond\nhal").unwrap();
        assert_eq!(look(&mut tail), ["first", "second"]);
        app.set_len(0).unwrap();
        app.write_all(b"f\n").unwrap();
        app.write_all(more.as_bytes()).unwrap();
        let want: Vec<&str> = ["half"].into_iter().chain(more.lines()).collect();
        assert_eq!(look(&mut tail), want);
    }
}

#[test]
fn a_hole_before_the_place_where_a_writer_goes_on_is_no_text() {
    let scene = Scene::new();
    let mut tail = scene.tail();
    let mut app = File::create(scene.path()).unwrap();
    app.write_all(b"first\n").unwrap();
    assert_eq!(look(&mut tail), ["first"]);
    app.set_len(0).unwrap();
    assert_eq!(app.stream_position().unwrap(), 6, "not opened for appending");
    app.write_all(b"second\n").unwrap();
    assert_eq!(look(&mut tail), ["second"]);
}

#[derive(Debug, Clone, Copy)]
enum Act {
    /// So many bytes of what is still to be written.
    Write(usize),
    /// Renames the file; the app goes on in the old one.
    Rename,
    /// The app opens the path anew.
    Reopen,
    /// Copies it and cuts it off, when all of it has been read.
    Cut,
    Look,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(
        prop_oneof![
            6 => (1usize..40).prop_map(Act::Write),
            1 => Just(Act::Rename),
            2 => Just(Act::Reopen),
            1 => Just(Act::Cut),
            3 => Just(Act::Look),
        ],
        1..80,
    )
}

proptest! {
    /// However the file is rotated between looks and wherever lines are cut in two, each line is read once, in order.
    #[test]
    fn nothing_is_lost_or_read_twice(acts in acts()) {
        let scene = Scene::new();
        let mut tail = scene.tail();
        let mut app = scene.writer();
        let (mut written, mut text, mut found) = (0, String::new(), Vec::new());
        // Renamed, and the app has not opened the new one; renamed since the last look.
        let (mut behind, mut renamed) = (false, 0);
        for n in 0..200 {
            text += &format!("line {n}\n");
        }
        for act in acts {
            match act {
                Act::Write(n) => {
                    let to = (written + n).min(text.len());
                    app.write_all(&text.as_bytes()[written..to]).unwrap();
                    written = to;
                }
                Act::Rename if !behind && app.metadata().unwrap().len() > 0 => {
                    // Two between two looks: nobody knows of the one in the middle.
                    found.extend(look(&mut tail));
                    renamed += 1;
                    scene.rename(&format!("log.{renamed}"));
                    behind = true;
                }
                Act::Reopen => {
                    app = scene.writer();
                    behind = false;
                }
                Act::Cut if !behind => {
                    found.extend(look(&mut tail));
                    app.set_len(0).unwrap();
                }
                Act::Look => found.extend(look(&mut tail)),
                _ => {}
            }
        }
        found.extend(look(&mut tail));
        let want: Vec<&str> = text[..written].split_inclusive('\n').filter(|l| l.ends_with('\n')).map(str::trim_end).collect();
        prop_assert_eq!(found, want);
    }
}
