"""Where the objects of a scene stand: an arrangement for every count and relation, then a place in the frame."""

from typing import NamedTuple

from benchmark.datasets.canvas import Sprite
from benchmark.datasets.procedural import Draws
from benchmark.datasets.shapes import shape_sprite

RADII = {"small": 6, "big": 10}
"""Radius of the main object in pixels."""
_CELLS = {
    "one": (((0, 0),),),
    "two": (((0, 0), (1, 0)), ((0, 0), (0, 1)), ((0, 0), (1, 1)), ((1, 0), (0, 1))),
    "three": (((0, 0), (1, 0), (0, 1)), ((0, 0), (1, 0), (1, 1)), ((0, 1), (1, 0), (1, 1)), ((0, 0), (0, 1), (1, 1))),
    "four": (((0, 0), (1, 0), (0, 1), (1, 1)),),
}
"""Arrangements of equal objects on a grid of two columns and two rows."""


class Piece(NamedTuple):
    """A sprite in a colour (by name), with its top left corner in pixels."""

    sprite: Sprite
    colour: str
    x: int
    y: int


class Layout(NamedTuple):
    """Pieces in painting order, and the motion streaks as (x, y, length); all in pixels."""

    pieces: list[Piece]
    streaks: list[tuple[int, int, int]]


def arrange(draws: Draws, factors: dict[str, str], size: int) -> Layout:
    """Arrange the objects of a scene in a frame of `size` x `size` pixels.

    The factors row and column say in which third of the room left over they stand.
    """
    main = shape_sprite(factors["shape"], RADII[factors["size"]])
    alone = factors["relation"] == "alone"
    layout = _repeat(draws, main, factors, size) if alone else _relate(draws, main, factors)
    boxes = [(p.x, p.y, p.x + p.sprite.width, p.y + p.sprite.height) for p in layout.pieces]
    boxes += [(x, y, x + length, y + 1) for x, y, length in layout.streaks]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    dx = _start(draws, size - (right - left), ("left", "middle", "right").index(factors["column"])) - left
    dy = _start(draws, size - (bottom - top), ("top", "middle", "bottom").index(factors["row"])) - top
    return Layout(
        [piece._replace(x=piece.x + dx, y=piece.y + dy) for piece in layout.pieces],
        [(x + dx, y + dy, length) for x, y, length in layout.streaks],
    )


def _start(draws: Draws, room: int, third: int) -> int:
    """Return a position in one third of the free room."""
    low, high = room * third // 3, room * (third + 1) // 3
    return low + draws.below(max(1, high - low + 1))


def _repeat(draws: Draws, main: Sprite, factors: dict[str, str], size: int) -> Layout:
    """Put one to four equal objects on a grid, slightly disordered but apart."""
    gap_x, gap_y = min(12, size - 2 * main.width), min(12, size - 2 * main.height)
    pieces = []
    for column, row in draws.one_of(_CELLS[factors["count"]]):
        near_x, near_y = draws.below(gap_x // 3 + 1), draws.below(gap_y // 3 + 1)
        x = main.width + gap_x - near_x if column else near_x
        y = main.height + gap_y - near_y if row else near_y
        pieces.append(Piece(main, factors["colour"], x, y))
    return Layout(pieces, [])


def _relate(draws: Draws, main: Sprite, factors: dict[str, str]) -> Layout:
    """Put the main object in a relation to the second one, whose top left corner is the origin."""
    relation, big = factors["relation"], factors["size"] == "big"
    radius = {"inside": 20 if big else 14, "beside": 8, "above": 8, "chasing": 6}.get(relation, 9)
    second = shape_sprite(factors["shape2"], radius)
    other = Piece(second, factors["colour2"], 0, 0)
    mirrored = draws.below(2) == 1
    x, y = (second.width - main.width) // 2, (second.height - main.height) // 2
    streaks: list[tuple[int, int, int]] = []
    if relation == "riding":
        y = 2 - main.height
    elif relation == "above":
        y = -3 - draws.below(2) - main.height
    elif relation == "behind":
        aside = (second.width + main.width) * 3 // 10
        x += aside if mirrored else -aside
        y -= aside // 2
    elif relation in ("beside", "chasing"):
        y = second.height - main.height if relation == "beside" else y
        x = second.width + 1 if mirrored else -1 - main.width
    if relation == "chasing":
        start = x + main.width + 1 if mirrored else x - 6
        streaks = [(start, y + main.height * part // 4, 5) for part in (1, 2, 3)]
    piece = Piece(main, factors["colour"], x, y)
    return Layout([piece, other] if relation == "behind" else [other, piece], streaks)
