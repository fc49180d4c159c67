"""The remote procedures that the client calls: path, request and response of each."""

from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from phaseline.v1 import artifact_service_pb2 as artifact
from phaseline.v1 import execution_service_pb2 as execution
from phaseline.v1 import workflow_service_pb2 as workflow

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Rpc(NamedTuple, Generic[Request, Response]):
    """One remote procedure."""

    path: str
    request: type[Request]
    response: type[Response]


_EXECUTIONS = "/phaseline.v1.ExecutionService/"
EXECUTE = Rpc(_EXECUTIONS + "Execute", execution.ExecuteRequest, execution.ExecuteResponse)
EXECUTE_BATCH = Rpc(
    _EXECUTIONS + "ExecuteBatch", execution.ExecuteBatchRequest, execution.ExecuteBatchResponse
)
GET_STATUS = Rpc(_EXECUTIONS + "GetStatus", execution.GetStatusRequest, execution.GetStatusResponse)
GET = Rpc(_EXECUTIONS + "Get", execution.GetRequest, execution.GetResponse)
LIST = Rpc(_EXECUTIONS + "List", execution.ListRequest, execution.ListResponse)
LIST_ACTIVE = Rpc(
    _EXECUTIONS + "ListActive", execution.ListActiveRequest, execution.ListActiveResponse
)
LIST_OPERATIONS = Rpc(
    _EXECUTIONS + "ListOperations",
    execution.ListOperationsRequest,
    execution.ListOperationsResponse,
)
GET_NESTING = Rpc(
    _EXECUTIONS + "GetNesting", execution.GetNestingRequest, execution.GetNestingResponse
)
WAIT = Rpc(_EXECUTIONS + "Wait", execution.WaitRequest, execution.WaitResponse)
WATCH = Rpc(_EXECUTIONS + "Watch", execution.WatchRequest, execution.WatchResponse)
WATCH_ACTIVE = Rpc(
    _EXECUTIONS + "WatchActive", execution.WatchActiveRequest, execution.WatchActiveResponse
)
CANCEL = Rpc(_EXECUTIONS + "Cancel", execution.CancelRequest, execution.CancelResponse)
PAUSE = Rpc(_EXECUTIONS + "Pause", execution.PauseRequest, execution.PauseResponse)
RESUME = Rpc(_EXECUTIONS + "Resume", execution.ResumeRequest, execution.ResumeResponse)
RETRY = Rpc(_EXECUTIONS + "Retry", execution.RetryRequest, execution.RetryResponse)
PURGE = Rpc(_EXECUTIONS + "Purge", execution.PurgeRequest, execution.PurgeResponse)

_WORKFLOWS = "/phaseline.v1.WorkflowService/"
APPLY_WORKFLOW = Rpc(
    _WORKFLOWS + "ApplyWorkflow", workflow.ApplyWorkflowRequest, workflow.ApplyWorkflowResponse
)
GET_WORKFLOW = Rpc(
    _WORKFLOWS + "GetWorkflow", workflow.GetWorkflowRequest, workflow.GetWorkflowResponse
)
LIST_WORKFLOWS = Rpc(
    _WORKFLOWS + "ListWorkflows", workflow.ListWorkflowsRequest, workflow.ListWorkflowsResponse
)

_ARTIFACTS = "/phaseline.v1.ArtifactService/"
GET_ARTIFACT = Rpc(
    _ARTIFACTS + "GetArtifact", artifact.GetArtifactRequest, artifact.GetArtifactResponse
)
LIST_ARTIFACTS = Rpc(
    _ARTIFACTS + "ListArtifacts", artifact.ListArtifactsRequest, artifact.ListArtifactsResponse
)

CHECK_HEALTH = Rpc(
    "/grpc.health.v1.Health/Check",
    health_pb2.HealthCheckRequest,
    health_pb2.HealthCheckResponse,
)
