"""What an operator has to change if the store refuses the bucket, or botocore has no credentials for it."""

from __future__ import annotations

from typing import Final

PAGE: Final = "docs/how-to/many-machines.md"
CREDENTIALS: Final = (
    "The server looks for credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in ~/.aws of its user, "
    f"and in the role of its machine. See 'Credentials' in {PAGE}"
)
_REGION: Final = "Set s3_region to the region of the bucket"
_CHANGES: Final = {
    "SignatureDoesNotMatch": "Correct the secret key",
    "InvalidAccessKeyId": "Correct the access key",
    "InvalidToken": "Correct the session token, or remove it",
    "ExpiredToken": "These credentials were temporary. Get new ones",
    "RequestTimeTooSkewed": "Correct the clock of this machine",
    "AccessDenied": f"These credentials need the rights in 'The rights that it needs' in {PAGE}",
    "NoSuchBucket": "Create the bucket, or correct its name",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
}
"""By S3's code."""


def reason(code: str, message: str) -> str:
    """Returns what the store says about its refusal, and what to change if that is known."""
    change = _CHANGES.get(code)
    return f"{message.rstrip('.')}. {change}" if change else message
