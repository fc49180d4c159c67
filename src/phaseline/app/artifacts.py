"""Reading the artifacts that phases left behind."""

from __future__ import annotations

import msgspec

from phaseline.app.caller import Caller
from phaseline.app.executions import phase_position
from phaseline.app.ports import ArtifactPage, Reads
from phaseline.app.tokens import Signer
from phaseline.app.workflows import read_name_token
from phaseline.domain.errors import NotFound
from phaseline.domain.execution import Artifact
from phaseline.domain.ids import Key


class ListedArtifacts(msgspec.Struct, frozen=True):
    """One page, with the token of the next; empty on the last."""

    page: ArtifactPage
    next_page_token: str


class Artifacts:
    """The use-cases around artifacts."""

    def __init__(self, reads: Reads, *, signer: Signer) -> None:
        self._reads, self._signer = reads, signer

    async def get(self, caller: Caller, artifact_id: str) -> tuple[Artifact, bytes | None]:
        """Return an artifact with its bytes; None for bytes that are kept elsewhere."""
        found = await self._reads.artifact(caller.workspace_id, artifact_id)
        if found is None:
            raise NotFound("artifact", artifact_id)
        return found

    async def list(
        self,
        caller: Caller,
        execution_id: str,
        *,
        phase_id: str = "",
        page_size: int,
        page_token: str = "",
    ) -> ListedArtifacts:
        """Return one page of artifacts without their bytes, oldest first."""
        key = Key(caller.workspace_id, execution_id)
        execution = await self._reads.status(key)
        if execution is None:
            raise NotFound("execution", execution_id)
        if phase_id:
            phase_position(execution, phase_id)
        scope = f"{execution_id}/{phase_id}"
        after = read_name_token(self._signer, page_token, "A", scope)
        page = await self._reads.artifacts(key, phase_id=phase_id, after=after, limit=page_size)
        token = ""
        if page.has_more:
            token = self._signer.sign(("A", scope, page.artifacts[-1].artifact_id))
        return ListedArtifacts(page, token)
