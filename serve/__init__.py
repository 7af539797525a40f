"""serve: lets people and prompt builders in."""


def main() -> None:
    """The `paperfeed` command; a helper of an import starts here anew, without the rest of it."""
    from serve.cli import main

    main()
