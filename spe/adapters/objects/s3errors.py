"""What an answer of the object service means for us, as a table.

Every error of the client library becomes one of the domain's: whatever is not a plain "not there" is
`Unavailable`, since a dependency that does not say yes has said no. Sentences carry the service's error
code, never its text, which may hold keys or names.
"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, SSLError

from spe.adapters.objects.rules import PORT
from spe.domain.errors import Corrupt, SpeError, Unavailable

GONE = frozenset({"NoSuchKey", "NoSuchVersion"})
MISSING = GONE | {"404"}  # all that an answer without a body can say; with one, a bare 404 is not the service's
DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"})
UNKNOWN_CALL = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405", "XNotImplemented"})
NOT_FIRST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
OTHER_BYTES = frozenset(
    {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody"}
)

_FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "StorageFull", "XMinioStorageFull", "507"})
_BUSY = frozenset(
    {
        "SlowDown",
        "RequestTimeout",
        "Throttling",
        "ThrottlingException",
        "RequestThrottled",
        "TooManyRequests",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "InternalError",
        "ServiceUnavailable",
        "OperationAborted",
        "429",
    }
)
_KEYS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "InvalidSecurity",
        "AuthorizationHeaderMalformed",
    }
)
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})

_RIGHTS = {
    "put_object": "s3:PutObject (with retention s3:PutObjectRetention)",
    "create_multipart_upload": "s3:PutObject (with retention s3:PutObjectRetention)",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "get_object": "s3:GetObject and s3:ListBucket",
    "head_object": "s3:GetObject and s3:ListBucket",
    "delete_object": "s3:DeleteObject and s3:DeleteObjectVersion",
    "list_objects_v2": "s3:ListBucket",
    "head_bucket": "s3:ListBucket",
    "list_object_versions": "s3:ListBucketVersions",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "get_object_lock_configuration": "s3:GetBucketObjectLockConfiguration",
    "put_object_lock_configuration": "s3:PutBucketObjectLockConfiguration",
    "get_bucket_versioning": "s3:GetBucketVersioning",
    "put_bucket_versioning": "s3:PutBucketVersioning",
    "put_public_access_block": "s3:PutBucketPublicAccessBlock",
    "put_object_retention": "s3:PutObjectRetention",
    "create_bucket": "s3:CreateBucket",
}


def code_of(error: BotoCoreError | ClientError) -> str:
    """The service's error code, or its HTTP status in digits where it gave none; empty when it did not answer."""
    if not isinstance(error, ClientError):
        return ""
    found = error.response.get("Error", {}).get("Code")
    return str(found or status_of(error))


def status_of(error: BotoCoreError | ClientError) -> int:
    """The HTTP status of the answer; 0 when there was none."""
    answer: dict[str, Any] = getattr(error, "response", {})
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def transient(error: BotoCoreError | ClientError) -> bool:
    """Whether the same call may succeed when it is sent again."""
    if isinstance(error, ClientError):
        code, status = code_of(error), status_of(error)
        return code not in _FULL | UNKNOWN_CALL and (code in _BUSY or status == 429 or status >= 500)
    return not (isinstance(error, NoCredentialsError | PartialCredentialsError) or _untrusted(error))


def _untrusted(error: BotoCoreError) -> bool:
    """Whether the certificate was wrong; a connection that breaks off is also called an SSLError."""
    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def spoken(error: BotoCoreError | ClientError, *, operation: str, bucket: str) -> SpeError:
    """The domain's error for what the library raised in that operation."""
    if code_of(error) in OTHER_BYTES:
        return Corrupt("What arrived in the object store was not what was sent; it was not kept.")
    return Unavailable(PORT, _reason(error, operation, bucket))


def _reason(error: BotoCoreError | ClientError, operation: str, bucket: str) -> str:
    if not isinstance(error, ClientError):
        return _silence(error)
    code, status = code_of(error), status_of(error)
    right = _RIGHTS.get(operation, operation)
    rows = (
        (code in _FULL or status == 507, "it is full, so nothing was stored; free some space, then try again"),
        (code == "NoSuchBucket", f"there is no bucket {bucket}; `spe objects setup` makes it"),
        (300 <= status < 400, "it points to another place, which is not followed; correct endpoint and region"),
        (code in _KEYS, f"it does not accept our access key ({code}); give it a valid one"),
        (code in _CLOCK, "its clock and ours differ too much; set both right"),
        (code in DENIED, f"access to the bucket {bucket} was denied; grant our access key {right} there"),
        (transient(error), f"it is busy or broken ({code})"),
    )
    return next(
        (sentence for fits, sentence in rows if fits), f"it refused {operation} in the bucket {bucket} ({code})"
    )


def _silence(error: BotoCoreError) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no access key for it was found; set one"
    if _untrusted(error):
        return "its certificate is not trusted; correct the endpoint or the CA file"
    return f"no answer came in time, or the connection broke ({type(error).__name__})"
