"""The code of docs/front-ends.md: written to a folder, checked by both compilers, compiled for a browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.pages import BLOCK, ROOT, read
from todo_api import contract

ADDRESS = "http://localhost:8000"
COMPILERS = {"5.9": "typescript", "7": "typescript-7"}
PAGE = '<script type="importmap">{"imports": {"openapi-fetch": "./openapi-fetch.mjs"}}</script>'
_NODE = ROOT / "node_modules"


def node(folder: Path, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    """A program of Node."""
    return subprocess.run(
        ["node", *command], cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def blocks() -> tuple[str, dict[str, str]]:
    """The script that the page begins with, and its modules by name."""
    found = BLOCK.findall(read("docs/front-ends.md"))
    (first,) = [code for language, code in found if language == "javascript"]
    modules = [code for language, code in found if language == "typescript"]
    assert len(found) == 1 + len(modules), "a block of another language, which no test would run"
    return first, {re.match(r"// ([a-z-]+\.ts)\n", code)[1]: code for code in modules}  # type: ignore[index]  # each has a name


class FrontEnd:
    """The modules in a folder, with the types that are generated from the contract."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.first, modules = blocks()
        self.first = self.first.replace(ADDRESS, api)
        for name, code in modules.items():
            (folder / name).write_text(code.replace(ADDRESS, api), encoding="utf-8")
        (folder / "node_modules").symlink_to(_NODE)
        (folder / "task-api.yaml").write_bytes(contract.as_yaml(contract.TASK_API))
        (folder / "redocly.yaml").write_text("extends: [minimal]\n", encoding="utf-8")
        (folder / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
        options = {
            "strict": True,
            "noUncheckedIndexedAccess": True,
            "exactOptionalPropertyTypes": True,
            "target": "es2022",
            "module": "nodenext",
            "lib": ["es2022", "dom", "dom.iterable"],
            "types": [],
            "outDir": "out",
        }
        (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["*.ts"]}))
        generator = _NODE / "openapi-typescript" / "bin" / "cli.js"
        made = node(folder, generator, "task-api.yaml", "-o", "task-api.d.ts", "--redocly", "redocly.yaml")
        assert made.returncode == 0, made.stdout + made.stderr

    def errors(self, compiler: str) -> str:
        """Return the messages of the TypeScript compiler."""
        return node(self.folder, _NODE / COMPILERS[compiler] / "bin" / "tsc", "--noEmit", "--project", ".").stdout

    def compile(self) -> Path:
        """The folder with a page that can import the modules."""
        done = node(self.folder, _NODE / "typescript" / "bin" / "tsc", "--project", ".")
        assert done.returncode == 0, done.stdout
        shutil.copy(_NODE / "openapi-fetch" / "dist" / "index.mjs", self.out / "openapi-fetch.mjs")
        (self.out / "index.html").write_text(PAGE, encoding="utf-8")
        return self.out
