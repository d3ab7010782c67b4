"""The Bulk query jobs of an org: kept in its folder, run beside the requests, gone after seven days."""

from __future__ import annotations

import itertools
import time
from threading import Condition, Thread
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.bulk import spool
from localcloud.salesforce.bulk.job import Job, is_chunked
from localcloud.salesforce.bulk.plan import compile_bulk, refusal
from localcloud.salesforce.bulk.run import Aborting, Snapshot, write
from localcloud.salesforce.cost import TooCostly, bounded
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.ids import make_id
from localcloud.salesforce.limits import BULK_STORAGE, take_bulk_job
from localcloud.salesforce.soql.features import features
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.salesforce.bulk.job import Asked, State
    from localcloud.salesforce.bulk.plan import BulkPlan
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema
    from localcloud.salesforce.tuning import Tuning

_MOST_RETRIES = 15
_LIFE_MS = 7 * 86_400_000
_WORKERS = 2
_MOST_SNAPSHOTS = 100
"""Jobs that wait with a view of the rows at their creation; each has a file open."""
_SHORTEST_WAIT = 0.02
_LONGEST_WAIT = 60.0
_MEGABYTE = 2**20


class _Task(msgspec.Struct):
    """A job that waits to be run: the schema its user sees, and what was read from the rows so far."""

    job: Job
    schema: Schema
    plan: BulkPlan | None = None
    snapshot: Snapshot | None = None


class BulkJobs:
    """Creates, runs and keeps jobs.

    A job's results are those of the moment when it runs: a file that later changes of rows do not touch. With
    no delay that moment is its creation. Two threads, started with the first job, write the files.

    Args:
        org: Whose rows are read, by a connection of their own.
        tuning: How jobs behave, and the limits that they count on.
    """

    def __init__(self, org: Org, tuning: Tuning) -> None:
        self._org = org
        self._usage = tuning.usage
        self._settings = tuning.bulk
        self._query = tuning.query
        self._folder = org.path / "bulk"
        self._changed = Condition()
        self._jobs: dict[str, Job] = {}
        self._tasks: list[_Task] = []
        self._running: dict[str, Snapshot] = {}
        self._threads: list[Thread] = []
        self._closed = False
        self._numbers = itertools.count(1)
        self._recover()
        self._unsubscribe = org.clock.subscribe(self._wake)

    def create(self, asked: Asked, schema: Schema, version: float) -> Job:
        """A new job, which runs when its time has come.

        Raises:
            ApiError: The statement is not right, Bulk does not take it, or a limit is reached.
        """
        refused = refusal(asked.query, schema)
        if refused is not None and self._settings.refuse == "creation":
            raise refused
        plan = None if refused else self._compile(asked, schema, version)
        take_bulk_job(self._usage)
        now_ms = self._org.clock.now_ms()
        stamp = self._stamp()
        with self._changed:
            number = next(self._numbers)
            job = Job(
                id=make_id("750", number),
                number=number,
                asked=asked,
                sobject=features(asked.query, schema).sobject,
                version=version,
                created_by=self._org.user_id,
                created=stamp,
                modified=stamp,
                created_ms=now_ms,
                due_ms=now_ms + int(self._settings.delay_seconds * 1000),
                columns=plan.columns if plan else (),
            )
            task = _Task(job, schema)
            if plan is not None and job.due_ms == now_ms and len(self._tasks) < _MOST_SNAPSHOTS:
                task.plan, task.snapshot = plan, Snapshot(self._org.path)
            self._folder.mkdir(exist_ok=True)
            (self._folder / "last").write_text(str(number))
            self._jobs[job.id] = job
            self._keep(job)
            self._tasks.append(task)
            self._start()
        return msgspec.structs.replace(job)

    def get(self, key: str) -> Job:
        """A job as it stands now.

        Raises:
            ApiError: 404, there is none (any more).
        """
        self._forget_old()
        with self._changed:
            job = self._jobs.get(key) or self._by_short_id(key)
            if job is None:
                raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
            return self._seen(job)

    def all(self) -> list[Job]:
        """All jobs, in the order of their creation."""
        self._forget_old()
        with self._changed:
            return [self._seen(job) for job in self._jobs.values()]

    def abort(self, key: str) -> Job:
        """End a job before it is complete.

        Raises:
            ApiError: There is no such job, or it has ended.
        """
        self.get(key)
        with self._changed:
            job = self._jobs[self.get(key).id]
            if job.ended:
                raise ApiError(400, "INVALIDJOBSTATE", f"Aborting already {_WORDS[job.state]} Job not allowed")
            self._end(job, "Aborted")
            if job.id in self._running:
                self._running[job.id].db.interrupt()
            return msgspec.structs.replace(job)

    def delete(self, key: str) -> None:
        """Forget a job that has ended, with its results.

        Raises:
            ApiError: There is no such job, or it has not ended.
        """
        job = self.get(key)
        if not job.ended:
            raise ApiError(
                400, "API_ERROR", "Error encountered when deleting the job because the job is not terminated"
            )
        with self._changed:
            self._drop(job)

    def results(self, job: Job, start: int, rows: int) -> tuple[bytes, int]:
        """Rows of a complete job as CSV without a header, and how many there are."""
        return spool.read(self._csv(job), start, rows, self._settings.set_bytes)

    def sets(self, job: Job, start: int, most: int) -> list[int]:
        """The first rows of the next sets of a complete job, at most so many, and the row after them."""
        starts = [start]
        while starts[-1] < job.processed and len(starts) <= most:
            rows = self._settings.default_records
            starts.append(starts[-1] + spool.count(self._csv(job), starts[-1], rows, self._settings.set_bytes))
        return starts

    def close(self) -> None:
        """Stop the threads; what was not complete runs again when the org is served again."""
        self._unsubscribe()
        with self._changed:
            self._closed = True
            for snapshot in self._running.values():
                snapshot.db.interrupt()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for task in self._tasks:
            if task.snapshot is not None:
                task.snapshot.close()

    # Keeping

    def _by_short_id(self, key: str) -> Job | None:
        return next((job for job in self._jobs.values() if len(key) == 15 and job.id[:15] == key), None)

    def _seen(self, job: Job) -> Job:
        """A copy, for the outside: a job in the second half of its delay is in progress."""
        copy = msgspec.structs.replace(job)
        half = (job.created_ms + job.due_ms) // 2
        if job.state == "UploadComplete" and job.due_ms > job.created_ms and self._org.clock.now_ms() >= half:
            copy.state = "InProgress"
        return copy

    def _forget_old(self) -> None:
        horizon = self._org.clock.now_ms() - _LIFE_MS
        with self._changed:
            for job in [job for job in self._jobs.values() if job.ended and job.created_ms < horizon]:
                self._drop(job)

    def _drop(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._file(job).unlink(missing_ok=True)
        spool.remove(self._csv(job))

    def _keep(self, job: Job) -> None:
        part = self._file(job).with_suffix(".part")
        part.write_bytes(msgspec.json.encode(job))
        part.replace(self._file(job))

    def _recover(self) -> None:
        last = self._folder / "last"
        if not last.exists():
            return
        self._numbers = itertools.count(int(last.read_text()) + 1)
        found = [msgspec.json.decode(file.read_bytes(), type=Job) for file in self._folder.glob("*.json")]
        for job in sorted(found, key=lambda job: job.number):
            self._jobs[job.id] = job
            if not job.ended:
                job.state, job.processed = "UploadComplete", 0
                self._tasks.append(_Task(job, self._org.schema))
        if self._tasks:
            with self._changed:
                self._start()

    def _file(self, job: Job) -> Path:
        return self._folder / f"{job.id}.json"

    def _csv(self, job: Job) -> Path:
        return self._folder / f"{job.id}.csv"

    # Running

    def _compile(self, asked: Asked, schema: Schema, version: float) -> BulkPlan:
        now = self._org.clock.now()
        since = self._query.history_since(now)
        user_id = self._org.user_id
        return compile_bulk(asked, schema, version, now, self._settings, user_id=user_id, history_since=since)

    def _planned(self, task: _Task) -> BulkPlan:
        refused = refusal(task.job.asked.query, task.schema)
        if refused is not None:
            raise refused
        return self._compile(task.job.asked, task.schema, task.job.version)

    def _start(self) -> None:
        if not self._threads:
            self._threads = [Thread(target=self._work, name=f"bulk-{n}", daemon=True) for n in range(_WORKERS)]
            for thread in self._threads:
                thread.start()
        self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                task = self._next()
                while task is None:
                    if self._closed:
                        return
                    self._changed.wait(self._patience())
                    task = self._next()
                task.job.state = "InProgress"
            self._run(task)

    def _next(self) -> _Task | None:
        if self._closed:
            return None
        now = self._org.clock.now_ms()
        for aborted in [task for task in self._tasks if task.job.ended]:
            self._tasks.remove(aborted)
            if aborted.snapshot is not None:
                aborted.snapshot.close()
        task = next((task for task in self._tasks if task.job.due_ms <= now), None)
        if task is not None:
            self._tasks.remove(task)
        return task

    def _patience(self) -> float | None:
        if not self._tasks:
            return None
        due = min(task.job.due_ms for task in self._tasks) - self._org.clock.now_ms()
        return min(max(due / 1000, _SHORTEST_WAIT), _LONGEST_WAIT)

    def _run(self, task: _Task) -> None:
        job = task.job
        began = time.perf_counter()
        snapshot = self._running[job.id] = task.snapshot or Snapshot(self._org.path)
        try:
            failure = self._settings.failure(job.asked.query)
            if failure is not None:
                job.processed = failure.after_rows
                self._finish(job, failure.state, failure.message if failure.state == "Failed" else None)
                return
            plan = task.plan or self._planned(task)
            job.columns = plan.columns
            # PK chunking divides the work, so that no part of it runs too long
            with bounded(snapshot.db, 0 if plan.chunked and is_chunked(plan.sobject) else self._query.cost_ceiling):
                size = write(job, plan, snapshot, self._csv(job), self._going_on)
            job.processing_ms = max(round((time.perf_counter() - began) * 1000), 1)
            self._usage.add(BULK_STORAGE, size / _MEGABYTE)
            self._finish(job, "JobComplete")
        except Aborting:
            spool.remove(self._csv(job))
        except TooCostly:
            job.retries = _MOST_RETRIES
            self._finish(job, "Failed", "InternalServerError : Retried more than fifteen times")
        except ApiError as error:
            self._finish(job, "Failed", f"InvalidBatch : Failed to process query: {error.code}: {error.message}")
        except Exception as error:  # noqa: BLE001 - it shows in the job; the thread goes on to the next
            if self._closed or job.ended:  # interrupted
                spool.remove(self._csv(job))
            else:
                self._finish(job, "Failed", f"InternalServerError : {error}")
        finally:
            with self._changed:
                del self._running[job.id]
            snapshot.close()

    def _going_on(self, job: Job, rows: int) -> None:
        if self._closed or job.ended:
            raise Aborting
        job.processed = rows

    def _finish(self, job: Job, state: State, error: str | None = None) -> None:
        with self._changed:
            if job.ended:  # aborted at the last moment
                spool.remove(self._csv(job))
                return
            self._end(job, state, error)

    def _end(self, job: Job, state: State, error: str | None = None) -> None:
        job.state, job.error, job.modified = state, error, self._stamp()
        self._keep(job)
        self._changed.notify_all()

    def _stamp(self) -> str:
        return instant_text(self._org.clock.now().replace(microsecond=0))


_WORDS: dict[State, str] = {"JobComplete": "Completed", "Aborted": "Aborted", "Failed": "Failed"}
