"""Bundle the files of a contract into one document: the root, and every file that a `$ref` names.

A reference to another file becomes a local one: `tasks.yaml#/components/schemas/Task` becomes
`#/components/schemas/Task`. Nothing else changes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from todo_api.contract.errors import ContractError

Document = dict[str, Any]
Files = dict[Path, Document]

_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader is seven times as fast."""


class _Loader(_SAFE_LOADER):  # type: ignore[misc, valid-type]  # chosen at run time
    """Refuses duplicate keys, which PyYAML accepts, and non-string keys, which JSON lacks."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value) or not all(isinstance(key, str) for key in mapping):
            _refuse_keys(node)
        return mapping


def _refuse_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key.value} is duplicate", problem_mark=key.start_mark)
        if key.tag != "tag:yaml.org,2002:str":
            raise yaml.MarkedYAMLError(problem=f"put the key {key.value} in quotes", problem_mark=key.start_mark)
        seen.add(key.value)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # chosen at run time
    """A dumper that writes multi-line texts as blocks, and no aliases."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def to_yaml(document: Document) -> bytes:
    """Return a document in YAML."""
    text: bytes = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000, encoding="utf-8")
    return text


def bundle(root: Path) -> Document:
    """Return the contract with this root file as one document. Raise ContractError."""
    files = _read_all(root)
    paths, components = _paths(root, files), _components(files)
    for file in files:
        for part in _references(files[file]):
            part["$ref"] = _local(file, part["$ref"], files)
    return files[root] | {"paths": paths, "components": components}


def locate(root: Path, *steps: str) -> str:
    """Return file and line of a part of the bundled document, or of its nearest written parent."""
    first, *others = _read_all(root)
    for length in range(len(steps), 0, -1):
        for file in (*others, first):  # the root only refers to the paths of other files
            line = _line(file, steps[:length])
            if line is not None:
                return f"{_name(file)}:{line}"
    return _at(root)


def _read_all(root: Path) -> Files:
    """Return the root and all files that it leads to, in the order of their mention."""
    files = {root: read(root)}
    waiting = [root]
    while waiting:
        file = waiting.pop(0)
        for part in _references(files[file]):
            target = _target(file, part["$ref"])
            if target in files:
                continue
            if not target.is_file():
                raise ContractError(
                    f"{_at_reference(file, part['$ref'])}: {part['$ref']} names a file that is missing."
                )
            files[target] = read(target)
            waiting.append(target)
    return files


def read(file: Path) -> Document:
    """Return the content of a YAML file. Raise ContractError."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  # it is a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ContractError(f"{_name(file)}:{line}: {error.problem or error.context}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"{_name(file)}:1: {' '.join(str(error).split())}.") from error
    for steps, part in _mappings(content):
        if not isinstance(part, dict):
            raise ContractError(f"{_at(file, *steps)}: {'/'.join(steps) or 'the file'} is no mapping.")
    return content  # type: ignore[no-any-return]  # as was just checked


def _mappings(content: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the parts that bundling needs to be mappings, outer ones first."""
    yield (), content
    for name in ("paths", "components"):
        if name in content:
            yield (name,), content[name]
            yield from (((name, inner), part) for inner, part in content[name].items())


def _paths(root: Path, files: Files) -> Document:
    """Return the root's paths, each in full."""
    listed: Document = {}
    for name, item in files[root].get("paths", {}).items():
        reference = item.get("$ref")
        if reference is None:
            listed[name] = item
        elif _pointer(reference) == ["paths", name]:
            listed[name] = _find(root, reference, files)
        else:
            raise ContractError(f"{_at_reference(root, reference)}: {reference} is not the path {name}.")
    for file in files:
        for name in files[file].get("paths", {}):
            if name not in listed:
                raise ContractError(f"{_at(file, 'paths', name)}: {_name(root)} does not list the path {name}.")
    return listed


def _components(files: Files) -> Document:
    """Return the components of all files."""
    together: dict[str, Document] = {}
    homes: dict[tuple[str, str], Path] = {}
    for file in files:
        for section, parts in files[file].get("components", {}).items():
            for name, part in parts.items():
                home = homes.setdefault((section, name), file)
                if home is not file:
                    place = _at(file, "components", section, name)
                    raise ContractError(f"{place}: components/{section}/{name} is in {_name(home)} too.")
                together.setdefault(section, {})[name] = part
    return together


def _references(part: Any) -> Iterator[Document]:
    """Yield every mapping that has a `$ref`."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part
        for member in part.values():
            yield from _references(member)
    elif isinstance(part, list):
        for member in part:
            yield from _references(member)


def _local(file: Path, reference: str, files: Files) -> str:
    """Return a file's reference as a local one of the bundled document."""
    _find(file, reference, files)
    if _pointer(reference)[:1] not in (["components"], ["paths"]):  # nothing else of another file is in the document
        raise ContractError(f"{_at_reference(file, reference)}: {reference} is no component.")
    return "#" + reference.partition("#")[2]


def _find(file: Path, reference: str, files: Files) -> Any:
    """Return the target of a file's reference."""
    part: Any = files[_target(file, reference)]
    for step in _pointer(reference):
        if not isinstance(part, dict) or step not in part:
            raise ContractError(f"{_at_reference(file, reference)}: {reference} is missing.")
        part = part[step]
    return part


def _target(file: Path, reference: str) -> Path:
    """Return the file that a reference of a file names."""
    name = reference.partition("#")[0]
    return file.parent / name if name else file


def _pointer(reference: str) -> list[str]:
    """Return the steps of a reference's JSON Pointer (RFC 6901)."""
    steps = reference.partition("#")[2].split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]


def _at_reference(file: Path, reference: str) -> str:
    """Return file and line of the first occurrence of a reference."""
    waiting: list[yaml.Node | None] = [_compose(file)]
    while True:  # the file has the reference
        node = waiting.pop(0)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == "$ref" and value.value == reference:
                    return f"{_name(file)}:{value.start_mark.line + 1}"
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _at(file: Path, *steps: str) -> str:
    """Return file and line of a part."""
    return f"{_name(file)}:{_line(file, steps) or 1}"


def _line(file: Path, steps: tuple[str, ...]) -> int | None:
    """Return the line of a part's key, None if the file lacks it."""
    node, line = _compose(file), 1
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
        elif isinstance(node, yaml.SequenceNode) and step.isdigit():
            found = [(value, value) for value in node.value[int(step) : int(step) + 1]]
        else:
            found = []
        if not found:
            return None
        key, node = found[0]
        line = key.start_mark.line + 1
    return line


def _compose(file: Path) -> yaml.Node | None:
    return yaml.compose(file.read_text(encoding="utf-8"), Loader=_SAFE_LOADER)


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
