"""The Hugging Face hub on loopback, as far as its client and ours use it: repositories, commits, large files, tokens.

`Hub.repositories` holds what was committed, `Hub.received` every byte that came, bodies and paths alike.
"""

import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml

TOKEN = "hf_of_the_tests"
USER = "somebody"
LICENCES = {"cc-by-4.0", "apache-2.0", "mit", "other"}
Answer = tuple[int, dict[str, str], bytes]  # status, headers, body
_LARGE = (".h5", ".npz", ".tfrecord")  # by LFS, as .gitattributes of the hub says


@dataclass
class FakeRepository:
    """A repository: its files now, its visibility, and one commit a change."""

    private: bool
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.h5 filter=lfs\n"})
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    head: str = ""

    def commit(self) -> str:
        """Make the present files a commit; return its hash."""
        listed = json.dumps(
            [len(self.commits), sorted((n, hashlib.sha256(c).hexdigest()) for n, c in self.files.items())]
        )
        self.head = hashlib.sha1(listed.encode(), usedforsecurity=False).hexdigest()
        self.commits[self.head] = dict(self.files)
        return self.head


class Hub:
    """`address`, what it holds, and what it was sent."""

    def __init__(self) -> None:
        self.repositories: dict[str, FakeRepository] = {}  # "models/user/name", "datasets/user/name"
        self.received: list[bytes] = []
        self.requests: list[str] = []
        self.objects: dict[str, bytes] = {}
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self._body()
                path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
                hub.requests.append(f"{self.command} {path}")
                hub.received += [self.path.encode(), body]
                code, headers, content = hub.answer(self.command, path, body, dict(self.headers))
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    parts = []
                    while size := int(self.rfile.readline(), 16):
                        parts.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(parts)
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - the base class looks for these names

            def log_message(self, *_: object) -> None:
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.httpd.server_port}"

    def put(self, name: str, files: dict[str, bytes], *, private: bool = False) -> FakeRepository:
        """Make a repository with these files, as somebody else might."""
        self.repositories[name] = made = FakeRepository(private)
        made.files |= files
        made.commit()
        return made

    def answer(self, method: str, path: str, body: bytes, asked: dict[str, str]) -> Answer:
        """Return status, headers and body of an answer."""
        authorization = asked.get("Authorization", asked.get("authorization", ""))
        signed_in = authorization == f"Bearer {TOKEN}"
        if authorization and not signed_in:
            return _refuse(401, "Invalid credentials in Authorization header")
        if path == "/api/validate-yaml":
            return _validate(json.loads(body), plain="text/plain" in map(str.lower, asked.values()))
        if path == "/api/repos/create":
            return self._create(json.loads(body), signed_in)
        if found := re.fullmatch(r"/lfs/([0-9a-f]{64})", path):
            assert hashlib.sha256(body).hexdigest() == found[1]
            self.objects[found[1]] = body
            return _json({})
        patterns = (
            (r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?", self._info),
            (r"/api/(models|datasets)/([^/]+/[^/]+)/tree/([^/]+)", self._tree),
            (r"/api/(models|datasets)/([^/]+/[^/]+)/preupload/([^/]+)", self._preupload),
            (r"/api/(models|datasets)/([^/]+/[^/]+)/commit/([^/]+)", self._commit),
            (r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/(batch)", self._batch),
            (r"/(datasets/)?([^/]+/[^/]+)/resolve/(.+)", self._resolve),
        )
        for pattern, action in patterns:
            found = re.fullmatch(pattern, path)
            if not found:
                continue
            name = f"{(found[1] or 'models').rstrip('/')}/{found[2]}"
            repository = self.repositories.get(name)
            if repository is None or (repository.private and not signed_in):
                return _refuse(404 if signed_in else 401, "Repository not found", "RepoNotFound")
            if action in (self._preupload, self._commit, self._batch) and not (
                signed_in and found[2].startswith(f"{USER}/")
            ):
                return _refuse(403, "Forbidden: you may not write here")
            return action(name, repository, found[3], body)
        return _refuse(404, "Not found")

    def _create(self, asked: dict[str, str], signed_in: bool) -> Answer:
        if not signed_in:
            return _refuse(401, "Invalid username or password.")
        if asked["organization"] != USER:
            return _refuse(403, f"You don't have the rights to create a model under {asked['organization']}")
        kind = asked.get("type") or "model"
        name = f"{kind}s/{USER}/{asked['name']}"
        url = f"{self.address}/{'datasets/' if kind == 'dataset' else ''}{USER}/{asked['name']}"
        if name in self.repositories:
            return _json({"error": "You already created this repo", "url": url}, 409)
        self.repositories[name] = FakeRepository(asked.get("visibility") == "private")
        self.repositories[name].commit()
        return _json({"url": url, "name": f"{USER}/{asked['name']}"})

    def _info(self, name: str, repository: FakeRepository, revision: str | None, _: bytes) -> Answer:
        commit = _resolved(repository, revision)
        if commit is None:
            return _refuse(404, "Invalid rev id", "RevisionNotFound")
        siblings = [
            {"rfilename": file, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
            for file, content in repository.commits[commit].items()
        ]
        about = {"id": name.partition("/")[2], "sha": commit, "private": repository.private, "siblings": siblings}
        return _json(about | {"tags": [], "downloads": 0, "likes": 0})

    def _tree(self, _: str, repository: FakeRepository, revision: str, __: bytes) -> Answer:
        files = repository.commits[_resolved(repository, revision) or ""]
        return _json(
            [
                {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for file, content in files.items()
            ]
        )

    def _preupload(self, _: str, __: FakeRepository, ___: str, body: bytes) -> Answer:
        files = json.loads(body)["files"]
        self.received += [base64.b64decode(file["sample"]) for file in files]
        return _json(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(_LARGE) else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
            }
        )

    def _batch(self, _: str, __: FakeRepository, ___: str, body: bytes) -> Answer:
        objects = [
            {**wanted, "actions": {"upload": {"href": f"{self.address}/lfs/{wanted['oid']}"}}}
            for wanted in json.loads(body)["objects"]
        ]
        return _json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, repository: FakeRepository, _: str, body: bytes) -> Answer:
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
                self.received.append(repository.files[value["path"]])
            elif operation["key"] == "lfsFile":
                repository.files[value["path"]] = self.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                del repository.files[value["path"]]
            else:
                assert operation["key"] == "header"
                assert value["parentCommit"] == repository.head
        commit = repository.commit()
        return _json({"commitUrl": f"{self.address}/{name.partition('/')[2]}/commit/{commit}", "commitOid": commit})

    def _resolve(self, _: str, repository: FakeRepository, rest: str, __: bytes) -> Answer:
        revision, _, file = rest.partition("/")
        commit = _resolved(repository, revision)
        if commit is None or file not in repository.commits[commit]:
            return _refuse(404, "Entry not found", "EntryNotFound")
        content = repository.commits[commit][file]
        return 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit}, content


def _resolved(repository: FakeRepository, revision: str | None) -> str | None:
    if revision in (None, "main"):
        return repository.head
    return revision if revision in repository.commits else None


def _validate(asked: dict[str, str], *, plain: bool) -> Answer:
    """Check the header of a card, in the points in which ours could be wrong."""
    header = yaml.safe_load(asked["content"].split("---\n")[1])
    wrong = [] if header.get("license") in LICENCES else [f'"license" must be one of {", ".join(sorted(LICENCES))}']
    if asked["repoType"] == "model":
        for model in header.get("model-index", ()):
            for result in model["results"]:
                if not (result["task"]["type"] and result["dataset"]["type"] and result["dataset"]["name"]):
                    wrong.append('"model-index" lacks a task or a dataset')
                wrong += ['"metrics" lacks a value' for metric in result["metrics"] if metric.get("value") is None]
    if plain and wrong:
        return 400, {"Content-Type": "text/plain"}, "\n".join(wrong).encode()
    errors = [{"message": message} for message in wrong]
    return _json({"errors": errors, "warnings": [], "error": "; ".join(wrong)}, 400 if wrong else 200)


def _json(value: object, code: int = 200) -> Answer:
    return code, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _refuse(code: int, message: str, error_code: str = "") -> Answer:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": error_code} if error_code else {})
    return code, headers, json.dumps({"error": message}).encode()


@contextmanager
def hub_on_loopback() -> Iterator[Hub]:
    """Run a hub while the block runs."""
    hub = Hub()
    thread = threading.Thread(target=hub.httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.httpd.shutdown()
        hub.httpd.server_close()
