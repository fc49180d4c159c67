"""What one transaction changed of what every process that shares the database has in memory."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from phaseline.app.ports import Slot
from phaseline.domain.ids import Key
from phaseline.store.batch import Batch


class Touched(msgspec.Struct, frozen=True, array_like=True):
    """What one or several transactions changed, by name."""

    #: New versions, also those that nobody can see.
    executions: tuple[Key, ...] = ()
    #: Attempts of which operations were put on record.
    attempts: tuple[tuple[Slot, int], ...] = ()
    outputs: tuple[Slot, ...] = ()
    #: By workspace_id and workflow_id: those with a newer version.
    workflows: tuple[tuple[str, str], ...] = ()
    purged: tuple[Key, ...] = ()
    deleted: tuple[Key, ...] = ()

    @classmethod
    def by(cls, batch: Batch) -> Touched:
        """Return what the transaction of *batch* changes."""
        return cls(
            executions=(*batch.visible, *batch.renewed),
            attempts=tuple(batch.operations),
            outputs=tuple(batch.outputs),
            workflows=tuple(batch.workflows),
            purged=tuple(batch.purged),
            deleted=tuple(batch.deleted),
        )

    @classmethod
    def together(cls, bodies: Iterable[bytes]) -> Touched:
        """Return what transactions changed, each packed as by `pack`."""
        found = [_decode(body) for body in bodies]
        return cls(
            *(
                tuple(dict.fromkeys(name for one in found for name in getattr(one, field)))
                for field in cls.__struct_fields__
            )
        )

    def pack(self) -> bytes:
        """Return it as the table keeps it."""
        return _encode(self)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Touched).decode
