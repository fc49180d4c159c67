"""What a run of Claude Code consumed, from numbers that it tells several times and in part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from phaseline.domain.usage import ModelUsage, merge
from phaseline.worker.handlers.agent.events import Event, count, fields
from phaseline.worker.handlers.agent.recent import Recent
from phaseline.worker.handlers.agent.tokens import (
    NONE,
    UNKNOWN_MODEL,
    Tokens,
    less,
    nanos_of,
    usage_of,
    with_total,
)

#: Messages whose tokens are remembered. Lines of one message follow each other closely.
_REMEMBERED = 10_000


class _Message(msgspec.Struct, frozen=True):
    model: str
    tokens: Tokens


class ClaudeUsage:
    """
    Adds up a run.

    A result tells all that the process has consumed up to then, helpers and sub-agents included,
    and what it costs. Until there is one, and after it, the messages are added up: each counts
    once, however many lines it has. Their output is a lower bound then.

    *before* is what the session had consumed when the run took it up again, if it did.
    """

    def __init__(self, before: Sequence[ModelUsage] = ()) -> None:
        self._before = tuple(before)
        self._asked_for = ""
        self._messages: Recent[str, _Message] = Recent(_REMEMBERED)
        self._since: dict[str, Tokens] = {}
        self._told: tuple[ModelUsage, ...] = ()
        self._seen = NONE
        self._models: tuple[ModelUsage, ...] | None = None

    def asked_for(self, model: str) -> None:
        """Take the name of the model that the run began with."""
        self._asked_for = model

    def message(self, message_id: str, model: str, usage: Event) -> ModelUsage:
        """Take what is known of a model call; return that."""
        before = self._messages.get(message_id)
        tokens = tokens_of(usage)
        if before is None:
            model, more = self._name(model), tokens
        else:
            # The output is told as a placeholder first, and again with each of its lines.
            model, tokens = before.model, tokens | before.tokens
            more = tokens - before.tokens
        self._messages.put(message_id, _Message(model, tokens))
        if more.total:
            self._since[model] = self._since.get(model, NONE) + more
            self._seen += more
            self._models = None
        return tokens.of(model)

    def result(self, result: Event) -> None:
        """Take what a result tells."""
        total = nanos_of(result.get("total_cost_usd", result.get("cost_usd")))
        models = fields(result.get("modelUsage"))
        if models:
            self._told = self._of_this_run(with_total(_models_in(models), total))
        elif "modelUsage" not in result:
            self._add_up(tokens_of(fields(result.get("usage"))), total)
        else:
            return
        self._since.clear()
        self._models = None

    @property
    def models(self) -> tuple[ModelUsage, ...]:
        """What all models have consumed up to now; the same object while that is the same."""
        if self._models is None:
            self._models = merge(self._told, usage_of(self._since))
        return self._models

    def _name(self, model: str) -> str:
        # The same model is asked for as "claude-opus-4-7[1m]", which is how results call it too.
        if self._asked_for.partition("[")[0] == model:
            return self._asked_for
        return model or self._asked_for or UNKNOWN_MODEL

    def _of_this_run(self, models: tuple[ModelUsage, ...]) -> tuple[ModelUsage, ...]:
        """Return *models* without what was consumed before, if that is in them."""
        # Some releases go on counting in a session that is resumed, others begin anew. What the
        # messages of this run come to tells which: it must be there besides what was before.
        # Output is left out, which messages do not tell truly.
        new = sum(map(_prompt, models)) - sum(map(_prompt, self._before))
        goes_on = new >= self._seen.total - self._seen.output
        return less(models, self._before) if goes_on else models

    def _add_up(self, main_thread: Tokens, total: int | None) -> None:
        """Take the result of an old release, which tells what the main thread consumed only."""
        main = self._asked_for or next(iter(self._since), UNKNOWN_MODEL)
        # Sub-agents that use the same model are in the messages only, true output in the result.
        self._since[main] = self._since.get(main, NONE) | main_thread
        self._models = None
        self._told = with_total(self.models, total)


def _prompt(usage: ModelUsage) -> int:
    return usage.total_tokens - usage.output_tokens


def tokens_of(usage: Event) -> Tokens:
    """Return the counts in the usage of a message or a result."""
    return Tokens(
        count(usage.get("input_tokens")) or 0,
        count(usage.get("output_tokens")) or 0,
        count(usage.get("cache_creation_input_tokens")) or 0,
        count(usage.get("cache_read_input_tokens")) or 0,
    )


def _models_in(models: Event) -> Iterator[ModelUsage]:
    for name, value in models.items():
        usage = fields(value)
        tokens = Tokens(
            count(usage.get("inputTokens")) or 0,
            count(usage.get("outputTokens")) or 0,
            count(usage.get("cacheCreationInputTokens")) or 0,
            count(usage.get("cacheReadInputTokens")) or 0,
        )
        yield tokens.of(name, nanos_of(usage.get("costUSD")))
