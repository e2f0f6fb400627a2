"""The command line: which commands there are. A command group is a module of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, Group, Parameter

from ccv2_async.cli.activities import activities
from ccv2_async.cli.contacts import contacts
from ccv2_async.cli.exits import Exit, exit_of
from ccv2_async.cli.files import files
from ccv2_async.cli.folders import folders
from ccv2_async.cli.journal import journal
from ccv2_async.cli.listings import account, campaigns, lists
from ccv2_async.cli.login import login, logout
from ccv2_async.cli.output import Output, OutputClosedError
from ccv2_async.cli.poll import poll
from ccv2_async.cli.sandbox import sandbox
from ccv2_async.cli.upload import upload
from ccv2_async.cli.wording import told, where_help_is, wrong_usage
from ccv2_async.cli.worker import worker
from ccv2_async.errors import ConstantContactError
from ccv2_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["app", "run"]

_EPILOGUE = (
    "Credentials come from the environment: CCV2_API_KEY, CCV2_ACCESS_TOKEN (and CCV2_BASE_URL "
    "for another service), or from 'ccv2 login'. None are needed with --sandbox.\n\n"
    "Exit codes: 0 all went well, 1 some failed, 2 wrong usage, 3 ambiguous (look before "
    "repeating), 4 quota used up, 130 interrupted."
)


def _worth_showing(default: object) -> object:
    """A default as help shows it; None for one that says nothing, such as a flag's."""
    return None if default is False or default == "" else default


app: App = App(
    name="ccv2",
    help="Constant Contact from the command line, and a sandbox to try it on.",
    help_epilogue=_EPILOGUE,
    help_format="markdown",
    version=__version__,
    default_parameter=Parameter(show_default=_worth_showing),
    group_parameters=Group("Options", sort_key=5),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
_COMMANDS: tuple[App | Callable[..., Exit], ...] = (
    upload,
    poll,
    journal,
    files,
    folders,
    contacts,
    lists,
    activities,
    campaigns,
    account,
    login,
    logout,
    sandbox,
    worker,
)
for _command in _COMMANDS:
    app.command(_command)


def run(arguments: Sequence[str] | None = None) -> Exit:
    """Run one command line, by default the process's own, and return the exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if tokens[:2] == ["folders", "delete"]:
        # The parser takes what follows "--" for ids, --yes too; "-3" needs no "--" before it.
        tokens = [word for word in tokens if word != "--"]
    output = Output(as_json="--json" in tokens)
    try:
        code = app(tokens, console=output.help, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        output.give_up(wrong_usage(error))
        output.say(where_help_is(error))
        return Exit.USAGE
    except ConstantContactError as error:
        output.give_up(told(error))
        return exit_of(error)
    except OutputClosedError:
        return Exit.CLOSED
    except KeyboardInterrupt:
        output.say("Interrupted; nothing was sent.")
        return Exit.INTERRUPTED
    return output.ended(code if isinstance(code, Exit) else Exit.OK)
