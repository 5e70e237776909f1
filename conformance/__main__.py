"""Run the `subbit` command with ``python -m subbit.conformance``."""

from subbit.conformance.command.entry import main

if __name__ == "__main__":
    main()
