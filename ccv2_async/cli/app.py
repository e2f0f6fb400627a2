"""The command line: its commands, and messages about invalid command lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    UnusedCliTokensError,
)
from cyclopts.completion import ShellDetectionError

from ccv2_async.cli.exits import Exit, exit_of, message_of
from ccv2_async.cli.output import Output, OutputClosedError
from ccv2_async.cli.service import OPTIONS
from ccv2_async.errors import ConstantContactError, UsageError
from ccv2_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOGUE = (
    "Credentials come from the environment variables CCV2_API_KEY and CCV2_ACCESS_TOKEN (and "
    "CCV2_BASE_URL for another service), or from a profile that you or 'ccv2 login' wrote. "
    "--sandbox needs none.\n\n"
    "Exit codes: 0 success, 1 something failed, 2 wrong usage, 3 ambiguous (check the account "
    "before repeating), 4 quota used up, 130 interrupted."
)


def _worth_showing(default: object) -> object:
    """Return a default as help shows it; None for one that is not shown, such as a flag's."""
    return None if default is False or default == "" else default


_KINDS: dict[object, str] = {int: "a whole number", float: "a number"}

app: App = App(
    name="ccv2",
    help="Constant Contact from the command line, and a sandbox to try it with.",
    help_epilogue=_EPILOGUE,
    help_format="markdown",
    version=__version__,
    default_parameter=Parameter(show_default=_worth_showing),
    group_parameters=OPTIONS,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
_COMMANDS = {
    "upload": "upload",
    "sync": "sync",
    "backup": "backup",
    "journal": "journal",
    "download": "files",
    "library": "folders",
    "contacts": "contacts lists",
    "activities": "activities",
    "campaigns": "campaigns",
    "tracking": "tracking",
    "listings": "account",
    "api": "api",
    "login": "login logout profile",
    "sandbox": "sandbox",
    "worker": "worker",
}
"""The commands of each module; a module is imported when its command is used."""
for _module, _names in _COMMANDS.items():
    for _name in _names.split():
        app.command(f"ccv2_async.cli.{_module}:{_name}")
app.command("ccv2_async.cli.activities:poll", usage="Usage: ccv2 poll [OPTIONS] [TOKENS]")


@app.command(name="--install-completion")
def install_completion(
    *, shell: Literal["bash", "fish", "powershell", "zsh"] | None = None
) -> Exit:
    """Install Tab completion of commands and options.

    It writes a script, and for bash and zsh a line into ~/.bashrc or ~/.zshrc that loads it.

    Args:
        shell: The shell; by default the one that runs this command.
    """
    output = Output(carry_on=True)
    try:
        path = app.install_completion(shell=shell)
    except ShellDetectionError:
        raise UsageError("Your shell could not be detected. Pass it with --shell.") from None
    except OSError as error:
        output.give_up(f"Shell completion was not installed: {error}.")
        return Exit.SOME_FAILED
    output.say(f"Shell completion is installed in {path}. Start a new shell to use it.")
    return Exit.OK


def run(arguments: Sequence[str] | None = None) -> Exit:
    """Run one command line, by default the process's own, and return the exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if tokens[:2] == ["folders", "delete"]:
        # The parser takes all that follows "--" for IDs, even --yes. "-3" needs no "--" before it.
        tokens = [word for word in tokens if word != "--"]
    if not tokens or tokens[0] in app.help_flags or tokens[0] not in app:
        app.resolved_commands()  # help shows what each command does
    output = Output(as_json="--json" in tokens)
    try:
        code = app(tokens, console=output.help, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        if isinstance(error.__cause__, ConstantContactError):  # from a check of one option
            output.give_up(message_of(error.__cause__))
            return exit_of(error.__cause__)
        output.give_up(_usage_message(error))
        output.say(f"See '{_command(error)} --help'.")
        return Exit.USAGE
    except ConstantContactError as error:
        output.give_up(message_of(error))
        return exit_of(error)
    except OutputClosedError:
        return Exit.CLOSED
    except KeyboardInterrupt:
        output.say("Interrupted; nothing was sent.")
        return Exit.INTERRUPTED
    return output.ended(code if isinstance(code, Exit) else Exit.OK)


def _usage_message(error: CycloptsError) -> str:
    """Return the problem with a command line, as one line of text."""
    match error:
        case UnusedCliTokensError():
            return f"Too many arguments: {' '.join(error.unused_tokens or ())}"
        case MissingArgumentError(argument=argument) if argument is not None:
            if error.keyword is not None:
                return f"{error.keyword} needs a value."
            return f"'{_command(error)}' needs {argument.name}."
        case CoercionError(token=token) if token and error.target_type in _KINDS:
            name, kind = token.keyword or "value", _KINDS[error.target_type]
            return f'Invalid value "{token.value}" for {name}: not {kind}.'
    return " ".join(str(error).split())


def _command(error: CycloptsError) -> str:
    return " ".join(["ccv2", *(error.command_chain or ())])
