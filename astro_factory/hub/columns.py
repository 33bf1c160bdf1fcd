"""What the columns of published tables contain, for cards and Croissant files."""

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType

_MEANINGS: dict[str, dict[str, str]] = {
    TABLE_FILES[ArtifactType.PROBLEMS]: {
        "id": "unique name of the problem",
        "question": "the text that a model is asked",
        "answer": "the known answer",
        "verifier": "the rule by which answers are judged",
        "info": "JSON with what the verifier needs beside the answer",
        "level": "group of the problem in reports; may be empty",
    },
    TABLE_FILES[ArtifactType.DIALOGUES]: {
        "id": "unique name of the conversation",
        "skill": "the skill that it practises",
        "messages": "the conversation, a list of role and content",
    },
    TABLE_FILES[ArtifactType.TREES]: {
        "problem": "the problem: id, question, answer, verifier, info, level",
        "nodes": "the steps of the tree: parent (index, -1 at the root), text, prior, visits, value, verdict, answer",
        "calls": "every sample of the model: node, purpose, seed, prompt digest, token ids, log-probabilities",
        "tokens": "number of tokens sampled for this tree",
        "iterations": "number of iterations of the search",
    },
    TABLE_FILES[ArtifactType.TRACES]: {
        "problem_id": "the problem's id",
        "messages": "the conversation, a list of role and content; the last message is the chain of thought",
        "template": "the template that worded it",
        "node_sequence": "the nodes of the problem's tree that it visits, in order",
        "segments": "the parts of the chain of thought: kind, text, node, start and end in characters",
        "num_backtracks": "how often it backtracks",
        "num_wrong": "how many incorrect ends it visits",
        "seed": "seed of the choices that made it",
        "num_tokens": "length of the last message in tokens",
    },
    "samples.parquet": {
        "source": "the problem source",
        "problem": "the problem's id",
        "level": "the problem's group",
        "cluster": "problems with the same value are not independent",
        "verifier": "the rule by which answers are judged",
        "arm": "the model that answered",
        "sample": "number of the sample",
        "seed": "seed of the sample",
        "text": "the response",
        "tokens": "length of the response in tokens",
        "finish": "why it ended",
        "outcome": "the verdict",
        "extracted": "the answer that majority votes compare",
        "detail": "more about the verdict",
        "accepted": "whether the domain's own check accepts it; null if it has none",
        "fails_after": "tokens after which a check of its steps rejects it; null if none does",
        "backtracks": "how often the response backtracks",
        "dead_ends": "states that it leaves without trying anything below them",
        "revisited": "steps to a state that it reached before",
        "unresolved": "backtracks to a state that does not exist",
        "repeated": "complete attempts that repeat an earlier one, in any order; null where the domain knows no states",
        "worded": "backtracks in the words of the template",
    },
}


def column_meaning(table: str, column: str) -> str:
    """The meaning of a column of a table, given by its file name; empty if it is not known."""
    return _MEANINGS.get(table, {}).get(column, "")
