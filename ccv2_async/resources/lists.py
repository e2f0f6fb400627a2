"""Contact lists and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ccv2_async.models.contacts import Contact, ContactList, ContactListStatus, ContactListWrite
from ccv2_async.resources.base import Endpoint, Resource, path_to

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Unpack

    from ccv2_async.resources.listing import Listing, OnBadRow


class ListChanges(TypedDict, total=False):
    """The fields of a contact list that can be changed; see `ContactListWrite`."""

    name: str
    status: ContactListStatus | str


LISTS = Endpoint(ContactList, ContactListWrite, "/lists", "contact list", "contact_list")


class Lists(Resource):
    """`client.lists`: the account's contact lists, at most 1,000."""

    async def all(
        self,
        *,
        modified_since: datetime | None = None,
        include_list_id: bool = False,
        on_bad_row: OnBadRow = "raise",
    ) -> list[ContactList]:
        """Return every contact list of the account. They come in one response, without pages.

        Args:
            modified_since: Only lists that have changed since this time. Needs a time zone.
            include_list_id: Whether each has a `list_id`, its UUID for migrations.
            on_bad_row: "skip" to leave out rows that cannot be read, and log how many.

        Source: "Contact list collection", GET, of the service's documentation.
        """
        query = {"modified_since": modified_since, "include_list_id": include_list_id}
        return await self._get_rows(
            ContactList, "/lists", what="contact lists", query=query, on_bad_row=on_bad_row
        )

    async def get(self, list_id: str) -> ContactList:
        """Return one contact list.

        Raises:
            NotFound: There is no list with that ID.

        Source: "Contact list resource", GET, of the service's documentation.
        """
        return await self._one(LISTS, list_id)

    async def create(
        self, name: str, *, status: ContactListStatus | str = ContactListStatus.ACTIVE
    ) -> ContactList:
        """Create a contact list.

        Args:
            name: At most 255 characters. It must be unique.
            status: ACTIVE, HIDDEN or REMOVED.

        Raises:
            Conflict: There is already a list with that name.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: yes, because
                the service refuses a second one with `Conflict`.

        Source: "Contact list collection", POST, of the service's documentation.
        """
        return await self._create_one(LISTS, ContactListWrite(name, status))

    async def update(self, list_id: str, **changes: Unpack[ListChanges]) -> ContactList:
        """Change fields of a contact list, and return the result.

        A field that is not given keeps its value. This makes two calls: it reads the list and
        sends it back with the changes. If you have read it yourself, `replace` makes one call.

        Source: "Contact list resource", PUT, of the service's documentation.
        """
        return await self._update(LISTS, changes, list_id)

    async def replace(self, contact_list: ContactList) -> ContactList:
        """Replace a contact list, and return what the service stored.

        Fields that are None are erased, except for read-only fields.

        Source: "Contact list resource", PUT, of the service's documentation.
        """
        return await self._replace_one(LISTS, contact_list)

    async def delete(self, list_id: str) -> None:
        """Delete a contact list.

        Raises:
            NotFound: There is no list with that ID.

        Source: "Contact list resource", DELETE, of the service's documentation.
        """
        await self._delete_one(LISTS, list_id)

    def contacts(
        self,
        list_id: str,
        *,
        modified_since: datetime | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[Contact]:
        """List the contacts on one list.

        Args:
            list_id: The list.
            modified_since: Only contacts that have changed since this time. Needs a time zone.
            limit: Rows per page, from 1 to 500. The default is 50.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Source: "Contact list membership collection" page of the service's documentation.
        """
        path, what = path_to("/lists/{}/contacts", list_id), f"contacts of list {list_id}"
        query = {"modified_since": modified_since}
        return self._list(Contact, path, what=what, limit=limit, query=query, on_bad_row=on_bad_row)
