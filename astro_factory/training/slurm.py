"""The Slurm script that starts a stage with `astro-factory launch` on each node of a job."""

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from astro_factory.training.nodes import DEFAULT_PORT

_SAVING_S = 60
"""Between the signal that announces the end of a job and the end, besides the time to save a checkpoint."""
_LONGEST_NOTICE_S = 65535
"""What Slurm takes at most."""
_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cores}
{gpus}#SBATCH --signal=TERM@{notice}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
# Add what your cluster needs: --partition, --account, --time, --mem. All nodes must see this folder and the store.
# --signal announces the end of the time limit {notice} s before it, so that training can save a checkpoint. In a
# preemption it has the GraceTime of the partition; if that is too short, it resumes from an earlier checkpoint.

{servers}head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export ASTRO_FACTORY_HEAD="$head_node:$(({port} + SLURM_JOB_ID % 1000))"
cd {folder} || exit 2

srun --kill-on-bad-exit=0 --wait=0 {command}
code=$?
if [ "$code" -eq 130 ]; then    # interrupted after a checkpoint: the job continues when there is room again
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def slurm_script(
    name: str,
    arguments: Sequence[str],
    *,
    nodes: int,
    gpus: int,
    cores: int,
    grace_s: float,
    folder: Path,
    servers: Sequence[str] = (),
) -> str:
    """A script for `sbatch` that runs `astro-factory launch ARGUMENTS` on each node.

    Args:
        gpus, cores: of each node.
        grace_s: the time that the stage may take to save a checkpoint.
        folder: the working folder.
        servers: commands of the servers that the stage needs; the script mentions them.
    """
    started = "".join(f"# Start this server first, on GPUs of its own: {server}\n" for server in servers)
    command = [sys.executable, "-m", "astro_factory", "launch", *arguments]
    return _SCRIPT.format(
        name=name,
        nodes=nodes,
        gpus=f"#SBATCH --gpus-per-node={gpus}\n" if gpus else "",
        cores=cores,
        servers=started and f"{started}\n",
        notice=min(math.ceil(grace_s) + _SAVING_S, _LONGEST_NOTICE_S),
        folder=shlex.quote(str(folder)),
        port=DEFAULT_PORT,
        command=shlex.join(command),
    )
