"""What the contract lets a worker send."""

from __future__ import annotations

LEASED_PHASES = 100  #: phases asked for in one call
REPORTS = 1000  #: reports in one call
OPERATIONS = 1000  #: operations in one report
OPERATIONS_AT_ONCE = 10_000  #: operations of all reports in one call
HANDLERS = 256
ARTIFACTS = 100  #: of one phase
MODELS = 100  #: in the usage of one attempt
TOKENS = 10**12  #: of one kind and one model

PAYLOAD_BYTES = 1024 * 1024  #: of an output, an artifact or a checkpoint
OPERATION_PAYLOAD_BYTES = 64 * 1024  #: of the input or the output of an operation

#: Reports are gathered into one call up to this size, which every server takes.
CALL_BYTES = 4 * 1024 * 1024
#: Output and artifacts of one phase. With the last operations and a checkpoint they stay within
#: the 16 MiB that a server takes in one call unless it is set otherwise.
OUTCOME_BYTES = 10 * 1024 * 1024

ID_LENGTH = 128
OPERATION_TYPE_LENGTH = 64
ARTIFACT_NAME_LENGTH = 256
CODE_LENGTH = 64
PROGRESS_LENGTH = 256
ERROR_LENGTH = 1024
DETAIL_LENGTH = 256
