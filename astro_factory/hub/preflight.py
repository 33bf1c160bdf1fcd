"""Checks of a publication before its artifacts exist: licence terms, and rights and gates on the Hub."""

from collections.abc import Callable, Iterable

from astro_factory.core.errors import Diagnostic, UserError
from astro_factory.hub.client import hub_client, with_retries
from astro_factory.hub.destinations import RepoType, no_publication
from astro_factory.hub.layout import MANIFEST
from astro_factory.hub.licences import conflict, llama_terms


def check_terms(repo: str, licence: str | None, models: Iterable[str]) -> list[Diagnostic]:
    """Whether a model's name and licence satisfy the licences of the models it was trained from."""
    terms = llama_terms(models)
    if terms is None:
        return []
    found = []
    owner, _, name = repo.partition("/")
    if not terms.allows_name(name):
        cause = f"'{repo}' is made with {terms.family}, whose licence requires its name to begin so"
        found.append(Diagnostic("E721", cause, f"rename it, for example to {owner}/Llama-{terms.version}-{name}"))
    if licence != terms.licence:
        cause = f"'{repo}' is made with {terms.family} and cannot have the licence {licence or '(none)'}"
        found.append(Diagnostic("E722", cause, f"set licence: {terms.licence}"))
    return found


def check_on_hub(
    repo: str, repo_type: RepoType, licence: str | None, models: Iterable[str], datasets: Iterable[str]
) -> list[Diagnostic]:
    """Whether the token can write `repo` and read its sources, and whether the problem sets' licences allow it."""
    checks: list[Callable[[], list[Diagnostic]]] = [lambda: _may_write(repo, repo_type)]
    checks += [lambda source=source: _may_read(source, "model") for source in models]
    checks += [lambda source=source: _may_read(source, "dataset") for source in datasets]
    if repo_type == "dataset":
        checks += [lambda source=source: _licence_allows(repo, licence, source) for source in datasets]
    found: list[Diagnostic] = []
    for check in checks:
        try:
            found += check()
        except UserError as error:
            found += [diagnostic for diagnostic in error.diagnostics if diagnostic not in found]
    return found


def check_superseded(repo: str, repo_type: RepoType) -> list[Diagnostic]:
    """Whether the token can write an earlier publication, and whether it is one."""
    try:
        if found := _may_write(repo, repo_type):
            return found
        if not with_retries(repo, lambda: hub_client().file_exists(repo, MANIFEST, repo_type=repo_type)):
            raise no_publication(repo)
    except UserError as error:
        return list(error.diagnostics)
    return []


def _may_write(repo: str, repo_type: RepoType) -> list[Diagnostic]:
    from huggingface_hub.errors import LocalTokenNotFoundError, RepositoryNotFoundError

    api, owner = hub_client(), repo.partition("/")[0]
    try:
        me = with_retries(repo, api.whoami)
    except LocalTokenNotFoundError:
        cause = f"publishing to {repo} needs a Hub token"
        return [Diagnostic("E701", cause, "run `hf auth login` or set HF_TOKEN")]
    writable = [me["name"], *(org["name"] for org in me.get("orgs", []) if org.get("roleInOrg") != "read")]
    if me.get("auth", {}).get("accessToken", {}).get("role") == "read":
        cause = f"your Hub token is read-only, so it cannot publish to {repo}"
        return [Diagnostic("E702", cause, "create a token with write access at https://huggingface.co/settings/tokens")]
    if owner not in writable:
        cause = f"your Hub token cannot write to {owner}"
        return [Diagnostic("E702", cause, f"it can write to {' and '.join(writable)}")]
    try:
        with_retries(repo, lambda: api.auth_check(repo, repo_type=repo_type, write=True))
    except UserError as error:
        if not isinstance(error.__cause__, RepositoryNotFoundError):
            raise
    return []  # also for a missing repository: the owner may create it


def _may_read(source: str, repo_type: RepoType) -> list[Diagnostic]:
    """Gated repositories: the page is public, the files need granted access."""
    from huggingface_hub.errors import GatedRepoError

    try:
        with_retries(source, lambda: hub_client().auth_check(source, repo_type=repo_type))
    except UserError as error:
        if not isinstance(error.__cause__, GatedRepoError):
            raise
        place = f"https://huggingface.co/{'datasets/' if repo_type == 'dataset' else ''}{source}"
        cause = f"{source} is gated, and your token has no access"
        return [Diagnostic("E723", cause, f"request access at {place}")]
    return []


def _licence_allows(repo: str, licence: str | None, source: str) -> list[Diagnostic]:
    """Published tables contain problems and answers of their sources, so the sources' terms apply."""
    info = with_retries(source, lambda: hub_client().dataset_info(source))
    theirs = info.card_data.get("license") if info.card_data else None
    found = []
    for one in [theirs] if isinstance(theirs, str) else theirs or []:
        if conflict(licence, one):
            cause = f"{repo} would contain problems of {source}, whose licence {one} applies to copies"
            found.append(Diagnostic("E724", cause, f"set licence: {one}, or leave out the artifacts that contain them"))
    return found
