"""Models on the Hugging Face Hub, by `huggingface_hub` and in its cache: hf://user/name[@revision][/path/file].

Of a repository only the file that is opened is fetched, and with an .onnx its weights beside it; it is then checked as
any other file is. Nothing that is fetched is executed.
"""

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastgan.errors import ConfigError, HubError
from fastgan.extras import install_line
from fastgan.text import reason, shown

_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_REPO = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_ADDRESS = re.compile(
    rf"hf:/{{1,2}}({_PART}/{_PART})(?:@([^/@]+))?(?:/(.+))?", re.ASCII
)  # Path makes hf:/ of hf://
_READABLE = (".safetensors", ".onnx")
_USUAL = ("model.safetensors", "generator.safetensors", "model.onnx")
_SHOWN = 5
_PATIENCE = 10.0  # seconds for an answer of the Hub
_NO_TOKEN = "{} asks for a token that may do this: log in (hf auth login), set HF_TOKEN, or give `token`."


@dataclass(frozen=True)
class Address:
    """A repository, and what of it."""

    repo: str
    """"user/name"."""
    revision: str | None = None
    """A branch, a tag or a commit; None: what is newest."""
    file: str | None = None
    """None: its only model, or the one of a usual name."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """ConfigError for what is none."""
        found = _ADDRESS.fullmatch(text)
        if not found or ".." in (found[3] or "").split("/"):
            raise ConfigError(
                f"{shown(text.replace('hf:/', 'hf://').replace('///', '//'))} is no address on the Hugging Face Hub: "
                "write it like hf://user/name, hf://user/name@revision or hf://user/name/folder/file.safetensors."
            )
        return cls(found[1], unquote(found[2]) if found[2] else None, found[3])

    @classmethod
    def of_repo(cls, name: str) -> "Address":
        """ConfigError for what is no name of a repository."""
        if not isinstance(name, str) or not _REPO.fullmatch(name.removeprefix("hf://")):
            raise ConfigError(
                f"{shown(name)} names no repository on the Hugging Face Hub: write it like user/name."
            )
        return cls(name.removeprefix("hf://"))

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf://{self.repo}{revision}" + (f"/{self.file}" if self.file else "")


def is_address(path: Path) -> bool:
    """Whether it means the Hub: what `Path` makes of hf://..."""
    return path.parts[:1] == ("hf:",)


def fetched(path: Path) -> Path:
    """A local file: `path` itself, or what it names on the Hub, fetched where the cache does not hold it.

    Without a network, what the cache holds is taken. Raises HubError where there is no such thing or no way to it,
    ConfigError for an address that is none.
    """
    if not is_address(path):
        return path
    where, library = Address.parse(os.fspath(path)), client()
    if where.file is not None and not where.file.endswith(_READABLE):
        raise HubError(f"{where} is no model that fastgan reads: name a .safetensors or .onnx file.")
    files, unreached = _files(library, where)
    name = where.file or _choose(where, files)
    if name not in files:
        raise HubError(
            f"{unreached}, and its cache here does not hold it."
            if unreached
            else f"hf://{where.repo} holds no {shown(name)}: name a file that it lists."
        )
    own = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{16}}\.data")  # the weights of a large .onnx
    for beside in (file for file in files if own.fullmatch(file)):
        _download(library, where, beside, online=not unreached)
    return _download(library, where, name, online=not unreached)


def client() -> Any:
    """The package huggingface_hub; HubError where it is not installed."""
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise HubError(
            f"the Hugging Face Hub needs the package huggingface_hub: {install_line('hub')}."
        ) from error


def upload(where: Address, folder: Path, *, private: bool, token: str | None) -> str:
    """Put the files of a folder into a repository, which is made where there is none; returns its address hf://..."""
    library = client()
    api = library.HfApi(token=token)
    files = [library.CommitOperationAdd(path.name, str(path)) for path in sorted(folder.iterdir())]
    with _sentences(where):
        api.create_repo(where.repo, repo_type="model", private=private, exist_ok=True)
        api.create_commit(where.repo, files, commit_message="Upload of fastgan", repo_type="model")
    return str(where)


def _files(library: Any, where: Address) -> tuple[list[str], str]:
    """Names of the files of a repository; without a network, of those that the cache holds, and why there was none."""
    try:
        found = library.HfApi().model_info(where.repo, revision=where.revision, timeout=_PATIENCE)
        return [file.rfilename for file in found.siblings], ""
    except Exception as error:
        refused, unreached = _refusal(where, error), _unreached(where, error)
        if refused is not None:
            raise HubError(refused) from error
    try:
        kept = Path(library.snapshot_download(where.repo, revision=where.revision, local_files_only=True))
    except Exception as error:  # nothing of it is there: what matters is why the Hub was not reached
        raise HubError(f"{unreached}, and its cache here does not hold it.") from error
    return [path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()], unreached


def _choose(where: Address, files: list[str]) -> str:
    models = sorted(name for name in files if name.endswith(_READABLE))
    usual = [name for name in _USUAL if name in models]
    if usual or len(models) == 1:
        return (usual or models)[0]
    if not models:
        raise HubError(f"{where} holds nothing that fastgan reads: no .safetensors and no .onnx file.")
    names = ", ".join(models[:_SHOWN]) + (", ..." if len(models) > _SHOWN else "")
    raise HubError(shown(f"{where} holds {len(models)} models ({names}): name one, {where}/{models[0]}."))


def _download(library: Any, where: Address, name: str, *, online: bool) -> Path:
    with _sentences(where):
        return Path(
            library.hf_hub_download(where.repo, name, revision=where.revision, local_files_only=not online)
        )


@contextmanager
def _sentences(where: Address) -> Iterator[None]:
    """Turn whatever the client raises into a HubError."""
    try:
        yield
    except Exception as error:
        raise HubError(_refusal(where, error) or f"{_unreached(where, error)}.") from error


def _refusal(where: Address, error: Exception) -> str | None:
    """What the Hub answered, in a sentence; None where there was no answer, or one of a server that is down."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    page = f"https://huggingface.co/{where.repo}"
    answers = {
        "GatedRepoError": f"{where} is open to those alone whom its author let in: ask for it on {page}.",
        "RepositoryNotFoundError": f"there is no {where} on the Hugging Face Hub, or it is private: mind its spelling, "
        "or log in (hf auth login).",
        "RevisionNotFoundError": f"hf://{where.repo} has no revision {where.revision}: name a branch, a tag or a "
        "commit.",
        "LocalTokenNotFoundError": _NO_TOKEN.format(where),
    }
    for kind, said in answers.items():
        if kind in kinds:
            return said
    if status in (401, 403):
        return _NO_TOKEN.format(where)
    refused = "HFValidationError" in kinds or (status is not None and status < 500)
    return f"{where}: the Hugging Face Hub refused ({reason(error)})." if refused else None


def _unreached(where: Address, error: Exception) -> str:
    if (
        isinstance(error, OSError)
        and error.strerror
        and not isinstance(error, ConnectionError | TimeoutError)
    ):
        return (
            f"{where} cannot be stored ({error.strerror}): make room, or mend the folder of the Hub's cache"
        )
    return f"the Hugging Face Hub was not reached for {where} ({reason(error)})"
