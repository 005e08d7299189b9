"""Work in batches that fit the memory."""

from collections.abc import Callable

import torch
from torch import Tensor


class BatchRunner:
    """Runs numbered jobs in batches. If memory runs out, it halves the batch size permanently.

    Attributes:
        batch_size: Maximum number of jobs per batch.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def run(self, compute: Callable[[Tensor], Tensor], num_jobs: int, device: torch.device) -> Tensor:
        """Returns the results of all jobs, in the order of the jobs.

        Args:
            compute: Takes the indices of M jobs, (M,), and returns M rows.
            num_jobs: Number of jobs, at least one.
            device: Device of the job indices.

        Returns:
            One row per job.

        Raises:
            torch.OutOfMemoryError: Not even a single job fits.

        Example:
            >>> BatchRunner(2).run(lambda jobs: jobs * 10, 5, torch.device("cpu")).tolist()
            [0, 10, 20, 30, 40]
        """
        jobs, results = torch.arange(num_jobs, device=device), list[Tensor]()
        while len(jobs):
            batch = jobs[: self.batch_size]
            try:
                results.append(compute(batch))
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self.batch_size = len(batch) // 2
                continue
            jobs = jobs[len(batch) :]
        return torch.cat(results)
