"""Generate the stubs and parts of the README; with --check, compare with what would come out."""

import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "src" / "phaseline" / "v1"
README = ROOT / "README.md"

# Apart from .venv, because generated code refuses a runtime older than its generator: an old
# generator lets old runtimes use the package, while the tests run on new ones.
ENVIRONMENT = ROOT / ".venv-generator"

INIT = '"""The messages and stubs of the contract, generated from `protos/` and never edited."""\n'


def main() -> None:
    """Write or check the generated package, as the command line says."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: scripts/generate [--check]")
    _prepare()
    with tempfile.TemporaryDirectory() as directory:
        fresh = _generate(Path(directory))
        if not check:
            shutil.rmtree(GENERATED, ignore_errors=True)
            shutil.copytree(fresh, GENERATED)
        elif stale := _differences(fresh, GENERATED):
            sys.exit(f"stale, run scripts/generate: {', '.join(stale)}")
    text = _filled(README.read_text())
    if not check:
        README.write_text(text)
    elif text != README.read_text():
        sys.exit("stale, run scripts/generate: README.md")


def _prepare() -> None:
    """Make the generator's environment, unless it has exactly the pinned packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = project["dependency-groups"]["generator"]
    installed = ENVIRONMENT / "installed.txt"
    if installed.exists() and installed.read_text().split() == pins:
        return
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    _run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins)
    installed.write_text("\n".join(pins))


def _generate(output: Path) -> Path:
    """Return the package `phaseline.v1`, generated below *output*."""
    package = output / "phaseline" / "v1"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(INIT)
    files = sorted(PROTOS.glob("phaseline/v1/*.proto"))
    services = [file for file in files if file.stem.endswith("_service")]
    descriptors = package / "phaseline.binpb"
    _protoc(
        files,
        f"--python_out={output}",
        f"--mypy_out=quiet:{output}",
        f"--descriptor_set_out={descriptors}",
        "--include_imports",
    )
    _protoc(services, f"--grpc_python_out={output}", f"--mypy_grpc_out=quiet:{output}")
    return package


def _protoc(files: list[Path], *options: str) -> None:
    packages = next(ENVIRONMENT.glob("lib/python*/site-packages"))
    plugins = ENVIRONMENT / "bin"
    _run(
        "-m",
        "grpc_tools.protoc",
        *(f"-I{path}" for path in (PROTOS, packages, packages / "grpc_tools" / "_proto")),
        f"--plugin={plugins / 'protoc-gen-mypy'}",
        f"--plugin={plugins / 'protoc-gen-mypy_grpc'}",
        *options,
        *map(str, files),
    )


def _run(*arguments: str) -> None:
    subprocess.run([ENVIRONMENT / "bin" / "python", *arguments], check=True)


def _filled(text: str) -> str:
    """Return the README with what stands between its marks as the program now says it."""
    for mark, content in _sections().items():
        before, opened, rest = text.partition(f"<!-- {mark} -->\n")
        _, closed, after = rest.partition(f"<!-- /{mark} -->")
        if not opened or not closed:
            sys.exit(f"README.md must have a section {mark!r}")
        text = before + opened + content + closed + after
    return text


def _sections() -> dict[str, str]:
    # Late: the program may not import before the stubs are generated.
    from phaseline.domain.diagram import execution_diagram, phase_diagram
    from phaseline.settings import table

    diagrams = (execution_diagram(), phase_diagram())
    return {
        "lifecycle": "\n".join(f"```mermaid\n{diagram}```\n" for diagram in diagrams),
        "settings": table(),
    }


def _differences(fresh: Path, committed: Path) -> list[str]:
    """Return the sorted names of the files that differ between the two directories."""
    return sorted(
        name
        for name in _names(fresh) | _names(committed)
        if _content(fresh / name) != _content(committed / name)
    )


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*") if path.is_file()}


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


if __name__ == "__main__":
    main()
