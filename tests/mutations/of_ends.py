"""Mutations of how pods and their apps end, and what is known of it."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_ENDS = "Ends are never made up"
_STAYS = "An exit record that was acknowledged stays"
_OVER = "A pod that is over has no process left"
_OUTLIVES = "A pod outlives its monitor and its caller"

OF_ENDS = (
    Mutation(
        _ENDS,
        "an end that nobody saw is shown as success",
        "engine/observe/ends.py",
        "            return 125",
        "            return 0",
        "tests/unit/engine/observe/test_ends.py::test_shell_codes",
        quick=True,
    ),
    Mutation(
        _ENDS,
        "a record that cannot be read is told as success",
        "engine/observe/ends.py",
        'return Unknown("the exit record cannot be read")',
        "return Exited(0)",
        "tests/unit/engine/observe/test_ends.py::test_a_record_that_cannot_be_read_is_unknown",
    ),
    Mutation(
        _ENDS,
        "an app whose init was killed has ended well",
        "engine/observe/status.py",
        'Unknown("the pod\'s init was gone before it could see the app end")',
        "Exited(0)",
        "tests/root/test_death.py::test_both_are_killed",
    ),
    Mutation(
        _ENDS,
        "a pod whose init was killed has finished",
        "supervisor/identity.py",
        'outcome, reason = "killed", f"init was killed by signal {status & 0x7F}"',
        'outcome, reason = "finished", ""',
        "tests/root/test_rest.py::test_sigkill_of_init_is_seen_and_cleaned_up_after",
    ),
    Mutation(
        _STAYS,
        "a record has its name before its bytes are on the disk",
        "linux/files.py",
        "            yield\n            os.fsync(fd)\n",
        "            yield\n",
        "tests/unit/linux/test_files.py::test_the_order_of_a_durable_write",
    ),
    Mutation(
        _STAYS,
        "an end is told before its record is on the disk",
        "supervisor/recording.py",
        "return app not in self._queue",
        "return True",
        "tests/unit/supervisor/test_recording.py::test_nothing_is_seen_of_an_end_that_is_not_on_the_disk",
    ),
    Mutation(
        _STAYS,
        "a record that did not fit on a full disk is given up",
        "supervisor/recording.py",
        "self._queue, self._failed = self._failed, []",
        "self._failed = []",
        "tests/unit/supervisor/test_recording.py::"
        "test_a_full_disk_costs_one_end_nothing_but_time_and_the_others_nothing",
    ),
    Mutation(
        _OVER,
        "a pod is over when its lock is free, whatever init does",
        "engine/observe/keeper.py",
        "    if not init_is_alive(pod):\n        return True\n    remains",
        "    if pod:\n        return True\n    remains",
        "tests/root/test_death.py::test_nothing_acts_on_an_ended_pod_before_init_is_gone",
    ),
    Mutation(
        _OVER,
        "what is left of a pod among the host's processes is let live",
        "engine/observe/remains.py",
        "while group and freezer.kill_all(group):",
        "while not group:",
        "tests/root/test_host_pid.py::"
        "test_after_both_are_killed_the_rest_is_told_of_and_ended_before_the_pod_goes",
    ),
    Mutation(
        _OUTLIVES,
        "init stops the pod when the monitor is gone",
        "supervisor/init.py",
        'note("the monitor is gone; the pod goes on without it")',
        'self.course.stop("stopped", "the monitor is gone")',
        "tests/root/test_death.py::test_pod_outlives_its_monitor_and_its_end_is_known",
    ),
    Mutation(
        _OUTLIVES,
        "every pod is tied to its caller",
        "engine/launch/start.py",
        "tied_to_caller=tied,",
        "tied_to_caller=True,",
        "tests/root/test_tied.py::test_pod_that_is_not_tied_outlives_its_caller",
    ),
)
