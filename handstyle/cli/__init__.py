"""The command line: ``handstyle demo | stylize | texture | reconstruct | again | check | info | …``.

Flags and their help come from `StyleConfig` and from the docstrings of the commands. A mistake of the user ends the
program with one line on standard error and exit status 2. A failed check has status 1, a signal 128 plus its number.
"""

import sys
from collections.abc import Sequence
from itertools import count

from cyclopts import App, CycloptsError, Parameter

from handstyle.cli.checkpoints import with_auto
from handstyle.cli.help import USAGE, correct_dashes, explain_error, plain_help, unquoted_name
from handstyle.cli.options import as_flags
from handstyle.cli.painting import commands, demo
from handstyle.cli.signals import ignore_signal, reset_handlers, set_handler, status_of_signal
from handstyle.cli.terminal import event, set_output_form, warn
from handstyle.foundations.errors import HandstyleError, one_line, printable

# The other commands, imported when they are called.
OTHERS = {
    "batch": ("handstyle.cli.batch:batch", "Paint every picture of a folder, and write a page of the results."),
    "frames": ("handstyle.cli.frames:frames", "Paint a film frame by frame, with little flicker."),
    "sweep": ("handstyle.cli.sweep:sweep", "Paint a picture with several settings, as one sheet."),
    "again": ("handstyle.cli.again:again", "Paint a picture again by the recipe in its file, and compare the two."),
    "report": ("handstyle.cli.again:report", "Paint a picture again by its recipe, and write a report of the run."),
    "check": ("handstyle.cli.checking:check", "Check every gradient of a network."),
    "info": ("handstyle.cli.inspecting:info", "Print the layers of a network, a preset, or a picture's recipe."),
    "plan": ("handstyle.cli.planning:plan", "Print a forecast of the memory and time of a run."),
    "bench": ("handstyle.cli.measuring:bench", "Measure the time of one evaluation on this machine."),
    "weights": ("handstyle.cli.weights:weights_app", "Download, convert, check and describe pretrained networks."),
}


def make_app(everything: bool = False, called: str = "") -> App:
    """Return the parser of the command line; its help shows every flag if `everything` is true.

    The help of most commands is one line, written in `OTHERS`, so that a command is imported only when it is called.
    That of the command `called` is its whole docstring.

    Examples
    --------
    >>> command, arguments, _ = make_app().parse_args(["bench", "256", "--rounds", "3"])
    >>> command.__name__, arguments.args, arguments.kwargs
    ('bench', (256,), {'rounds': 3})
    """
    made = App(
        name="handstyle",
        help="Paint one picture in the style of another, with gradients written by hand.\n\n"
        "To begin: handstyle demo, or handstyle stylize photograph.jpg painting.jpg",
        help_formatter=plain_help,
        # A flag that may be given several times also takes several values at once: --mask sky.png ground.png.
        default_parameter=Parameter(consume_multiple=True),
        suppress_keyboard_interrupt=False,  # `main` says what was lost, and with which signal
    )
    place = count()  # in the list of commands, which is otherwise alphabetical
    for name, command in commands(everything).items():
        more = "" if everything else "\n--help-all shows every flag."
        made.command(command, name=name, usage=f"Usage: handstyle {name} {USAGE[name]}{more}", sort_key=next(place))
    made.command(demo, sort_key=next(place))
    for name, (path, text) in OTHERS.items():
        more = "\nMost flags of stylize work here, too; handstyle stylize --help-all shows them." * (name != "bench")
        usage = {"usage": f"Usage: handstyle {name} {USAGE[name]}{more}"} if name in USAGE else {}
        made.command(path, name=name, sort_key=next(place), **usage, **({} if name == called else {"help": text}))
    return made


app = make_app()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default with the arguments of the process, and exit with its status.

    Examples
    --------
    >>> try:
    ...     main(["weights", "list", "vgg18"])
    ... except SystemExit as end:
    ...     end.code
    2
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):  # characters that the terminal's encoding lacks are shown as ?
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    words = [*words[1:], "--help"] if words[:1] == ["help"] else words
    reset_handlers()
    set_output_form(as_json="--json" in words)  # so that errors in the arguments are printed as JSON events, too
    everything = "--help-all" in words
    parser = make_app(everything, called=words[0] if words else "")
    words = with_auto(["--help" if word == "--help-all" else correct_dashes(word) for word in words])
    message = ""
    try:
        status = parser(words, result_action="return_value", exit_on_error=False, print_error=False)
    except (HandstyleError, CycloptsError) as error:
        message = as_flags(str(error)) if isinstance(error, HandstyleError) else explain_error(error, words)
        status = 2
    except MemoryError as error:
        message = f"out of memory: {error or 'an allocation failed'}; free memory, or use a smaller size"
        status = 1
    except OSError as error:  # a name that is too long, a folder that may not be entered, a full disk
        named = f"{printable(str(error.filename))}: " if error.filename is not None else ""
        message, status = f"{named}{error.strerror or one_line(error)}", 2
    except KeyboardInterrupt:
        set_handler(ignore_signal)  # a second one would be a traceback
        message = "interrupted; nothing was written"
        status = status_of_signal()
    if message:
        message = " ".join(message.split()) + unquoted_name(words) * ("does not exist" in message)
        warn(f"handstyle: {message}")
        event("error", message=message, status=status)
    set_handler(ignore_signal)
    sys.exit(status if isinstance(status, int) else 0)
