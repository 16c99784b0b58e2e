"""Numbers in sentences: one form for one, another for none and for many. Apart, so that every layer says it alike."""


def several(number: int, one: str, many: str) -> str:
    """`1 person loses`, `2 people lose`."""
    return f"{number} {one if number == 1 else many}"
