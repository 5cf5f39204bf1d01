"""The command line: ``handstyle demo | stylize | texture | reconstruct | check | info | plan | bench | weights``.

Flags and their help come from `StyleConfig` and from the docstrings of the commands. What a user got wrong ends in one
line on standard error and exit status 2; a check that fails in status 1; an interruption in status 130.
"""

import signal
import sys

from cyclopts import App, CycloptsError, Parameter

from handstyle.cli.inspecting import check, info
from handstyle.cli.measuring import bench, plan
from handstyle.cli.options import NetworkConfig, err, fill_from_preset_and_file
from handstyle.cli.painting import demo, reconstruct, stylize_command, texture
from handstyle.foundations.errors import HandstyleError

__all__ = ["NetworkConfig", "app", "check", "demo", "info", "main", "reconstruct", "stylize_command", "texture"]

WEIGHTS = "Get, convert, check and describe pretrained networks."

# A flag that may be given several times also takes several values at once: --mask sky.png ground.png.
several = Parameter(consume_multiple=True)
app = App(
    name="handstyle",
    help="Paint one picture in the style of another, every gradient by hand.",
    default_parameter=several,
)
app.config = [fill_from_preset_and_file]
app.command(stylize_command, name="stylize")
for command in (demo, texture, reconstruct, check, info, plan, bench):
    app.command(command)
app.command("weights_tools.commands:weights_app", name="weights", help=WEIGHTS)  # imported when asked for


def main() -> None:
    """Run the command line; turn a user's mistakes into one line and exit status 2."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # a batch system's way to say Ctrl-C
    try:
        status = app(result_action="return_value", exit_on_error=False, print_error=False)
    except (HandstyleError, CycloptsError) as error:
        message = " ".join(str(error).split())
        err.print(f"handstyle: {message}", markup=False, highlight=False, soft_wrap=True)
        status = 2
    except KeyboardInterrupt:
        err.print("handstyle: interrupted before the first picture; nothing was written")
        status = 130
    sys.exit(status if isinstance(status, int) else 0)
