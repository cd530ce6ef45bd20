//! The escrow's directory: whether an answer that is sealed there is still there when it is needed.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::Escrow;
use crate::escrow::{self, KubernetesSecret, check_secret, examine_directory};

const ABOUT: &str = "escrow";

/// Less room than this is soon full: one answer takes 128 KiB.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// Looks at the escrow's directory and at what it lies on; `root` is the root directory of this machine.
pub fn look_at_escrow(root: &Path, escrow: &Escrow) -> Vec<Finding> {
    let mut found = vec![look_at_directory(&escrow.dir)];
    match &escrow.kubernetes_secret {
        Some(secret) => found.push(look_at_copies(secret)),
        None => found.extend(look_at_ground(root, &escrow.dir)),
    }
    if escrow.recipients.is_empty() {
        let what =
            "no recipients: an answer can be opened with the record in Vault alone, not if Vault is lost";
        found.push(
            Finding::ok(ABOUT, what)
                .help("a public age key in escrow.recipients lets operators break the glass"),
        );
    }
    found
}

fn look_at_directory(dir: &Path) -> Finding {
    let shown = dir.display();
    if dir.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return look_at_future_home(dir);
    }
    match examine_directory(dir) {
        Ok(seen) if seen.free_bytes < FREE_BYTES_MIN => {
            let what = format!(
                "{shown} has only {} KiB left; no provider is called when it is full",
                seen.free_bytes >> 10
            );
            Finding::warning(ABOUT, what).help("give the volume space")
        }
        Ok(seen) => {
            let tried = if seen.wrote.is_some() { "a file and the directory" } else { "the directory" };
            let what = format!(
                "{shown} is keyturn's alone, {} MiB are free, {tried} can be synced",
                seen.free_bytes >> 20
            );
            Finding::ok(ABOUT, what)
        }
        Err(error @ escrow::Error::InsecureDirectory { .. }) => {
            let help =
                "run doctor as the user that keyturn runs as; give that user the directory, with mode 0700";
            Finding::problem(ABOUT, said(&error)).help(help).code(error.code())
        }
        Err(error) => Finding::problem(ABOUT, said(&error)).code(error.code()),
    }
}

/// The directory is made at the first start, so what it will be made in is looked at.
fn look_at_future_home(dir: &Path) -> Finding {
    let home = existing(dir);
    let writable = rustix::fs::access(&home, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    match writable {
        Ok(()) => Finding::ok(
            ABOUT,
            format!("{} does not exist yet; keyturn makes it when it starts", dir.display()),
        ),
        Err(error) => {
            let what = format!("{} does not exist, and this user cannot make it: {error}", dir.display());
            Finding::problem(ABOUT, what)
                .help(format!("make it, or let keyturn's user write to {}", home.display()))
                .code("ESCROW_DISK")
        }
    }
}

fn existing(dir: &Path) -> PathBuf {
    let found = dir.ancestors().skip(1).find(|place| place.is_dir()).map(Path::to_owned);
    found.unwrap_or_else(|| PathBuf::from("/"))
}

/// With copies in the cluster it does not matter what the directory outlives.
fn look_at_copies(secret: &KubernetesSecret) -> Finding {
    match check_secret(secret) {
        Ok(()) => {
            Finding::ok(ABOUT, format!("copies of answers can be kept in Kubernetes Secret {}", secret.name))
        }
        Err(error) => Finding::problem(ABOUT, said(&error)).code(error.code()),
    }
}

/// Says where the directory does not outlive what keyturn is expected to outlive.
fn look_at_ground(root: &Path, dir: &Path) -> Option<Finding> {
    let text = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let place = if dir.is_dir() { dir.to_owned() } else { existing(dir) };
    let mount = Mount::of(&text, &place.canonicalize().unwrap_or(place))?;
    let shown = dir.display();
    let (ground, ends_with) = match mount.kind {
        "tmpfs" | "ramfs" => ("in memory", "a restart of the machine or the end of the pod"),
        "overlay" => ("in the container's own layer", "every restart of the container"),
        _ if mount.origin.contains("kubernetes.io~empty-dir") => ("on an emptyDir", "the end of the pod"),
        _ => return None,
    };
    let what = format!(
        "{shown} is {ground} and does not survive {ends_with}; an answer that waits there for Vault is then lost, as if it \
         had never arrived"
    );
    let help = "put it on a persistent volume of this replica alone (a StatefulSet's), below the mount point, or let \
                escrow.kubernetes_secret keep copies";
    Some(Finding::warning(ABOUT, what).help(help).code("ESCROW_NOT_DURABLE"))
}

/// One line of mountinfo.
struct Mount<'a> {
    origin: &'a str,
    kind: &'a str,
}

impl<'a> Mount<'a> {
    /// The mount that a place is on: the longest mount point above it, and of these the last.
    fn of(mountinfo: &'a str, place: &Path) -> Option<Self> {
        let parsed = mountinfo.lines().filter_map(|line| {
            // "36 35 98:0 /origin /mount/point options [optional…] - kind source …"; a blank is \040.
            let (before, after) = line.split_once(" - ")?;
            let mut columns = before.split(' ').skip(3);
            let (origin, point) = (columns.next()?, columns.next()?.replace("\\040", " "));
            let kind = after.split(' ').next()?;
            place.starts_with(&point).then_some((point.len(), Self { origin, kind }))
        });
        parsed.max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
    }
}

fn said(error: &escrow::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error} ({cause})"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Level;
    use super::*;

    fn escrow(dir: &Path) -> Escrow {
        Escrow { dir: dir.to_owned(), recipients: vec!["age1x".into()], kubernetes_secret: None }
    }

    /// A root directory whose mount table says that `dir` lies on a file system of this kind.
    fn root(dir: &Path, origin: &str, kind: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let dir = dir.canonicalize().unwrap();
        let table = format!(
            "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
             36 21 0:40 {origin} {} rw,relatime shared:7 master:2 - {kind} none rw\n",
            dir.display().to_string().replace(' ', "\\040")
        );
        fs::write(root.path().join("proc/self/mountinfo"), table).unwrap();
        root
    }

    fn private(home: &Path) -> PathBuf {
        let dir = home.join("an escrow");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    #[test]
    fn what_does_not_survive_is_said_and_a_disk_is_not() {
        let home = tempfile::tempdir().unwrap();
        let dir = private(home.path());
        let empty_dir = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/escrow";
        for (origin, kind, part) in [
            ("/", "tmpfs", "in memory"),
            ("/", "overlay", "the container's own layer"),
            (empty_dir, "ext4", "on an emptyDir"),
            (empty_dir, "tmpfs", "in memory"),
        ] {
            let found = look_at_escrow(root(&dir, origin, kind).path(), &escrow(&dir));
            assert_eq!(found.len(), 2, "{found:#?}");
            assert_eq!((found[0].level, found[1].level), (Level::Ok, Level::Warning), "{found:#?}");
            assert!(found[1].what.contains(part), "{found:#?}");
        }
        for kind in ["ext4", "xfs", "nfs4"] {
            let found = look_at_escrow(root(&dir, "/data", kind).path(), &escrow(&dir));
            assert_eq!(found.len(), 1, "{found:#?}");
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "a trace was left");
    }

    #[test]
    fn a_directory_that_others_can_enter_is_a_problem_and_an_absent_one_is_none() {
        let home = tempfile::tempdir().unwrap();
        let dir = private(home.path());
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
        let finding = look_at_directory(&dir);
        assert_eq!((finding.level, finding.code), (Level::Problem, Some("ESCROW_DIRECTORY_INSECURE")));
        let absent = look_at_directory(&home.path().join("not/yet/there"));
        assert_eq!(absent.level, Level::Ok, "{absent:#?}");
        assert!(!home.path().join("not").exists());
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(look_at_directory(&file).level, Level::Problem);
    }

    #[test]
    fn the_deepest_mount_counts_and_of_two_at_one_place_the_last() {
        let table = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /data rw - xfs b rw\n3 2 0:9 / /data rw - tmpfs c rw\n\
                     4 1 8:3 / /database rw - btrfs d rw\n";
        for (place, kind) in [("/data/escrow", "tmpfs"), ("/database/x", "btrfs"), ("/etc", "ext4")] {
            assert_eq!(Mount::of(table, Path::new(place)).unwrap().kind, kind, "{place}");
        }
    }
}
