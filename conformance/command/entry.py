"""The door of the `subbit` command
================================

The command needs packages that the reference does not. If one is missing, the door says
so in one sentence and names the extra that installs it.
"""

import sys

_EXTRAS = {
    "cupy": "cuda13",
    "distributed": "cluster",
    "gguf": "demo",
    "matplotlib": "demo",
    "tokenizers": "demo",
    "torch": "models",
    "transformers": "models",
}


def missing_package(name: str) -> str:
    """Return the sentence for a package that is not installed.

    Parameters
    ----------
    name : str
        Import name of the package, or of a module in it.

    Returns
    -------
    str
        The missing package, and the command that installs it.

    Examples
    --------
    >>> missing_package("gguf.constants")
    "subbit: the package gguf is missing; install it with: pip install 'subbit[demo]'"
    """
    package = name.partition(".")[0]
    extra = _EXTRAS.get(package, "conformance")
    return (
        f"subbit: the package {package} is missing; install it with: pip install 'subbit[{extra}]'"
    )


def main() -> None:
    """Run the `subbit` command.

    Raises
    ------
    SystemExit
        With code 2, after one sentence, if a package is missing.
    """
    try:
        from subbit.conformance.command.cli import main as command

        command()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("subbit"):
            raise
        sys.stderr.write(missing_package(error.name) + "\n")
        raise SystemExit(2) from None
