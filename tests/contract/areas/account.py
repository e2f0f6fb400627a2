"""The account."""

from __future__ import annotations

from ccv2_async import models
from tests.contract.operation import READ, Operation

OPERATIONS = (
    Operation(
        "account_info_get",
        "GET",
        "/account/info",
        READ,
        "account.info",
        lambda c, _: c.account.info(),
        answer=models.AccountInfo,
    ),
    Operation(
        "account_info_update",
        "PUT",
        "/account/info",
        (200, 400, 401, 406, 415, 500),
        "account.replace_info",
        lambda c, _: c.account.replace_info(models.AccountInfo(phone="555-0100")),
        answer=models.AccountInfo,
        body="json",
    ),
    Operation(
        "verified_emails_list",
        "GET",
        "/account/verifiedemailaddresses",
        (200, 400, 401, 406, 500),
        "account.verified_emails",
        lambda c, _: c.account.verified_emails(status="confirmed"),
        answer=list[models.VerifiedEmailAddress],
        query={"status": "CONFIRMED"},
    ),
    Operation(
        "verified_email_create",
        "POST",
        "/account/verifiedemailaddresses",
        (200, 201, 400, 401, 405, 406, 409, 500),
        "account.add_verified_email",
        lambda c, _: c.account.add_verified_email("menu@example.com"),
        answer=list[models.VerifiedEmailAddress],
        body="json",
    ),
)
