"""Mutations that Cosmic Ray does not have: a condition, a step or a lock that a reviewer would miss if it were gone."""

from typing import Any

import parso
from cosmic_ray.operators.operator import Example, Operator

CONDITIONS = {"where", "and_", "or_"}
"""The functions whose arguments are conditions."""

LINKS = {"where", "with_for_update", "order_by", "limit", "offset", "distinct", "on_conflict_do_update"}
"""The methods of a statement that return a statement."""

Position = tuple[tuple[int, int], tuple[int, int]]


class DropStep(Operator):
    """Replaces a call, an assignment to an attribute or an item, or a `raise` by `pass`."""

    def mutation_positions(self, node: Any) -> list[Position]:
        is_step = node.type == "simple_stmt" and node.search_ancestor("funcdef") and self._is_step(node.children[0])
        return [(node.start_pos, node.end_pos)] if is_step else []

    def mutate(self, node: Any, index: int) -> Any:
        step = node.children[0]
        node.children[0] = parso.parse(step.get_first_leaf().prefix + "pass")
        return node

    @staticmethod
    def _is_step(step: Any) -> bool:
        if step.type == "expr_stmt":
            return step.children[0].type in ("atom_expr", "power") or str(step.children[1].get_code()).strip() != "="
        return step.type in ("atom_expr", "power", "raise_stmt", "del_stmt")

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("def f():\n    g()\n", "def f():\n    pass\n"),
            Example("def f():\n    await g()\n", "def f():\n    pass\n"),
            Example("def f(x):\n    x.y = 1\n", "def f(x):\n    pass\n"),
            Example("def f(x):\n    raise x\n", "def f(x):\n    pass\n"),
        )


class DropOperand(Operator):
    """Leaves out one side of `and` or `or`."""

    def mutation_positions(self, node: Any) -> list[Position]:
        operands = node.children[::2] if node.type in ("and_test", "or_test") else []
        return [(operand.start_pos, operand.end_pos) for operand in operands]

    def mutate(self, node: Any, index: int) -> Any:
        at = 2 * index
        prefix = node.get_first_leaf().prefix
        del node.children[max(at - 1, 0) : max(at - 1, 0) + 2]
        node.get_first_leaf().prefix = prefix
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("x = a and b", "x = b"),
            Example("x = a and b", "x = a", occurrence=1),
            Example("x = a or b or c", "x = a or c", occurrence=1),
        )


class DropCondition(Operator):
    """Leaves out one of several conditions of `where`, `and_` or `or_`."""

    def mutation_positions(self, node: Any) -> list[Position]:
        return [(condition.start_pos, condition.end_pos) for condition in self._conditions(node)]

    def mutate(self, node: Any, index: int) -> Any:
        condition = self._conditions(node)[index]
        arguments = condition.parent
        at = arguments.children.index(condition)
        first = max(at - 1, 0)
        prefix = arguments.get_first_leaf().prefix
        del arguments.children[first : first + 2]
        arguments.get_first_leaf().prefix = prefix
        return node

    @staticmethod
    def _conditions(node: Any) -> list[Any]:
        """The arguments of a call, given its parentheses."""
        if node.type != "trailer" or node.children[0].value != "(" or node.children[1].type != "arglist":
            return []
        name = node.get_previous_leaf()
        return [c for c in node.children[1].children if c.type != "operator"] if name.value in CONDITIONS else []

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("x = s.where(a == 1, b == 2)", "x = s.where(b == 2)"),
            Example("x = s.where(a == 1, b == 2)", "x = s.where(a == 1)", occurrence=1),
            Example("x = and_(a, b)", "x = and_(a)", occurrence=1),
        )


class DropLink(Operator):
    """Leaves out a link of a chain: the only condition, the lock, the order or the limit of a statement."""

    def mutation_positions(self, node: Any) -> list[Position]:
        return [(node.children[at].start_pos, node.children[at + 1].end_pos) for at in self._links(node)]

    def mutate(self, node: Any, index: int) -> Any:
        at = self._links(node)[index]
        del node.children[at : at + 2]
        return node

    @staticmethod
    def _links(node: Any) -> list[int]:
        if node.type not in ("atom_expr", "power"):
            return []
        pairs = zip(node.children[1:], node.children[2:], strict=False)
        return [
            at
            for at, (name, call) in enumerate(pairs, 1)
            if name.type == call.type == "trailer"
            and name.children[0].value == "."
            and name.children[1].value in LINKS
            and call.children[0].value == "("
            and (name.children[1].value != "where" or call.children[1].type != "arglist")
        ]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("x = select(a).where(b).limit(1)", "x = select(a).limit(1)"),
            Example("x = select(a).where(b).limit(1)", "x = select(a).where(b)", occurrence=1),
        )


class Provider(dict[str, type[Operator]]):
    """The operators of this module, by name, as Cosmic Ray asks for them."""

    def __init__(self) -> None:
        super().__init__({operator.__name__: operator for operator in (DropStep, DropOperand, DropCondition, DropLink)})
