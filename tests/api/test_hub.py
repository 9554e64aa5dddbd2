"""Models on the Hugging Face Hub: its own client against a server on this machine, and a stub for what goes wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fastgan
from fastgan.errors import ConfigError, HubError
from fastgan.inference import hub
from fastgan.inference.model_card import text
from tests.inference.hub_server import Hub, running
from tests.tiny import tiny_run

ROOT = Path(__file__).parents[2]
LOADS = """
for address in ("hf://me/faces", "hf://me/faces@main/model.safetensors"):
    print(fastgan.load(address).facts.fingerprint)
for address in ("hf://me/faces/other.onnx", "hf://me/nothing"):
    try:
        fastgan.load(address)
    except fastgan.FastganError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "dcgan")


def python(code: str, server: Hub, cache: Path, **more: str) -> list[str]:
    """The lines that `code` prints in a process of its own, whose Hub is `server`."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": server.address,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **more,
    }
    line = [sys.executable, "-c", "import fastgan\n" + code]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_there_and_back_with_the_real_client(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    expected = fastgan.load(run).facts.fingerprint
    with running() as server:
        code = f"""
print(fastgan.load({str(run)!r}).push_to_hub("me/faces", token="hf_secret", private=True))
{LOADS}
"""
        said = python(code, server, tmp_path)
        assert said[:3] == ["hf://me/faces", expected, expected]
        assert said[3] == "hf://me/faces holds no other.onnx: name a file that it lists."
        assert said[4].startswith("there is no hf://me/nothing on the Hugging Face Hub, or it is private")
        assert server.tokens == {"Bearer hf_secret"}
        files = server.repos["me/faces"]
        assert [*files] == ["README.md", "model.safetensors", "samples.png"]
        assert b"license" not in files["README.md"].partition(b"---\n#")[0]
        fetched = {line for line in server.asked if line.startswith("GET /me/")}
        assert fetched == {"GET /me/faces/resolve/main/model.safetensors"}
        server.asked.clear()
        offline = python(LOADS, server, tmp_path, HF_HUB_OFFLINE="1")
        assert server.asked == []
        assert offline[:2] == [expected, expected]
        assert all(
            "was not reached" in line and "cache here does not hold it" in line for line in offline[2:]
        )


def response(kind: str, status: int | None = None) -> Exception:
    """An error as the client raises it, by the name of its type."""
    error: Exception = type(kind, (Exception,), {})("the client's words")
    error.response = SimpleNamespace(status_code=status) if status else None  # type: ignore[attr-defined]
    return error


class Client:
    """Stands for the package huggingface_hub: files of one repository, or an error of every question."""

    def __init__(self, files: dict[str, Path] | None = None, error: Exception | None = None) -> None:
        self.files, self.error = files or {}, error
        self.fetched: list[str] = []

    def HfApi(self, token: str | None = None) -> "Client":
        return self

    def CommitOperationAdd(self, name: str, path: str) -> str:
        return name

    def _fail(self, *_: Any, **__: Any) -> Any:
        assert self.error
        raise self.error

    create_repo = create_commit = snapshot_download = _fail

    def model_info(self, repo: str, **_: Any) -> Any:
        if self.error:
            raise self.error
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in self.files])

    def hf_hub_download(self, repo: str, name: str, **_: Any) -> str:
        self.fetched.append(name)
        return str(self.files[name])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (response("GatedRepoError", 403), "open to those alone whom its author let in"),
        (response("RepositoryNotFoundError", 401), "there is no hf://me/faces on the Hugging Face Hub"),
        (response("RevisionNotFoundError", 404), "has no revision"),
        (response("HfHubHTTPError", 401), "log in \\(hf auth login\\), set HF_TOKEN, or give `token`"),
        (response("HfHubHTTPError", 429), "refused \\(the client's words\\)"),
        (response("HfHubHTTPError", 503), "was not reached .* its cache here does not hold it"),
        (response("ConnectError"), "was not reached .* its cache here does not hold it"),
        (ConnectionError("no network"), "was not reached for hf://me/faces \\(no network\\)"),
        (OSError(28, "No space left on device"), "cannot be stored \\(No space left on device\\)"),
    ],
)
def test_each_failure_is_one_sentence(
    error: Exception, sentence: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "client", lambda: Client(error=error))
    with pytest.raises(HubError, match=sentence):
        fastgan.load("hf://me/faces")
    with pytest.raises(HubError, match=sentence.partition(" .*")[0]):
        fastgan.load(run).push_to_hub("me/faces")


def test_what_is_chosen_of_a_repository(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = fastgan.load(run).save(tmp_path / "r.safetensors")
    (tmp_path / "foreign.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    for files, chosen in (
        (("a.safetensors", "model.onnx", "model.safetensors", "x.bin"), "model.safetensors"),
        (("README.md", "deep/only.safetensors"), "deep/only.safetensors"),
    ):
        client = Client(dict.fromkeys(files, release))
        monkeypatch.setattr(hub, "client", lambda client=client: client)
        assert fastgan.load("hf://me/faces").resolution == 16
        assert client.fetched == [chosen]
    for files, sentence in (
        (("model.pkl", "model.bin"), "holds nothing that fastgan reads"),
        (
            ("b.onnx", "a.safetensors"),
            "holds 2 models .a.safetensors, b.onnx.: name one, hf://me/faces/a.saf",
        ),
    ):
        monkeypatch.setattr(hub, "client", lambda files=files: Client(dict.fromkeys(files, release)))
        with pytest.raises(HubError, match=sentence):
            fastgan.load("hf://me/faces")
    monkeypatch.setattr(hub, "client", lambda: Client({"m.safetensors": tmp_path / "foreign.safetensors"}))
    with pytest.raises(fastgan.FastganError, match="was not written by fastgan"):
        fastgan.load("hf://me/faces")


def test_weights_beside_an_onnx_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["big.onnx", f"big.onnx.{'0' * 16}.data", "big.onnx.data.exe", "other.data"]
    client = Client(dict.fromkeys(files, tmp_path))
    monkeypatch.setattr(hub, "client", lambda: client)
    hub.fetched(Path("hf://me/faces"))
    assert client.fetched == [files[1], files[0]]


@pytest.mark.parametrize(
    "address", ["hf://me", "hf://", "hf://me/faces@", "hf://me/faces/../x.onnx", "hf://a b/c"]
)
def test_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match="write it like hf://user/name"):
        fastgan.load(address)


def test_names_that_are_refused_before_anything_is_asked(run: Path) -> None:
    with pytest.raises(HubError, match=r"reads: name a \.safetensors or \.onnx file"):
        fastgan.load("hf://me/faces/model.pkl")
    with pytest.raises(ConfigError, match="write it like user/name"):
        fastgan.load(run).push_to_hub("faces")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match="needs the package huggingface_hub: pip install"):
        fastgan.load("hf://me/faces")


def test_generate_takes_an_address(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastgan.__main__ import run as command

    release = fastgan.load(run).save(tmp_path / "r.safetensors")
    monkeypatch.setattr(hub, "client", lambda: Client({"r.safetensors": release}))
    assert command(["generate", "hf://me/faces", "-n", "2", "-o", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def card(fingerprint: str) -> dict[str, Any]:
    protocol = {"extractor": "effnet-lite0", "kid": {"subsets": 100}}
    generated = {"fingerprint": fingerprint}
    return {"format": "fastgan.eval", "scores": {"kid": 0.25}, "protocol": protocol, "generated": generated}


def test_the_page_has_the_scores_of_these_weights_alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, pages = fastgan.load(run), []

    def upload(where: hub.Address, folder: Path, **_: Any) -> str:
        pages.append((folder / "README.md").read_text())
        return str(where)

    monkeypatch.setattr(hub, "upload", upload)
    mine, other = card(model.facts.fingerprint), card("0" * 64)
    model.push_to_hub("me/faces", card=mine)
    (run / "eval.json").write_text(json.dumps(mine))
    model.push_to_hub("me/faces")
    (run / "eval.json").write_text(json.dumps(other))
    model.push_to_hub("me/faces")
    (run / "eval.json").unlink()
    assert ["| `kid` | 0.25 |" in page for page in pages] == [True, True, False]
    assert "| kid.subsets | `100` |" in pages[0]
    with pytest.raises(ConfigError, match="of other weights"):
        model.push_to_hub("me/faces", card=other)
    for wrong, sentence in (
        (3, "is no card"),
        (run / "latest", "is not a card"),
        (run / "no.json", "does not exist"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            model.push_to_hub("me/faces", card=wrong)


def test_names_on_the_page_are_neither_markdown_nor_html(tmp_path: Path) -> None:
    from dataclasses import replace

    facts = replace(fastgan.load(tiny_run(tmp_path / "r", "dcgan", classes=2)).facts)
    page = text(replace(facts, class_names=("<script>", "a|`b`\n# c")), "me/faces", None)
    assert "| classes | `<script>`, `a/'b'\\n# c` |" in page
