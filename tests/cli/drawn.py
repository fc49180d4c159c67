"""Drawings as text."""

from io import StringIO

from rich.console import Console, RenderableType


def drawn(renderable: RenderableType, *, width: int = 100) -> str:
    """Return *renderable* as a terminal of *width* columns shows it, without colours."""
    file = StringIO()
    Console(file=file, width=width, color_system=None, highlight=False, markup=False).print(
        renderable
    )
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def rows(renderable: RenderableType, *, width: int = 100) -> list[list[str]]:
    """Return the cells of each line, as far as two blanks part them."""
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in drawn(renderable, width=width).splitlines()
    ]
