"""Trees, traces and tables as HTML fragments for notebooks; every text is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from astro_factory.core.trees import Tree, TreeNode
from astro_factory.core.verdicts import Outcome

_COLORS = {
    "reflect": "#1d6fd1",
    "verdict": "#1d6fd1",
    "backtrack": "#b45309",
    "restart": "#b45309",
    "answer": "#14703f",
}


def html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a table with their keys as header."""
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0]) if rows else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row.values()) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class TreeView:
    """A search tree that draws itself in a notebook."""

    tree: Tree

    def _repr_html_(self) -> str:
        """Nested lists; iterative, since a tree can be deeper than Python's stack."""
        parts = [f"<p><code>{escape(self.tree.problem.question)}</code></p>"]
        pending: list[int | None] = [0]
        while pending:
            node = pending.pop()
            if node is None:
                parts.append("</ul></li>")
                continue
            parts.append(f"<li>{_label(self.tree.nodes[node]) if node else 'start'}<ul>")
            pending += [None, *reversed(self.tree.children(node))]
        return "".join(["<ul>", *parts, "</ul>"])

    def __repr__(self) -> str:
        ends = [node.verdict for node in self.tree.nodes if node.terminal]
        right = ends.count(Outcome.CORRECT)
        return f"<tree of {self.tree.problem.id}: {len(self.tree.nodes)} nodes, {right} of {len(ends)} ends correct>"


def _line(kind: str, text: str) -> str:
    return f'<div style="color: {_COLORS.get(kind, "inherit")}" title="{escape(kind)}">{escape(text)}</div>'


def _label(node: TreeNode) -> str:
    label = f"<code>{escape(node.text)}</code> <small>N={node.visits} Q={node.value:.2f}{node.basis}</small>"
    if node.terminal:
        color = "#14703f" if node.verdict == Outcome.CORRECT else "#b3261e"
        label += f' <b style="color: {color}">{escape(node.verdict)} {escape(node.answer)}</b>'
    return label


@dataclass(frozen=True)
class TraceView:
    """A trace that shows its segments in colour in a notebook."""

    problem: str
    question: str
    text: str
    node_sequence: Sequence[int]
    backtracks: int
    segments: Sequence[Mapping[str, object]]

    @classmethod
    def from_row(cls, row: Mapping[str, list | str | int]) -> "TraceView":
        """A row of `traces.parquet`."""
        messages, sequence, segments = row["messages"], row["node_sequence"], row["segments"]
        assert isinstance(messages, list) and isinstance(sequence, list) and isinstance(segments, list)
        question, answer = messages[-2]["content"], messages[-1]["content"]
        return cls(str(row["problem_id"]), question, answer, sequence, int(str(row["num_backtracks"])), segments)

    def _repr_html_(self) -> str:
        lines = "".join(_line(str(segment["kind"]), str(segment["text"])) for segment in self.segments)
        return f"<p><code>{escape(self.question)}</code></p><div style='font-family: monospace'>{lines}</div>"

    def __repr__(self) -> str:
        return f"<trace of {self.problem}: {len(self.segments)} segments, {self.backtracks} backtracks>"
