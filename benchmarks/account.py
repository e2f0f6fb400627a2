"""Run a sandbox with a large account in its own process: `python -m benchmarks.account 10 5`.

The arguments are the number of contacts and the number of 4 MB files. The program prints the
client's options as a line of JSON, and ends when its stdin is closed.
"""

from __future__ import annotations

import json
import sys

from benchmarks.samples import MB
from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.forms import Content

FILE_SIZE = 4 * MB


def main() -> None:
    """Serve until stdin is closed."""
    contacts, files = (int(argument) for argument in sys.argv[1:])
    sandbox = Sandbox(mode="at_once", keep_content=files * FILE_SIZE)
    sandbox.admin.add_contacts(contacts)
    world = sandbox._world  # noqa: SLF001 - no request accepts a file without copying it
    content = Content(FILE_SIZE)
    content.write(bytes(FILE_SIZE))
    for number in range(files):
        texts = {"file_name": f"scan-{number}.pdf", "folder_id": "0", "description": ""}
        texts |= {"file_type": "PDF", "source": "MyComputer"}
        # All files share their bytes, which takes the memory of one.
        world.library.add_file(texts, content, sandbox.admin.time())
    with sandbox:
        print(json.dumps(sandbox.client_options()), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
