"""Fetching from and uploading to the Hugging Face hub, with its client's errors in one sentence each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from benchmark import hub_refs, offline
from benchmark.errors import InputError, WorkError
from benchmark.sae.formats.published import check_config, files_of


def names_in(folder: Path) -> list[str]:
    """Return the relative paths of all files in a folder; raises InputError when there is none."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}.")
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def fetch(
    repository: str, revision: str, choose: Callable[[Sequence[str]], tuple[str, str]]
) -> tuple[Path, str, str, str]:
    """Return the local copy of a repository's commit with one SAE in it, the commit, and the SAE's place and layout.

    choose: tells place and layout from the names of all files. Offline, the copy in the cache is used. Raises
    InputError and WorkError, one sentence each.
    """
    from huggingface_hub import HfApi, snapshot_download

    branch = revision or "main"
    if not offline.hub_reachable():
        commit = branch if hub_refs.COMMIT.fullmatch(branch) else hub_refs.noted_commit("model", repository, branch)
        root = hub_refs.store("model", repository) / "snapshots" / commit
        if not commit or not root.is_dir():
            raise WorkError(f"the hub cannot be reached, and {repository} at {branch} is not in the cache.")
        return root, commit, *choose(names_in(root))
    with _said(repository, revision):
        info = HfApi().model_info(repository, revision=revision or None)
    commit = info.sha or ""
    place, layout = choose([file.rfilename for file in info.siblings or []])
    # The configuration first: what cannot be read is refused before its weights, of gigabytes perhaps, are fetched.
    for name in files_of(place, layout):
        with _said(repository, revision):
            root = Path(snapshot_download(repository, revision=commit, allow_patterns=[escape(name)]))
        check_config(root / place, layout)
    hub_refs.note_commit("model", repository, branch, commit)  # for when the hub cannot be reached
    return root, commit, place, layout


def upload(work: Path, repository: str, *, private: bool, revision: str, n: int) -> str:
    """Upload a folder with n SAEs in one commit, to a branch of a repository made if need be; return the commit's URL.

    Raises InputError and WorkError, one sentence each.
    """
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise InputError("pushing needs a token with write permission: set HF_TOKEN, or log in with `hf auth login`.")
    if not offline.hub_reachable():
        raise WorkError(
            f"the hub cannot be reached, so {repository} was not pushed; push to a folder instead (./NAME)."
        )
    api = HfApi()
    with _said(repository, revision):
        api.create_repo(repository, private=private, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise InputError(
                f"the repository {repository} exists and is public, so nothing was pushed; say private=false, or make "
                "it private on its page."
            )
        if revision:
            api.create_branch(repository, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=work, revision=revision or None,
            commit_message=f"Add {n} sparse autoencoder{'s' * (n > 1)}",
        )  # fmt: skip
    return str(done.commit_url)


@contextmanager
def _said(repository: str, revision: str) -> Iterator[None]:
    """Turn the hub client's errors into one sentence each."""
    from huggingface_hub import errors

    try:
        yield
    except (InputError, WorkError):
        raise
    except errors.GatedRepoError as error:
        raise InputError(f"{repository} is gated: accept its conditions on its page, and log in.") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"the hub has no repository {repository} that this token may see; correct the name or set HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{repository} has no revision '{revision}'.") from error
    except Exception as error:  # of its HTTP library, and of what uploads large files
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status in (401, 403):
            raise InputError(f"the token may not write to {repository} (the hub answered {status}).") from error
        said = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".")
        raise WorkError(f"the hub did not serve {repository}: {type(error).__name__}: {said}.") from error
