"""The `agent` handler: runs an agent program and reads its event stream."""

from phaseline.worker.handlers.agent.handler import AgentHandler

__all__ = ["AgentHandler"]
