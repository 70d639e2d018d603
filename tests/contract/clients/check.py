"""Generates three clients from the contract and one from that of 1.0.0, and uses them against the running service: `make clients`.

What docs/clients.md shows of each is taken from there and run, with nothing changed but the address. Everything is made in
`build/clients`, in environments of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.support.live import Live, free_port
from tests.support.path_proxy import PATH, under_a_path
from todo_api import contract

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
BUILD = ROOT / "build" / "clients"
CONTRACT = BUILD / "task-api.yaml"
RELEASED = ROOT / "openapi" / "released" / "1.0.0.yaml"
NODE = ROOT / "node_modules" / ".bin"
COMPILERS = ("typescript-7", "typescript")
"""TypeScript 7, and 5.9, which the generator itself needs."""

DOCUMENTED_ADDRESS = "http://localhost:8000"
DOCUMENTED_BLOCK = re.compile(r"^```(python|typescript)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED_LINES = 10
ADA = {"email": "ada@example.com", "password": "correct horse battery staple"}


def run(*command: str | Path, cwd: Path = BUILD, **variables: str) -> None:
    """Runs a command; ends everything where it fails, with what it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(part) for part in command)} ended with {done.returncode}:\n{done.stdout}")


def environment(name: str) -> Path:
    """The `bin` of a virtual environment with `requirements-NAME.txt`, made anew where those have changed."""
    wanted = HERE / f"requirements-{name}.txt"
    folder = BUILD / f"venv-{name}"
    made = folder / wanted.name
    if not made.is_file() or made.read_bytes() != wanted.read_bytes():
        run(sys.executable, "-m", "venv", "--clear", folder)
        run(folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted)
        shutil.copy(wanted, made)
    return folder / "bin"


def documented_programs() -> dict[str, str]:
    """The programs of docs/clients.md by what they import, ten lines each at most."""
    blocks = [code for _, code in DOCUMENTED_BLOCK.findall((ROOT / "docs" / "clients.md").read_text(encoding="utf-8"))]
    found = {}
    for package in ("task_api_client", "openapi-fetch", "task_api"):
        (found[package],) = (code for code in blocks if re.search(rf"from [\"']?{package}[\"']?[ .;]", code))
        if len(found[package].splitlines()) > DOCUMENTED_LINES or DOCUMENTED_ADDRESS not in found[package]:
            sys.exit(
                f"The documented program for {package} has more than {DOCUMENTED_LINES} lines, or no {DOCUMENTED_ADDRESS}."
            )
    return found


def python_client(documented: str) -> None:
    """openapi-python-client: generated without a warning, and the programs with it strictly typed."""
    tools, folder = environment("python"), BUILD / "python"
    folder.mkdir(exist_ok=True)
    run(
        *(tools / "openapi-python-client", "generate", "--path", CONTRACT, "--meta", "none", "--overwrite"),
        *("--output-path", folder / "task_api_client", "--fail-on-warning"),
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
    )
    (folder / "documented.py").write_text(documented, encoding="utf-8")
    programs = ["lifecycle.py", "planning.py"]
    for name in programs:
        shutil.copy(HERE / name, folder)
    run(tools / "mypy", "--strict", "--cache-dir", "cache", "documented.py", *programs, cwd=folder)


def released_client() -> None:
    """A client of the contract of 1.0.0, which knows nothing that came later."""
    tools, folder = environment("python"), BUILD / "released"
    folder.mkdir(exist_ok=True)
    run(
        *(tools / "openapi-python-client", "generate", "--path", RELEASED, "--meta", "none", "--overwrite"),
        *("--output-path", folder / "released_client"),
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
    )
    shutil.copy(HERE / "kept.py", folder)
    run(tools / "mypy", "--strict", "--cache-dir", "cache", "kept.py", cwd=folder)


def kept_members() -> list[str]:
    """The members of a task that `replaceTask` keeps where they are absent, from the contract."""
    document = contract.load(contract.TASK_API)
    members = document["components"]["schemas"]["TaskReplacement"]["properties"]
    return [name for name, schema in members.items() if contract.resolve(document, schema).get("x-put") == "keep"]


def typescript_client(documented: str) -> None:
    """openapi-typescript with openapi-fetch: the programs compiled with --strict."""
    folder = BUILD / "typescript"
    folder.mkdir(exist_ok=True)
    # Without settings of its own openapi-typescript reads redocly.yaml, which is for the linter.
    (folder / "redocly.yaml").write_text("extends: [minimal]\n", encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
    run(NODE / "openapi-typescript", CONTRACT, "-o", folder / "task-api.d.ts", "--redocly", folder / "redocly.yaml")
    (folder / "documented.ts").write_text(documented, encoding="utf-8")
    for name in ("lifecycle.ts", "planning.ts", "signing.ts", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    for name in COMPILERS:
        run("node", ROOT / "node_modules" / name / "bin" / "tsc", "--project", folder)


def generator_client(documented: str) -> None:
    """OpenAPI Generator, for Python."""
    tools, folder = environment("generator"), BUILD / "generator"
    (jar,) = tools.parent.glob("lib/python*/site-packages/openapi_generator_cli/openapi-generator.jar")
    run(
        *("java", "-jar", jar, "generate", "--input-spec", CONTRACT, "--generator-name", "python"),
        *("--package-name", "task_api", "--output", folder),
    )
    (folder / "documented.py").write_text(documented, encoding="utf-8")
    shutil.copy(HERE / "keys.py", folder)
    shutil.copy(HERE / "planning_by_generator.py", folder / "planning.py")


def use(url: str) -> None:
    """Runs every program against the service; each ends with status 0 only where all it expected came true."""
    requests.post(f"{url}/api/v1/auth/register", json=ADA, timeout=20).raise_for_status()
    for name, program, used in (
        ("python", [BUILD / "venv-python" / "bin" / "python"], ("lifecycle.py", "planning.py")),
        ("typescript", ["node"], ("out/lifecycle.js", "out/planning.js")),
        ("generator", [BUILD / "venv-generator" / "bin" / "python"], ("keys.py", "planning.py")),
    ):
        documented = BUILD / name / ("out/documented.js" if name == "typescript" else "documented.py")
        here = documented.with_stem("here")
        here.write_text(documented.read_text(encoding="utf-8").replace(DOCUMENTED_ADDRESS, url), encoding="utf-8")
        before = titles(url)
        run(*program, here, cwd=BUILD / name)
        if titles(url) != ["Buy milk", *before]:
            sys.exit(f"The documented program for {name} created no task: {titles(url)}")
        for each in used:
            run(*program, each, f"{url}/api/v1", cwd=BUILD / name)
    run(BUILD / "venv-python" / "bin" / "python", "kept.py", f"{url}/api/v1", *kept_members(), cwd=BUILD / "released")


def titles(url: str) -> list[str]:
    """The titles of Ada's tasks, the latest first."""
    token = requests.post(f"{url}/api/v1/auth/token", json=ADA, timeout=20).json()["access_token"]
    reply = requests.get(f"{url}/api/v1/me/tasks", headers={"Authorization": f"Bearer {token}"}, timeout=20)
    return [task["title"] for task in reply.json()["items"]]


def main() -> None:
    """Everything, and a line for each client that held."""
    began = time.monotonic()
    BUILD.mkdir(parents=True, exist_ok=True)
    CONTRACT.write_bytes(contract.as_yaml(contract.TASK_API))
    documented = documented_programs()
    with ThreadPoolExecutor(3) as pool:
        made = [
            pool.submit(python_client, documented["task_api_client"]),
            pool.submit(typescript_client, documented["openapi-fetch"]),
            pool.submit(generator_client, documented["task_api"]),
        ]
        for client in made:
            client.result()
    released_client()  # after the others: one of them makes its environment
    with tempfile.TemporaryDirectory() as folder, Live(Path(folder)) as live:
        use(live.ready().origin)
    port = free_port()
    public = f"http://127.0.0.1:{port}{PATH}"
    with (
        tempfile.TemporaryDirectory() as folder,
        Live(Path(folder), PUBLIC_URL=public) as live,
        under_a_path(port, live.ready().port) as url,
    ):
        use(url)
    print(
        "openapi-python-client: types are strict, the documented program, keys with an end, a life of tasks and a plan ran."
    )
    print(
        "openapi-typescript, openapi-fetch: types are strict in TypeScript 5.9 and 7, "
        "the documented program, keys, a life of tasks and a plan ran."
    )
    print(f"openapi-python-client of the contract of 1.0.0: it keeps {', '.join(kept_members())}.")
    print("openapi-generator: the documented program, keys with an end and a plan ran.")
    print("Each of them also ran against the service under a path.")
    print(f"Three clients in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
