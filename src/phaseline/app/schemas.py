"""JSON Schemas: checking that one is sound, and that a result matches it."""

from __future__ import annotations

import jsonschema_rs
import msgspec

from phaseline.domain.payload import Payload
from phaseline.domain.workflow import Workflow

_KEPT_SCHEMAS = 1000
# An error shows what is wrong, however long that is.
_KEPT_MESSAGE = 500


def check_schema(text: str) -> str | None:
    """Return what is wrong with a JSON Schema, or None."""
    try:
        _validator(text)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        return str(error).partition("\n")[0][:_KEPT_MESSAGE]
    return None


class Schemas:
    """Checks results, each schema compiled once."""

    def __init__(self) -> None:
        self._compiled: dict[str, jsonschema_rs.Validator] = {}

    def check(self, workflow: Workflow, result: Payload | None) -> str | None:
        """Return the path that is wrong and why, or None if *result* matches the output schema."""
        schema = workflow.spec.output_schema
        if not schema:
            return None
        if result is None or result.data is None:
            return "the result must be given inline, to be checked against the output schema"
        try:
            value = msgspec.json.decode(result.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"the result is not JSON: {error}"
        except RecursionError:
            return "the result is nested too deeply to be checked"
        wrong = next(self._compiled_one(schema).iter_errors(value), None)
        if wrong is None:
            return None
        path = "/".join(str(step) for step in wrong.instance_path)
        return f"/{path}: {wrong.message[:_KEPT_MESSAGE]}"

    def _compiled_one(self, schema: str) -> jsonschema_rs.Validator:
        compiled = self._compiled.get(schema)
        if compiled is None:
            if len(self._compiled) >= _KEPT_SCHEMAS:
                self._compiled.clear()
            compiled = self._compiled[schema] = _validator(schema)
        return compiled


def _validator(text: str) -> jsonschema_rs.Validator:
    # Offline: a reference in somebody's schema must not make the server read files or call hosts.
    return jsonschema_rs.validator_for(text, offline=True)
