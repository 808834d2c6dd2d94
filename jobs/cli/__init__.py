"""The command line: the operator's door to everything. `main` is what `darkroom` runs."""


def main() -> None:
    """Run the command line."""
    from jobs.cli.app import run_app

    run_app()
