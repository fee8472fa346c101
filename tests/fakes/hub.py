"""A model hub with one repository, enough of it for `snapshot_download`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

COMMIT = "c" * 40


class FakeHub:
    """The fake; `asked` lists the files that were fetched."""

    def __init__(self, repository: str, files: Mapping[str, bytes]) -> None:
        self.asked: list[str] = []
        self._files = files
        resolve = f"/{repository}/resolve/{{revision}}/{{path:path}}"
        self.app: ASGIApp = Starlette(
            routes=[
                Route(f"/api/models/{repository}/revision/{{revision}}", self._revision),
                Route(f"/api/models/{repository}/tree/{{revision}}", self._tree),
                Route(resolve, self._resolve, methods=["GET", "HEAD"]),
            ]
        )

    async def _revision(self, _: Request) -> Response:
        siblings = [{"rfilename": name} for name in self._files]
        return JSONResponse({"id": "x", "sha": COMMIT, "siblings": siblings})

    async def _tree(self, _: Request) -> Response:
        return JSONResponse(
            [
                {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
                for name, content in self._files.items()
            ]
        )

    async def _resolve(self, request: Request) -> Response:
        name = request.path_params["path"]
        content = self._files.get(name)
        if content is None:
            return Response(status_code=404, headers={"X-Error-Code": "EntryNotFound"})
        if request.method == "GET":
            self.asked.append(name)
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT}
        if request.method == "HEAD":
            headers["Content-Length"] = str(len(content))
            return Response(headers=headers)
        return Response(content, headers=headers)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
