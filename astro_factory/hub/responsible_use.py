"""What the users of a published dataset should know, for its card and the RAI fields of its Croissant file."""

from typing import NamedTuple

from astro_factory.hub.provenance import Provenance


class ResponsibleUse(NamedTuple):
    """One statement for each field of Croissant RAI that applies."""

    collection: str
    biases: str
    limitations: str
    use_cases: str
    personal_information: str
    social_impact: str
    maintenance: str


def responsible_use(provenance: Provenance) -> ResponsibleUse:
    """The statements, with the models and problem sets of a publication."""
    searched = "a language model"
    if provenance.models:
        searched += f" ({', '.join(provenance.models)})"
    elif any(stage.section == "models" and stage.kind == "init" for stage in provenance.stages):
        searched = "a small language model that was trained from random weights"
    problems = f"The problems come from {', '.join(provenance.datasets)}. " if provenance.datasets else ""
    return ResponsibleUse(
        collection=f"Synthetic. {problems}{searched[0].upper()}{searched[1:]} searched for solutions, a program judged "
        "the final answers, and templates worded the search trees. No person wrote or labelled the texts.",
        biases="Problems that the model never solved have no chain of thought, so easy problems are more frequent than "
        "in their source. The wording comes from a small number of templates.",
        limitations="Only final answers are verified: a step can be wrong even where the answer is correct. Chains of "
        "thought contain wrong steps on purpose, which they take back later.",
        use_cases="Training and studying language models that search, reflect and backtrack. It is not a benchmark, "
        "and no source of facts.",
        personal_information="No personal data was collected. Names in the problems are those of their sources.",
        social_impact="A model that is trained on these texts states that it has checked its answer, also where the "
        "answer is wrong. Verify its answers independently.",
        maintenance="Released as it is. A later release replaces the files in one commit; a withdrawn one says so at "
        "the top of its card.",
    )
