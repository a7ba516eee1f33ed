"""The commands, one file each: add_arguments(parser) says what one takes, run(options) does it."""

__all__: list[str] = []
