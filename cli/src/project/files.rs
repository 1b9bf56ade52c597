//! Whether the files that a manifest names are there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hatchway_proto::catalog::Runtime;
use hatchway_proto::manifest::{Diagnostic, Function, nearest};
use walkdir::WalkDir;

use super::{Home, Located};

/// Where a sandbox looks for a program without a `/` in its name.
const SANDBOX_PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// The package of a function whose files are all there.
///
/// # Errors
/// Each file that is not.
pub(super) fn locate(home: &Home, function: &Function) -> Result<PathBuf, Vec<Diagnostic>> {
    let source = &home.manifest.source;
    let written = home.folder.join(&function.package);
    let root = written.canonicalize().ok().filter(|root| root.is_dir()).ok_or_else(|| {
        let message = format!("there is no folder {:?}", function.package);
        vec![with_neighbour(
            source.at(function.places.package.clone(), message),
            &home.folder,
            &function.package,
        )]
    })?;
    let wrong = |message: String| source.at(function.places.runtime.clone(), message);
    let mut mistakes = Vec::new();
    match &function.runtime {
        Runtime::NodeHandler { module: file, .. }
        | Runtime::NodeMain { script: file }
        | Runtime::PythonHandler { module: file, .. } => {
            mistakes.extend(missing_file(&root, file, wrong));
        }
        Runtime::PythonApp { module, attribute } => {
            if python_module(&root, module).is_none() {
                mistakes.push(missing_module(&root, module, attribute, wrong));
            }
        }
        Runtime::Command { argv } => mistakes.extend(missing_program(&root, &argv[0], wrong)),
    }
    if let (Some(assets), Some(place)) = (&function.assets, &function.places.assets) {
        mistakes.extend(wrong_assets(&root, assets, |message| source.at(place.clone(), message)));
    }
    if mistakes.is_empty() { Ok(root) } else { Err(mistakes) }
}

/// Suggests the entry of `file`'s folder whose name is nearest to it.
fn with_neighbour(mistake: Diagnostic, root: &Path, file: &str) -> Diagnostic {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten();
    let names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let stem = |name: &str| name.split('.').next().map(str::to_owned);
    let same_stem = names.iter().find(|other| stem(other) == stem(name) && other.contains('.'));
    let meant = nearest(name, names.iter().map(String::as_str)).or(same_stem.map(String::as_str));
    match meant {
        Some(meant) if folder.is_empty() => mistake.with_help(format!("did you mean {meant:?}?")),
        Some(meant) => mistake.with_help(format!("did you mean \"{folder}/{meant}\"?")),
        None => mistake,
    }
}

fn missing_file(
    root: &Path,
    file: &str,
    wrong: impl Fn(String) -> Diagnostic,
) -> Option<Diagnostic> {
    let path = root.join(file);
    match path.canonicalize() {
        Err(_) => Some(with_neighbour(wrong(format!("there is no file {file:?}")), root, file)),
        Ok(real) if !real.starts_with(root) => {
            let message = format!("{file:?} is a link out of the package, to {}", real.display());
            Some(wrong(message).with_help("the sandbox holds the package only: put the file in it"))
        }
        Ok(real) if !real.is_file() => Some(wrong(format!("{file:?} is not a file"))),
        Ok(_) => None,
    }
}

/// The file of a dotted Python module, in the package or among what is installed in its `.venv`.
pub(super) fn python_module(root: &Path, module: &str) -> Option<PathBuf> {
    let relative = module.replace('.', "/");
    let installed = fs::read_dir(root.join(".venv/lib")).into_iter().flatten();
    let site_packages =
        installed.filter_map(|python| Some(python.ok()?.path().join("site-packages")));
    std::iter::once(root.to_path_buf())
        .chain(site_packages)
        .flat_map(|base| {
            let module = base.join(&relative);
            [module.with_extension("py"), module.join("__init__.py")]
        })
        .find(|path| path.is_file())
}

fn missing_module(
    root: &Path,
    module: &str,
    attribute: &str,
    wrong: impl Fn(String) -> Diagnostic,
) -> Diagnostic {
    let file = format!("{}.py", module.replace('.', "/"));
    let mistake = wrong(format!("there is no Python module `{module}`: {file:?} is missing"));
    let entries = fs::read_dir(root).into_iter().flatten();
    let modules: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".py").map(str::to_owned))
        .collect();
    match (nearest(module, modules.iter().map(String::as_str)), modules.as_slice()) {
        (Some(meant), _) => mistake.with_help(format!("did you mean \"{meant}:{attribute}\"?")),
        (None, [only]) => mistake.with_help(format!("did you mean \"{only}:{attribute}\"?")),
        (None, _) => mistake,
    }
}

fn missing_program(
    root: &Path,
    program: &str,
    wrong: impl Fn(String) -> Diagnostic,
) -> Option<Diagnostic> {
    if !program.contains('/') {
        if SANDBOX_PATH.iter().any(|folder| is_executable(&Path::new(folder).join(program))) {
            return None;
        }
        let mistake =
            wrong(format!("there is no program {program:?} in {}", SANDBOX_PATH.join(":")));
        let is_here = root.join(program).is_file();
        return Some(if is_here {
            mistake.with_help(format!("write \"./{program}\""))
        } else {
            mistake
        });
    }
    let path = root.join(program);
    if !path.is_file() {
        let mistake = wrong(format!("there is no program {program:?}"));
        let is_cargos = program.contains("target/") && root.join("Cargo.toml").is_file();
        return Some(if is_cargos {
            let profile = if program.contains("/release/") { " --release" } else { "" };
            mistake.with_help(format!("build it first: `cargo build{profile}`"))
        } else {
            with_neighbour(mistake, root, program.trim_start_matches("./"))
        });
    }
    if !is_executable(&path) {
        let mistake = wrong(format!("{program:?} is not executable"));
        return Some(mistake.with_help(format!("`chmod +x {}`", path.display())));
    }
    None
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What is wrong with a folder of public files. A link out of it would publish what is elsewhere.
fn wrong_assets(
    root: &Path,
    assets: &str,
    wrong: impl Fn(String) -> Diagnostic,
) -> Option<Diagnostic> {
    let folder = root.join(assets);
    let Some(real) = folder.canonicalize().ok().filter(|real| real.is_dir()) else {
        return Some(with_neighbour(wrong(format!("there is no folder {assets:?}")), root, assets));
    };
    if !real.starts_with(root) {
        return Some(wrong(format!("{assets:?} is a link out of the package")));
    }
    let links = WalkDir::new(&real).into_iter().filter_map(Result::ok);
    let mut links = links.filter(|entry| entry.path_is_symlink());
    let leaving = links
        .find(|link| !link.path().canonicalize().is_ok_and(|target| target.starts_with(&real)))?;
    let name = leaving.path().strip_prefix(root).unwrap_or(leaving.path()).display().to_string();
    let mistake = wrong(format!("{name:?} is a link out of {assets:?}"));
    Some(mistake.with_help("public files are files of that folder: copy it there"))
}

/// The file of the package that a command runs, relative to the package.
pub(super) fn own_program(function: &Function) -> Option<&Path> {
    let Runtime::Command { argv } = &function.runtime else { return None };
    let program = Path::new(&argv[0]);
    let is_own = argv[0].contains('/') && program.is_relative();
    is_own.then(|| program.strip_prefix("./").unwrap_or(program))
}

/// Says so when a package's dependencies are declared and not installed: its first start would fail.
pub(super) fn missing_dependencies(at: &Located<'_>) -> Option<String> {
    let has = |name: &str| at.root.join(name).exists();
    let (declared, installed, install) = match at.function.runtime.word() {
        "node" => ("package.json", "node_modules", "npm install"),
        "python" => (
            "requirements.txt",
            ".venv",
            "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        ),
        _ => return None,
    };
    let is_missing = has(declared) && !has(installed) && declares_any(&at.root.join(declared));
    is_missing.then(|| {
        let (name, root) = (at.function.name.name(), at.root.display());
        format!("{name}: what {declared} asks for is not installed: `cd {root} && {install}`")
    })
}

fn declares_any(file: &Path) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    if file.extension().is_some_and(|extension| extension == "json") {
        let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        return package["dependencies"].as_object().is_some_and(|named| !named.is_empty());
    }
    text.lines().any(|line| !line.trim().is_empty() && !line.trim().starts_with('#'))
}
