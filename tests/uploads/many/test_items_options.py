from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import FileToUpload, errors

if TYPE_CHECKING:
    from ccv2_async import ConstantContact

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.mark.parametrize("wrong", [{"folder_id": ""}, {"on_ambiguous": "guess"}], ids=str)
async def test_invalid_options_are_refused_before_the_first_file_is_sent(
    client: ConstantContact, wrong: dict[str, Any]
) -> None:
    with pytest.raises(errors.InvalidField, match=next(iter(wrong))):
        client.upload_many([FileToUpload(PICTURE, name="a.png")], **wrong)
